"""SGD, AdaGrad, RMSProp, Adam and AdamW: each consists of its slots and one short update rule.

``formulation`` selects one of two common forms where they differ: "torch" (PyTorch's) or "keras". At a constant rate
the two forms of SGD give the same iterates; they differ after the rate changes, since Keras includes the rate in the
velocity.
"""

from __future__ import annotations

from collections.abc import Mapping

from steep import _core
from steep._core import Tensor
from steep.optim.optimizer import Optimizer, Rate, Slots, non_negative
from steep.reals import real
from steep.tree import Tree

FORMULATIONS = ("torch", "keras")


def _formulation(name: str) -> str:
    if name not in FORMULATIONS:
        raise ValueError(f"formulation must be one of {list(FORMULATIONS)}, got {name!r}")
    return name


def _fraction(name: str, value: float) -> float:
    if not 0 <= real(name, value) < 1:
        raise ValueError(f"{name} must lie in [0, 1), got {value}")
    return value


def _two_fractions(name: str, values: tuple[float, float]) -> tuple[float, float]:
    if not isinstance(values, tuple | list) or len(values) != 2:
        raise ValueError(f"{name} must be two numbers in [0, 1), got {values!r}")
    return _fraction(f"{name}[0]", values[0]), _fraction(f"{name}[1]", values[1])


class SGD(Optimizer):
    """Gradient descent, with momentum (heavy ball) or Nesterov momentum.

    torch: v = momentum v + g, step lr v, or lr (g + momentum v) for Nesterov. keras: v = momentum v - lr g, step v, or
    momentum v - lr g. The two give the same iterates at a constant learning rate.

    Args:
        params: a tree of tensors (dicts, lists, tuples, ...) that are updated in place.
        lr: learning rate, a number or a schedule, any callable from the step's number (from 0) to a number.
        momentum: decay of the velocity, in [0, 1).
        nesterov: whether to use Nesterov momentum.
        formulation: "torch" or "keras".
        weight_decay: this multiple of a parameter is added to its gradient.
        maximize: whether to ascend.
        dampening: the velocity gets (1 - dampening) g after its first step; only "torch", and not with Nesterov.

    Raises:
        ValueError: for a momentum outside [0, 1), or Nesterov without momentum or with dampening.

    References:
        Polyak 1964, doi:10.1016/0041-5553(64)90137-5; Sutskever et al. 2013, "On the importance of initialization and
        momentum in deep learning", ICML.

    Example:
        >>> w = sp.tensor(1.0, requires_grad=True)
        >>> opt = sp.optim.SGD([w], lr=0.1, momentum=0.9)
        >>> (w * w / 2).backward()
        >>> opt.step()
        >>> w.item() < 1.0
        True
    """

    def __init__(
        self,
        params: Tree,
        lr: Rate,
        momentum: float = 0.0,
        nesterov: bool = False,
        formulation: str = "torch",
        weight_decay: float = 0.0,
        maximize: bool = False,
        dampening: float = 0.0,
    ) -> None:
        self.momentum = non_negative("momentum", momentum)
        self.nesterov, self.dampening = nesterov, dampening
        self.formulation = _formulation(formulation)
        self.counts_updates = dampening != 0
        if dampening and (nesterov or formulation != "torch"):
            raise ValueError("dampening is of the formulation 'torch', without Nesterov momentum")
        if nesterov and not momentum:
            raise ValueError("nesterov needs a momentum greater than 0")
        super().__init__(params, lr, weight_decay=weight_decay, maximize=maximize)

    def initial(self) -> Mapping[str, float]:
        """The slots: a velocity, if there is momentum."""
        return {"velocity": 0.0} if self.momentum else {}

    def update(self, param: Tensor, grad: Tensor, slots: Slots, lr: float | Tensor, count: Tensor) -> None:
        """Applies the update rule of the class to one parameter, in place.

        Args:
            param: the parameter.
            grad: its gradient.
            slots: its slots.
            lr: the learning rate of this step.
            count: number of updates of the parameter, this one included; int64, 0-d.
        """
        if not self.momentum:
            param -= grad * lr
        elif self.formulation == "torch":
            self._torch(param, grad, slots["velocity"], lr, count)
        else:
            self._keras(param, grad, slots["velocity"], lr)

    def _torch(self, param: Tensor, grad: Tensor, velocity: Tensor, lr: float | Tensor, count: Tensor) -> None:
        velocity *= self.momentum
        velocity += (
            grad * _core.where(count == 1, 1.0, 1 - self.dampening).astype(grad.dtype) if self.dampening else grad
        )
        param -= (grad + velocity * self.momentum if self.nesterov else velocity) * lr

    def _keras(self, param: Tensor, grad: Tensor, velocity: Tensor, lr: float | Tensor) -> None:
        velocity *= self.momentum
        velocity -= grad * lr
        param += velocity * self.momentum - grad * lr if self.nesterov else velocity


class AdaGrad(Optimizer):
    """AdaGrad: a += g^2, step lr g / root(a).

    torch: a starts at 0, root(a) = sqrt(a) + eps, eps 1e-10. keras: a starts at .1, root(a) = sqrt(a + eps), eps 1e-7.

    Args:
        params: a tree of tensors (dicts, lists, tuples, ...) that are updated in place.
        lr: learning rate, a number or a schedule, any callable from the step's number (from 0) to a number.
        eps: term of the denominator; that of the formulation if None.
        initial_accumulator: initial a; that of the formulation if None.
        formulation: "torch" or "keras".
        weight_decay: this multiple of a parameter is added to its gradient.
        maximize: whether to ascend.
        lr_decay: the rate of a parameter's update t, from 0, is divided by 1 + t * lr_decay.

    Raises:
        ValueError: for a negative eps, accumulator or decay, or an unknown formulation.

    References:
        Duchi et al. 2011, "Adaptive subgradient methods for online learning and stochastic optimization", JMLR 12.

    Example:
        >>> w = sp.tensor(1.0, requires_grad=True)
        >>> opt = sp.optim.AdaGrad([w], lr=0.1)
        >>> (w * w / 2).backward()
        >>> opt.step()
        >>> w.item() < 1.0
        True
    """

    def __init__(
        self,
        params: Tree,
        lr: Rate = 1e-2,
        eps: float | None = None,
        initial_accumulator: float | None = None,
        formulation: str = "torch",
        weight_decay: float = 0.0,
        maximize: bool = False,
        lr_decay: float = 0.0,
    ) -> None:
        self.lr_decay = non_negative("lr_decay", lr_decay)
        self.counts_updates = lr_decay != 0
        torch = _formulation(formulation) == "torch"
        self.formulation = formulation
        self.eps = _default("eps", eps, 1e-10 if torch else 1e-7)
        self.initial_accumulator = _default("initial_accumulator", initial_accumulator, 0.0 if torch else 0.1)
        super().__init__(params, lr, weight_decay=weight_decay, maximize=maximize)

    def initial(self) -> Mapping[str, float]:
        """The slots: the accumulated squares."""
        return {"square": self.initial_accumulator}

    def update(self, param: Tensor, grad: Tensor, slots: Slots, lr: float | Tensor, count: Tensor) -> None:
        """Applies the update rule of the class to one parameter, in place.

        Args:
            param: the parameter.
            grad: its gradient.
            slots: its slots.
            lr: the learning rate of this step.
            count: number of updates of the parameter, this one included; int64, 0-d.
        """
        square = slots["square"]
        square += grad * grad
        if self.lr_decay:
            lr = (lr / (1 + (count.astype(_core.float64) - 1) * self.lr_decay)).astype(param.dtype)
        param -= grad * lr / _root(square, self.eps, self.formulation)


class RMSProp(Optimizer):
    """RMSProp: a = rho a + (1 - rho) g^2, step lr g / root(a).

    torch: rho .99, root(a) = sqrt(a) + eps, eps 1e-8. keras: rho .9, root(a) = sqrt(a + eps), eps 1e-7. With momentum,
    torch: v = momentum v + g / root(a), step lr v; keras: v = momentum v + lr g / root(a), step v.

    Args:
        params: a tree of tensors (dicts, lists, tuples, ...) that are updated in place.
        lr: learning rate, a number or a schedule, any callable from the step's number (from 0) to a number.
        rho: decay of the mean of squares, in [0, 1), PyTorch's ``alpha``; that of the formulation if None.
        eps: term of the denominator; that of the formulation if None.
        formulation: "torch" or "keras".
        weight_decay: this multiple of a parameter is added to its gradient.
        maximize: whether to ascend.
        momentum: decay of a velocity.
        centered: whether a running mean of g, squared, is subtracted from a: the variance rather than the mean square.
        alpha: another name of ``rho``.

    Raises:
        ValueError: for a rho outside [0, 1), a negative eps or momentum, an unknown formulation, or both names of rho.

    References:
        Hinton 2012, *Neural Networks for Machine Learning*, lecture 6e.

    Example:
        >>> w = sp.tensor(1.0, requires_grad=True)
        >>> opt = sp.optim.RMSProp([w], lr=0.01)
        >>> (w * w / 2).backward()
        >>> opt.step()
        >>> w.item() < 1.0
        True
    """

    def __init__(
        self,
        params: Tree,
        lr: Rate = 1e-2,
        rho: float | None = None,
        eps: float | None = None,
        formulation: str = "torch",
        weight_decay: float = 0.0,
        maximize: bool = False,
        momentum: float = 0.0,
        centered: bool = False,
        alpha: float | None = None,
    ) -> None:
        torch = _formulation(formulation) == "torch"
        if alpha is not None and rho is not None:
            raise ValueError("RMSProp: rho and alpha are two names of one option")
        rho = alpha if rho is None else rho
        self.formulation, self.centered = formulation, centered
        self.momentum = non_negative("momentum", momentum)
        self.rho = _fraction("rho", _default("rho", rho, 0.99 if torch else 0.9))
        self.eps = _default("eps", eps, 1e-8 if torch else 1e-7)
        super().__init__(params, lr, weight_decay=weight_decay, maximize=maximize)

    def initial(self) -> Mapping[str, float]:
        """The slots: the running mean of squares; that of gradients if centered, a velocity if there is momentum."""
        more = {"mean": 0.0} if self.centered else {}
        return {"square": 0.0, **more, **({"velocity": 0.0} if self.momentum else {})}

    def update(self, param: Tensor, grad: Tensor, slots: Slots, lr: float | Tensor, count: Tensor) -> None:
        """Applies the update rule of the class to one parameter, in place.

        Args:
            param: the parameter.
            grad: its gradient.
            slots: its slots.
            lr: the learning rate of this step.
            count: number of updates of the parameter, this one included; int64, 0-d.
        """
        square = slots["square"]
        square *= self.rho
        square += grad * grad * (1 - self.rho)
        if self.centered:
            mean = slots["mean"]
            mean *= self.rho
            mean += grad * (1 - self.rho)
            square = square - mean * mean
        if not self.momentum:
            param -= grad * lr / _root(square, self.eps, self.formulation)
            return
        velocity, step = slots["velocity"], grad / _root(square, self.eps, self.formulation)
        velocity *= self.momentum
        velocity += step if self.formulation == "torch" else step * lr
        param -= velocity * lr if self.formulation == "torch" else velocity


class Adam(Optimizer):
    """Adam: m and a, running means of g and g^2 with bias correction; step lr m / (sqrt(a) + eps).

    keras: the corrections are factors of the rate, so that eps is added to the root of the uncorrected mean; eps 1e-7.

    Args:
        params: a tree of tensors (dicts, lists, tuples, ...) that are updated in place.
        lr: learning rate, a number or a schedule, any callable from the step's number (from 0) to a number.
        betas: decay of the two means, in [0, 1).
        eps: term of the denominator; that of the formulation if None.
        weight_decay: this multiple of a parameter is added to its gradient.
        maximize: whether to ascend.
        amsgrad: whether the largest mean of squares so far takes the place of the present one.
        formulation: "torch" or "keras".

    Raises:
        ValueError: for betas outside [0, 1), a negative eps, or an unknown formulation.

    References:
        Reddi et al. 2018, "On the convergence of Adam and beyond", arXiv:1904.09237;
        Kingma and Ba 2015, "Adam: a method for stochastic optimization", arXiv:1412.6980, in PyTorch's form.

    Example:
        >>> w = sp.tensor(1.0, requires_grad=True)
        >>> opt = sp.optim.Adam([w], lr=0.01)
        >>> (w * w / 2).backward()
        >>> opt.step()
        >>> w.item() < 1.0
        True
    """

    counts_updates = True
    exact_rate = True  # lr / (1 - first^t) is rounded once

    def __init__(
        self,
        params: Tree,
        lr: Rate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float | None = None,
        weight_decay: float = 0.0,
        maximize: bool = False,
        amsgrad: bool = False,
        formulation: str = "torch",
    ) -> None:
        self.betas = _two_fractions("betas", betas)
        self.amsgrad, self.formulation = amsgrad, _formulation(formulation)
        self.eps = _default("eps", eps, 1e-8 if formulation == "torch" else 1e-7)
        super().__init__(params, lr, weight_decay=weight_decay, maximize=maximize)

    def initial(self) -> Mapping[str, float]:
        """The slots: the running means of the gradient and of its square; the largest of these with ``amsgrad``."""
        return {"mean": 0.0, "square": 0.0, **({"largest": 0.0} if self.amsgrad else {})}

    def update(self, param: Tensor, grad: Tensor, slots: Slots, lr: float | Tensor, count: Tensor) -> None:
        """Applies the update rule of the class to one parameter, in place.

        Args:
            param: the parameter.
            grad: its gradient.
            slots: its slots.
            lr: the learning rate of this step.
            count: number of updates of the parameter, this one included; int64, 0-d.
        """
        mean, square = slots["mean"], slots["square"]
        first, second = self.betas
        mean *= first
        mean += grad * (1 - first)
        square *= second
        square += grad * grad * (1 - second)
        steps = count.astype(_core.float64)
        if self.amsgrad:
            slots["largest"][...] = _core.maximum(slots["largest"], square)
            square = slots["largest"]
        if self.formulation == "keras":
            rate = lr * _core.sqrt(1 - second**steps) / (1 - first**steps)
            param -= mean * rate.astype(param.dtype) / (_core.sqrt(square) + self.eps)
            return
        root = _core.sqrt(square) / _core.sqrt(1 - second**steps).astype(param.dtype) + self.eps
        param -= mean * (lr / (1 - first**steps)).astype(param.dtype) / root


class AdamW(Adam):
    """Adam with decoupled weight decay: lr * weight_decay * w is subtracted from the parameter itself.

    Args:
        params: a tree of tensors (dicts, lists, tuples, ...) that are updated in place.
        lr: learning rate, a number or a schedule, any callable from the step's number (from 0) to a number.
        betas: decay of the two means, in [0, 1).
        eps: term of the denominator; that of the formulation if None.
        weight_decay: the decay.
        maximize: whether to ascend.
        amsgrad: as in ``Adam``.
        formulation: "torch" or "keras".

    Raises:
        ValueError: for betas outside [0, 1), a negative eps, or an unknown formulation.

    References:
        Loshchilov and Hutter 2019, "Decoupled weight decay regularization", arXiv:1711.05101, in PyTorch's form.

    Example:
        >>> w = sp.tensor(1.0, requires_grad=True)
        >>> opt = sp.optim.AdamW([w], lr=0.01)
        >>> (w * w / 2).backward()
        >>> opt.step()
        >>> w.item() < 1.0
        True
    """

    couples_decay = False

    def __init__(
        self,
        params: Tree,
        lr: Rate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float | None = None,
        weight_decay: float = 1e-2,
        maximize: bool = False,
        amsgrad: bool = False,
        formulation: str = "torch",
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, maximize, amsgrad, formulation)

    def update(self, param: Tensor, grad: Tensor, slots: Slots, lr: float | Tensor, count: Tensor) -> None:
        """Applies the update rule of the class to one parameter, in place.

        Args:
            param: the parameter.
            grad: its gradient.
            slots: its slots.
            lr: the learning rate of this step.
            count: number of updates of the parameter, this one included; int64, 0-d.
        """
        param *= 1 - lr * self.decay_of(param)
        super().update(param, grad, slots, lr, count)


def _default(name: str, value: float | None, otherwise: float) -> float:
    return otherwise if value is None else non_negative(name, value)


def _root(square: Tensor, eps: float, formulation: str) -> Tensor:
    return _core.sqrt(square + eps) if formulation == "keras" else _core.sqrt(square) + eps
