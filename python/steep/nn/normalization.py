"""Layers that normalise, and multi-head attention: PyTorch's names, defaults and first values.

``BatchNorm`` keeps running statistics as buffers, updated in place while training. Start at ``_BatchNorm``.
"""

from __future__ import annotations

from typing import Any

from steep import _core
from steep._core import Tensor
from steep.nn import functional, init
from steep.nn.layers import Linear
from steep.nn.module import Module
from steep.random import Generator


class _BatchNorm(Module):
    dimensions: tuple[int, ...]

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
        dtype = dtype or _core.float32
        self.eps, self.momentum = eps, momentum
        self.weight = init.parameter(_core.ones((num_features,), dtype=dtype)) if affine else None
        self.bias = init.parameter(_core.zeros((num_features,), dtype=dtype)) if affine else None
        self.running_mean = _core.zeros((num_features,), dtype=dtype) if track_running_stats else None
        self.running_var = _core.ones((num_features,), dtype=dtype) if track_running_stats else None

    def forward(self, x: Any) -> Tensor:
        """(N, C, ...) to the same; ValueError for another number of dimensions."""
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
    """Each channel of (N, C) or (N, C, W) brought to mean 0 and variance 1. Source: Ioffe and Szegedy 2015."""

    dimensions = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Each channel of (N, C, H, W) brought to mean 0 and variance 1. Source: Ioffe and Szegedy 2015."""

    dimensions = (4,)


class BatchNorm3d(_BatchNorm):
    """Each channel of (N, C, D, H, W) brought to mean 0 and variance 1. Source: Ioffe and Szegedy 2015."""

    dimensions = (5,)


class GroupNorm(Module):
    """Groups of channels of each example brought to mean 0 and variance 1. Source: Wu and He 2018."""

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, *, dtype: Any = None
    ) -> None:
        dtype = dtype or _core.float32
        self.num_groups, self.eps = num_groups, eps
        self.weight = init.parameter(_core.ones((num_channels,), dtype=dtype)) if affine else None
        self.bias = init.parameter(_core.zeros((num_channels,), dtype=dtype)) if affine else None

    def forward(self, x: Any) -> Tensor:
        """(N, C, ...) to the same."""
        return _core.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Groups and eps."""
        return f"{self.num_groups}, eps={self.eps}"


class InstanceNorm2d(Module):
    """Each channel of each example brought to mean 0 and variance 1. Source: Ulyanov et al. 2016."""

    def __init__(self, num_features: int, eps: float = 1e-5, affine: bool = False, *, dtype: Any = None) -> None:
        dtype = dtype or _core.float32
        self.num_features, self.eps = num_features, eps
        self.weight = init.parameter(_core.ones((num_features,), dtype=dtype)) if affine else None
        self.bias = init.parameter(_core.zeros((num_features,), dtype=dtype)) if affine else None

    def forward(self, x: Any) -> Tensor:
        """(N, C, H, W) to the same."""
        return _core.instance_norm(x, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Channels and eps."""
        return f"{self.num_features}, eps={self.eps}"


class LocalResponseNorm(Module):
    """``x / (k + alpha * mean of x**2 over size channels around)**beta``. Source: Krizhevsky et al. 2012."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Any) -> Tensor:
        """(N, C, ...) to the same."""
        return _core.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """The four constants."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class MultiheadAttention(Module):
    """Attention in ``num_heads`` parts of (N, L, embed_dim), between learned projections. Source: Vaswani et al. 2017.

    Batch first; a bool mask is true where a key is seen. The result is the output alone, without the weights.
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
        if num_heads < 1 or embed_dim % num_heads:
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
        """(N, L, embed_dim), (N, S, embed_dim) twice, to (N, L, embed_dim)."""
        q, k, v = (self._heads(x, part) for part, x in enumerate((query, key, value)))
        y = _core.permute_dims(_core.attention(q, k, v, mask, causal), (0, 2, 1, 3))
        joined: Tensor = self.out_proj(_core.reshape(y, (*y.shape[:2], -1)))
        return joined

    def extra_repr(self) -> str:
        """Heads."""
        return f"num_heads={self.num_heads}"
