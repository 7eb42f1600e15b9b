"""Initial values of parameters, as PyTorch's list: draws scaled by the fan of a weight's shape, orthogonal, identity.

Every function takes a source of randomness: a ``Generator``, a seed, or None for the default generator of this module,
which starts from seed 0 and is restarted by ``init.seed(n)``. The same calls in the same order give the same bits.
Weights have the shape (out, in, ...).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.elsewhere import answer_unknown_names
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


def _fan(shape: tuple[int, ...], mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return fans(shape)[mode == "fan_out"]


GAINS = {
    "linear": 1.0, "sigmoid": 1.0, "conv1d": 1.0, "conv2d": 1.0, "conv3d": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2),
    "selu": 3 / 4,
}  # fmt: skip


def gain(nonlinearity: str, negative_slope: float = 0.01) -> float:
    """The factor of the standard deviation that suits what follows a layer; as PyTorch's ``calculate_gain``.

    Args:
        nonlinearity: "linear", "sigmoid", "tanh", "relu", "leaky_relu" or "selu".
        negative_slope: negative slope of "leaky_relu".

    Returns:
        A float.

    Raises:
        ValueError: for another name.

    Example:
        >>> sp.nn.init.gain("tanh")
        1.6666666666666667
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + negative_slope**2))
    if nonlinearity not in GAINS:
        raise ValueError(f"gain: known are {', '.join([*GAINS, 'leaky_relu'])}, got {nonlinearity!r}")
    return GAINS[nonlinearity]


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
    shape: tuple[int, ...],
    source: Generator | int | None = None,
    *,
    gain: float = math.sqrt(2),
    dtype: Any = None,
    mode: str = "fan_in",
) -> Tensor:
    """He initialization: uniform with variance gain^2 / fan.

    Args:
        shape: shape of the weight, (out, in, ...).
        source: a ``Generator``, a seed, or None for the default generator of this module.
        gain: sqrt(2) suits ReLU; see ``gain``.
        dtype: dtype of the parameters; float32 if None.
        mode: "fan_in" to keep the variance of the forward pass, "fan_out" for that of the backward pass.

    Returns:
        A leaf tensor that requires a gradient.

    Raises:
        ValueError: for fewer than 2 dimensions, or another mode.

    References:
        He et al. 2015, "Delving deep into rectifiers", arXiv:1502.01852.

    Example:
        >>> sp.nn.init.kaiming_uniform((3, 4), 0).shape
        (3, 4)
    """
    return uniform(shape, gain * math.sqrt(3 / max(1, _fan(shape, mode))), source, dtype)


def kaiming_normal(
    shape: tuple[int, ...],
    source: Generator | int | None = None,
    *,
    gain: float = math.sqrt(2),
    dtype: Any = None,
    mode: str = "fan_in",
) -> Tensor:
    """He initialization: normal with variance gain^2 / fan.

    Args:
        shape: shape of the weight, (out, in, ...).
        source: a ``Generator``, a seed, or None for the default generator of this module.
        gain: sqrt(2) suits ReLU; see ``gain``.
        dtype: dtype of the parameters; float32 if None.
        mode: "fan_in" to keep the variance of the forward pass, "fan_out" for that of the backward pass.

    Returns:
        A leaf tensor that requires a gradient.

    Raises:
        ValueError: for fewer than 2 dimensions, or another mode.

    References:
        He et al. 2015, "Delving deep into rectifiers", arXiv:1502.01852.

    Example:
        >>> sp.nn.init.kaiming_normal((3, 4), 0).shape
        (3, 4)
    """
    return normal(shape, gain / math.sqrt(max(1, _fan(shape, mode))), source, dtype)


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


def constant(shape: tuple[int, ...], value: float, dtype: Any = None) -> Tensor:
    """A parameter of one value.

    Args:
        shape: its shape.
        value: the value.
        dtype: dtype of the parameters; float32 if None.

    Returns:
        A leaf tensor that requires a gradient.

    Example:
        >>> sp.nn.init.constant((2,), 0.5).tolist()
        [0.5, 0.5]
    """
    return parameter(_core.full(shape, value, dtype=dtype or _core.float32))


def zeros(shape: tuple[int, ...], dtype: Any = None) -> Tensor:
    """A parameter of zeros.

    Args:
        shape: its shape.
        dtype: dtype of the parameters; float32 if None.

    Returns:
        A leaf tensor that requires a gradient.

    Example:
        >>> sp.nn.init.zeros((2,)).tolist()
        [0.0, 0.0]
    """
    return constant(shape, 0.0, dtype)


def ones(shape: tuple[int, ...], dtype: Any = None) -> Tensor:
    """A parameter of ones.

    Args:
        shape: its shape.
        dtype: dtype of the parameters; float32 if None.

    Returns:
        A leaf tensor that requires a gradient.

    Example:
        >>> sp.nn.init.ones((2,)).tolist()
        [1.0, 1.0]
    """
    return constant(shape, 1.0, dtype)


def eye(shape: tuple[int, ...], dtype: Any = None) -> Tensor:
    """The identity, so that a linear layer returns as many of its inputs as it can.

    Args:
        shape: (out, in).
        dtype: dtype of the parameters; float32 if None.

    Returns:
        A leaf tensor that requires a gradient.

    Raises:
        ValueError: for other than 2 dimensions.

    Example:
        >>> sp.nn.init.eye((2, 3)).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    if len(shape) != 2:
        raise ValueError(f"eye: the shape must be (out, in), got {shape}")
    return parameter(_core.eye(*shape, dtype=dtype or _core.float32))


def dirac(shape: tuple[int, ...], groups: int = 1, dtype: Any = None) -> Tensor:
    """The identity of a convolution: 1 in the middle of the kernel from each channel to itself, in each group.

    Args:
        shape: (out, in / groups, ...), with 1 to 3 further dimensions.
        groups: number of groups.
        dtype: dtype of the parameters; float32 if None.

    Returns:
        A leaf tensor that requires a gradient.

    Raises:
        ValueError: for another number of dimensions, or groups that do not divide the outputs.

    Example:
        >>> sp.nn.init.dirac((1, 1, 3)).tolist()
        [[[0.0, 1.0, 0.0]]]
    """
    if len(shape) not in (3, 4, 5) or shape[0] % groups:
        raise ValueError(f"dirac: the shape must be (out, in, ...) of a convolution in {groups} groups, got {shape}")
    values, each = np.zeros(shape), shape[0] // groups
    for channel in range(shape[0]):
        if channel % each < shape[1]:
            values[(channel, channel % each, *(n // 2 for n in shape[2:]))] = 1
    return parameter(_core.asarray(values).astype(dtype or _core.float32))


def trunc_normal(
    shape: tuple[int, ...],
    std: float = 1.0,
    source: Generator | int | None = None,
    *,
    low: float = -2.0,
    high: float = 2.0,
    dtype: Any = None,
) -> Tensor:
    """Normal of mean 0, without what lies outside [low, high], which is drawn again.

    Args:
        shape: its shape.
        std: the standard deviation before the ends are left out.
        source: a ``Generator``, a seed, or None for the default generator of this module.
        low: the lower bound.
        high: the upper bound.
        dtype: dtype of the parameters; float32 if None.

    Returns:
        A leaf tensor that requires a gradient.

    Raises:
        ValueError: for bounds that leave less than a thousandth of the distribution.

    Example:
        >>> w = sp.nn.init.trunc_normal((100,), 1.0, 0)
        >>> bool(w.min() >= -2.0), bool(w.max() <= 2.0)
        (True, True)
    """
    a, b = (math.erf(bound / max(std, 1e-300) / math.sqrt(2)) for bound in (low, high))
    if not std > 0 or b - a < 2e-3:
        raise ValueError(f"trunc_normal: [{low}, {high}] leaves nearly nothing of a standard deviation of {std}")
    draw, values = generator(source), np.full(math.prod(shape), np.nan)
    while (left := np.flatnonzero(np.isnan(values))).size:
        found = np.asarray(draw.normal((left.size,), dtype=_core.float64)) * std
        values[left] = np.where((found >= low) & (found <= high), found, np.nan)
    narrow = _core.asarray(values.reshape(shape)).astype(dtype or _core.float32)
    return parameter(_core.clip(narrow, low, high))


def orthogonal(
    shape: tuple[int, ...], source: Generator | int | None = None, *, gain: float = 1.0, dtype: Any = None
) -> Tensor:
    """Rows that are orthonormal, or columns if there are more rows, times a gain; uniform over such matrices.

    Normal draws are made orthogonal one after another, twice each, in float64.

    Args:
        shape: shape of the weight, (out, in, ...); seen as a matrix (out, in * ...).
        source: a ``Generator``, a seed, or None for the default generator of this module.
        gain: the length of rows or columns.
        dtype: dtype of the parameters; float32 if None.

    Returns:
        A leaf tensor that requires a gradient.

    Raises:
        ValueError: for fewer than 2 dimensions.

    References:
        Saxe et al. 2014, "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks",
        arXiv:1312.6120; Stewart 1980, doi:10.1137/0717034.

    Example:
        >>> w = sp.nn.init.orthogonal((2, 3), 0)
        >>> (w @ w.T).round().abs().tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    fans(shape)
    rows, columns = shape[0], math.prod(shape[1:])
    count, length = min(rows, columns), max(rows, columns)
    drawn = generator(source).normal((count, length), dtype=_core.float64)
    found = _core.zeros((count, length), dtype=_core.float64)
    for i in range(count):
        vector = drawn[i]
        for _ in range(2 if i else 0):
            vector = vector - _core.matmul(_core.matmul(found[:i], vector), found[:i])
        found[i] = vector / _core.norm(vector, 2.0)
    matrix = found if rows <= columns else found.T
    return parameter(_core.reshape(matrix * gain, shape).astype(dtype or _core.float32))


def sparse(
    shape: tuple[int, ...], sparsity: float, std: float = 0.01, source: Generator | int | None = None, dtype: Any = None
) -> Tensor:
    """Normal, with a share of every column set to zero.

    Args:
        shape: (out, in).
        sparsity: the share of zeros, rounded up to a number of elements.
        std: the standard deviation of the others.
        source: a ``Generator``, a seed, or None for the default generator of this module.
        dtype: dtype of the parameters; float32 if None.

    Returns:
        A leaf tensor that requires a gradient.

    Raises:
        ValueError: for other than 2 dimensions, or a share outside [0, 1].

    References:
        Martens 2010, "Deep learning via Hessian-free optimization", ICML.

    Example:
        >>> int((sp.nn.init.sparse((10, 3), 0.25, 1.0, 0) == 0).sum())
        9
    """
    if len(shape) != 2 or not 0 <= sparsity <= 1:
        raise ValueError(f"sparse: needs a shape (out, in) and a share in [0, 1], got {shape} and {sparsity}")
    draw = generator(source)
    values, none = np.array(draw.normal(shape, dtype=_core.float64)) * std, math.ceil(sparsity * shape[0])
    for column in range(shape[1]):
        values[np.asarray(draw.permutation(shape[0]))[:none], column] = 0
    return parameter(_core.asarray(values).astype(dtype or _core.float32))


answer_unknown_names(__name__)
