"""Pictures of what excites a unit: two presets over ``maximize``.

``visualize`` is lucid's: a spectrum with decorrelated colours, looked at through random transforms. ``filters`` is that
of Keras's "Visualizing what convnets learn": plain pixels and steps of one length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from steep import _core, optim
from steep._core import Tensor
from steep.ascent.features import channel
from steep.ascent.loop import Ascent, maximize
from steep.ascent.params import color_decorrelated, fft
from steep.ascent.term import Scalar
from steep.ascent.transforms import Transform, compose, jitter, pad, rotate, scale
from steep.optim.loop import Progress
from steep.random import Generator


def standard_transforms(size: int, generator: Generator) -> Transform:
    """Padding, jitter, scaling by .9 to 1.1, turns by up to 10 degrees, jitter again; the size stays what it was.

    The jitter is 1/28 of ``size``, 8 pixels of 224, as in Olah et al. 2017.
    """
    by = max(1, round(size / 28))
    factors = [1 + (i - 5) / 50 for i in range(11)]
    turns = [*range(-10, 11), 0, 0, 0, 0, 0]
    return compose(pad(by, value=0.5), jitter(by, generator), scale(factors, generator), rotate(turns, generator),
                   jitter(by, generator))  # fmt: skip


def visualize(
    objective: Scalar,
    shape: tuple[int, int, int, int],
    *,
    steps: int = 256,
    lr: float = 0.03,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    transform: Transform | None = None,
    penalty: Scalar | None = None,
    generator: Generator | None = None,
    warm_start: int = 16,
    callback: Callable[[Progress], object] | None = None,
    keep: int = 0,
    capture: bool = True,
) -> Ascent:
    """Pictures (n, 1 or 3, height, width) with values in (0, 1) that excite ``objective``, such as ``channel(...)``.

    ``preprocess`` maps such pictures to the network's input. ``transform`` stands in for ``standard_transforms``; pass
    ``lambda x: x`` for none. Steps are Adam's with ``lr`` on a spectrum drawn from ``generator``. For the other options
    see ``maximize``. Source: Olah et al. 2017, "Feature Visualization".
    """
    draw = generator or Generator(0)
    spectrum = fft(shape, draw)
    start = (color_decorrelated(spectrum) if shape[-3] == 3 else spectrum).then(_core.sigmoid)
    look = transform or standard_transforms(min(shape[-2:]), draw)
    seen = look if preprocess is None else compose(look, preprocess)
    return maximize(objective, start, steps, partial(optim.Adam, lr=lr), penalty, seen, callback=callback,
                    warm_start=warm_start, keep=keep, capture=capture)  # fmt: skip


def filters(
    model: Any,
    layer: str,
    indices: Sequence[int],
    *,
    size: int = 180,
    channels: int = 3,
    steps: int = 30,
    lr: float = 10.0,
    border: int = 2,
    batch: int = 8,
    generator: Generator | None = None,
    callback: Callable[[Progress], object] | None = None,
    capture: bool = True,
) -> Ascent:
    """Inputs (n, channels, size, size) that raise the mean of each filter of ``layer``, edges left out: Keras's recipe.

    From uniform noise of width .25 about 0, ``steps`` steps of length ``lr`` along the gradient, ``batch`` filters at a
    time. ``history`` is the sum over filters. ``steep.pictures.deprocess`` and ``sheet`` make the page. Sources:
    Chollet, "Visualizing what convnets learn"; notes table, row 55. Raises ValueError for no filters or an empty batch.
    """
    if not len(indices) or batch < 1:
        raise ValueError(f"filters: needs a filter and a batch of 1 at least, got {len(indices)} and {batch}")
    draw = generator or Generator(0)
    runs = []
    for first in range(0, len(indices), batch):
        some = list(indices[first : first + batch])
        start = (draw.uniform((len(some), channels, size, size)) - 0.5) * 0.25
        runs.append(maximize(channel(model, layer, some, border=border), start, steps, partial(optim.SGD, lr=lr),
                             normalize="l2", callback=callback, capture=capture))  # fmt: skip
    worst = next((run for run in runs if run.status != "finished"), runs[0])
    image = _core.concat([run.image for run in runs])
    history = [sum(values) for values in zip(*(run.history for run in runs), strict=False)]
    return Ascent(image, image, history, worst.status, worst.eager)
