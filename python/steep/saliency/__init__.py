"""Attribution: which input values does a score depend on? Saliency maps, and checks of whether to trust them.

Gradient-based maps are in ``maps.py`` (start there) and ``integrated.py``, maps over positions in ``grad_cam.py`` and
``occlusion.py``; ``examples`` finds the inputs that activate a neuron most, ``localize`` where in an image a map
lies, ``sanity`` tests maps.
"""

from steep.saliency import sanity
from steep.saliency.examples import Top, patches, receptive_field, top_k, top_k_by_channel, unit
from steep.saliency.integrated import completeness_gap, integrated_gradients
from steep.saliency.localize import box, graph_cut, iou, mass, threshold
from steep.saliency.maps import deconvnet, gradient, guided_backprop, input_times_gradient, smoothgrad
from steep.saliency.grad_cam import grad_cam
from steep.saliency.occlusion import occlusion

__all__ = [
    "Top", "box", "completeness_gap", "deconvnet", "grad_cam", "gradient", "graph_cut", "guided_backprop",
    "input_times_gradient", "integrated_gradients", "iou", "mass", "occlusion", "patches", "receptive_field", "sanity",
    "smoothgrad", "threshold", "top_k", "top_k_by_channel", "unit",
]  # fmt: skip
