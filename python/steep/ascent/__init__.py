"""Feature visualization by gradient ascent on inputs: which input maximises a neuron, a layer or a class?

The weights are fixed and the input is optimised. Objectives and regularizers are functions of the input that can be
added and scaled (``term.py``); ``maximize`` optimises them with the one loop, ``optim.maximize``. What is optimised is
a parameterization (``params.py``); random transforms are applied before the objective. Start reading at ``loop.py``.
"""

from steep.ascent.dream import Dream, deepdream, octave_sizes
from steep.ascent.features import (
    caricature, channel, direction, diversity, guided_by, inversion, layer, neuron, similarity,
)  # fmt: skip
from steep.ascent.smoothing import bilateral, gaussian, haar, haar_shrink, inverse_haar, median
from steep.ascent.invert import Inversion, invert, mahendran_vedaldi
from steep.ascent.loop import Ascent, maximize
from steep.ascent.objectives import logit, margin, probability
from steep.ascent.params import Parameterization, color_decorrelated, cppn, fft, latent, pixels
from steep.ascent.regularizers import feature_statistics, haar_wavelet, l1, l2, lp, total_variation
from steep.ascent.term import Term
from steep.ascent.transforms import blur, compose, jitter, noise, pad, rotate, scale
from steep.ascent.visualize import filters, standard_transforms, visualize
from steep.optim.projections import ball, box, simplex

__all__ = [
    "Ascent", "Dream", "Inversion", "Parameterization", "Term", "ball", "bilateral", "blur", "box", "caricature",
    "channel", "color_decorrelated", "compose", "cppn", "deepdream", "direction", "diversity", "feature_statistics",
    "fft", "filters", "gaussian", "guided_by", "haar", "haar_shrink", "haar_wavelet", "inverse_haar", "inversion",
    "invert", "jitter", "l1", "l2", "latent", "layer", "logit", "lp", "mahendran_vedaldi", "margin", "maximize",
    "median", "neuron", "noise", "octave_sizes", "pad", "pixels", "probability", "rotate", "scale", "similarity",
    "simplex", "standard_transforms", "total_variation", "visualize",
]  # fmt: skip
