"""The base of all optimisers: parameters, learning rate, sign, and the state that is saved.

A subclass defines its slots (tensors like the parameter) and the update of one parameter. Everything else is here:
``apply_gradients`` is the only place where a first-order step is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from steep import _core, tree
from steep._core import Tensor
from steep.compiling.active import guard_options, host_value
from steep.reals import real
from steep.tree import Tree

Rate: TypeAlias = float | Callable[[int], float]
Slots: TypeAlias = dict[str, Tensor]
Gradients: TypeAlias = list[Tensor | None]
Evaluate: TypeAlias = Callable[..., tuple[Any, Gradients]]
Product: TypeAlias = Callable[[list[Tensor]], list[Tensor]]


class Optimizer:
    """Base of all optimisers: updates the leaves of a tree in place along their gradients.

    A subclass defines ``initial``, its slots (tensors like the parameter), and ``update``, the rule for one parameter.

    Args:
        params: a tree of tensors (dicts, lists, tuples, ...) that are updated in place; or groups as in PyTorch, a list
            of dicts with "params" and, where they differ, "lr" and "weight_decay".
        lr: learning rate, a number or a schedule, any callable from the step's number (from 0) to a number.
        weight_decay: this multiple of a parameter is added to its gradient.
        maximize: whether to ascend.

    Raises:
        ValueError: for a negative learning rate, no parameters, one that was computed from tensors that require
            gradients, one in two groups, or another option of a group.
        TypeError: for a leaf that is not a tensor.

    Example:
        >>> class Sign(sp.optim.Optimizer):
        ...     def initial(self):
        ...         return {}
        ...     def update(self, param, grad, slots, lr, count):
        ...         param -= sp.sign(grad) * lr
        >>> w = sp.tensor([2.0, -3.0])
        >>> Sign([w], lr=0.5).apply_gradients([(sp.tensor([0.1, -7.0]), w)])
        >>> w.tolist()
        [1.5, -2.5]
    """

    order = 1  # the derivatives it asks for: 0, values alone; 1, gradients; 2, products with the Hessian too
    converged = ""  # why the last step found the tolerances met, "" if it did not
    couples_decay = True
    counts_updates = False  # whether update() needs the number of updates of each parameter
    exact_rate = False  # whether update() takes the rate in double precision rather than the parameter's

    def __init__(self, params: Tree, lr: Rate, *, weight_decay: float = 0.0, maximize: bool = False) -> None:
        self._groups = groups_of(params)
        self.params = [param for group in self._groups for param in group["params"]]
        self.lr = lr
        self.weight_decay = non_negative("weight_decay", weight_decay)
        self._group_index = tuple(i for i, group in enumerate(self._groups) for _ in group["params"])
        self._decays = tuple(group.get("weight_decay") for group in self._groups)
        self.maximize = maximize
        self._steps = _core.zeros((), dtype=_core.int64)  # a tensor, so that compiled steps count too
        self._index = {id(param): i for i, param in enumerate(self.params)}
        self._counts = [_core.zeros((), dtype=_core.int64) for _ in self.params]
        self._slots = [self._fresh_slots(param) for param in self.params]
        if not callable(lr):
            _checked_rate(lr)

    def __repr__(self) -> str:
        options = {k: v for k, v in vars(self).items() if not k.startswith("_") and k != "params"}
        shown = [
            f"{k}={getattr(v, '__name__', v)}" for k, v in options.items() if not isinstance(v, list | dict | Tensor)
        ]
        dtypes = sorted({str(p.dtype) for p in self.params})
        held = f"{len(self.params)} tensors of {'/'.join(dtypes)}, {sum(p.size for p in self.params)} numbers"
        return f"{type(self).__name__}({', '.join(shown)}; {held})"

    # -- for subclasses -----------------------------------------------------------------------------------------

    def initial(self) -> Mapping[str, float]:
        """The slots kept for each parameter and their initial values; to be overridden.

        Returns:
            A dict of numbers by name.
        """
        return {}

    def update(self, param: Tensor, grad: Tensor, slots: Slots, lr: float | Tensor, count: Tensor) -> None:
        """Updates one parameter in place; to be overridden.

        Args:
            param: the parameter.
            grad: its gradient.
            slots: its slots.
            lr: the learning rate, a number, or a 0-d tensor in a compiled step whose rate follows a schedule.
            count: number of updates of the parameter, this one included; int64, 0-d.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no update")

    # -- for users ----------------------------------------------------------------------------------------------

    @property
    def steps(self) -> int:
        """How many steps have been made."""
        return int(self._steps)

    @steps.setter
    def steps(self, value: int) -> None:
        """Number of steps made."""
        self._steps[...] = value

    def rate(self) -> float:
        """The learning rate of the next step.

        Returns:
            A float.

        Raises:
            ValueError: if it is negative or not finite.
        """
        return self._rate_of(self.lr)

    def _rate_of(self, lr: Rate) -> float:
        return _checked_rate(lr(self.steps) if callable(lr) else lr)

    def _rate(self, lr: Rate) -> float | Tensor:
        """The rate as a step uses it: in a compiled step, a schedule is evaluated before every replay."""
        return host_value(lambda: self._rate_of(lr)) if callable(lr) else self._rate_of(lr)

    def decay_of(self, param: Tensor) -> float:
        """The weight decay of a parameter: that of its group, or the optimiser's.

        Args:
            param: the parameter.

        Returns:
            A float.
        """
        own = self._decays[self._group_index[self._position(param)]]
        return self.weight_decay if own is None else own

    def zero_grad(self) -> None:
        """Sets the ``.grad`` of every parameter to None."""
        for param in self.params:
            param.grad = None

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step from the parameters' ``.grad``. No step is made from a loss that is not finite.

        Args:
            closure: if given, computes the gradients and returns the loss.

        Returns:
            What the closure returned.

        Raises:
            ValueError: if no parameter has a gradient.
        """
        return self.advance(lambda: (closure() if closure else None, [param.grad for param in self.params]))

    def advance(
        self,
        evaluate: Evaluate,
        update: Callable[[Gradients], None] | None = None,
        product: Product | None = None,
    ) -> Any:
        """One step from what ``evaluate`` returns.

        Args:
            evaluate: returns the loss and a gradient (or None) for each parameter, in order; none if ``order`` is 0.
            update: replaces ``apply_gradients``; the one loop passes its compiled form.
            product: the Hessian at the parameters times a list of tensors like them; for optimisers of order 2.

        Returns:
            The loss.
        """
        loss, gradients = evaluate()
        if loss is None or math.isfinite(float(loss)):
            (update or self._apply)(gradients)
        return loss

    def _apply(self, gradients: Gradients) -> None:
        self.apply_gradients(zip(gradients, self.params, strict=True))

    def apply_gradients(self, pairs: Iterable[tuple[Any, Tensor]]) -> None:
        """One step from pairs (gradient, parameter), as in Keras; a gradient of None leaves its parameter unchanged.

        Args:
            pairs: the pairs.

        Raises:
            ValueError: if all gradients are None, if a tensor is not one of ``params``, or if shapes differ; nothing is
                updated then.

        Example:
            >>> w = sp.tensor(1.0)
            >>> sp.optim.SGD([w], lr=0.1).apply_gradients([(sp.tensor(2.0), w)])
            >>> round(w.item(), 6)
            0.8
        """
        updates = [
            (self._position(param), param, _checked_gradient(param, grad)) for grad, param in pairs if grad is not None
        ]
        if not updates:
            raise ValueError(f"{type(self).__name__}: no parameter has a gradient; call backward() on a loss first")
        guard_options(self)
        rates = [self._rate(group.get("lr", self.lr)) for group in self._groups]
        with _core.no_grad():
            for i, param, grad in updates:
                if self.counts_updates:
                    self._counts[i] += 1
                lr = rates[self._group_index[i]]
                mine = lr if self.exact_rate or not isinstance(lr, Tensor) else lr.astype(param.dtype)
                self.update(param, self._effective(param, grad), self._slots[i], mine, self._counts[i])
            self._steps += 1

    def state_dict(self) -> dict[str, Any]:
        """Everything that later steps depend on besides parameters and options; tensors are copied.

        Returns:
            A dict of tensors and plain values.
        """
        slots = [{name: copy_of(value) for name, value in slot.items()} for slot in self._slots]
        return {
            "kind": type(self).__name__,
            "steps": self.steps,
            "counts": [int(count) for count in self._counts],
            "slots": slots,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what ``state_dict`` returned.

        Args:
            state: the state.

        Raises:
            ValueError: if it belongs to another optimiser or model.
        """
        self._check_state(state)
        self.steps = state["steps"]
        for mine, count in zip(self._counts, state["counts"], strict=True):
            mine[...] = count
        for slots, saved in zip(self._slots, state["slots"], strict=True):
            for name, value in saved.items():
                slots[name][...] = value

    # -- inside -------------------------------------------------------------------------------------------------

    def _fresh_slots(self, param: Tensor) -> Slots:
        return {name: _core.full_like(param.detach(), value) for name, value in self.initial().items()}

    def _effective(self, param: Tensor, grad: Tensor) -> Tensor:
        grad = -grad if self.maximize else grad
        decay = self.decay_of(param) if self.couples_decay else 0.0
        return grad + param * decay if decay else grad

    def _position(self, param: Tensor) -> int:
        at = self._index.get(id(param))
        if at is None:
            raise ValueError(f"{type(self).__name__}: a tensor of shape {param.shape} is not one of its parameters")
        return at

    def _check_state(self, state: Mapping[str, Any]) -> None:
        if state.get("kind") != type(self).__name__:
            raise ValueError(f"the state of {state.get('kind')} cannot be loaded into {type(self).__name__}")
        mine = [{name: value.shape for name, value in slot.items()} for slot in self._slots]
        theirs = [{name: value.shape for name, value in slot.items()} for slot in state["slots"]]
        if mine != theirs:
            raise ValueError(f"{type(self).__name__}: the state has slots {theirs}, the parameters need {mine}")


def _tensors(params: Tree) -> list[Tensor]:
    params = list(params) if isinstance(params, Iterator) else params
    found = tree.leaves(params)
    if not found:
        raise ValueError("an optimiser needs at least one parameter, got none")
    for leaf in found:
        if not isinstance(leaf, Tensor):
            raise TypeError(f"parameters must be tensors, got {_instead(leaf)}")
        if leaf.dtype.kind != "f":
            raise TypeError(
                f"parameters must be of floats, got {leaf.dtype}{tuple(leaf.shape)}; use astype(steep.float32)"
            )
        if not leaf.is_leaf:
            raise ValueError(
                f"parameters must be leaves, got {leaf.dtype}{tuple(leaf.shape)} computed from tensors that require "
                "gradients; pass those, or detach() it"
            )
    return list({id(leaf): leaf for leaf in found}.values())


def _instead(leaf: Any) -> str:
    """What is no parameter, and what to pass in its place."""
    kind = type(leaf)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__.split('.')[0]}.{kind.__name__}"
    if callable(getattr(leaf, "parameters", None)):
        return f"{name}; pass its parameters()"
    if isinstance(leaf, str):
        return f"the name {leaf!r}; pass parameters(), or dict(named_parameters())"
    if hasattr(leaf, "__array__") or hasattr(leaf, "__dlpack__"):
        detached = "w.detach()" if getattr(leaf, "requires_grad", False) else "w"
        whose = f"{name}{tuple(getattr(leaf, 'shape', ()))}"
        return (
            f"{whose}, which steep cannot write to; make a tensor of it, w = steep.tensor({detached}), and train that"
        )
    return f"{name}; use steep.tensor(...)"


GROUP_OPTIONS = ("lr", "params", "weight_decay")


def groups_of(params: Tree) -> list[dict[str, Any]]:
    """Parameters as groups, each a dict with the list "params" and options of its own.

    Args:
        params: a tree of tensors, or a list of dicts with "params".

    Returns:
        A list of dicts.

    Raises:
        ValueError: for an option that groups do not have, or a parameter in two groups.
    """
    grouped = isinstance(params, list | tuple) and params and all(isinstance(g, dict) and "params" in g for g in params)
    if not grouped:
        return [{"params": _tensors(params)}]
    groups = [{**group, "params": _tensors(group["params"])} for group in params]
    unknown = sorted({name for group in groups for name in group} - set(GROUP_OPTIONS))
    if unknown:
        raise ValueError(f"a group of parameters has the options lr and weight_decay, got {unknown}")
    seen = [id(param) for group in groups for param in group["params"]]
    if len(set(seen)) != len(seen):
        raise ValueError("a parameter is in two groups")
    for group in groups:
        non_negative("weight_decay", group.get("weight_decay", 0.0))
        if "lr" in group and not callable(group["lr"]):
            _checked_rate(group["lr"])
    return groups


def _checked_rate(lr: float) -> float:
    if real("the learning rate", lr) < 0:
        raise ValueError(f"the learning rate must not be negative, got {lr}; to ascend, pass maximize=True")
    if not math.isfinite(lr):
        raise ValueError(f"the learning rate must be finite, got {lr}")
    return float(lr)


def non_negative(name: str, value: float) -> float:
    """Checks an option.

    Args:
        name: its name, for the error message.
        value: its value.

    Returns:
        The value.

    Raises:
        ValueError: if it is negative or NaN.
    """
    if not real(name, value) >= 0:
        raise ValueError(f"{name} must not be negative, got {value}")
    return value


def _checked_gradient(param: Tensor, given: Any) -> Tensor:
    grad: Tensor = given if isinstance(given, Tensor) else _core.asarray(given)
    if grad.shape != param.shape:
        raise ValueError(f"a gradient of shape {grad.shape} does not fit a parameter of shape {param.shape}")
    return grad if grad.dtype == param.dtype else grad.astype(param.dtype)


def copy_of(value: Tensor) -> Tensor:
    """A copy that shares no memory with ``value``.

    Args:
        value: a tensor.

    Returns:
        A tensor.
    """
    return _core.asarray(value, copy=True)
