"""Convolution layers over one, two and three spatial dimensions, and their transposes.

Names, defaults and first values are PyTorch's; what is computed stands in ``functional.py``. Start at ``_Conv``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from steep._core import Tensor
from steep.nn import functional, init
from steep.nn.module import Module
from steep.random import Generator

Sizes = int | Sequence[int]


def _each(value: Sizes, dimensions: int) -> tuple[int, ...]:
    return (value,) * dimensions if isinstance(value, int) else tuple(value)


class _Weights(Module):
    """A kernel and a bias, both uniform in [-1/sqrt(fan_in), 1/sqrt(fan_in)), as PyTorch's are."""

    def _draw(self, shape: tuple[int, ...], outputs: int, bias: bool, source: Any, dtype: Any) -> None:
        generator = init.generator(source)
        bound = 1 / math.sqrt(max(1, math.prod(shape[1:])))
        self.weight = init.uniform(shape, bound, generator, dtype)
        self.bias = init.uniform((outputs,), bound, generator, dtype) if bias else None


def _shared(name: str, channels: int, groups: int) -> int:
    if groups < 1 or channels % groups:
        raise ValueError(f"{name}: {channels} channels cannot be shared among {groups} groups")
    return channels // groups


class _Conv(_Weights):
    """``padding``: numbers, "valid" (0), "same" (the output as large as the input; stride 1), or "same_upper".

    "same_upper" makes the output ceil(input / stride), an odd element behind: TensorFlow's SAME, ONNX's SAME_UPPER.
    """

    dimensions: int
    function: Callable[..., Tensor]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        generator: Generator | int | None = None,
        dtype: Any = None,
    ) -> None:
        name = type(self).__name__
        _shared(name, out_channels, groups)
        if padding_mode not in functional.PADDING_MODES:
            raise ValueError(f"{name}: padding_mode is one of {list(functional.PADDING_MODES)}, got {padding_mode!r}")
        kernel = _each(kernel_size, self.dimensions)
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        self.padding_mode = padding_mode
        self._draw((out_channels, _shared(name, in_channels, groups), *kernel), out_channels, bias, generator, dtype)

    def forward(self, x: Any) -> Tensor:
        """(N, in_channels, ...) to (N, out_channels, ...)."""
        padding = self.padding
        if self.padding_mode != "zeros":
            x = functional.pad_for_conv(x, self.weight, self.stride, padding, self.dilation, self.padding_mode)
            padding = 0
        return type(self).function(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        """Channels, kernel and how it moves."""
        outputs, inputs, *kernel = self.weight.shape
        return (
            f"{inputs * self.groups}, {outputs}, kernel_size={tuple(kernel)}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, groups={self.groups}, bias={self.bias is not None}"
        )


class Conv1d(_Conv):
    """Cross-correlation of (N, C, W) with learned kernels; see ``_Conv`` for padding."""

    dimensions, function = 1, staticmethod(functional.conv1d)


class Conv2d(_Conv):
    """Cross-correlation of (N, C, H, W) with learned kernels; see ``_Conv`` for padding."""

    dimensions, function = 2, staticmethod(functional.conv2d)


class Conv3d(_Conv):
    """Cross-correlation of (N, C, D, H, W) with learned kernels; see ``_Conv`` for padding."""

    dimensions, function = 3, staticmethod(functional.conv3d)


class _ConvTranspose(_Weights):
    dimensions: int
    function: Callable[..., Tensor]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        *,
        generator: Generator | int | None = None,
        dtype: Any = None,
    ) -> None:
        name = type(self).__name__
        _shared(name, in_channels, groups)
        kernel = _each(kernel_size, self.dimensions)
        self.stride, self.padding, self.output_padding = stride, padding, output_padding
        self.groups, self.dilation = groups, dilation
        self._draw((in_channels, _shared(name, out_channels, groups), *kernel), out_channels, bias, generator, dtype)

    def forward(self, x: Any) -> Tensor:
        """(N, in_channels, ...) to (N, out_channels, ...)."""
        return type(self).function(
            x, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation
        )

    def extra_repr(self) -> str:
        """Channels, kernel and how it moves."""
        inputs, outputs, *kernel = self.weight.shape
        return (
            f"{inputs}, {outputs * self.groups}, kernel_size={tuple(kernel)}, stride={self.stride}, "
            f"padding={self.padding}, output_padding={self.output_padding}, groups={self.groups}, "
            f"bias={self.bias is not None}, dilation={self.dilation}"
        )


class ConvTranspose1d(_ConvTranspose):
    """The adjoint of ``Conv1d``, which spreads instead of gathering."""

    dimensions, function = 1, staticmethod(functional.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """The adjoint of ``Conv2d``, which spreads instead of gathering."""

    dimensions, function = 2, staticmethod(functional.conv_transpose2d)


class ConvTranspose3d(_ConvTranspose):
    """The adjoint of ``Conv3d``, which spreads instead of gathering."""

    dimensions, function = 3, staticmethod(functional.conv_transpose3d)
