"""Activations as layers, for use in ``Sequential`` and to be addressed by name.

Each calls one operation of the engine, so gradient rules set by ``steep.gradient_rule`` apply to them too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from steep import _core
from steep._core import Tensor
from steep.integers import sizes
from steep.nn.module import Module
from steep.reals import real


class ReLU(Module):
    """``max(x, 0)``; its derivative at 0 is 0.

    Example:
        >>> sp.nn.ReLU()(sp.tensor([-1.0, 2.0])).tolist()
        [0.0, 2.0]
    """

    def forward(self, x: Any) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor of any shape.

        Returns:
            A tensor of the same shape.
        """
        return _core.relu(x)


class ReLU6(Module):
    """``min(max(x, 0), 6)``; rules that replace ReLU's gradient hold for it.

    References:
        Howard et al. 2017, "MobileNets", arXiv:1704.04861.

    Example:
        >>> sp.nn.ReLU6()(sp.tensor([-1.0, 8.0])).tolist()
        [0.0, 6.0]
    """

    def forward(self, x: Any) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor of any shape.

        Returns:
            A tensor of the same shape.
        """
        return _core.minimum(_core.relu(x), 6)


class LeakyReLU(Module):
    """``x`` where positive, else ``negative_slope * x``.

    Args:
        negative_slope: the factor for negative values.

    Example:
        >>> sp.nn.LeakyReLU(0.5)(sp.tensor([-1.0, 2.0])).tolist()
        [-0.5, 2.0]
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = real("LeakyReLU: negative_slope", negative_slope, -math.inf)

    def forward(self, x: Any) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor of any shape.

        Returns:
            A tensor of the same shape.
        """
        return _core.leaky_relu(x, self.negative_slope)


class ELU(Module):
    """``x`` where positive, else ``alpha * (exp(x) - 1)``.

    Args:
        alpha: the scale of negative values.

    References:
        Clevert et al. 2016, "Fast and accurate deep network learning by exponential linear units", arXiv:1511.07289.

    Example:
        >>> sp.nn.ELU()(sp.tensor([0.0, 2.0])).tolist()
        [0.0, 2.0]
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = real("ELU: alpha", alpha, -math.inf)

    def forward(self, x: Any) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor of any shape.

        Returns:
            A tensor of the same shape.
        """
        return _core.elu(x, self.alpha)


class GELU(Module):
    """``x * Phi(x)``, where Phi is the normal distribution function.

    References:
        Hendrycks and Gimpel 2016, "Gaussian error linear units", arXiv:1606.08415.

    Example:
        >>> sp.nn.GELU()(sp.tensor([0.0, 20.0])).tolist()
        [0.0, 20.0]
    """

    def forward(self, x: Any) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor of any shape.

        Returns:
            A tensor of the same shape.
        """
        return _core.gelu(x)


class SiLU(Module):
    """``x * sigmoid(x)``, also called swish.

    References:
        Elfwing et al. 2018, "Sigmoid-weighted linear units", arXiv:1702.03118.

    Example:
        >>> sp.nn.SiLU()(sp.tensor([0.0])).tolist()
        [0.0]
    """

    def forward(self, x: Any) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor of any shape.

        Returns:
            A tensor of the same shape.
        """
        return _core.silu(x)


class Hardsigmoid(Module):
    """``x / 6 + 1/2``, clipped to [0, 1].

    References:
        Howard et al. 2019, "Searching for MobileNetV3", arXiv:1905.02244.

    Example:
        >>> sp.nn.Hardsigmoid()(sp.tensor([-3.0, 0.0, 3.0])).tolist()
        [0.0, 0.5, 1.0]
    """

    def forward(self, x: Any) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor of any shape.

        Returns:
            A tensor of the same shape.
        """
        return _core.hardsigmoid(x)


class Hardswish(Module):
    """``x * hardsigmoid(x)``.

    References:
        Howard et al. 2019, "Searching for MobileNetV3", arXiv:1905.02244.

    Example:
        >>> sp.nn.Hardswish()(sp.tensor([-3.0, 3.0])).tolist()
        [0.0, 3.0]
    """

    def forward(self, x: Any) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor of any shape.

        Returns:
            A tensor of the same shape.
        """
        return _core.hardswish(x)


class PReLU(Module):
    """``x`` where positive, else ``weight * x``, with a learned weight.

    Args:
        num_parameters: 1 for a shared weight, or the number of channels.
        init: initial value of the weights.
        dtype: dtype of the parameters; float32 if None.

    Raises:
        TypeError: for a size that is no integer.
        ValueError: for a negative one.

    References:
        He et al. 2015, "Delving deep into rectifiers", arXiv:1502.01852.

    Example:
        >>> sp.nn.PReLU()(sp.tensor([[-1.0, 2.0]])).tolist()
        [[-0.25, 2.0]]
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, *, dtype: Any = None) -> None:
        (num_parameters,) = sizes("PReLU", num_parameters=num_parameters)
        start = _core.full((num_parameters,), init, dtype=dtype or _core.float32)
        self.weight = _core.tensor(start, requires_grad=True)

    def forward(self, x: Any) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor (N, C, ...).

        Returns:
            A tensor of the same shape.
        """
        return _core.prelu(x, self.weight)

    def extra_repr(self) -> str:
        """The number of weights."""
        return f"num_parameters={self.weight.size}"


class Softplus(Module):
    """``log(1 + exp(x))``, without overflow.

    Example:
        >>> sp.nn.Softplus()(sp.tensor([1000.0])).tolist()
        [1000.0]
    """

    def forward(self, x: Any) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor of any shape.

        Returns:
            A tensor of the same shape.
        """
        return _core.softplus(x)


class Tanh(Module):
    """The hyperbolic tangent.

    Example:
        >>> sp.nn.Tanh()(sp.tensor([0.0])).tolist()
        [0.0]
    """

    def forward(self, x: Any) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor of any shape.

        Returns:
            A tensor of the same shape.
        """
        return _core.tanh(x)


class Sigmoid(Module):
    """``1 / (1 + exp(-x))``.

    Example:
        >>> sp.nn.Sigmoid()(sp.tensor([0.0])).tolist()
        [0.5]
    """

    def forward(self, x: Any) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor of any shape.

        Returns:
            A tensor of the same shape.
        """
        return _core.sigmoid(x)

    def unnormalised(self) -> Callable[[Any], Any]:
        """The identity: the scores are the input."""
        return lambda x: x


class Softmax(Module):
    """``exp(x) / sum(exp(x))`` along an axis.

    Args:
        axis: the axis.

    Example:
        >>> sp.nn.Softmax()(sp.tensor([0.0, 0.0])).tolist()
        [0.5, 0.5]
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor of any shape.

        Returns:
            A tensor of the same shape.
        """
        return _core.softmax(x, axis=self.axis)

    def unnormalised(self) -> Callable[[Any], Any]:
        """The identity: the scores are the input."""
        return lambda x: x
