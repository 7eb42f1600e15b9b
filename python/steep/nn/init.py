"""Initial values of parameters: uniform and normal draws scaled by the fan of a weight's shape.

Every function takes a source of randomness: a ``Generator``, a seed, or None for the default generator of this module,
which starts from seed 0 and is restarted by ``init.seed(n)``. The same calls in the same order give the same bits.
Weights have the shape (out, in, ...).
"""

from __future__ import annotations

import math
from typing import Any

from steep import _core
from steep._core import Tensor
from steep.random import Generator

_default = Generator(0)


def seed(value: int) -> None:
    """Restarts the default generator of this module.

    Args:
        value: the seed.

    Example:
        >>> sp.nn.init.seed(0)
    """
    global _default
    _default = Generator(value)


def generator(source: Generator | int | None) -> Generator:
    """The generator that ``source`` denotes.

    Args:
        source: a ``Generator``, a seed, or None for the default generator.

    Returns:
        A ``Generator``.

    Example:
        >>> sp.nn.init.generator(3)
        Generator(seed=3, position=0)
    """
    if source is None:
        return _default
    return source if isinstance(source, Generator) else Generator(source)


def parameter(value: Tensor) -> Tensor:
    """``value`` as a parameter: a leaf tensor that requires a gradient.

    Args:
        value: a float tensor.

    Returns:
        The parameter.

    Example:
        >>> sp.nn.init.parameter(sp.ones(2)).requires_grad
        True
    """
    return _core.tensor(value, requires_grad=True)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight: the number of inputs of one output, and of outputs of one input.

    Args:
        shape: shape of the weight, (out, in, ...).

    Returns:
        Two integers.

    Raises:
        ValueError: for fewer than 2 dimensions.

    Example:
        >>> sp.nn.init.fans((8, 4, 3, 3))
        (36, 72)
    """
    if len(shape) < 2:
        raise ValueError(f"the fan of shape {shape} is undefined: a weight needs at least 2 dimensions (out, in)")
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def uniform(shape: tuple[int, ...], bound: float, source: Generator | int | None = None, dtype: Any = None) -> Tensor:
    """A parameter drawn uniformly from [-bound, bound).

    Args:
        shape: its shape.
        bound: the bound.
        source: a ``Generator``, a seed, or None for the default generator of this module.
        dtype: dtype of the parameters; float32 if None.

    Returns:
        A leaf tensor that requires a gradient.

    Example:
        >>> sp.nn.init.uniform((2, 3), 0.1, 0).requires_grad
        True
    """
    return parameter(generator(source).uniform(-bound, bound, shape, dtype=dtype or _core.float32))


def normal(shape: tuple[int, ...], std: float, source: Generator | int | None = None, dtype: Any = None) -> Tensor:
    """A parameter drawn from a normal distribution of mean 0.

    Args:
        shape: its shape.
        std: the standard deviation.
        source: a ``Generator``, a seed, or None for the default generator of this module.
        dtype: dtype of the parameters; float32 if None.

    Returns:
        A leaf tensor that requires a gradient.

    Example:
        >>> sp.nn.init.normal((2, 3), 0.1, 0).shape
        (2, 3)
    """
    return parameter(generator(source).normal(shape, dtype=dtype or _core.float32) * std)


def kaiming_uniform(
    shape: tuple[int, ...], source: Generator | int | None = None, *, gain: float = math.sqrt(2), dtype: Any = None
) -> Tensor:
    """He initialization: uniform with variance gain^2 / fan_in.

    Args:
        shape: shape of the weight, (out, in, ...).
        source: a ``Generator``, a seed, or None for the default generator of this module.
        gain: sqrt(2) suits ReLU.
        dtype: dtype of the parameters; float32 if None.

    Returns:
        A leaf tensor that requires a gradient.

    Raises:
        ValueError: for fewer than 2 dimensions.

    References:
        He et al. 2015, "Delving deep into rectifiers", arXiv:1502.01852.

    Example:
        >>> sp.nn.init.kaiming_uniform((3, 4), 0).shape
        (3, 4)
    """
    return uniform(shape, gain * math.sqrt(3 / max(1, fans(shape)[0])), source, dtype)


def kaiming_normal(
    shape: tuple[int, ...], source: Generator | int | None = None, *, gain: float = math.sqrt(2), dtype: Any = None
) -> Tensor:
    """He initialization: normal with variance gain^2 / fan_in.

    Args:
        shape: shape of the weight, (out, in, ...).
        source: a ``Generator``, a seed, or None for the default generator of this module.
        gain: sqrt(2) suits ReLU.
        dtype: dtype of the parameters; float32 if None.

    Returns:
        A leaf tensor that requires a gradient.

    Raises:
        ValueError: for fewer than 2 dimensions.

    References:
        He et al. 2015, "Delving deep into rectifiers", arXiv:1502.01852.

    Example:
        >>> sp.nn.init.kaiming_normal((3, 4), 0).shape
        (3, 4)
    """
    return normal(shape, gain / math.sqrt(max(1, fans(shape)[0])), source, dtype)


def xavier_uniform(
    shape: tuple[int, ...], source: Generator | int | None = None, *, gain: float = 1.0, dtype: Any = None
) -> Tensor:
    """Glorot initialization: uniform with variance 2 gain^2 / (fan_in + fan_out).

    Args:
        shape: shape of the weight, (out, in, ...).
        source: a ``Generator``, a seed, or None for the default generator of this module.
        gain: factor of the standard deviation.
        dtype: dtype of the parameters; float32 if None.

    Returns:
        A leaf tensor that requires a gradient.

    Raises:
        ValueError: for fewer than 2 dimensions.

    References:
        Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", AISTATS.

    Example:
        >>> sp.nn.init.xavier_uniform((3, 4), 0).shape
        (3, 4)
    """
    return uniform(shape, gain * math.sqrt(6 / max(1, sum(fans(shape)))), source, dtype)


def xavier_normal(
    shape: tuple[int, ...], source: Generator | int | None = None, *, gain: float = 1.0, dtype: Any = None
) -> Tensor:
    """Glorot initialization: normal with variance 2 gain^2 / (fan_in + fan_out).

    Args:
        shape: shape of the weight, (out, in, ...).
        source: a ``Generator``, a seed, or None for the default generator of this module.
        gain: factor of the standard deviation.
        dtype: dtype of the parameters; float32 if None.

    Returns:
        A leaf tensor that requires a gradient.

    Raises:
        ValueError: for fewer than 2 dimensions.

    References:
        Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", AISTATS.

    Example:
        >>> sp.nn.init.xavier_normal((3, 4), 0).shape
        (3, 4)
    """
    return normal(shape, gain * math.sqrt(2 / max(1, sum(fans(shape)))), source, dtype)
