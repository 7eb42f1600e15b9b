"""Gradient ascent on inputs: what would excite this neuron most?

The weights are held and the input moves. Objectives and regularizers are small functions of the input that add and
scale (``term.py``); ``maximize`` hands them to the one loop, ``optim.maximize``. What is moved is a parameterization
(``params.py``), what it is looked at through are transforms. Start reading at ``loop.py``.
"""

from steep.ascent.dream import Dream, deepdream, octave_sizes
from steep.ascent.features import (
    caricature, channel, direction, diversity, guided_by, inversion, layer, neuron, similarity,
)  # fmt: skip
from steep.ascent.smoothing import bilateral, gaussian, haar, haar_shrink, inverse_haar, median
from steep.ascent.invert import Inversion, invert, mahendran_vedaldi
from steep.ascent.loop import Ascent, maximize
from steep.ascent.objectives import logit, margin, probability
from steep.ascent.params import Parameterization, color_decorrelated, fft, latent, pixels
from steep.ascent.regularizers import feature_statistics, haar_wavelet, l1, l2, lp, total_variation
from steep.ascent.term import Term
from steep.ascent.transforms import blur, compose, jitter, noise, pad, rotate, scale
from steep.ascent.visualize import filters, standard_transforms, visualize
from steep.optim.projections import ball, box, simplex

__all__ = [
    "Ascent", "Dream", "Inversion", "Parameterization", "Term", "ball", "bilateral", "blur", "box", "caricature",
    "channel", "color_decorrelated", "compose", "deepdream", "direction", "diversity", "feature_statistics", "fft",
    "filters", "gaussian", "guided_by", "haar", "haar_shrink", "haar_wavelet", "inverse_haar", "inversion", "invert",
    "jitter", "l1", "l2", "latent", "layer", "logit", "lp", "mahendran_vedaldi", "margin", "maximize", "median",
    "neuron", "noise", "octave_sizes", "pad", "pixels", "probability", "rotate", "scale", "similarity", "simplex",
    "standard_transforms", "total_variation", "visualize",
]  # fmt: skip
