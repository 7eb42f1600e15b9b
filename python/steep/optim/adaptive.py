"""Further optimisers with adaptive steps: Adadelta, Adamax, NAdam, RAdam and Lion; in PyTorch's form if it has one."""

from __future__ import annotations

from collections.abc import Mapping

from steep import _core
from steep._core import Tensor
from steep.optim.first_order import _fraction, _two_fractions
from steep.optim.optimizer import Optimizer, Rate, Slots, non_negative
from steep.tree import Tree


class Adadelta(Optimizer):
    """Adadelta: a and d, running means of g^2 and of squared steps; step lr sqrt(d + eps) / sqrt(a + eps) g.

    Args:
        params: a tree of tensors, or groups of them.
        lr: learning rate, a number or a schedule.
        rho: decay of the means, in [0, 1).
        eps: term of both roots.
        weight_decay: this multiple of a parameter is added to its gradient.
        maximize: whether to ascend.

    Raises:
        ValueError: for a rho outside [0, 1) or a negative eps.

    References:
        Zeiler 2012, "ADADELTA: an adaptive learning rate method", arXiv:1212.5701.

    Example:
        >>> w = sp.tensor(1.0)
        >>> sp.optim.Adadelta([w]).apply_gradients([(sp.tensor(1.0), w)])
        >>> w.item() < 1.0
        True
    """

    def __init__(
        self,
        params: Tree,
        lr: Rate = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        self.rho, self.eps = _fraction("rho", rho), non_negative("eps", eps)
        super().__init__(params, lr, weight_decay=weight_decay, maximize=maximize)

    def initial(self) -> Mapping[str, float]:
        """The slots: the running means of squared gradients and steps."""
        return {"square": 0.0, "moved": 0.0}

    def update(self, param: Tensor, grad: Tensor, slots: Slots, lr: float | Tensor, count: Tensor) -> None:
        """Applies the update rule of the class to one parameter, in place.

        Args:
            param: the parameter.
            grad: its gradient.
            slots: its slots.
            lr: the learning rate of this step.
            count: number of updates of the parameter, this one included; int64, 0-d.
        """
        square, moved = slots["square"], slots["moved"]
        square *= self.rho
        square += grad * grad * (1 - self.rho)
        step = _core.sqrt(moved + self.eps) / _core.sqrt(square + self.eps) * grad
        moved *= self.rho
        moved += step * step * (1 - self.rho)
        param -= step * lr


class _WithMeans(Optimizer):
    """Base of optimisers with two running means and bias correction."""

    counts_updates = True
    exact_rate = True

    def __init__(
        self,
        params: Tree,
        lr: Rate,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        maximize: bool,
    ) -> None:
        self.betas = _two_fractions("betas", betas)
        self.eps = non_negative("eps", eps)
        super().__init__(params, lr, weight_decay=weight_decay, maximize=maximize)

    def initial(self) -> Mapping[str, float]:
        """The slots: the running means of the gradient and of its square."""
        return {"mean": 0.0, "square": 0.0}

    def _means(self, grad: Tensor, slots: Slots) -> tuple[Tensor, Tensor]:
        mean, square = slots["mean"], slots["square"]
        mean *= self.betas[0]
        mean += grad * (1 - self.betas[0])
        square *= self.betas[1]
        square += grad * grad * (1 - self.betas[1])
        return mean, square


class Adamax(_WithMeans):
    """Adamax: Adam with a decaying maximum of abs(g) in the place of the root.

    Args:
        params: a tree of tensors, or groups of them.
        lr: learning rate, a number or a schedule.
        betas: decay of the mean and of the maximum, in [0, 1).
        eps: term added to abs(g).
        weight_decay: this multiple of a parameter is added to its gradient.
        maximize: whether to ascend.

    Raises:
        ValueError: for betas outside [0, 1) or a negative eps.

    References:
        Kingma and Ba 2015, "Adam: a method for stochastic optimization", arXiv:1412.6980, section 7.1.

    Example:
        >>> w = sp.tensor(1.0)
        >>> sp.optim.Adamax([w]).apply_gradients([(sp.tensor(1.0), w)])
        >>> round(w.item(), 4)
        0.998
    """

    def __init__(
        self,
        params: Tree,
        lr: Rate = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, maximize)

    def initial(self) -> Mapping[str, float]:
        """The slots: the running mean and the maximum."""
        return {"mean": 0.0, "largest": 0.0}

    def update(self, param: Tensor, grad: Tensor, slots: Slots, lr: float | Tensor, count: Tensor) -> None:
        """Applies the update rule of the class to one parameter, in place.

        Args:
            param: the parameter.
            grad: its gradient.
            slots: its slots.
            lr: the learning rate of this step.
            count: number of updates of the parameter, this one included; int64, 0-d.
        """
        mean, largest = slots["mean"], slots["largest"]
        mean *= self.betas[0]
        mean += grad * (1 - self.betas[0])
        largest[...] = _core.maximum(largest * self.betas[1], _core.abs(grad) + self.eps)
        rate = lr / (1 - self.betas[0] ** count.astype(_core.float64))
        param -= mean * rate.astype(param.dtype) / largest


class NAdam(_WithMeans):
    """NAdam: Adam with Nesterov momentum, whose decay grows with the step.

    Args:
        params: a tree of tensors, or groups of them.
        lr: learning rate, a number or a schedule.
        betas: decay of the two means, in [0, 1).
        eps: term of the denominator.
        weight_decay: this multiple of a parameter is added to its gradient.
        maximize: whether to ascend.
        momentum_decay: the momentum of step t is betas[0] (1 - .96**(t * momentum_decay) / 2).

    Raises:
        ValueError: for betas outside [0, 1), a negative eps or decay.

    References:
        Dozat 2016, "Incorporating Nesterov momentum into Adam", ICLR workshop.

    Example:
        >>> w = sp.tensor(1.0)
        >>> sp.optim.NAdam([w]).apply_gradients([(sp.tensor(1.0), w)])
        >>> w.item() < 1.0
        True
    """

    def __init__(
        self,
        params: Tree,
        lr: Rate = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        maximize: bool = False,
        momentum_decay: float = 4e-3,
    ) -> None:
        self.momentum_decay = non_negative("momentum_decay", momentum_decay)
        super().__init__(params, lr, betas, eps, weight_decay, maximize)

    def initial(self) -> Mapping[str, float]:
        """The slots: the running means, and the product of the momenta."""
        return {**super().initial(), "product": 1.0}

    def update(self, param: Tensor, grad: Tensor, slots: Slots, lr: float | Tensor, count: Tensor) -> None:
        """Applies the update rule of the class to one parameter, in place.

        Args:
            param: the parameter.
            grad: its gradient.
            slots: its slots.
            lr: the learning rate of this step.
            count: number of updates of the parameter, this one included; int64, 0-d.
        """
        steps, product, dtype = count.astype(_core.float64), slots["product"], param.dtype
        now, after = ((1 - 0.5 * 0.96 ** (t * self.momentum_decay)) * self.betas[0] for t in (steps, steps + 1))
        product *= now.astype(dtype)
        mean, square = self._means(grad, slots)
        root = _core.sqrt(square / (1 - self.betas[1] ** steps).astype(dtype)) + self.eps
        param -= grad / root * (lr * (1 - now)).astype(dtype) / (1 - product)
        param -= mean / root * (lr * after).astype(dtype) / (1 - product * after.astype(dtype))


class RAdam(_WithMeans):
    """RAdam: Adam whose step is rectified while the mean of squares has seen too little, and plain momentum before.

    Args:
        params: a tree of tensors, or groups of them.
        lr: learning rate, a number or a schedule.
        betas: decay of the two means, in [0, 1).
        eps: term of the denominator.
        weight_decay: this multiple of a parameter is added to its gradient.
        maximize: whether to ascend.

    Raises:
        ValueError: for betas outside [0, 1) or a negative eps.

    References:
        Liu et al. 2020, "On the variance of the adaptive learning rate and beyond", arXiv:1908.03265.

    Example:
        >>> w = sp.tensor(1.0)
        >>> sp.optim.RAdam([w]).apply_gradients([(sp.tensor(1.0), w)])
        >>> round(w.item(), 4)
        0.999
    """

    def __init__(
        self,
        params: Tree,
        lr: Rate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, maximize)

    def update(self, param: Tensor, grad: Tensor, slots: Slots, lr: float | Tensor, count: Tensor) -> None:
        """Applies the update rule of the class to one parameter, in place.

        Args:
            param: the parameter.
            grad: its gradient.
            slots: its slots.
            lr: the learning rate of this step.
            count: number of updates of the parameter, this one included; int64, 0-d.
        """
        (first, second), steps = self.betas, count.astype(_core.float64)
        mean, square = self._means(grad, slots)
        most = 2 / (1 - second) - 1
        length = most - 2 * steps * second**steps / (1 - second**steps)
        trusted = length > 5
        safe = _core.where(trusted, length, 6.0)
        ratio = (safe - 4) * (safe - 2) * most / ((most - 4) * (most - 2) * safe)
        factor = _core.sqrt(ratio) * _core.sqrt(1 - second**steps)
        adaptive = factor.astype(param.dtype) / (_core.sqrt(square) + self.eps)
        corrected = mean * (lr / (1 - first**steps)).astype(param.dtype)
        param -= corrected * _core.where(trusted, adaptive, _core.ones_like(adaptive))


class Lion(Optimizer):
    """Lion: the sign of a mix of momentum and gradient, with decoupled weight decay.

    Args:
        params: a tree of tensors, or groups of them.
        lr: learning rate, a number or a schedule; a third to a tenth of Adam's.
        betas: share of the momentum in the step, and its decay, in [0, 1).
        weight_decay: lr * weight_decay * w is subtracted from the parameter itself.
        maximize: whether to ascend.

    Raises:
        ValueError: for betas outside [0, 1).

    References:
        Chen et al. 2023, "Symbolic discovery of optimization algorithms", arXiv:2302.06675.

    Example:
        >>> w = sp.tensor(1.0)
        >>> sp.optim.Lion([w], lr=0.25).apply_gradients([(sp.tensor(3.0), w)])
        >>> w.item()
        0.75
    """

    couples_decay = False

    def __init__(
        self,
        params: Tree,
        lr: Rate = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        self.betas = _two_fractions("betas", betas)
        super().__init__(params, lr, weight_decay=weight_decay, maximize=maximize)

    def initial(self) -> Mapping[str, float]:
        """The slots: the momentum."""
        return {"mean": 0.0}

    def update(self, param: Tensor, grad: Tensor, slots: Slots, lr: float | Tensor, count: Tensor) -> None:
        """Applies the update rule of the class to one parameter, in place.

        Args:
            param: the parameter.
            grad: its gradient.
            slots: its slots.
            lr: the learning rate of this step.
            count: number of updates of the parameter, this one included; int64, 0-d.
        """
        mean = slots["mean"]
        step = _core.sign(mean * self.betas[0] + grad * (1 - self.betas[0]))
        param *= 1 - lr * self.decay_of(param)
        param -= step * lr
        mean *= self.betas[1]
        mean += grad * (1 - self.betas[1])
