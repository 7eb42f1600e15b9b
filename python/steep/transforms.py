"""Derivatives of functions as functions: grad, vjp, jvp, jacobian, hessian and others, on trees and to any order.

Each works the same way: the arguments are watched under new nodes, the function runs and is recorded, and the backward
or forward pass of the core traverses the record. A pass is itself recorded if the function depends on anything with
respect to which outer derivatives may be taken. Start reading at ``_Recorded``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeAlias

from steep import _core, tree
from steep._core import Tensor
from steep.integers import integers, is_one
from steep.tree import Tree

Function: TypeAlias = Callable[..., Any]
Argnums: TypeAlias = int | Sequence[int]


def _float_tensor(leaf: Any, who: str) -> Tensor:
    x = _core.asarray(leaf)
    if x.dtype.kind != "f":
        raise _core.GradientError(
            f"{who}: an argument is {x.dtype.name}{x.shape}; derivatives are of float32 or float64 tensors: "
            f"use astype()"
        )
    return x


class _Recorded:
    """One recorded run of ``f`` with some arguments watched: the leaves of the output, and the nodes of the inputs'
    leaves.
    """

    def __init__(
        self, who: str, f: Function, args: Sequence[Any], argnums: Sequence[int], kwargs: dict[str, Any]
    ) -> None:
        self.record = _core.is_grad_enabled()
        self.structures: list[tree.Structure] = []
        self.inputs: list[Tensor] = []
        self.nodes: list[Any] = []
        watched = list(args)
        for i in argnums:
            watched[i] = self._watch(who, args[i])
        with _core.enable_grad():
            self.result = f(*watched, **kwargs)
        leaves, self.structure = tree.flatten(self.result)
        self.outputs = [_core.asarray(leaf) for leaf in leaves]

    def _watch(self, who: str, argument: Tree) -> Tree:
        leaves, shape = tree.flatten(argument)
        tensors = [_float_tensor(leaf, who) for leaf in leaves]
        pairs = [_core._watched_alias(x) for x in tensors]
        self.structures.append(shape)
        self.inputs += tensors
        self.nodes += [node for _, node in pairs]
        return tree.unflatten(shape, [x for x, _ in pairs])

    def records(self, outputs: list[Tensor], given: Sequence[Tensor]) -> bool:
        """Whether the results of a pass may be differentiated again."""
        outer = any(t.requires_grad for t in given) or _core._depends_on_others(outputs, self.nodes)
        return self.record and _core.is_grad_enabled() and outer

    def pull(self, outputs: list[Tensor], cotangents: list[Tensor]) -> list[Tensor]:
        """Gradients with respect to the inputs, zeros where there is no dependence."""
        record = self.records(outputs, cotangents)
        found = _core._walk_backward(outputs, cotangents, self.nodes, record, 0)
        return [g if g is not None else _core.zeros_like(x) for g, x in zip(found, self.inputs, strict=True)]

    def push(self, tangents: list[Tensor]) -> list[Tensor]:
        """Tangents of the outputs, zeros where there is no dependence."""
        record = self.records(self.outputs, tangents)
        found = _core._walk_forward(self.outputs, self.nodes, tangents, record)
        return [t if t is not None else _core.zeros_like(y) for t, y in zip(found, self.outputs, strict=True)]

    def value(self) -> Tree:
        """The function's result, detached from the watched arguments unless outer derivatives need it."""
        outer = self.record and _core._depends_on_others(self.outputs, self.nodes)
        return self.result if outer else tree.unflatten(self.structure, [y.detach() for y in self.outputs])

    def by_argument(self, leaves: Sequence[Any]) -> list[Tree]:
        """Leaves of all arguments as one tree per argument."""
        trees, at = [], 0
        for shape in self.structures:
            trees.append(tree.unflatten(shape, leaves[at : at + shape.size]))
            at += shape.size
        return trees


def _numbers(argnums: Argnums, count: int, who: str) -> list[int]:
    numbers = integers(f"{who}: argnums", argnums)
    for n in numbers:
        if not -count <= n < count:
            raise ValueError(f"{who}: argnums names argument {n}, and {count} were given")
    found = [n % count for n in numbers]
    if len(set(found)) < len(found):
        raise ValueError(f"{who}: argnums {argnums} names an argument twice; name each once")
    return found


def _one_or_all(argnums: Argnums, results: list[Any]) -> Any:
    return results[0] if is_one(argnums) else tuple(results)


def _scalar(who: str, run: _Recorded) -> Tensor:
    if len(run.outputs) != 1 or run.outputs[0].size != 1:
        shapes = [y.shape for y in run.outputs]
        raise _core.GradientError(
            f"{who}: the function must return one scalar, and it returned shapes {shapes}; reduce it with sum() or "
            f"mean(), or use jacobian()"
        )
    return run.outputs[0]


def value_and_grad(f: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """A function that returns ``f``'s value and its gradient.

    Args:
        f: a function of trees of tensors that returns a scalar, or with ``has_aux`` a pair of a scalar and anything.
        argnums: index of the argument to differentiate with respect to, or a tuple of them.
        has_aux: whether ``f`` returns such a pair.

    Returns:
        A function with the arguments of ``f`` that returns (value, gradient). A gradient has the structure, shapes and
        dtypes of its argument; it is zero where ``f`` does not depend on it. Calling it raises GradientError if the
        result is not a scalar or an argument has no floats.

    Example:
        >>> value, gradient = sp.value_and_grad(lambda w: (w["a"] ** 2).sum())({"a": sp.tensor([1.0, 2.0])})
        >>> value.item(), gradient["a"].tolist()
        (5.0, [2.0, 4.0])
    """

    @wraps(f)
    def value_and_grad_f(*args: Any, **kwargs: Any) -> Any:
        aux: list[Any] = []

        def main(*inner: Any, **named: Any) -> Any:
            result = f(*inner, **named)
            if not has_aux:
                return result
            aux.append(result[1])
            return result[0]

        run = _Recorded("grad", main, args, _numbers(argnums, len(args), "grad"), kwargs)
        y = _scalar("grad", run)
        gradients = run.by_argument(run.pull([y], [_core.ones_like(y.detach())]))
        value = (run.value(), _detached(aux[0], run)) if has_aux else run.value()
        return value, _one_or_all(argnums, gradients)

    return value_and_grad_f


def _detached(aux: Tree, run: _Recorded) -> Tree:
    """``aux`` detached from this run, unless outer derivatives need it."""
    tensors = [leaf for leaf in tree.leaves(aux) if isinstance(leaf, Tensor)]
    if run.record and _core._depends_on_others(tensors, run.nodes):
        return aux
    return tree.map(lambda leaf: leaf.detach() if isinstance(leaf, Tensor) else leaf, aux)


def grad(f: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """A function that returns the gradient of a scalar function; it can be nested to any order.

    Args:
        f: a function of trees of tensors that returns a scalar, or with ``has_aux`` a pair of a scalar and anything.
        argnums: index of the argument to differentiate with respect to, or a tuple of them.
        has_aux: whether ``f`` returns such a pair; the result is then (gradient, aux).

    Returns:
        A function with the arguments of ``f``; see ``value_and_grad``.

    Example:
        >>> sp.grad(sp.grad(lambda x: x**3))(2.0).item()
        12.0
    """
    both = value_and_grad(f, argnums, has_aux)

    @wraps(f)
    def grad_f(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return grad_f


def vjp(f: Function, *primals: Any) -> tuple[Any, Function]:
    """Vector-Jacobian product, reverse mode.

    Args:
        f: a function of trees of tensors.
        primals: its arguments.

    Returns:
        ``f``'s value, and a function from a cotangent of the value to a tuple of gradients, one per argument.

    Example:
        >>> y, pullback = sp.vjp(lambda a, b: a * b, 2.0, 3.0)
        >>> [g.item() for g in pullback(1.0)]
        [3.0, 2.0]
    """
    run = _Recorded("vjp", f, primals, range(len(primals)), {})

    def pullback(cotangent: Tree) -> tuple[Any, ...]:
        leaves = [_core.asarray(c) for c in tree.match(run.structure, cotangent, "cotangent")]
        return tuple(run.by_argument(run.pull(run.outputs, leaves)))

    return run.value(), pullback


def linearize(f: Function, *primals: Any) -> tuple[Any, Function]:
    """``f``'s value, and its derivative at that point as a function; ``f`` runs once.

    Args:
        f: a function of trees of tensors.
        primals: its arguments.

    Returns:
        The value, and a function from tangents, one per argument, to a tangent of the value.

    Example:
        >>> y, derivative = sp.linearize(lambda x: x**2, 3.0)
        >>> derivative(1.0).item()
        6.0
    """
    run = _Recorded("linearize", f, primals, range(len(primals)), {})

    def pushforward(*tangents: Any) -> Any:
        leaves = [
            _core.asarray(leaf, dtype=x.dtype)
            for leaf, x in zip(_match_arguments(run, tangents), run.inputs, strict=True)
        ]
        for leaf, x in zip(leaves, run.inputs, strict=True):
            if leaf.shape != x.shape:
                raise _core.GradientError(f"jvp: a tangent has shape {leaf.shape}, and its argument {x.shape}")
        return tree.unflatten(run.structure, run.push(leaves))

    return run.value(), pushforward


def _match_arguments(run: _Recorded, values: Sequence[Any]) -> list[Any]:
    if len(values) != len(run.structures):
        raise ValueError(f"{len(values)} tangents for {len(run.structures)} arguments")
    return [leaf for shape, v in zip(run.structures, values, strict=True) for leaf in tree.match(shape, v, "tangent")]


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """Jacobian-vector product, forward mode.

    Args:
        f: a function of trees of tensors.
        primals: a tuple or list of its arguments.
        tangents: a tuple or list with one tangent per argument.

    Returns:
        ``f``'s value, and its tangent.

    Raises:
        ValueError: if tangents do not match the arguments.

    Example:
        >>> y, tangent = sp.jvp(lambda x: x**2, (3.0,), (1.0,))
        >>> tangent.item()
        6.0
    """
    one = not isinstance(primals, tuple | list)
    y, pushforward = linearize(f, *((primals,) if one else primals))
    return y, pushforward(*((tangents,) if one else tangents))


def _basis(x: Tensor) -> list[Tensor]:
    eye = _core.reshape(_core.eye(x.size, dtype=x.dtype), (x.size, *x.shape))
    return list(eye)


def _rows(run: _Recorded, y: Tensor) -> list[Tensor]:
    """The Jacobian of one output with respect to every input, one row per backward pass."""
    pulled = [run.pull([y], [seed]) for seed in _basis(y.detach())]
    if not pulled:
        return [_core.zeros((*y.shape, *x.shape), dtype=x.dtype) for x in run.inputs]
    stacked = [_core.stack([row[i] for row in pulled]) for i in range(len(run.inputs))]
    return [_core.reshape(s, (*y.shape, *x.shape)) for s, x in zip(stacked, run.inputs, strict=True)]


def _columns(run: _Recorded) -> list[list[Tensor]]:
    """The Jacobians of all outputs, one column per forward pass."""
    blocks: list[list[Tensor]] = [[] for _ in run.outputs]
    for i, x in enumerate(run.inputs):
        zero = [_core.zeros_like(other.detach()) for other in run.inputs]
        pushed = [run.push([*zero[:i], seed, *zero[i + 1 :]]) for seed in _basis(x.detach())]
        for j, y in enumerate(run.outputs):
            columns = _core.stack([p[j] for p in pushed], axis=-1)
            blocks[j].append(_core.reshape(columns, (*y.shape, *x.shape)))
    return blocks


def jacobian(f: Function, argnums: Argnums = 0) -> Function:
    """A function that returns the Jacobian of ``f``, by forward mode if there are fewer inputs than outputs.

    Args:
        f: a function of trees of tensors.
        argnums: index of the argument to differentiate with respect to, or a tuple of them.

    Returns:
        A function that returns tensors (*output.shape, *input.shape) (for vectors, numerator layout); for trees, the
        output's structure with the input's at each leaf.

    Example:
        >>> sp.jacobian(lambda x: x * x)(sp.tensor([1.0, 2.0])).tolist()
        [[2.0, 0.0], [0.0, 4.0]]
    """

    @wraps(f)
    def jacobian_f(*args: Any, **kwargs: Any) -> Any:
        run = _Recorded("jacobian", f, args, _numbers(argnums, len(args), "jacobian"), kwargs)
        inputs, outputs = sum(x.size for x in run.inputs), sum(y.size for y in run.outputs)
        blocks = _columns(run) if 0 < inputs < outputs else [_rows(run, y) for y in run.outputs]
        leaves = [_one_or_all(argnums, run.by_argument(block)) for block in blocks]
        return tree.unflatten(run.structure, leaves)

    return jacobian_f


def hessian(f: Function, argnums: Argnums = 0) -> Function:
    """A function that returns the Hessian of a scalar function.

    Args:
        f: a function of trees of tensors that returns a scalar.
        argnums: index of the argument to differentiate with respect to, or a tuple of them.

    Returns:
        A function that returns a tensor (*x.shape, *x.shape).

    Example:
        >>> sp.hessian(lambda v: v[0] ** 2 + 3 * v[0] * v[1])(sp.tensor([1.0, 2.0])).tolist()
        [[2.0, 3.0], [3.0, 0.0]]
    """
    return jacobian(grad(f, argnums), argnums)


def hvp(f: Function, primals: Any, tangents: Any) -> Any:
    """Hessian-vector product of a scalar function, forward over reverse; the Hessian is not formed.

    Args:
        f: a function that returns a scalar.
        primals: its argument, or a tuple of all of them.
        tangents: the vector, in the structure of ``primals``.

    Returns:
        A tree like ``primals``.

    Example:
        >>> sp.hvp(lambda x: (x**3).sum(), sp.tensor([1.0, 2.0]), sp.tensor([1.0, 0.0])).tolist()
        [6.0, 0.0]
    """
    one = not isinstance(primals, tuple)
    args, along = ((primals,), (tangents,)) if one else (primals, tangents)
    _, product = jvp(grad(f, tuple(range(len(args)))), args, along)
    return product[0] if one else product
