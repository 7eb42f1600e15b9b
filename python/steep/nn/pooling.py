"""Pooling and resampling layers: no parameters, PyTorch's names and defaults.

Each holds the options of one function of ``functional.py`` and passes its input on to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from steep._core import Tensor
from steep.nn import functional
from steep.nn.module import Module

Sizes = int | Sequence[int]


class _MaxPool(Module):
    function: Callable[..., Tensor]

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.dilation, self.ceil_mode = dilation, ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) to (N, C, ...)."""
        return type(self).function(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def extra_repr(self) -> str:
        """The window and how it moves."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool1d(_MaxPool):
    """The largest element of every window of (N, C, W); among equals, the first gets the gradient."""

    function = staticmethod(functional.max_pool1d)


class MaxPool2d(_MaxPool):
    """The largest element of every window of (N, C, H, W); among equals, the first gets the gradient."""

    function = staticmethod(functional.max_pool2d)


class MaxPool3d(_MaxPool):
    """The largest element of every window of (N, C, D, H, W); among equals, the first gets the gradient."""

    function = staticmethod(functional.max_pool3d)


class _AvgPool(Module):
    function: Callable[..., Tensor]

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) to (N, C, ...)."""
        return type(self).function(
            x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )

    def extra_repr(self) -> str:
        """The window and how it moves."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """The mean of every window of (N, C, W)."""

    function = staticmethod(functional.avg_pool1d)


class AvgPool2d(_AvgPool):
    """The mean of every window of (N, C, H, W)."""

    function = staticmethod(functional.avg_pool2d)


class AvgPool3d(_AvgPool):
    """The mean of every window of (N, C, D, H, W)."""

    function = staticmethod(functional.avg_pool3d)


class _AdaptiveAvgPool(Module):
    function: Callable[..., Tensor]

    def __init__(self, output_size: Sizes) -> None:
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) to (N, C, *output_size)."""
        return type(self).function(x, self.output_size)

    def extra_repr(self) -> str:
        """The size of the result."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Means of windows that divide (N, C, W) into ``output_size`` parts."""

    function = staticmethod(functional.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Means of windows that divide (N, C, H, W) into ``output_size`` parts."""

    function = staticmethod(functional.adaptive_avg_pool2d)


class MaxUnpool2d(Module):
    """Each element back at its switch (from ``max_pool_indices``) in a plane of zeros."""

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """(N, C, h, w) and positions to (N, C, H, W)."""
        return functional.max_unpool2d(x, indices, self.kernel_size, self.stride, self.padding, output_size)


class Upsample(Module):
    """(N, C, ...) at another ``size``, or ``scale_factor`` times as large: "nearest", "linear" or "cubic"."""

    def __init__(
        self,
        size: Sizes | None = None,
        scale_factor: float | None = None,
        mode: str = "nearest",
        align_corners: bool = False,
    ) -> None:
        if (size is None) == (scale_factor is None):
            raise ValueError("Upsample: give either size or scale_factor")
        self.size, self.scale_factor, self.mode, self.align_corners = size, scale_factor, mode, align_corners

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) to (N, C, *size)."""
        return functional.interpolate(x, self.size, self.mode, self.align_corners, self.scale_factor or 0.0)

    def extra_repr(self) -> str:
        """The size or factor, and the mode."""
        return f"size={self.size}, scale_factor={self.scale_factor}, mode={self.mode!r}"
