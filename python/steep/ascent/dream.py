"""DeepDream: an image in which the activations of a layer are increased, scale by scale.

The image is reduced to the smallest octave, optimised there, enlarged, given back the detail lost by reduction, and so
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
from steep.display import displayed
from steep.optim.loop import Progress
from steep.optim.projections import box
from steep.random import Generator


@displayed
@dataclass(frozen=True)
class Dream:
    """Result of ``deepdream``.

    Attributes:
        image: the final image, (n, c, h, w).
        octaves: the (height, width) of each octave, smallest first.
        history: the objective before each step of all octaves.
        status: why the last run ended, as in ``optim.Result``.
        eager: why steps were not compiled, "" if they were.
        frames: intermediate images, if ``keep`` was given.
    """

    image: Tensor = field(repr=False)
    octaves: list[tuple[int, int]]
    history: list[float] = field(repr=False)
    status: str
    eager: str = ""
    frames: list[Tensor] = field(default_factory=list, repr=False)


def octave_sizes(height: int, width: int, octaves: int, scale: float) -> list[tuple[int, int]]:
    """The sizes of the octaves, from the largest down, each ``scale`` times smaller and rounded down.

    Args:
        height: height of the image in pixels.
        width: width of the image in pixels.
        octaves: number of sizes, at least 1.
        scale: ratio of neighbouring sizes, above 1.

    Returns:
        A list of (height, width).

    Raises:
        ValueError: for fewer than one octave, a scale not above 1, or a smallest octave without pixels.

    Example:
        >>> sp.ascent.octave_sizes(224, 224, 4, 1.4)
        [(224, 224), (160, 160), (114, 114), (81, 81)]
    """
    if octaves < 1 or not scale > 1:
        raise ValueError(f"octaves must be at least 1 and their scale above 1, got {octaves} and {scale}")
    sizes = [(int(height / scale**k + 1e-9), int(width / scale**k + 1e-9)) for k in range(octaves)]
    if min(sizes[-1]) < 1:
        raise ValueError(f"{octaves} octaves by {scale} leave no pixels of {height} by {width}")
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
    """DeepDream: increases what a layer responds to in an image, from coarse to fine scales.

    The image is reduced to the smallest octave, optimised there, enlarged, given back the detail that was lost by
    reduction, and so on up to its own size.

    Args:
        model: an ``nn.Module`` or ONNX model, anything with ``activations(x, names)``.
        layer: name of a layer, as in ``model.activations``.
        image: images (n, c, h, w), float.
        octaves: number of sizes.
        octave_scale: ratio of neighbouring sizes.
        steps: steps of ascent per octave; with 0 the image is returned unchanged.
        step_size: mean absolute change of a pixel per step; 1.5 / 255 of the range of ``bounds`` if None.
        jitter: maximum random shift in pixels at each step.
        guide: an image (1, c, h', w'); the objective is then the match with its activations.
        objective: a function from images to a scalar, in place of the l2 norm of the layer.
        bounds: lowest and highest pixel value, as numbers or per channel.
        generator: source of the random numbers; ``Generator(0)`` if None.
        callback: called with an ``optim.loop.Progress`` after each step; returning True stops the run.
        keep: about how many intermediate images to store in ``frames``; 0 for none.
        capture: whether to compile the steps; see ``optim.minimize``.

    Returns:
        A ``Dream``.

    Raises:
        ValueError: for images of another shape, or octaves that are too small.

    References:
        Mordvintsev et al. 2015, "Inceptionism: going deeper into neural networks"; github.com/google/deepdream.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> dream = sp.ascent.deepdream(model, "relu2", sp.full((1, 1, 28, 28), 0.5), octaves=1, steps=2, jitter=2)
        >>> dream.image.shape, len(dream.history)
        ((1, 1, 28, 28), 2)
    """
    x = _core.asarray(image)
    if x.ndim != 4:
        raise ValueError(f"deepdream needs images (n, channels, height, width), got {x.shape}")
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
    history, frames = list[float](), list[Tensor]()
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
