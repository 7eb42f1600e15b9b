"""Convolution layers over one, two and three spatial dimensions, and transposed convolutions.

Names, defaults and initial values are PyTorch's; the computation is in ``functional.py``. Start reading at ``_Conv``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from steep._core import Tensor
from steep.integers import integers, sizes
from steep.nn import functional, init
from steep.nn.module import Module
from steep.random import Generator

Sizes = int | Sequence[int]
PADDINGS = ("valid", "same", "same_upper")


def _kernel(name: str, kernel_size: Sizes, dimensions: int) -> tuple[int, ...]:
    kernel = integers(f"{name}: kernel_size", kernel_size, dimensions)
    if len(kernel) != dimensions or min(kernel) < 1:
        raise ValueError(f"{name}: kernel_size is {dimensions} numbers of at least 1, got {kernel_size}")
    return kernel


def _channels(name: str, inputs: int, outputs: int, groups: int) -> tuple[int, ...]:
    """The channels and groups as integers."""
    return *sizes(name, in_channels=inputs, out_channels=outputs), *sizes(name, 1, groups=groups)


class _Weights(Module):
    """A kernel and a bias, both uniform in [-1/sqrt(fan_in), 1/sqrt(fan_in)), as in PyTorch."""

    def _draw(self, shape: tuple[int, ...], outputs: int, bias: bool, source: Any, dtype: Any) -> None:
        generator = init.generator(source)
        bound = 1 / math.sqrt(max(1, math.prod(shape[1:])))
        self.weight = init.uniform(shape, bound, generator, dtype)
        self.bias = init.uniform((outputs,), bound, generator, dtype) if bias else None


def _shared(name: str, channels: int, groups: int) -> int:
    if channels % groups:
        raise ValueError(f"{name}: {channels} channels cannot be shared among {groups} groups")
    return channels // groups


def _check_steps(name: str, dimensions: int, **given: Sizes) -> None:
    for what, value in given.items():
        integers(f"{name}: {what}", value, dimensions)


class _Conv(_Weights):
    """Base of the convolution layers."""

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
        in_channels, out_channels, groups = _channels(name, in_channels, out_channels, groups)
        _shared(name, out_channels, groups)
        if padding_mode not in functional.PADDING_MODES:
            raise ValueError(f"{name}: padding_mode is one of {list(functional.PADDING_MODES)}, got {padding_mode!r}")
        kernel = _kernel(name, kernel_size, self.dimensions)
        _check_steps(name, self.dimensions, stride=stride, dilation=dilation)
        if isinstance(padding, str) and padding not in PADDINGS:
            raise ValueError(f"{name}: padding is numbers or one of {list(PADDINGS)}, got {padding!r}")
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        self.padding_mode = padding_mode
        self._draw((out_channels, _shared(name, in_channels, groups), *kernel), out_channels, bias, generator, dtype)

    def forward(self, x: Any) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor (N, in_channels, ...).

        Returns:
            A tensor (N, out_channels, ...).
        """
        padding = self.padding
        if self.padding_mode != "zeros":
            x = functional.pad_for_conv(x, self.weight, self.stride, padding, self.dilation, self.padding_mode)
            padding = 0
        return type(self).function(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        """Channels, kernel and options."""
        outputs, inputs, *kernel = self.weight.shape
        return (
            f"{inputs * self.groups}, {outputs}, kernel_size={tuple(kernel)}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, groups={self.groups}, bias={self.bias is not None}"
        )


class Conv1d(_Conv):
    """1-d convolution (cross-correlation) of (N, C, W), with PyTorch's parameters and initial values.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: size of the kernel, a number or one per dimension.
        stride: step of the window, likewise.
        padding: zeros on each side, likewise; or "valid" (0), "same" (the output has the input's size; stride 1), or
            "same_upper" (output ceil(input / stride), an odd element at the end: TensorFlow's SAME, ONNX's SAME_UPPER).
        dilation: distance of the kernel's elements, likewise.
        groups: number of groups of channels that are convolved separately.
        bias: whether to add a learned bias.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        generator: source of the initial values, a ``Generator`` or a seed; the default of ``nn.init`` if None.
        dtype: dtype of the parameters; float32 if None.

    Raises:
        TypeError: for a size that is no integer.
        ValueError: for channels that the groups do not divide, or an unknown padding mode.

    Example:
        >>> sp.nn.Conv1d(3, 5, 3, generator=0)(sp.zeros((1, 3, 8))).shape
        (1, 5, 6)
    """

    dimensions, function = 1, staticmethod(functional.conv1d)


class Conv2d(_Conv):
    """2-d convolution (cross-correlation) of (N, C, H, W), with PyTorch's parameters and initial values.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: size of the kernel, a number or one per dimension.
        stride: step of the window, likewise.
        padding: zeros on each side, likewise; or "valid" (0), "same" (the output has the input's size; stride 1), or
            "same_upper" (output ceil(input / stride), an odd element at the end: TensorFlow's SAME, ONNX's SAME_UPPER).
        dilation: distance of the kernel's elements, likewise.
        groups: number of groups of channels that are convolved separately.
        bias: whether to add a learned bias.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        generator: source of the initial values, a ``Generator`` or a seed; the default of ``nn.init`` if None.
        dtype: dtype of the parameters; float32 if None.

    Raises:
        TypeError: for a size that is no integer.
        ValueError: for channels that the groups do not divide, or an unknown padding mode.

    Example:
        >>> sp.nn.Conv2d(3, 5, 3, generator=0)(sp.zeros((1, 3, 8, 8))).shape
        (1, 5, 6, 6)
    """

    dimensions, function = 2, staticmethod(functional.conv2d)


class Conv3d(_Conv):
    """3-d convolution (cross-correlation) of (N, C, D, H, W), with PyTorch's parameters and initial values.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: size of the kernel, a number or one per dimension.
        stride: step of the window, likewise.
        padding: zeros on each side, likewise; or "valid" (0), "same" (the output has the input's size; stride 1), or
            "same_upper" (output ceil(input / stride), an odd element at the end: TensorFlow's SAME, ONNX's SAME_UPPER).
        dilation: distance of the kernel's elements, likewise.
        groups: number of groups of channels that are convolved separately.
        bias: whether to add a learned bias.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        generator: source of the initial values, a ``Generator`` or a seed; the default of ``nn.init`` if None.
        dtype: dtype of the parameters; float32 if None.

    Raises:
        TypeError: for a size that is no integer.
        ValueError: for channels that the groups do not divide, or an unknown padding mode.

    Example:
        >>> sp.nn.Conv3d(3, 5, 3, generator=0)(sp.zeros((1, 3, 8, 8, 8))).shape
        (1, 5, 6, 6, 6)
    """

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
        in_channels, out_channels, groups = _channels(name, in_channels, out_channels, groups)
        _shared(name, in_channels, groups)
        kernel = _kernel(name, kernel_size, self.dimensions)
        _check_steps(name, self.dimensions, stride=stride, dilation=dilation, output_padding=output_padding)
        self.stride, self.padding, self.output_padding = stride, padding, output_padding
        self.groups, self.dilation = groups, dilation
        self._draw((in_channels, _shared(name, out_channels, groups), *kernel), out_channels, bias, generator, dtype)

    def forward(self, x: Any) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor (N, in_channels, ...).

        Returns:
            A tensor (N, out_channels, ...).
        """
        return type(self).function(
            x, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation
        )

    def extra_repr(self) -> str:
        """Channels, kernel and options."""
        inputs, outputs, *kernel = self.weight.shape
        return (
            f"{inputs}, {outputs * self.groups}, kernel_size={tuple(kernel)}, stride={self.stride}, "
            f"padding={self.padding}, output_padding={self.output_padding}, groups={self.groups}, "
            f"bias={self.bias is not None}, dilation={self.dilation}"
        )


class ConvTranspose1d(_ConvTranspose):
    """1-d transposed convolution of (N, C, W): the adjoint of ``Conv1d`` with respect to its input.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: size of the kernel, a number or one per dimension.
        stride: step of the window in the output, likewise.
        padding: elements to remove on each side of the output, likewise.
        output_padding: elements to add at the end of the output, likewise; smaller than stride or dilation.
        groups: number of groups of channels that are convolved separately.
        bias: whether to add a learned bias.
        dilation: distance of the kernel's elements, likewise.
        generator: source of the initial values, a ``Generator`` or a seed; the default of ``nn.init`` if None.
        dtype: dtype of the parameters; float32 if None.

    Raises:
        TypeError: for a size that is no integer.
        ValueError: for channels that the groups do not divide.

    Example:
        >>> sp.nn.ConvTranspose1d(3, 5, 2, stride=2, generator=0)(sp.zeros((1, 3, 3))).shape
        (1, 5, 6)
    """

    dimensions, function = 1, staticmethod(functional.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """2-d transposed convolution of (N, C, H, W): the adjoint of ``Conv2d`` with respect to its input.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: size of the kernel, a number or one per dimension.
        stride: step of the window in the output, likewise.
        padding: elements to remove on each side of the output, likewise.
        output_padding: elements to add at the end of the output, likewise; smaller than stride or dilation.
        groups: number of groups of channels that are convolved separately.
        bias: whether to add a learned bias.
        dilation: distance of the kernel's elements, likewise.
        generator: source of the initial values, a ``Generator`` or a seed; the default of ``nn.init`` if None.
        dtype: dtype of the parameters; float32 if None.

    Raises:
        TypeError: for a size that is no integer.
        ValueError: for channels that the groups do not divide.

    Example:
        >>> sp.nn.ConvTranspose2d(3, 5, 2, stride=2, generator=0)(sp.zeros((1, 3, 3, 3))).shape
        (1, 5, 6, 6)
    """

    dimensions, function = 2, staticmethod(functional.conv_transpose2d)


class ConvTranspose3d(_ConvTranspose):
    """3-d transposed convolution of (N, C, D, H, W): the adjoint of ``Conv3d`` with respect to its input.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: size of the kernel, a number or one per dimension.
        stride: step of the window in the output, likewise.
        padding: elements to remove on each side of the output, likewise.
        output_padding: elements to add at the end of the output, likewise; smaller than stride or dilation.
        groups: number of groups of channels that are convolved separately.
        bias: whether to add a learned bias.
        dilation: distance of the kernel's elements, likewise.
        generator: source of the initial values, a ``Generator`` or a seed; the default of ``nn.init`` if None.
        dtype: dtype of the parameters; float32 if None.

    Raises:
        TypeError: for a size that is no integer.
        ValueError: for channels that the groups do not divide.

    Example:
        >>> sp.nn.ConvTranspose3d(3, 5, 2, stride=2, generator=0)(sp.zeros((1, 3, 3, 3, 3))).shape
        (1, 5, 6, 6, 6)
    """

    dimensions, function = 3, staticmethod(functional.conv_transpose3d)
