"""Normalization layers, and multi-head attention: PyTorch's names, defaults and initial values.

``BatchNorm`` keeps running statistics as buffers, updated in place in training. Start reading at ``_BatchNorm``.
"""

from __future__ import annotations

import math
from typing import Any

from steep import _core
from steep._core import Tensor
from steep.integers import sizes
from steep.nn import functional, init
from steep.nn.layers import Linear
from steep.nn.module import Module
from steep.random import Generator
from steep.reals import real


class _BatchNorm(Module):
    dimensions: tuple[int, ...]
    _unused = ("num_batches_tracked",)  # PyTorch needs it for momentum=None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        dtype: Any = None,
    ) -> None:
        (num_features,) = sizes(type(self).__name__, num_features=num_features)
        dtype = dtype or _core.float32
        name = type(self).__name__
        self.eps, self.momentum = real(f"{name}: eps", eps, 0), real(f"{name}: momentum", momentum, 0, 1)
        self.weight = init.parameter(_core.ones((num_features,), dtype=dtype)) if affine else None
        self.bias = init.parameter(_core.zeros((num_features,), dtype=dtype)) if affine else None
        self.running_mean = _core.zeros((num_features,), dtype=dtype) if track_running_stats else None
        self.running_var = _core.ones((num_features,), dtype=dtype) if track_running_stats else None

    def forward(self, x: Any) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor (N, C, ...).

        Returns:
            A tensor of the same shape.

        Raises:
            ValueError: for another number of dimensions.
        """
        values = _core.asarray(x)
        if values.ndim not in self.dimensions:
            raise ValueError(f"{type(self).__name__}: needs {self.dimensions} dimensions, got shape {values.shape}")
        training = self.training or self.running_mean is None
        return functional.batch_norm(
            values, self.running_mean, self.running_var, self.weight, self.bias, training, self.momentum, self.eps
        )

    def extra_repr(self) -> str:
        """eps and momentum."""
        return f"eps={self.eps}, momentum={self.momentum}"


class BatchNorm1d(_BatchNorm):
    """Batch normalization of each channel of (N, C) or (N, C, W), with running statistics for evaluation.

    Args:
        num_features: number of channels.
        eps: added to the variance.
        momentum: weight of the batch in the running statistics.
        affine: whether to learn scale and shift per channel.
        track_running_stats: whether to keep running statistics; without, the batch's are always used.
        dtype: dtype of the parameters; float32 if None.

    Raises:
        TypeError: for a size that is no integer, or an option that is no number.
        ValueError: for a negative one.

    References:
        Ioffe and Szegedy 2015, "Batch normalization", arXiv:1502.03167.

    Example:
        >>> sp.nn.BatchNorm1d(4)(sp.ones((2, 4, 3))).shape
        (2, 4, 3)
    """

    dimensions = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalization of each channel of (N, C, H, W), with running statistics for evaluation.

    Args:
        num_features: number of channels.
        eps: added to the variance.
        momentum: weight of the batch in the running statistics.
        affine: whether to learn scale and shift per channel.
        track_running_stats: whether to keep running statistics; without, the batch's are always used.
        dtype: dtype of the parameters; float32 if None.

    Raises:
        TypeError: for a size that is no integer, or an option that is no number.
        ValueError: for a negative one.

    References:
        Ioffe and Szegedy 2015, "Batch normalization", arXiv:1502.03167.

    Example:
        >>> sp.nn.BatchNorm2d(4)(sp.ones((2, 4, 3, 3))).shape
        (2, 4, 3, 3)
    """

    dimensions = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalization of each channel of (N, C, D, H, W), with running statistics for evaluation.

    Args:
        num_features: number of channels.
        eps: added to the variance.
        momentum: weight of the batch in the running statistics.
        affine: whether to learn scale and shift per channel.
        track_running_stats: whether to keep running statistics; without, the batch's are always used.
        dtype: dtype of the parameters; float32 if None.

    Raises:
        TypeError: for a size that is no integer, or an option that is no number.
        ValueError: for a negative one.

    References:
        Ioffe and Szegedy 2015, "Batch normalization", arXiv:1502.03167.

    Example:
        >>> sp.nn.BatchNorm3d(4)(sp.ones((2, 4, 3, 3, 3))).shape
        (2, 4, 3, 3, 3)
    """

    dimensions = (5,)


class GroupNorm(Module):
    """Group normalization: groups of channels of each example normalised to mean 0 and variance 1.

    Args:
        num_groups: number of groups.
        num_channels: number of channels.
        eps: added to the variance.
        affine: whether to learn scale and shift per channel.
        dtype: dtype of the parameters; float32 if None.

    Raises:
        TypeError: for a size that is no integer, or an option that is no number.
        ValueError: for one below 1, or groups that do not divide the channels.

    References:
        Wu and He 2018, "Group normalization", arXiv:1803.08494.

    Example:
        >>> sp.nn.GroupNorm(2, 4)(sp.ones((1, 4, 3))).shape
        (1, 4, 3)
    """

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, *, dtype: Any = None
    ) -> None:
        num_groups, num_channels = sizes("GroupNorm", 1, num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: {num_channels} channels cannot be shared among {num_groups} groups")
        dtype = dtype or _core.float32
        self.num_groups, self.eps = num_groups, real("GroupNorm: eps", eps, 0)
        self.weight = init.parameter(_core.ones((num_channels,), dtype=dtype)) if affine else None
        self.bias = init.parameter(_core.zeros((num_channels,), dtype=dtype)) if affine else None

    def forward(self, x: Any) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor (N, C, ...).

        Returns:
            A tensor of the same shape.
        """
        return _core.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Groups and eps."""
        return f"{self.num_groups}, eps={self.eps}"


class InstanceNorm2d(Module):
    """Instance normalization: each channel of each example normalised to mean 0 and variance 1.

    Args:
        num_features: number of channels.
        eps: added to the variance.
        affine: whether to learn scale and shift per channel.
        dtype: dtype of the parameters; float32 if None.

    Raises:
        TypeError: for a size that is no integer, or an option that is no number.
        ValueError: for a negative one.

    References:
        Ulyanov et al. 2016, "Instance normalization", arXiv:1607.08022.

    Example:
        >>> sp.nn.InstanceNorm2d(4)(sp.ones((1, 4, 3, 3))).shape
        (1, 4, 3, 3)
    """

    def __init__(self, num_features: int, eps: float = 1e-5, affine: bool = False, *, dtype: Any = None) -> None:
        (num_features,) = sizes("InstanceNorm2d", num_features=num_features)
        dtype = dtype or _core.float32
        self.num_features, self.eps = num_features, real("InstanceNorm2d: eps", eps, 0)
        self.weight = init.parameter(_core.ones((num_features,), dtype=dtype)) if affine else None
        self.bias = init.parameter(_core.zeros((num_features,), dtype=dtype)) if affine else None

    def forward(self, x: Any) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor (N, C, H, W).

        Returns:
            A tensor of the same shape.
        """
        return _core.instance_norm(x, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Channels and eps."""
        return f"{self.num_features}, eps={self.eps}"


class LocalResponseNorm(Module):
    """Local response normalization: ``x / (k + alpha * mean of x**2 over neighbouring channels)**beta``.

    Args:
        size: number of neighbouring channels.
        alpha: factor of the mean.
        beta: the exponent.
        k: additive constant.

    Raises:
        TypeError: for a size that is no integer, or an option that is no number.
        ValueError: for one below 1.

    References:
        Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks", NeurIPS.

    Example:
        >>> sp.nn.LocalResponseNorm(3)(sp.ones((1, 4, 2, 2))).shape
        (1, 4, 2, 2)
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        (size,) = sizes("LocalResponseNorm", 1, size=size)
        constants = {"alpha": alpha, "beta": beta, "k": k}
        self.size = size
        self.alpha, self.beta, self.k = (
            real(f"LocalResponseNorm: {name}", c, -math.inf) for name, c in constants.items()
        )

    def forward(self, x: Any) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor (N, C, ...).

        Returns:
            A tensor of the same shape.
        """
        return _core.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """The four constants."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class MultiheadAttention(Module):
    """Multi-head attention between learned projections, batch first; it returns the output without the weights.

    Args:
        embed_dim: number of features.
        num_heads: number of heads, which divides it.
        bias: whether the projections have biases.
        generator: source of the initial values, a ``Generator`` or a seed; the default of ``nn.init`` if None.
        dtype: dtype of the parameters; float32 if None.

    Raises:
        TypeError: for a size that is no integer.
        ValueError: if num_heads does not divide embed_dim.

    References:
        Vaswani et al. 2017, "Attention is all you need", arXiv:1706.03762.

    Example:
        >>> attention = sp.nn.MultiheadAttention(8, 2, generator=0)
        >>> x = sp.ones((1, 5, 8))
        >>> attention(x, x, x).shape
        (1, 5, 8)
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        bias: bool = True,
        *,
        generator: Generator | int | None = None,
        dtype: Any = None,
    ) -> None:
        embed_dim, num_heads = sizes("MultiheadAttention", 1, embed_dim=embed_dim, num_heads=num_heads)
        if embed_dim % num_heads:
            raise ValueError(f"MultiheadAttention: {embed_dim} dimensions cannot be shared among {num_heads} heads")
        source = init.generator(generator)
        self.num_heads = num_heads
        self.in_proj_weight = init.xavier_uniform((3 * embed_dim, embed_dim), source, dtype=dtype)
        zeros = _core.zeros((3 * embed_dim,), dtype=dtype or _core.float32)
        self.in_proj_bias = init.parameter(zeros) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, generator=source, dtype=dtype)
        if self.out_proj.bias is not None:
            self.out_proj.bias = init.parameter(zeros[:embed_dim])

    def _heads(self, x: Any, part: int) -> Tensor:
        """One of the three projections as (N, heads, L, embed_dim / heads)."""
        size = self.in_proj_weight.shape[1]
        rows = slice(part * size, (part + 1) * size)
        bias = None if self.in_proj_bias is None else self.in_proj_bias[rows]
        y = functional.linear(x, self.in_proj_weight[rows], bias)
        return _core.permute_dims(_core.reshape(y, (*y.shape[:2], self.num_heads, -1)), (0, 2, 1, 3))

    def forward(self, query: Any, key: Any, value: Any, mask: Any = None, causal: bool = False) -> Tensor:
        """Attends from queries to keys.

        Args:
            query: a tensor (N, L, embed_dim).
            key: a tensor (N, S, embed_dim).
            value: a tensor (N, S, embed_dim).
            mask: a bool mask, True where a key is visible, or numbers added to the scores.
            causal: whether a query sees only keys at or before its position.

        Returns:
            A tensor (N, L, embed_dim).
        """
        q, k, v = (self._heads(x, part) for part, x in enumerate((query, key, value)))
        y = _core.permute_dims(_core.attention(q, k, v, mask, causal), (0, 2, 1, 3))
        joined: Tensor = self.out_proj(_core.reshape(y, (*y.shape[:2], -1)))
        return joined

    def extra_repr(self) -> str:
        """Heads."""
        return f"num_heads={self.num_heads}"
