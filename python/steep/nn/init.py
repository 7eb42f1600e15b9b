"""Initial values of parameters: uniform and normal draws scaled by the fan of a weight's shape.

Every function takes an explicit source of randomness: a ``Generator``, a seed, or None for the one default generator
of this module, which starts from seed 0 and is set back by ``init.seed(n)``. The same calls in the same order give the
same bits. Weights have the shape (out, in, ...): fan_in counts what feeds one output, fan_out what one input feeds.
"""

from __future__ import annotations

import math
from typing import Any

from steep import _core
from steep._core import Tensor
from steep.random import Generator

_default = Generator(0)


def seed(value: int) -> None:
    """Start the default generator again from ``value``."""
    global _default
    _default = Generator(value)


def generator(source: Generator | int | None) -> Generator:
    """The generator meant by ``source``: itself, a new one from a seed, or the default for None."""
    if source is None:
        return _default
    return source if isinstance(source, Generator) else Generator(source)


def parameter(value: Tensor) -> Tensor:
    """``value`` as a parameter: a leaf tensor that requires a gradient."""
    return _core.tensor(value, requires_grad=True)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight of ``shape`` (out, in, ...). Raises ValueError below two dimensions."""
    if len(shape) < 2:
        raise ValueError(f"the fan of shape {shape} is undefined: a weight needs at least 2 dimensions (out, in)")
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def uniform(shape: tuple[int, ...], bound: float, source: Generator | int | None = None, dtype: Any = None) -> Tensor:
    """A parameter drawn uniformly from [-bound, bound)."""
    return parameter(generator(source).uniform(-bound, bound, shape, dtype=dtype or _core.float32))


def normal(shape: tuple[int, ...], std: float, source: Generator | int | None = None, dtype: Any = None) -> Tensor:
    """A parameter drawn from a normal distribution of mean 0 and standard deviation ``std``."""
    return parameter(generator(source).normal(shape, dtype=dtype or _core.float32) * std)


def kaiming_uniform(
    shape: tuple[int, ...], source: Generator | int | None = None, *, gain: float = math.sqrt(2), dtype: Any = None
) -> Tensor:
    """Uniform with variance gain^2 / fan_in; gain sqrt(2) suits ReLU. Source: He et al. 2015, arXiv:1502.01852."""
    return uniform(shape, gain * math.sqrt(3 / max(1, fans(shape)[0])), source, dtype)


def kaiming_normal(
    shape: tuple[int, ...], source: Generator | int | None = None, *, gain: float = math.sqrt(2), dtype: Any = None
) -> Tensor:
    """Normal with variance gain^2 / fan_in; gain sqrt(2) suits ReLU. Source: He et al. 2015, arXiv:1502.01852."""
    return normal(shape, gain / math.sqrt(max(1, fans(shape)[0])), source, dtype)


def xavier_uniform(
    shape: tuple[int, ...], source: Generator | int | None = None, *, gain: float = 1.0, dtype: Any = None
) -> Tensor:
    """Uniform with variance 2 gain^2 / (fan_in + fan_out). Source: Glorot and Bengio 2010."""
    return uniform(shape, gain * math.sqrt(6 / max(1, sum(fans(shape)))), source, dtype)


def xavier_normal(
    shape: tuple[int, ...], source: Generator | int | None = None, *, gain: float = 1.0, dtype: Any = None
) -> Tensor:
    """Normal with variance 2 gain^2 / (fan_in + fan_out). Source: Glorot and Bengio 2010."""
    return normal(shape, gain * math.sqrt(2 / max(1, sum(fans(shape)))), source, dtype)
