"""Inversion: reconstructs an image from its activations in a layer, starting from noise.

Start reading at ``invert``; ``mahendran_vedaldi`` is the natural-image prior of the paper the method comes from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from steep import _core, optim
from steep._core import Tensor
from steep.ascent.features import activation, inversion
from steep.ascent.loop import maximize
from steep.ascent.params import Parameterization
from steep.ascent.regularizers import lp, total_variation
from steep.ascent.term import Scalar, Term
from steep.display import displayed
from steep.optim.loop import Make, Progress
from steep.optim.projections import box
from steep.random import Generator


@displayed
@dataclass(frozen=True)
class Inversion:
    """Result of ``invert``.

    Attributes:
        image: the reconstruction, (n, ...).
        feature_error: distance of its activations to those of the image, relative to their norm.
        input_error: distance of the pixels, relative to the norm of the image minus its mean.
        history: the objective before each step.
        status: why the run ended, as in ``optim.Result``.
        eager: why steps were not compiled, "" if they were.
        frames: intermediate images, if ``keep`` was given.
    """

    image: Tensor = field(repr=False)
    feature_error: float
    input_error: float
    history: list[float] = field(repr=False)
    status: str
    eager: str = ""
    frames: list[Tensor] = field(default_factory=list, repr=False)


def mahendran_vedaldi(
    shape: tuple[int, ...], bounds: tuple[Any, Any], contrast: float = 0.05, alpha: float = 6, beta: float = 2
) -> Term:
    """The natural-image prior of Mahendran and Vedaldi: bounded values and total variation.

    ``sum |x - middle| ** alpha / (h w B ** alpha) + total_variation / (h w (contrast B) ** beta)`` with B half the
    range of ``bounds``.

    Args:
        shape: shape of the images, (..., height, width).
        bounds: lowest and highest pixel value, as numbers or per channel.
        contrast: scale of differences between neighbours; the paper takes .01 for shallow layers to .1 for deep ones.
            Smaller values give smoother images.
        alpha: exponent of the bound on values.
        beta: exponent of the total variation.

    Returns:
        A ``Term``, to be used as a penalty.

    References:
        Mahendran and Vedaldi 2015, arXiv:1412.0035, section 3.

    Example:
        >>> prior = sp.ascent.mahendran_vedaldi((1, 1, 8, 8), (0.0, 1.0))
        >>> float(prior(sp.full((1, 1, 8, 8), 0.5)))
        0.0
    """
    low, high = (float(np.mean(bound)) for bound in bounds)
    half, positions = (high - low) / 2, shape[-2] * shape[-1]
    bounded = lp(alpha, about=(high + low) / 2) * float(1 / (positions * half**alpha))
    rough = Term(lambda x: total_variation(x, beta=beta), "total_variation") * float(
        1 / (positions * (contrast * half) ** beta)
    )
    return bounded + rough


def invert(
    model: Any,
    layer: str,
    image: Any,
    *,
    steps: int = 300,
    start: Any = None,
    penalty: Scalar | None = None,
    bounds: tuple[Any, Any] = (0.0, 1.0),
    optimizer: Make | None = None,
    generator: Generator | None = None,
    callback: Callable[[Progress], object] | None = None,
    keep: int = 0,
    capture: bool = True,
) -> Inversion:
    """Inverts a layer: finds an image whose activations equal those of ``image``, which is used for nothing else.

    Args:
        model: an ``nn.Module`` or ONNX model, anything with ``activations(x, names)``.
        layer: name of a layer, as in ``model.activations``.
        image: the images (n, ...) whose activations are matched.
        steps: number of steps.
        start: an image or a ``Parameterization``; normal noise around the middle of ``bounds`` if None.
        penalty: a function of the image that is added to the relative squared distance, such as ``mahendran_vedaldi``.
        bounds: lowest and highest pixel value, as numbers or per channel.
        optimizer: makes an optimiser from parameters; Adam with a rate of 1/20 of the range if None.
        generator: source of the random numbers; ``Generator(0)`` if None.
        callback: called with an ``optim.loop.Progress`` after each step; returning True stops the run.
        keep: about how many intermediate images to store in ``frames``; 0 for none.
        capture: whether to compile the steps; see ``optim.minimize``.

    Returns:
        An ``Inversion``.

    Raises:
        ValueError: if all activations of an image are zero.

    References:
        Mahendran and Vedaldi 2015, "Understanding deep image representations by inverting them", arXiv:1412.0035.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> found = sp.ascent.invert(model, "relu1", sp.full((1, 1, 28, 28), 0.3), steps=3)
        >>> found.image.shape, found.status
        ((1, 1, 28, 28), 'finished')
    """
    wanted = _core.asarray(image)
    low, high = (_core.asarray(bound).astype(wanted.dtype) for bound in bounds)
    low, high = (_core.reshape(b, (-1, 1, 1)) if b.ndim == 1 else b for b in (low, high))
    width = float(_core.mean(high - low))
    if start is None:
        noise = (generator or Generator(0)).normal(tuple(wanted.shape), std=0.05, dtype=wanted.dtype)
        start = (low + high) / 2 + noise * width
    make = optimizer or partial(optim.Adam, lr=width / 20, betas=(0.9, 0.999))
    inside = None if isinstance(start, Parameterization) else box(low, high)
    done = maximize(inversion(model, layer, wanted), start, steps, make, penalty, project=inside, callback=callback,
                    keep=keep, capture=capture)  # fmt: skip
    features = partial(activation, model, layer)
    with _core.no_grad():
        return Inversion(done.image, _relative(features(done.image), features(wanted), 0.0),
                         _relative(done.image, wanted, float(_core.mean(wanted))), done.history, done.status,
                         done.eager, done.frames)  # fmt: skip


def _relative(got: Tensor, wanted: Tensor, middle: float) -> float:
    size = float(_core.norm(wanted - middle))
    return float(_core.norm(got - wanted)) / size if size else float("inf")
