"""Functions with derivatives of one's own: ``custom_vjp``, and ``checkpoint``, which trades memory for time.

Both record one node whose rule is Python. Start reading at ``_record``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper, wraps
from typing import Any

from steep import _core, tree
from steep._core import Tensor


def _is_float_tensor(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.dtype.kind == "f"


class custom_vjp:
    """A function whose reverse derivative is given by hand; use as a decorator, then ``defvjp(fwd, bwd)``.

    ``fwd(*args) -> (result, residuals)`` runs in place of the function where gradients are recorded;
    ``bwd(residuals, cotangent) -> gradients``, a tuple with one entry (None for no gradient) for each argument. The
    result may be a tree of tensors; the cotangent then has its structure. Derivatives of higher order go through
    ``fwd`` and ``bwd``; so does forward mode.
    """

    def __init__(self, f: Callable[..., Any]) -> None:
        update_wrapper(self, f)
        self.name = getattr(f, "__name__", "function")
        self.f = f
        self.fwd: Callable[..., Any] | None = None
        self.bwd: Callable[..., Any] | None = None

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> None:
        """Sets the forward rule and the backward rule."""
        self.fwd, self.bwd = fwd, bwd

    def __call__(self, *args: Any) -> Any:
        if self.fwd is None or self.bwd is None:
            raise _core.GradientError(f"custom_vjp: {self.name} has no rule yet; call {self.name}.defvjp(fwd, bwd)")
        leaves = tree.leaves(args)
        if not _core.is_grad_enabled() or not any(isinstance(x, Tensor) and x.requires_grad for x in leaves):
            return self.f(*args)
        return self._recorded(args, leaves)

    def _recorded(self, args: tuple[Any, ...], leaves: list[Any]) -> Any:
        assert self.fwd is not None
        result, residuals = self.fwd(*args)
        outputs, shape = tree.flatten(result)
        values = [_core.asarray(y).detach() for y in outputs]
        inputs = [x if _is_float_tensor(x) else None for x in leaves]

        def rule_of(i: int) -> Callable[[Tensor], list[Any]]:
            def rule(g: Tensor) -> list[Any]:
                seeds = [g if j == i else _core.zeros_like(y) for j, y in enumerate(values)]
                return self._pull(residuals, tree.unflatten(shape, seeds), args)

            return rule

        name = f"custom_vjp {self.name}"
        made = [_core._record_rule(name, y, inputs, rule_of(i)) for i, y in enumerate(values)]
        return tree.unflatten(shape, made)

    def _pull(self, residuals: Any, cotangent: Any, args: tuple[Any, ...]) -> list[Any]:
        assert self.bwd is not None
        gradients = self.bwd(residuals, cotangent)
        if not isinstance(gradients, tuple):
            gradients = (gradients,)
        if len(gradients) != len(args):
            raise _core.GradientError(
                f"custom_vjp: the backward rule of {self.name} returned {len(gradients)} gradients "
                f"for {len(args)} arguments"
            )
        found: list[Any] = []
        for argument, gradient in zip(args, gradients, strict=True):
            shape = tree.structure(argument)
            found += [None] * shape.size if gradient is None else tree.match(shape, gradient, "gradient")
        return found


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """``f`` without what its gradient would keep: the backward pass runs ``f`` again (Griewank 1992; Chen et al. 2016).

    ``f`` must give the same result both times. Tensors that ``f`` reads without being given them get their
    gradients too.
    """

    @wraps(f)
    def checkpointed(*args: Any) -> Any:
        leaves, shape = tree.flatten(args)
        if not _core.is_grad_enabled():
            return f(*args)
        since = _core._sequence()
        outputs, nodes, result = _run(f, leaves, shape)
        captured = _core._captured(outputs, [n for n in nodes if n is not None], since)
        values = [y.detach() for y in outputs]
        inputs = [x if _is_float_tensor(x) else None for x in leaves] + captured

        def rule_of(i: int) -> Callable[[Tensor], list[Any]]:
            def rule(g: Tensor) -> list[Any]:
                with _core.enable_grad():
                    again, at, _ = _run(f, leaves, shape)
                record = _core.is_grad_enabled()
                found = iter(
                    _core._walk_backward([again[i]], [g], [n for n in at if n is not None] + captured, record, 0)
                )
                return [None if n is None else next(found) for n in [*at, *captured]]

            return rule

        made = [_core._record_rule("checkpoint", y, inputs, rule_of(i)) for i, y in enumerate(values)]
        return tree.unflatten(tree.structure(result), made)

    return checkpointed


def _run(f: Callable[..., Any], leaves: list[Any], shape: tree.Structure) -> tuple[list[Tensor], list[Any], Any]:
    """``f`` on aliases of the arguments: its outputs, the aliases' nodes (None without gradient), its result."""
    pairs = [_core._watched_alias(x) if _is_float_tensor(x) else (x, None) for x in leaves]
    result = f(*tree.unflatten(shape, [x for x, _ in pairs]))
    return [_core.asarray(y) for y in tree.leaves(result)], [node for _, node in pairs], result
