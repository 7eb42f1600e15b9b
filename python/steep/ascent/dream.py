"""DeepDream: a picture in which a layer's excitement is raised, scale by scale.

The picture is shrunk to the smallest octave, excited there, enlarged, given back the detail that shrinking lost, and so
on up to its own size. Start reading at ``deepdream``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from steep import _core, optim
from steep._core import Tensor
from steep.ascent.features import guided_by
from steep.ascent.features import layer as whole_layer
from steep.ascent.loop import maximize
from steep.ascent.term import Scalar
from steep.ascent.transforms import jitter as jittered
from steep.optim.loop import Progress
from steep.optim.projections import box
from steep.random import Generator


@dataclass(frozen=True)
class Dream:
    """``image`` (n, c, h, w): the dream; ``octaves``: the sizes gone through, smallest first.

    ``history``: the value before each step of all octaves; ``status``, ``eager`` and ``frames`` as in ``Ascent``.
    """

    image: Tensor = field(repr=False)
    octaves: list[tuple[int, int]]
    history: list[float] = field(repr=False)
    status: str
    eager: str = ""
    frames: list[Tensor] = field(default_factory=list, repr=False)


def octave_sizes(height: int, width: int, octaves: int, scale: float) -> list[tuple[int, int]]:
    """Sizes from the largest down, each ``scale`` times smaller, rounded down: 224, 160, 114, 81 (notes table, row 69).

    Raises ValueError for fewer than one octave, a scale not above 1, or when the smallest has no pixels.
    """
    if octaves < 1 or not scale > 1:
        raise ValueError(f"octaves must be at least 1 and their scale above 1, got {octaves} and {scale}")
    sizes = [(int(height / scale**k + 1e-9), int(width / scale**k + 1e-9)) for k in range(octaves)]
    if min(sizes[-1]) < 1:
        raise ValueError(f"{octaves} octaves by {scale} leave nothing of {height} by {width} pixels")
    return sizes


def deepdream(
    model: Any,
    layer: str,
    image: Any,
    *,
    octaves: int = 4,
    octave_scale: float = 1.4,
    steps: int = 10,
    step_size: float | None = None,
    jitter: int = 32,
    guide: Any = None,
    objective: Scalar | None = None,
    bounds: tuple[Any, Any] = (0.0, 1.0),
    generator: Generator | None = None,
    callback: Callable[[Progress], object] | None = None,
    keep: int = 0,
    capture: bool = True,
) -> Dream:
    """``image`` (n, c, h, w) after ``steps`` steps of ascent at each of ``octaves`` sizes.

    The objective is the l2 norm of ``layer``, with ``guide`` (1, c, h', w') its match with the guide's activations, or
    ``objective`` of your own. A step moves pixels by ``step_size`` on average (1.5 / 255 of the range of ``bounds``, if
    None), on a picture rolled by up to ``jitter`` pixels drawn from ``generator``, and is clipped to ``bounds``,
    numbers or one for each channel. With 0 steps the picture comes back as it was. Sources: Mordvintsev et al. 2015,
    google/deepdream; notes table, rows 68 and 69. Raises ValueError for pictures of another shape.
    """
    x = _core.asarray(image)
    if x.ndim != 4:
        raise ValueError(f"deepdream needs pictures (n, channels, height, width), got {x.shape}")
    if objective is None:
        objective = whole_layer(model, layer) if guide is None else guided_by(model, layer, guide)
    low, high = (_per_channel(bound, x) for bound in bounds)
    length = float(_core.max(high - low)) * 1.5 / 255 if step_size is None else step_size
    sizes = octave_sizes(x.shape[2], x.shape[3], octaves, octave_scale)
    draw = generator or Generator(0)
    run = partial(maximize, objective, steps=steps, optimizer=partial(optim.SGD, lr=length), normalize="mean_abs",
                  project=box(low, high), callback=callback, keep=-(-keep // octaves), capture=capture)  # fmt: skip
    bases = [_resized(x, size) for size in sizes]
    detail, dream = _core.zeros_like(bases[-1]), bases[-1]
    history: list[float] = []
    frames: list[Tensor] = []
    status, eager = "finished", ""
    for base, size in zip(reversed(bases), reversed(sizes), strict=True):
        detail = _resized(detail, size)
        done = run(start=base + detail, transform=jittered(min(jitter, *size), draw, wrap=True))
        dream, status, eager = done.image, done.status, done.eager
        history += done.history
        frames += [_resized(frame, sizes[0]) for frame in done.frames]
        if status != "finished":
            break
        detail = dream - base
    return Dream(_resized(dream, sizes[0]), sizes[::-1], history, status, eager, frames)


def _resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    return x if tuple(x.shape[2:]) == size else _core.interpolate(x, size=size, mode="linear")


def _per_channel(bound: Any, x: Tensor) -> Tensor:
    values = _core.asarray(bound).astype(x.dtype)
    return _core.reshape(values, (-1, 1, 1)) if values.ndim == 1 else values
