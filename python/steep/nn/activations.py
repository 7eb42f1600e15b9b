"""Activations as layers, for use in ``Sequential`` and to be addressed by name.

Each names one operation of the engine; gradient rules replaced by ``steep.gradient_rule`` therefore hold for them too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from steep import _core
from steep._core import Tensor
from steep.nn.module import Module


class ReLU(Module):
    """``max(x, 0)``; its derivative at 0 is 0."""

    def forward(self, x: Any) -> Tensor:
        """Any shape to the same."""
        return _core.relu(x)


class ReLU6(Module):
    """``x`` between 0 and 6; rules that replace ReLU's gradient hold for it. Source: Howard et al. 2017, 1704.04861."""

    def forward(self, x: Any) -> Tensor:
        """Any shape to the same."""
        return _core.minimum(_core.relu(x), 6)


class LeakyReLU(Module):
    """``x`` where positive, else ``negative_slope * x``."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Tensor:
        """Any shape to the same."""
        return _core.leaky_relu(x, self.negative_slope)


class ELU(Module):
    """``x`` where positive, else ``alpha * (exp(x) - 1)``. Source: Clevert et al. 2016, arXiv:1511.07289."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Any) -> Tensor:
        """Any shape to the same."""
        return _core.elu(x, self.alpha)


class GELU(Module):
    """``x * Phi(x)``. Source: Hendrycks and Gimpel 2016, arXiv:1606.08415."""

    def forward(self, x: Any) -> Tensor:
        """Any shape to the same."""
        return _core.gelu(x)


class SiLU(Module):
    """``x * sigmoid(x)``. Source: Elfwing et al. 2018, arXiv:1702.03118."""

    def forward(self, x: Any) -> Tensor:
        """Any shape to the same."""
        return _core.silu(x)


class Hardsigmoid(Module):
    """``x / 6 + 1/2`` between 0 and 1. Source: Howard et al. 2019, arXiv:1905.02244."""

    def forward(self, x: Any) -> Tensor:
        """Any shape to the same."""
        return _core.hardsigmoid(x)


class Hardswish(Module):
    """``x * hardsigmoid(x)``. Source: Howard et al. 2019, arXiv:1905.02244."""

    def forward(self, x: Any) -> Tensor:
        """Any shape to the same."""
        return _core.hardswish(x)


class PReLU(Module):
    """``x`` where positive, else ``weight * x``: one learned weight, or one a channel. Source: He et al. 2015."""

    def __init__(self, num_parameters: int = 1, init: float = 0.25, *, dtype: Any = None) -> None:
        start = _core.full((num_parameters,), init, dtype=dtype or _core.float32)
        self.weight = _core.tensor(start, requires_grad=True)

    def forward(self, x: Any) -> Tensor:
        """(N, C, ...) to the same."""
        return _core.prelu(x, self.weight)

    def extra_repr(self) -> str:
        """How many weights."""
        return f"num_parameters={self.weight.size}"


class Softplus(Module):
    """``log(1 + exp(x))``, without overflow."""

    def forward(self, x: Any) -> Tensor:
        """Any shape to the same."""
        return _core.softplus(x)


class Tanh(Module):
    """Hyperbolic tangent."""

    def forward(self, x: Any) -> Tensor:
        """Any shape to the same."""
        return _core.tanh(x)


class Sigmoid(Module):
    """``1 / (1 + exp(-x))``."""

    def forward(self, x: Any) -> Tensor:
        """Any shape to the same."""
        return _core.sigmoid(x)

    def unnormalised(self) -> Callable[[Any], Any]:
        """What goes in, as it is."""
        return lambda x: x


class Softmax(Module):
    """``exp(x) / sum(exp(x))`` along ``axis``."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Tensor:
        """Any shape to the same."""
        return _core.softmax(x, axis=self.axis)

    def unnormalised(self) -> Callable[[Any], Any]:
        """What goes in, as it is."""
        return lambda x: x
