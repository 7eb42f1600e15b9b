"""Parameterizations: what is optimised, and how an image is computed from it.

Any differentiable map from tensors to an image can be used: pixels, a spectrum, a generator's latent. ``maximize``
optimises ``params``; objectives see ``render(params)``. ``then`` appends maps, such as colours, a sigmoid or a filter.
A ``prior`` says which parameters are unlikely, whatever the image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from steep import _core, tree
from steep._core import Tensor
from steep.display import displayed
from steep.instances import instance
from steep.random import Generator
from steep.tree import Tree

# Columns: decorrelated directions of colour of ImageNet's pixels, times their standard deviation. Measured by Olah et
# al. 2017, "Feature Visualization" (lucid's colour correlation), scaled here so that the longest has length 1.
_COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
COLOURS = _COLOURS / np.linalg.norm(_COLOURS, axis=0).max()


@displayed
@dataclass(frozen=True)
class Parameterization:
    """Parameters and a differentiable map from them to an image.

    Attributes:
        params: a tree of float tensors, the initial values.
        render: the map from parameters to an image.
        prior: a function of the parameters that ``maximize`` subtracts from the objective, or None.
    """

    params: Tree
    render: Callable[[Any], Tensor]
    prior: Callable[[Any], Tensor] | None = None

    def then(self, *maps: Callable[[Tensor], Tensor]) -> Parameterization:
        """The same parameters, with further maps applied to the image.

        Args:
            maps: functions from images to images, applied in order, such as ``sp.sigmoid``.

        Returns:
            A new ``Parameterization``.

        Example:
            >>> start = sp.ascent.pixels((1, 1, 4, 4), sp.random.Generator(0)).then(sp.sigmoid)
            >>> start.image().shape
            (1, 1, 4, 4)
        """
        first = self.render
        return replace(self, render=lambda params: reduce(lambda x, f: f(x), maps, first(params)))

    def image(self) -> Tensor:
        """The initial image."""
        with _core.no_grad():
            return self.render(self.params)


def _source(who: str, generator: Any) -> Generator:
    return instance(f"{who}: generator", generator, Generator, such_as="sp.random.Generator(0) is one")


def pixels(start: Any, generator: Generator | None = None, mean: float = 0.0, std: float = 0.01) -> Parameterization:
    """The pixels themselves as parameters.

    Args:
        start: an image (an array, nested lists, or a tree of arrays), or a shape if ``generator`` is given.
        generator: source of normal noise for a start of this shape.
        mean: mean of the noise.
        std: standard deviation of the noise.

    Returns:
        A ``Parameterization``.

    Example:
        >>> sp.ascent.pixels((1, 3, 8, 8), sp.random.Generator(0)).image().shape
        (1, 3, 8, 8)
    """
    if generator is None:
        numbers = all(isinstance(leaf, int | float) for leaf in tree.leaves(start))
        return Parameterization(_core.tensor(start) if numbers else tree.map(_core.tensor, start), _same)
    return Parameterization(_source("pixels", generator).normal(tuple(start), mean, std), _same)


def fft(shape: tuple[int, ...], generator: Generator, std: float = 0.01, decay: float = 1.0) -> Parameterization:
    """Images as Fourier spectra, each frequency scaled by ``1 / frequency ** decay``.

    A step then changes all scales of the image alike, whereas a step in pixels changes mostly the finest. The image is
    NumPy's ``irfft2`` of (real + i imaginary) * scale, times the square root of the number of pixels divided by 4.

    Args:
        shape: shape of the images, (..., height, width).
        generator: source of the normally distributed initial spectrum.
        std: its standard deviation.
        decay: exponent of the frequency.

    Returns:
        A ``Parameterization`` with parameters (..., 2, height, width // 2 + 1).

    Raises:
        ValueError: for a shape without pixels.

    References:
        Olah et al. 2017, "Feature visualization", doi:10.23915/distill.00007.

    Example:
        >>> spectrum = sp.ascent.fft((1, 3, 8, 8), sp.random.Generator(0))
        >>> spectrum.params.shape, spectrum.image().shape
        ((1, 3, 2, 8, 5), (1, 3, 8, 8))
    """
    if len(shape) < 2 or min(shape[-2:]) < 1:
        raise ValueError(f"fft: needs a shape (..., height, width) with pixels, got {shape}")
    height, width = shape[-2:]
    spectrum = _source("fft", generator).normal((*shape[:-2], 2, height, width // 2 + 1), std=std)
    return Parameterization(spectrum, Spectrum(height, width, decay))


class Spectrum:
    """The map of ``fft``: an inverse real transform by products with matrices of cosines and sines, for any size."""

    def __init__(self, height: int, width: int, decay: float) -> None:
        self.scale = _decay(height, width, decay)
        angles = 2 * np.pi * np.outer(np.arange(height), np.arange(height)) / height
        waves = 2 * np.pi * np.outer(np.arange(width // 2 + 1), np.arange(width)) / width
        twice = np.full((width // 2 + 1, 1), 2.0)
        twice[0] = 1
        if width % 2 == 0:
            twice[-1] = 1
        self.rows = (np.cos(angles) / height, np.sin(angles) / height)
        self.columns = (twice * np.cos(waves) / width, twice * np.sin(waves) / width)

    def __call__(self, params: Tensor) -> Tensor:
        """(..., 2, height, width // 2 + 1) to (..., height, width)."""
        scaled = params * _core.asarray(self.scale, dtype=params.dtype)
        real, imaginary = scaled[..., 0, :, :], scaled[..., 1, :, :]
        c, s = (_core.asarray(m, dtype=params.dtype) for m in self.rows)
        cosines, sines = (_core.asarray(m, dtype=params.dtype) for m in self.columns)
        return (c @ real - s @ imaginary) @ cosines - (s @ real + c @ imaginary) @ sines


def color_decorrelated(start: Parameterization) -> Parameterization:
    """Interprets three channels as decorrelated colours, and maps them to red, green and blue.

    Steps in this basis change brightness more than hue, like differences between photographs. Apply
    ``.then(sp.sigmoid)`` afterwards for values in (0, 1).

    Args:
        start: a ``Parameterization`` of images (..., 3, height, width).

    Returns:
        A ``Parameterization``. Rendering it raises ValueError unless there are 3 channels.

    References:
        Olah et al. 2017, "Feature visualization", doi:10.23915/distill.00007.

    Example:
        >>> coloured = sp.ascent.color_decorrelated(sp.ascent.fft((1, 3, 8, 8), sp.random.Generator(0)))
        >>> coloured.image().shape
        (1, 3, 8, 8)
    """
    return instance("color_decorrelated: start", start, Parameterization, such_as="pixels() makes one").then(_coloured)


def cppn(shape: tuple[int, ...], generator: Generator, hidden: int = 24, layers: int = 6) -> Parameterization:
    """Images as small networks from the coordinates of a pixel to its colour: smooth at any size.

    Each image has weights of its own. An activation is the two functions atan(x) / .67 and (atan(x) ** 2 - .45) / .396
    side by side, which have about mean 0 and deviation 1; the last one is a sigmoid.

    Args:
        shape: shape of the images, (n, channels, height, width).
        generator: source of the initial weights.
        hidden: number of units of a layer.
        layers: number of layers before the last.

    Returns:
        A ``Parameterization`` of images in (0, 1), with one array of weights for each layer.

    Raises:
        ValueError: for another shape, or no layers.

    References:
        Stanley 2007, "Compositional pattern producing networks", doi:10.1007/s10710-007-9028-8; Mordvintsev et al.
        2018, "Differentiable image parameterizations", doi:10.23915/distill.00012.

    Example:
        >>> sp.ascent.cppn((2, 3, 8, 8), sp.random.Generator(0), hidden=4).image().shape
        (2, 3, 8, 8)
    """
    if len(shape) != 4 or min(shape) < 1 or layers < 1:
        raise ValueError(f"cppn: needs a shape (n, channels, height, width) and a layer, got {shape} and {layers}")
    n, channels, height, width = shape
    across, down = (np.sqrt(3) * np.linspace(-1, 1, size) for size in (width, height))
    x, y = np.meshgrid(across, down)
    inputs = np.stack([x.ravel(), y.ravel(), np.hypot(x, y).ravel() / np.sqrt(2), np.ones(x.size)], axis=1)
    sizes = [4, *[2 * hidden] * layers]
    source = _source("cppn", generator)
    weights = [source.normal((n, into, hidden), std=1 / np.sqrt(into)) for into in sizes[:-1]]
    weights.append(_core.zeros((n, sizes[-1], channels), dtype=_core.float32))

    def render(weights: Any) -> Tensor:
        h = _core.asarray(inputs, dtype=weights[0].dtype)
        for weight in weights[:-1]:
            bent = _core.atan(h @ weight)
            h = _core.concat([bent / 0.67, (bent * bent - 0.45) / 0.396], axis=-1)
        colours = _core.sigmoid(h @ weights[-1])
        return _core.reshape(_core.permute_dims(colours, (0, 2, 1)), (-1, channels, height, width))

    return Parameterization(weights, render)


def latent(generate: Callable[[Any], Tensor], z: Any, prior: Callable[[Any], Tensor] | None = None) -> Parameterization:
    """The latent input of a generator as parameters: a learned image prior.

    Args:
        generate: a differentiable function from latents to images, such as a trained decoder.
        z: the initial latent, an array or a tree of them.
        prior: a function of latents that is subtracted from the objective, larger for unlikely ones, or None.

    Returns:
        A ``Parameterization``.

    References:
        Nguyen et al. 2016, "Synthesizing the preferred inputs for neurons in neural networks via deep generator
        networks", arXiv:1605.09304.

    Example:
        >>> sp.ascent.latent(lambda z: z @ sp.ones((2, 5)), sp.zeros((1, 2))).image().shape
        (1, 5)
    """
    return Parameterization(tree.map(_core.tensor, z), generate, prior)


def _same(params: Any) -> Tensor:
    picture: Tensor = params
    return picture


def _coloured(x: Tensor) -> Tensor:
    if x.ndim < 3 or x.shape[-3] != 3:
        raise ValueError(f"color_decorrelated needs images (..., 3, height, width), got {x.shape}")
    flat = _core.reshape(x, (*x.shape[:-2], -1))
    return _core.reshape(_core.asarray(COLOURS, dtype=x.dtype) @ flat, x.shape)


def _decay(height: int, width: int, decay: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    lowest = 1.0 / max(height, width)
    scale: np.ndarray[Any, np.dtype[np.float64]] = np.maximum(frequency, lowest) ** -decay * np.sqrt(height * width) / 4
    return scale
