"""Inversion: a picture whose activations are those of another, found from noise; what a layer still knows of its input.

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
from steep.optim.loop import Make, Progress
from steep.optim.projections import box
from steep.random import Generator


@dataclass(frozen=True)
class Inversion:
    """``image`` (n, ...): the reconstruction.

    ``feature_error``: the distance of its activations to the picture's over their norm; ``input_error``: the same of
    the pixels, the picture's mean taken off for the norm. ``history``, ``status``, ``eager`` and ``frames`` as in
    ``Ascent``.
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
    """A prior of natural pictures of ``shape`` (..., height, width): bounded values, few and gentle edges.

    ``sum |x - middle| ** alpha / (h w B ** alpha) + total_variation / (h w (contrast B) ** beta)`` with B half the
    range of ``bounds``. The paper takes ``contrast`` from .01 for shallow layers to .1 for deep ones; the smaller, the
    smoother. Source: Mahendran and Vedaldi 2015, arXiv:1412.0035, section 3.
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
    """A picture whose activations in ``layer`` are those of ``image`` (n, ...), which is used for nothing else.

    From ``start`` (a picture or a parameterization; normal noise around the middle of ``bounds`` drawn from
    ``generator``, if None), by ``optimizer`` (Adam at 1/20 of the range, if None), inside ``bounds``. ``penalty`` is
    added to the squared relative distance; ``mahendran_vedaldi`` makes the paper's. Raises ValueError if the layer is
    silent on the picture. Sources: Mahendran and Vedaldi 2015, arXiv:1412.0035; notes table, rows 79 to 81.
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
