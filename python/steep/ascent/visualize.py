"""Two presets of feature visualization over ``maximize``.

``visualize`` is lucid's: a spectrum with decorrelated colours under random transforms. ``filters`` is that of Keras's
"Visualizing what convnets learn": pixels, and steps of constant length.
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
    """The transforms of Olah et al.: padding, jitter, scaling by .9 to 1.1, rotation by up to 10 degrees, jitter.

    The size of the image is kept; the jitter is 1/28 of it, 8 pixels of 224.

    Args:
        size: height and width of the images in pixels.
        generator: source of the random numbers.

    Returns:
        A function of images (n, channels, height, width).

    References:
        Olah et al. 2017, "Feature visualization", doi:10.23915/distill.00007.

    Example:
        >>> sp.ascent.standard_transforms(28, sp.random.Generator(0))(sp.zeros((1, 1, 28, 28))).shape
        (1, 1, 28, 28)
    """
    by = max(1, round(size / 28))
    factors = [1 + (i - 5) / 50 for i in range(11)]
    angles = [*range(-10, 11), 0, 0, 0, 0, 0]
    return compose(pad(by, value=0.5), jitter(by, generator), scale(factors, generator), rotate(angles, generator),
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
    """Feature visualization with lucid's defaults: a decorrelated Fourier spectrum, optimised under random transforms.

    Args:
        objective: a function from inputs of the network to a scalar, such as ``channel(model, "relu2", 3)``.
        shape: shape of the images, (n, 1 or 3, height, width).
        steps: number of steps of Adam.
        lr: its learning rate.
        preprocess: a map from images in [0, 1] to the network's input.
        transform: a transform in place of ``standard_transforms``; ``lambda x: x`` for none.
        penalty: a function of the image that is subtracted.
        generator: source of the random numbers; ``Generator(0)`` if None.
        warm_start: number of first steps with redirected ReLUs; see ``maximize``.
        callback: called with an ``optim.loop.Progress`` after each step; returning True stops the run.
        keep: about how many intermediate images to store in ``frames``; 0 for none.
        capture: whether to compile the steps; see ``optim.minimize``.

    Returns:
        An ``Ascent`` whose image has values in (0, 1).

    References:
        Olah et al. 2017, "Feature visualization", doi:10.23915/distill.00007.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> sp.ascent.visualize(sp.ascent.channel(model, "relu2", 3), (1, 1, 28, 28), steps=2).image.shape
        (1, 1, 28, 28)
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
    """Feature visualization as in Keras's example: pixels optimised by normalised gradients, for several filters.

    The objective is the mean of each filter's activations without the border; the start is uniform noise of width .25
    about 0. ``steep.pictures.deprocess`` and ``sheet`` turn the result into a figure.

    Args:
        model: an ``nn.Module`` or ONNX model, anything with ``activations(x, names)``.
        layer: name of a layer, as in ``model.activations``.
        indices: the filters (channels) to maximise.
        size: height and width of the inputs in pixels.
        channels: number of channels of the inputs.
        steps: number of steps.
        lr: length of each step.
        border: positions to leave out at each edge of the feature map.
        batch: number of filters optimised at a time.
        generator: source of the random numbers; ``Generator(0)`` if None.
        callback: called with an ``optim.loop.Progress`` after each step; returning True stops the run.
        capture: whether to compile the steps; see ``optim.minimize``.

    Returns:
        An ``Ascent`` with images (len(indices), channels, size, size) and the sum over filters as history.

    Raises:
        ValueError: for no filters or a batch size below 1.

    References:
        Chollet 2020, "Visualizing what convnets learn", keras.io/examples/vision/visualizing_what_convnets_learn.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> sp.ascent.filters(model, "relu1", [0, 1], size=28, channels=1, steps=2).image.shape
        (2, 1, 28, 28)
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
