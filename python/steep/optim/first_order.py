"""SGD, AdaGrad, RMSProp, Adam and AdamW: each is its slots and one short update rule.

``formulation`` chooses between the two forms in use where they differ: "torch" (PyTorch's) and "keras". At a constant
rate the two forms of SGD give the same iterates; they differ after the rate changes, since Keras keeps the rate inside
the velocity.
"""

from __future__ import annotations

from collections.abc import Mapping

from steep import _core
from steep._core import Tensor
from steep.optim.optimizer import Optimizer, Rate, Slots, non_negative
from steep.tree import Tree

FORMULATIONS = ("torch", "keras")


def _formulation(name: str) -> str:
    if name not in FORMULATIONS:
        raise ValueError(f"formulation must be one of {list(FORMULATIONS)}, got {name!r}")
    return name


def _fraction(name: str, value: float) -> float:
    if not 0 <= value < 1:
        raise ValueError(f"{name} must lie in [0, 1), got {value}")
    return value


class SGD(Optimizer):
    """Gradient descent, with momentum (heavy ball) or Nesterov's.

    torch: v = mu v + g, step lr v, or lr (g + mu v) for Nesterov. keras: v = mu v - lr g, step v, or mu v - lr g.
    Sources: Polyak 1964; Sutskever et al. 2013; notes table, rows 1, 15, 36, and 1d row C.
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
    ) -> None:
        self.momentum = non_negative("momentum", momentum)
        self.nesterov = nesterov
        self.formulation = _formulation(formulation)
        if nesterov and not momentum:
            raise ValueError("nesterov needs a momentum greater than 0")
        super().__init__(params, lr, weight_decay=weight_decay, maximize=maximize)

    def initial(self) -> Mapping[str, float]:
        """A velocity, if there is momentum."""
        return {"velocity": 0.0} if self.momentum else {}

    def update(self, param: Tensor, grad: Tensor, slots: Slots, lr: float | Tensor, count: Tensor) -> None:
        """As the class says."""
        if not self.momentum:
            param -= grad * lr
        elif self.formulation == "torch":
            self._torch(param, grad, slots["velocity"], lr)
        else:
            self._keras(param, grad, slots["velocity"], lr)

    def _torch(self, param: Tensor, grad: Tensor, velocity: Tensor, lr: float | Tensor) -> None:
        velocity *= self.momentum
        velocity += grad
        param -= (grad + velocity * self.momentum if self.nesterov else velocity) * lr

    def _keras(self, param: Tensor, grad: Tensor, velocity: Tensor, lr: float | Tensor) -> None:
        velocity *= self.momentum
        velocity -= grad * lr
        param += velocity * self.momentum - grad * lr if self.nesterov else velocity


class AdaGrad(Optimizer):
    """a += g^2, step lr g / root(a).

    torch: a starts at 0, root(a) = sqrt(a) + eps, eps 1e-10. keras: a starts at .1, root(a) = sqrt(a + eps), eps 1e-7.
    Sources: Duchi et al. 2011; notes table, row 16.
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
    ) -> None:
        torch = _formulation(formulation) == "torch"
        self.formulation = formulation
        self.eps = _default("eps", eps, 1e-10 if torch else 1e-7)
        self.initial_accumulator = _default("initial_accumulator", initial_accumulator, 0.0 if torch else 0.1)
        super().__init__(params, lr, weight_decay=weight_decay, maximize=maximize)

    def initial(self) -> Mapping[str, float]:
        """The accumulated squares."""
        return {"square": self.initial_accumulator}

    def update(self, param: Tensor, grad: Tensor, slots: Slots, lr: float | Tensor, count: Tensor) -> None:
        """As the class says."""
        square = slots["square"]
        square += grad * grad
        param -= grad * lr / _root(square, self.eps, self.formulation)


class RMSProp(Optimizer):
    """a = rho a + (1 - rho) g^2, step lr g / root(a).

    torch: rho .99, root(a) = sqrt(a) + eps, eps 1e-8. keras: rho .9, root(a) = sqrt(a + eps), eps 1e-7.
    Sources: Hinton's lecture 6e, 2012; notes table, row 16.
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
    ) -> None:
        torch = _formulation(formulation) == "torch"
        self.formulation = formulation
        self.rho = _fraction("rho", _default("rho", rho, 0.99 if torch else 0.9))
        self.eps = _default("eps", eps, 1e-8 if torch else 1e-7)
        super().__init__(params, lr, weight_decay=weight_decay, maximize=maximize)

    def initial(self) -> Mapping[str, float]:
        """The running mean of squares."""
        return {"square": 0.0}

    def update(self, param: Tensor, grad: Tensor, slots: Slots, lr: float | Tensor, count: Tensor) -> None:
        """As the class says."""
        square = slots["square"]
        square *= self.rho
        square += grad * grad * (1 - self.rho)
        param -= grad * lr / _root(square, self.eps, self.formulation)


class Adam(Optimizer):
    """m and a, running means of g and g^2, corrected for their start: step lr m / (sqrt(a) + eps).

    Source: Kingma and Ba 2015, arXiv:1412.6980, in PyTorch's form.
    """

    counts_updates = True
    exact_rate = True  # lr / (1 - first^t) is rounded once

    def __init__(
        self,
        params: Tree,
        lr: Rate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        self.betas = (_fraction("betas[0]", betas[0]), _fraction("betas[1]", betas[1]))
        self.eps = non_negative("eps", eps)
        super().__init__(params, lr, weight_decay=weight_decay, maximize=maximize)

    def initial(self) -> Mapping[str, float]:
        """The running means of the gradient and of its square."""
        return {"mean": 0.0, "square": 0.0}

    def update(self, param: Tensor, grad: Tensor, slots: Slots, lr: float | Tensor, count: Tensor) -> None:
        """As the class says."""
        mean, square = slots["mean"], slots["square"]
        first, second = self.betas
        mean *= first
        mean += grad * (1 - first)
        square *= second
        square += grad * grad * (1 - second)
        steps = count.astype(_core.float64)
        root = _core.sqrt(square) / _core.sqrt(1 - second**steps).astype(param.dtype) + self.eps
        param -= mean * (lr / (1 - first**steps)).astype(param.dtype) / root


class AdamW(Adam):
    """Adam with the decay taken off the parameter itself, lr * weight_decay * w, instead of added to its gradient.

    Source: Loshchilov and Hutter 2019, arXiv:1711.05101, in PyTorch's form.
    """

    couples_decay = False

    def __init__(
        self,
        params: Tree,
        lr: Rate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, maximize)

    def update(self, param: Tensor, grad: Tensor, slots: Slots, lr: float | Tensor, count: Tensor) -> None:
        """As the class says."""
        param *= 1 - lr * self.weight_decay
        super().update(param, grad, slots, lr, count)


def _default(name: str, value: float | None, otherwise: float) -> float:
    return otherwise if value is None else non_negative(name, value)


def _root(square: Tensor, eps: float, formulation: str) -> Tensor:
    return _core.sqrt(square + eps) if formulation == "keras" else _core.sqrt(square) + eps
