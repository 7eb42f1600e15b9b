"""Functions with custom derivatives: ``custom_vjp``, and ``checkpoint``, which trades memory for time.

Both record one node with a Python rule. Start reading at ``_record``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import update_wrapper, wraps
from typing import Any

from steep import _core, random, tree
from steep._core import Tensor
from steep.tree import Tree


def _is_float_tensor(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.dtype.kind == "f"


class _Kept:
    """A tree saved for a rule: reading its tensors raises if they were written in place in the meantime."""

    def __init__(self, values: Tree, op: str) -> None:
        leaves, self.shape = tree.flatten(values)
        self.leaves = [_core._Kept(x) if isinstance(x, Tensor) else x for x in leaves]
        self.op = op

    def get(self) -> Tree:
        found = [x.get(self.op) if isinstance(x, _core._Kept) else x for x in self.leaves]
        return tree.unflatten(self.shape, found)


# The functions whose forward rules run now; not stored in each, so that functions with rules can be copied.
_in_forward: ContextVar[tuple[custom_vjp, ...]] = ContextVar("in_forward", default=())


class custom_vjp:
    """A function with a custom reverse-mode derivative; use it as a decorator, then call ``defvjp(fwd, bwd)``.

    ``fwd(*args) -> (result, residuals)`` runs in place of the function where gradients are recorded; ``bwd(residuals,
    cotangent) -> gradients`` returns a tuple with one entry (None for no gradient) per argument. The result may be a
    tree of tensors; the cotangent then has its structure. Higher-order derivatives and forward mode differentiate
    ``fwd`` and ``bwd``. ``fwd`` may call the function itself. A tensor that it reads without being passed it gets no
    gradient from ``bwd``: a backward pass that needs one raises GradientError.

    Args:
        f: the function.

    Example:
        >>> @sp.custom_vjp
        ... def clipped(x):
        ...     return sp.clip(x, -1, 1)
        >>> clipped.defvjp(lambda x: (sp.clip(x, -1, 1), None), lambda residuals, g: (g,))
        >>> float(sp.grad(clipped)(3.0))
        1.0
    """

    def __init__(self, f: Callable[..., Any]) -> None:
        update_wrapper(self, f)
        self.name = getattr(f, "__name__", "function")
        self.f = f
        self.fwd: Callable[..., Any] | None = None
        self.bwd: Callable[..., Any] | None = None

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> None:
        """Sets the forward and the backward rule.

        Args:
            fwd: ``(*args) -> (result, residuals)``.
            bwd: ``(residuals, cotangent) -> gradients``.
        """
        self.fwd, self.bwd = fwd, bwd

    def __call__(self, *args: Any) -> Any:
        if self.fwd is None or self.bwd is None:
            raise _core.GradientError(f"custom_vjp: {self.name} has no rule yet; call {self.name}.defvjp(fwd, bwd)")
        leaves = tree.leaves(args)
        if any(f is self for f in _in_forward.get()):  # fwd may call the function itself, as in JAX
            return self.f(*args)
        if not _core.is_grad_enabled() or not any(isinstance(x, Tensor) and x.requires_grad for x in leaves):
            return self.f(*args)
        return self._recorded(args, leaves)

    def _recorded(self, args: tuple[Any, ...], leaves: list[Any]) -> Any:
        result, residuals, captured = self._forward(args, leaves)
        outputs, shape = tree.flatten(result)
        values = [_core.asarray(y).detach() for y in outputs]
        inputs = [x if _is_float_tensor(x) else None for x in leaves] + captured
        name = f"custom_vjp {self.name}"
        kept, arguments = _Kept(residuals, name), [tree.structure(a) for a in args]
        blank = [(y.shape, y.dtype) for y in values]

        def rule_of(i: int) -> Callable[[Tensor], list[Any]]:
            def rule(g: Tensor) -> list[Any]:
                seeds = [g if j == i else _core.zeros(*like) for j, like in enumerate(blank)]
                return self._pull(kept.get(), tree.unflatten(shape, seeds), arguments) + [None] * len(captured)

            return rule

        made = [_core._record_rule(name, y, inputs, rule_of(i), len(captured)) for i, y in enumerate(values)]
        return tree.unflatten(shape, made)

    def _forward(self, args: tuple[Any, ...], leaves: list[Any]) -> tuple[Any, Any, list[Any]]:
        """What ``fwd`` returns, and the nodes other than the arguments' that it depends on."""
        assert self.fwd is not None
        since, token = _core._sequence(), _in_forward.set((*_in_forward.get(), self))
        try:
            result, residuals = self.fwd(*args)
        finally:
            _in_forward.reset(token)
        nodes = [_core._node_of(x) for x in leaves if isinstance(x, Tensor)]
        outputs = [y for y in tree.leaves(result) if isinstance(y, Tensor)]
        return result, residuals, _core._captured(outputs, [n for n in nodes if n is not None], since)

    def _pull(self, residuals: Any, cotangent: Any, arguments: list[tree.Structure]) -> list[Any]:
        assert self.bwd is not None
        gradients = self.bwd(residuals, cotangent)
        if not isinstance(gradients, tuple):
            gradients = (gradients,)
        if len(gradients) != len(arguments):
            raise _core.GradientError(
                f"custom_vjp: the backward rule of {self.name} returned {len(gradients)} gradients "
                f"for {len(arguments)} arguments"
            )
        found: list[Any] = []
        for shape, gradient in zip(arguments, gradients, strict=True):
            found += [None] * shape.size if gradient is None else tree.match(shape, gradient, "gradient")
        return found


def _names_of_ops(keep: Sequence[str]) -> list[str]:
    names = [keep] if isinstance(keep, str) else keep
    if not isinstance(names, list | tuple | set | frozenset) or not all(isinstance(name, str) for name in names):
        raise TypeError(
            f"checkpoint: keep must be names of ops, such as ['matmul'], and got {type(keep).__name__}; "
            "checkpoint(f) is a function, which is called with f's arguments: checkpoint(f)(x)"
        )
    return [str(_PRIMITIVES.get(name, name)) for name in names]


def checkpoint(f: Callable[..., Any], keep: Sequence[str] = ()) -> Callable[..., Any]:
    """``f`` with less memory: intermediate values are not saved, and the backward pass runs ``f`` again.

    ``f`` must give the same result both times; its random numbers are drawn again. Tensors that ``f`` reads without
    being passed them get gradients too.

    Args:
        f: a function of trees of tensors.
        keep: names of ops whose results are saved all the same and not computed again, such as "matmul", "conv2d" or
            "attention": what is expensive to compute and small. Names as a compiled function prints them.

    Returns:
        A function with the same result and gradients.

    Raises:
        TypeError: if keep holds anything but names.
        ValueError: for a name in keep that no op has, or an op that computes nothing itself.
        GradientError: in the backward pass, if ``f`` applies other ops to other shapes when it runs again, or a kept
            result was written in place.

    References:
        Griewank 1992, doi:10.1080/10556789208805505; Chen et al. 2016, "Training deep nets with sublinear memory cost",
        arXiv:1604.06174.

    Example:
        >>> f = sp.checkpoint(lambda x: sp.tanh(x) ** 2)
        >>> float(sp.grad(f)(0.0))
        0.0
        >>> layer = sp.checkpoint(lambda x, w: sp.tanh(x @ w), keep=["matmul"])
        >>> sp.grad(lambda x: layer(x, sp.ones((2, 2))).sum())(sp.zeros((1, 2)))
        tensor([[2., 2.]], dtype=float32)
    """
    kept_ops = _names_of_ops(keep)
    _core._ResultLog(kept_ops)  # names are checked at once

    @wraps(f)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        given = (args, kwargs)
        if not _core.is_grad_enabled():
            return f(*args, **kwargs)
        leaves = tree.leaves(given)
        since = _core._sequence()
        log = _core._ResultLog(kept_ops)
        with random.observed_draws() as drawn:
            outputs, nodes, result = log.run(False, lambda: _run(f, given))
        captured = _core._captured(outputs, [n for n in nodes if n is not None], since)
        kept = _Kept([given, [n.target for n in captured]], "checkpoint")
        values = [y.detach() for y in outputs]
        inputs = [x if _is_float_tensor(x) else None for x in leaves] + captured

        def rule_of(i: int) -> Callable[[Tensor], list[Any]]:
            def rule(g: Tensor) -> list[Any]:
                rerun = _core._sequence()
                with _core.enable_grad(), random.draws_again(drawn):
                    again, at, _ = log.run(True, lambda: _run(f, kept.get()[0]))
                targets = [n for n in at if n is not None] + captured
                found = iter(_core._walk_backward([again[i]], [g], targets, _core.is_grad_enabled(), rerun))
                return [None if n is None else next(found) for n in [*at, *captured]]

            return rule

        made = [_core._record_rule("checkpoint", y, inputs, rule_of(i)) for i, y in enumerate(values)]
        return tree.unflatten(tree.structure(result), made)

    return checkpointed


# What functions that only prepare one op are to the core.
_PRIMITIVES = {"conv1d": "conv", "conv2d": "conv", "conv3d": "conv", "attention": "attention_blocks"}


def _run(f: Callable[..., Any], given: Tree) -> tuple[list[Tensor], list[Any], Any]:
    """``f`` on aliases of the arguments: its outputs, the aliases' nodes (None without gradient), its result."""
    leaves, shape = tree.flatten(given)
    pairs = [_core._watched_alias(x) if _is_float_tensor(x) else (x, None) for x in leaves]
    args, kwargs = tree.unflatten(shape, [x for x, _ in pairs])
    result = f(*args, **kwargs)
    return [_core.asarray(y) for y in tree.leaves(result)], [node for _, node in pairs], result
