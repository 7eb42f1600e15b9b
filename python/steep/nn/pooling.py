"""Pooling and resampling layers: no parameters, PyTorch's names and defaults.

Each holds the options of one function of ``functional.py``.
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
        """Applies the layer.

        Args:
            x: a tensor (N, C, ...).

        Returns:
            A tensor (N, C, ...).
        """
        return type(self).function(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def extra_repr(self) -> str:
        """The window and its options."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool1d(_MaxPool):
    """Max pooling of (N, C, W); of equal elements, the first gets the gradient.

    Args:
        kernel_size: size of the window, a number or one per dimension.
        stride: step of the window, likewise; the window's size if None.
        padding: border on each side, likewise.
        dilation: distance of the window's elements, likewise.
        ceil_mode: whether a last window may reach past the border.

    Example:
        >>> sp.nn.MaxPool1d(2)(sp.ones((1, 1, 4))).shape
        (1, 1, 2)
    """

    function = staticmethod(functional.max_pool1d)


class MaxPool2d(_MaxPool):
    """Max pooling of (N, C, H, W); of equal elements, the first gets the gradient.

    Args:
        kernel_size: size of the window, a number or one per dimension.
        stride: step of the window, likewise; the window's size if None.
        padding: border on each side, likewise.
        dilation: distance of the window's elements, likewise.
        ceil_mode: whether a last window may reach past the border.

    Example:
        >>> sp.nn.MaxPool2d(2)(sp.ones((1, 1, 4, 4))).shape
        (1, 1, 2, 2)
    """

    function = staticmethod(functional.max_pool2d)


class MaxPool3d(_MaxPool):
    """Max pooling of (N, C, D, H, W); of equal elements, the first gets the gradient.

    Args:
        kernel_size: size of the window, a number or one per dimension.
        stride: step of the window, likewise; the window's size if None.
        padding: border on each side, likewise.
        dilation: distance of the window's elements, likewise.
        ceil_mode: whether a last window may reach past the border.

    Example:
        >>> sp.nn.MaxPool3d(2)(sp.ones((1, 1, 4, 4, 4))).shape
        (1, 1, 2, 2, 2)
    """

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
        """Applies the layer.

        Args:
            x: a tensor (N, C, ...).

        Returns:
            A tensor (N, C, ...).
        """
        return type(self).function(
            x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )

    def extra_repr(self) -> str:
        """The window and its options."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """Average pooling of (N, C, W).

    Args:
        kernel_size: size of the window, a number or one per dimension.
        stride: step of the window, likewise; the window's size if None.
        padding: border on each side, likewise.
        ceil_mode: whether a last window may reach past the border.
        count_include_pad: whether the zeros of the border count.

    Example:
        >>> sp.nn.AvgPool1d(2)(sp.ones((1, 1, 4))).shape
        (1, 1, 2)
    """

    function = staticmethod(functional.avg_pool1d)


class AvgPool2d(_AvgPool):
    """Average pooling of (N, C, H, W).

    Args:
        kernel_size: size of the window, a number or one per dimension.
        stride: step of the window, likewise; the window's size if None.
        padding: border on each side, likewise.
        ceil_mode: whether a last window may reach past the border.
        count_include_pad: whether the zeros of the border count.

    Example:
        >>> sp.nn.AvgPool2d(2)(sp.ones((1, 1, 4, 4))).shape
        (1, 1, 2, 2)
    """

    function = staticmethod(functional.avg_pool2d)


class AvgPool3d(_AvgPool):
    """Average pooling of (N, C, D, H, W).

    Args:
        kernel_size: size of the window, a number or one per dimension.
        stride: step of the window, likewise; the window's size if None.
        padding: border on each side, likewise.
        ceil_mode: whether a last window may reach past the border.
        count_include_pad: whether the zeros of the border count.

    Example:
        >>> sp.nn.AvgPool3d(2)(sp.ones((1, 1, 4, 4, 4))).shape
        (1, 1, 2, 2, 2)
    """

    function = staticmethod(functional.avg_pool3d)


class _AdaptiveAvgPool(Module):
    function: Callable[..., Tensor]

    def __init__(self, output_size: Sizes) -> None:
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor (N, C, ...).

        Returns:
            A tensor (N, C, *output_size).
        """
        return type(self).function(x, self.output_size)

    def extra_repr(self) -> str:
        """The size of the result."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Average pooling of (N, C, W) to a given size.

    Args:
        output_size: size of the result, a number or one per dimension.

    Example:
        >>> sp.nn.AdaptiveAvgPool1d(2)(sp.ones((1, 1, 4))).shape
        (1, 1, 2)
    """

    function = staticmethod(functional.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Average pooling of (N, C, H, W) to a given size.

    Args:
        output_size: size of the result, a number or one per dimension.

    Example:
        >>> sp.nn.AdaptiveAvgPool2d(2)(sp.ones((1, 1, 4, 4))).shape
        (1, 1, 2, 2)
    """

    function = staticmethod(functional.adaptive_avg_pool2d)


class MaxUnpool2d(Module):
    """Max unpooling: each element at its position from ``max_pool_indices``, zeros elsewhere.

    Args:
        kernel_size: size of the pooling window, a number or one per dimension.
        stride: its step, likewise; the window's size if None.
        padding: its padding, likewise.

    References:
        Zeiler and Fergus 2014, arXiv:1311.2901.

    Example:
        >>> x = sp.arange(16.0).reshape(1, 1, 4, 4)
        >>> where = sp.max_pool_indices(x, 2)
        >>> sp.nn.MaxUnpool2d(2)(sp.max_pool2d(x, 2), where).shape
        (1, 1, 4, 4)
    """

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Places elements at their positions.

        Args:
            x: a tensor (N, C, h, w).
            indices: flat positions in a plane, int64, of the same shape.
            output_size: height and width of the result; the smallest that the pooling can have had if None.

        Returns:
            A tensor (N, C, H, W).
        """
        return functional.max_unpool2d(x, indices, self.kernel_size, self.stride, self.padding, output_size)


class Upsample(Module):
    """Resizes (N, C, ...) along all spatial dimensions.

    Args:
        size: sizes of the result, or None.
        scale_factor: factor of the sizes, or None.
        mode: "nearest", "linear" or "cubic".
        align_corners: whether the corners of input and result coincide.

    Raises:
        ValueError: unless exactly one of size and scale_factor is given.

    Example:
        >>> sp.nn.Upsample(scale_factor=2)(sp.ones((1, 1, 4, 4))).shape
        (1, 1, 8, 8)
    """

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
        """Applies the layer.

        Args:
            x: a tensor (N, C, ...).

        Returns:
            A tensor (N, C, *size).
        """
        return functional.interpolate(x, self.size, self.mode, self.align_corners, self.scale_factor or 0.0)

    def extra_repr(self) -> str:
        """The size or factor, and the mode."""
        return f"size={self.size}, scale_factor={self.scale_factor}, mode={self.mode!r}"
