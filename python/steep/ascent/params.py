"""Parameterizations: what is moved, and how a picture comes of it.

Any differentiable map from tensors to a picture will do: pixels, a spectrum, a generator's latent. ``maximize`` moves
``params``; objectives see ``render(params)``. ``then`` puts more maps behind, such as colours, a sigmoid or a filter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from steep import _core, tree
from steep._core import Tensor
from steep.random import Generator
from steep.tree import Tree

# Columns: directions of colour that are uncorrelated over ImageNet's pixels, by their standard deviation. Measured by
# Olah et al. 2017, "Feature Visualization" (lucid's colour correlation), scaled here so that the longest has length 1.
_COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
COLOURS = _COLOURS / np.linalg.norm(_COLOURS, axis=0).max()


@dataclass(frozen=True)
class Parameterization:
    """``params``: a tree of float tensors, the start; ``render``: the differentiable map from there to a picture."""

    params: Tree
    render: Callable[[Any], Tensor]

    def then(self, *maps: Callable[[Tensor], Tensor]) -> Parameterization:
        """The same parameters, with ``maps`` applied to the picture, one after the other."""
        first = self.render
        return Parameterization(self.params, lambda params: reduce(lambda x, f: f(x), maps, first(params)))

    def image(self) -> Tensor:
        """The picture at the start."""
        with _core.no_grad():
            return self.render(self.params)


def pixels(start: Any, generator: Generator | None = None, mean: float = 0.0, std: float = 0.01) -> Parameterization:
    """The pixels themselves: from a picture, or from a shape and a ``generator``, normal with ``mean`` and ``std``.

    A picture is an array, nested lists of numbers, or a tree of arrays.
    """
    if generator is None:
        numbers = all(isinstance(leaf, int | float) for leaf in tree.leaves(start))
        return Parameterization(_core.tensor(start) if numbers else tree.map(_core.tensor, start), _same)
    return Parameterization(generator.normal(tuple(start), mean, std), _same)


def fft(shape: tuple[int, ...], generator: Generator, std: float = 0.01, decay: float = 1.0) -> Parameterization:
    """Pictures (..., height, width) as spectra, each frequency scaled by 1 / frequency ** decay.

    So a step moves all scales of the picture alike, where a step in pixels moves mostly the finest. The picture is
    NumPy's ``irfft2`` of (real + i imaginary) * scale, times the root of the number of pixels over 4; the parameters
    (..., 2, height, width // 2 + 1) start normal with ``std``. Raises ValueError for a shape without pixels. Source:
    Olah et al. 2017, "Feature Visualization".
    """
    if len(shape) < 2 or min(shape[-2:]) < 1:
        raise ValueError(f"fft: needs a shape (..., height, width) with pixels, got {shape}")
    height, width = shape[-2:]
    spectrum = generator.normal((*shape[:-2], 2, height, width // 2 + 1), std=std)
    return Parameterization(spectrum, Spectrum(height, width, decay))


class Spectrum:
    """The map of ``fft``: an inverse real transform as products with matrices of cosines and sines, for any size."""

    def __init__(self, height: int, width: int, decay: float) -> None:
        self.scale = _decay(height, width, decay)
        turns = 2 * np.pi * np.outer(np.arange(height), np.arange(height)) / height
        waves = 2 * np.pi * np.outer(np.arange(width // 2 + 1), np.arange(width)) / width
        twice = np.full((width // 2 + 1, 1), 2.0)
        twice[0] = 1
        if width % 2 == 0:
            twice[-1] = 1
        self.rows = (np.cos(turns) / height, np.sin(turns) / height)
        self.columns = (twice * np.cos(waves) / width, twice * np.sin(waves) / width)

    def __call__(self, params: Tensor) -> Tensor:
        """(..., 2, height, width // 2 + 1) to (..., height, width)."""
        scaled = params * _core.asarray(self.scale, dtype=params.dtype)
        real, imaginary = scaled[..., 0, :, :], scaled[..., 1, :, :]
        c, s = (_core.asarray(m, dtype=params.dtype) for m in self.rows)
        cosines, sines = (_core.asarray(m, dtype=params.dtype) for m in self.columns)
        return (c @ real - s @ imaginary) @ cosines - (s @ real + c @ imaginary) @ sines


def color_decorrelated(start: Parameterization) -> Parameterization:
    """``start`` (..., 3, height, width) read as three uncorrelated directions of colour, turned into red, green, blue.

    Steps along them change brightness more than hue, as photographs differ. Follow it with ``.then(sp.sigmoid)`` for
    values in (0, 1). Raises ValueError, when rendered, unless there are 3 channels. Source: Olah et al. 2017.
    """
    return start.then(_coloured)


def latent(generate: Callable[[Any], Tensor], z: Any) -> Parameterization:
    """The input ``z`` (an array or a tree of them) of a generator, such as a trained decoder: a learned prior.

    Sources: Nguyen et al. 2016, arXiv:1605.09304; notes table, rows 77 and 86.
    """
    return Parameterization(tree.map(_core.tensor, z), generate)


def _same(params: Any) -> Tensor:
    picture: Tensor = params
    return picture


def _coloured(x: Tensor) -> Tensor:
    if x.ndim < 3 or x.shape[-3] != 3:
        raise ValueError(f"color_decorrelated needs pictures (..., 3, height, width), got {x.shape}")
    flat = _core.reshape(x, (*x.shape[:-2], -1))
    return _core.reshape(_core.asarray(COLOURS, dtype=x.dtype) @ flat, x.shape)


def _decay(height: int, width: int, decay: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    lowest = 1.0 / max(height, width)
    scale: np.ndarray[Any, np.dtype[np.float64]] = np.maximum(frequency, lowest) ** -decay * np.sqrt(height * width) / 4
    return scale
