"""LPIPS, a perceptual distance: the distance of two images in the features of a network.

At five ReLUs of AlexNet or VGG16 the features are normalised to length 1, and their squared differences weighted by
learned numbers and averaged over positions. Source: Zhang et al. 2018, arXiv:1801.03924, version 0.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from steep import _core, nn
from steep._core import Tensor
from steep.zoo.load import Pretrained, assemble
from steep.zoo.table import LPIPS as SCALES
from steep.zoo.weights import find, weights

EPS = 1e-10


@dataclass(frozen=True)
class Backbone:
    """A network of the zoo, and the layers whose features are compared."""

    model: str
    layers: tuple[str, ...]


BACKBONES = {
    "alex": Backbone("alexnet_features", ("relu1", "relu2", "relu3", "relu4", "relu5")),
    "vgg": Backbone("vgg16_features", ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")),
}


class LPIPS(nn.Module):
    """The perceptual distance LPIPS as a module; differentiable.

    Args:
        backbone: the network and its layers.
        features: the network with its weights.
        scales: learned weights of the channels of each layer.
    """

    def __init__(self, backbone: Backbone, features: Pretrained, scales: list[Tensor]) -> None:
        self.layers, self.features, self.scales = backbone.layers, features, scales

    def forward(self, x: Any, y: Any) -> Tensor:
        """The distance of images.

        Args:
            x: images (N, 3, H, W) in [0, 1], red first.
            y: images of the same shape; either of the two may be a single image.

        Returns:
            A tensor (N,).

        Raises:
            ValueError: for another shape.
        """
        parts = [
            _core.mean(_core.sum((a - b) ** 2 * scale, axis=1), axis=(1, 2))
            for a, b, scale in zip(self._directions(x), self._directions(y), self.scales, strict=True)
        ]
        return sum(parts[1:], parts[0])

    def _directions(self, x: Any) -> list[Tensor]:
        """The features of every layer, normalised to length 1 at each position."""
        found = self.features.activations(self.features.preprocessing.normalize(x), self.layers)
        return [_direction(found[name]) for name in self.layers]


def _direction(features: Tensor) -> Tensor:
    squared = _core.sum(features**2, axis=1, keepdims=True)
    tiny = squared <= 0
    length = _core.where(tiny, 0.0, _core.sqrt(_core.where(tiny, 1.0, squared)))  # finite gradient at 0
    return features / (length + EPS)


def lpips(net: str = "alex", requires_grad: bool = False, dtype: Any = None) -> LPIPS:
    """LPIPS in the features of AlexNet (10 MB) or VGG16 (59 MB), downloaded on demand.

    Args:
        net: "alex" or "vgg".
        requires_grad: whether weights are parameters.
        dtype: a float dtype; float32 if None.

    Returns:
        An ``LPIPS``.

    Raises:
        ValueError: for another net.
        FetchError: if the weights cannot be downloaded.

    References:
        Zhang et al. 2018, "The unreasonable effectiveness of deep features as a perceptual metric", arXiv:1801.03924.
    """
    if net not in BACKBONES:
        raise ValueError(f"lpips: net is one of {list(BACKBONES)}, got {net!r}")
    backbone = BACKBONES[net]
    arrays = weights(backbone.model)
    features = assemble(find(backbone.model), arrays, requires_grad, dtype)
    scales = [arrays[key].reshape(1, -1, 1, 1) for key in SCALES]
    return LPIPS(backbone, features, [_core.tensor(s, dtype=dtype, requires_grad=requires_grad) for s in scales])
