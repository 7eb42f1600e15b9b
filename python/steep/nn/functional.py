"""Layers as functions: what the classes of ``steep.nn`` compute, with parameters passed as arguments.

Activations are the engine's operations under the same names; losses come from ``losses.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from steep import _core
from steep._core import (
    Tensor,
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    attention,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    elu,
    gelu,
    global_avg_pool,
    global_max_pool,
    grid_sample,
    group_norm,
    hardsigmoid,
    hardswish,
    instance_norm,
    interpolate,
    leaky_relu,
    local_response_norm,
    log_softmax,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    max_pool_indices,
    max_unpool2d,
    one_hot,
    pad,
    prelu,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from steep.elsewhere import answer_unknown_names
from steep.integers import integers
from steep.nn.losses import bce_with_logits, cross_entropy, info_nce, l1_loss, mse_loss, nll_loss
from steep.random import Generator

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "attention", "avg_pool1d", "avg_pool2d",
    "avg_pool3d", "batch_norm", "bce_with_logits", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
    "conv_transpose2d", "conv_transpose3d", "cross_entropy", "dropout", "elu", "embedding", "flatten", "gelu",
    "global_avg_pool", "global_max_pool", "grid_sample", "group_norm", "hardsigmoid", "hardswish", "info_nce",
    "instance_norm", "interpolate", "l1_loss", "layer_norm", "leaky_relu", "linear", "local_response_norm",
    "log_softmax", "max_pool1d", "max_pool2d", "max_pool3d", "max_pool_indices", "max_unpool2d", "mse_loss",
    "nll_loss", "one_hot", "pad", "prelu", "relu", "sigmoid", "silu", "softmax", "softplus", "tanh",
]  # fmt: skip


def linear(x: Any, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x @ weight.T + bias``.

    Args:
        x: a tensor (..., in).
        weight: a tensor (out, in).
        bias: a tensor (out,), or None.

    Returns:
        A tensor (..., out).

    Raises:
        ValueError: if the shapes do not match; the message names both.

    Example:
        >>> sp.nn.functional.linear([[1.0, 2.0]], sp.tensor([[3.0, 4.0]])).tolist()
        [[11.0]]
    """
    product = _core.matmul(x, _core.permute_dims(weight, (1, 0)))
    return product if bias is None else product + bias


def layer_norm(
    x: Any,
    shape: tuple[int, ...],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Layer normalization: ``(x - mean) / sqrt(var + eps) * weight + bias`` over the trailing dimensions.

    Args:
        x: a tensor (..., *shape).
        shape: the trailing dimensions.
        weight: a tensor of shape ``shape``, or None.
        bias: a tensor of shape ``shape``, or None.
        eps: added to the biased variance.

    Returns:
        A tensor of the shape and dtype of ``x``.

    Raises:
        ValueError: unless x ends in ``shape``.

    References:
        Ba et al. 2016, "Layer normalization", arXiv:1607.06450.

    Example:
        >>> sp.nn.functional.layer_norm([[1.0, 3.0]], (2,), eps=0.0).tolist()
        [[-1.0, 1.0]]
    """
    return _core.layer_norm(x, shape, weight, bias, eps)


def batch_norm(
    x: Any,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Batch normalization of each channel, by the statistics of the batch in training, else by the running statistics.

    Args:
        x: a tensor (N, C, ...).
        running_mean: running mean (C,), or None.
        running_var: running variance (C,), or None.
        weight: scale (C,), or None.
        bias: shift (C,), or None.
        training: whether to use the batch's statistics, and to update the running ones in place.
        momentum: weight of the batch in the running statistics; the variance enters in its unbiased form.
        eps: added to the variance.

    Returns:
        A tensor of the shape of ``x``.

    Raises:
        ValueError: if shapes do not match, or running statistics are missing outside training.

    References:
        Ioffe and Szegedy 2015, "Batch normalization", arXiv:1502.03167.

    Example:
        >>> sp.nn.functional.batch_norm(sp.tensor([[1.0], [3.0]]), None, None, training=True, eps=0.0).tolist()
        [[-1.0], [1.0]]
    """
    values: Tensor = _core.asarray(x)
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: outside training it needs running_mean and running_var")
        return _core.batch_norm(values, running_mean, running_var, weight, bias, eps)
    y, mean, var = _core._batch_norm_training(values, weight, bias, eps)
    count = values.size // values.shape[1]
    with _core.no_grad():
        if running_mean is not None:
            running_mean += (mean - running_mean) * momentum
        if running_var is not None:
            running_var += (var * (count / max(1, count - 1)) - running_var) * momentum
    return y


def dropout(x: Any, p: float, generator: Generator, training: bool = True) -> Tensor:
    """Dropout: sets each element to zero with probability ``p``, and divides the others by 1 - p.

    Args:
        x: a tensor of any shape.
        p: the probability, in [0, 1].
        generator: source of the random mask.
        training: if False, ``x`` is returned unchanged.

    Returns:
        A tensor of the shape and dtype of ``x``.

    Raises:
        ValueError: for a p outside [0, 1].

    References:
        Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15.

    Example:
        >>> sp.nn.functional.dropout(sp.ones(4), 0.5, sp.random.Generator(0)).shape
        (4,)
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p is a probability, got {p}")
    values: Tensor = _core.asarray(x)
    if not training or p == 0:
        return values
    if p == 1:
        return _core.where(False, values, 0)
    kept = generator.uniform(0.0, 1.0, values.shape) >= p
    return _core.where(kept, values * (_core.ones((), values.dtype) / (1 - p)), 0)


def embedding(indices: Any, weight: Tensor) -> Tensor:
    """Rows of ``weight`` at integer ``indices``.

    Args:
        indices: integers of any shape, in [0, n).
        weight: a tensor (n, dim).

    Returns:
        A tensor (*indices.shape, dim).

    Raises:
        IndexError: for an index outside [0, n).

    Example:
        >>> sp.nn.functional.embedding([1, 1], sp.tensor([[1.0], [2.0]])).tolist()
        [[2.0], [2.0]]
    """
    try:
        rows = _core._checked_labels(indices, weight.shape[0], "embedding")
    except IndexError as error:
        raise IndexError(f"embedding: the table has rows 0 to {weight.shape[0] - 1}; {error}") from None
    flat = _core.take(weight, _core.reshape(rows, (rows.size,)), axis=0)
    return _core.reshape(flat, (*rows.shape, weight.shape[1]))


def flatten(x: Any, start: int = 1) -> Tensor:
    """Flattens the dimensions from ``start`` on.

    Args:
        x: a tensor.
        start: the first dimension to flatten.

    Returns:
        A tensor: (n, a, b) becomes (n, a * b) for start 1.

    Example:
        >>> sp.nn.functional.flatten(sp.zeros((2, 3, 4))).shape
        (2, 12)
    """
    x = _core.asarray(x)
    head = tuple(x.shape[:start])
    return _core.reshape(x, (*head, math.prod(x.shape[start:])))


# Names of borders, as layers call them, and as ``pad`` does.
PADDING_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def conv_borders(
    weight: Tensor, stride: Any, padding: Any, dilation: Any, sizes: Sequence[int] = ()
) -> list[tuple[int, int]]:
    """(before, after) for every spatial dimension; "same" adds an odd element at the end, as in PyTorch.

    Args:
        weight: the kernel, (out, in, *spatial).
        stride: one integer, or one for each dimension.
        padding: numbers, "same", "same_upper" or "valid".
        dilation: as the stride.
        sizes: the input's spatial sizes, which "same_upper" depends on.

    Returns:
        A pair of numbers of elements for each dimension.

    Raises:
        ValueError: for "same" with a stride, or an unknown name.

    Example:
        >>> sp.nn.functional.conv_borders(sp.zeros((8, 3, 5, 5)), 1, "same", 1)
        [(2, 2), (2, 2)]
    """
    n = weight.ndim - 2
    if padding == "valid":
        return [(0, 0)] * n
    if padding in ("same", "same_upper"):
        steps = integers("conv: stride", stride, n)
        if padding == "same" and any(s != 1 for s in steps):
            raise ValueError(
                f'conv: padding="same" needs stride 1, got {stride}; give the padding as numbers, or "same_upper"'
            )
        spans = [
            d * (k - 1) + 1 for d, k in zip(integers("conv: dilation", dilation, n), weight.shape[2:], strict=True)
        ]
        rests = [1] * n if padding == "same" else [size % s or s for size, s in zip(sizes, steps, strict=True)]
        totals = [max(0, span - rest) for span, rest in zip(spans, rests, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    if isinstance(padding, str):
        raise ValueError(f'conv: padding is a number, numbers, "same", "same_upper" or "valid", got {padding!r}')
    return [(p, p) for p in integers("conv: padding", padding, n)]


def pad_for_conv(x: Any, weight: Tensor, stride: Any, padding: Any, dilation: Any, mode: str) -> Tensor:
    """``x`` with the border of a convolution, in one of ``PADDING_MODES``.

    Args:
        x: a tensor (N, C, ...).
        weight: the kernel.
        stride: stride of the convolution.
        padding: its padding.
        dilation: its dilation.
        mode: "zeros", "reflect", "replicate" or "circular".

    Returns:
        The padded tensor.
    """
    x = _core.asarray(x)
    borders = conv_borders(weight, stride, padding, dilation, x.shape[2 - weight.ndim :])
    return _core.pad(x, ((0, 0),) * (x.ndim - len(borders)) + tuple(borders), PADDING_MODES[mode])


def _padding(x: Any, weight: Tensor, stride: Any, padding: Any, dilation: Any) -> Any:
    """The padding as the core takes it: numbers, or (before, after) for each dimension."""
    if not isinstance(padding, str):
        return padding
    kernel = _core.asarray(weight)
    sizes = _core.asarray(x).shape[2 - kernel.ndim :]
    return [side for both in conv_borders(kernel, stride, padding, dilation, sizes) for side in both]


CONVOLUTION = """``steep.{name}`` with named padding.

Args:
    x: a tensor (N, C, ...).
    weight: kernels (O, C / groups, ...).
    bias: a tensor (O,), or None.
    stride: step of the window, a number or one per dimension.
    padding: zeros on each side, likewise; or "valid", "same" or "same_upper", as in ``nn.Conv2d``.
    dilation: distance of the kernel's elements, likewise.
    groups: number of groups of channels that are convolved separately.

Returns:
    A tensor (N, O, ...).

Raises:
    ValueError: for shapes that do not match, or padding "same" with a stride other than 1.
"""


def _with_padding_by_name(core: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A convolution of the core that also accepts padding "same", "same_upper" and "valid"."""

    def conv(
        x: Any,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        return core(x, weight, bias, stride, _padding(x, weight, stride, padding, dilation), dilation, groups)

    conv.__name__ = conv.__qualname__ = core.__name__
    conv.__doc__ = CONVOLUTION.format(name=core.__name__)
    return conv


conv1d, conv2d, conv3d = map(_with_padding_by_name, (_core.conv1d, _core.conv2d, _core.conv3d))

answer_unknown_names(__name__)
