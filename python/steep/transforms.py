"""Derivatives of functions as functions: grad, vjp, jvp, jacobian, hessian and kin, on trees and to any order.

Each works the same way: the arguments are watched under new nodes, the function runs and is recorded, and one of the
two walks of the core (backward, forward) goes over the record. What a walk computes is recorded in turn where the
function depends on anything that outer derivatives may be asked of. Start reading at ``_Recorded``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeAlias

from steep import _core, tree
from steep._core import Tensor
from steep.tree import Tree

Function: TypeAlias = Callable[..., Any]
Argnums: TypeAlias = int | Sequence[int]


def _float_tensor(leaf: Any, who: str) -> Tensor:
    x = _core.asarray(leaf)
    if x.dtype.kind != "f":
        raise _core.GradientError(
            f"{who}: an argument is {x.dtype.name}{x.shape}; derivatives are by float32 or float64 tensors: "
            f"use astype()"
        )
    return x


class _Recorded:
    """One run of ``f`` with some arguments watched: the output's leaves, and the nodes of the inputs' leaves."""

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
        """Whether a walk's results may be differentiated again."""
        outer = any(t.requires_grad for t in given) or _core._depends_on_others(outputs, self.nodes)
        return self.record and _core.is_grad_enabled() and outer

    def pull(self, outputs: list[Tensor], cotangents: list[Tensor]) -> list[Tensor]:
        """Gradients by the inputs, zeros where there is no path."""
        record = self.records(outputs, cotangents)
        found = _core._walk_backward(outputs, cotangents, self.nodes, record, 0)
        return [g if g is not None else _core.zeros_like(x) for g, x in zip(found, self.inputs, strict=True)]

    def push(self, tangents: list[Tensor]) -> list[Tensor]:
        """Tangents of the outputs, zeros where there is no path."""
        record = self.records(self.outputs, tangents)
        found = _core._walk_forward(self.outputs, self.nodes, tangents, record)
        return [t if t is not None else _core.zeros_like(y) for t, y in zip(found, self.outputs, strict=True)]

    def value(self) -> Tree:
        """The function's result, cut from the watched arguments unless outer derivatives need it."""
        outer = self.record and _core._depends_on_others(self.outputs, self.nodes)
        return self.result if outer else tree.unflatten(self.structure, [y.detach() for y in self.outputs])

    def by_argument(self, leaves: Sequence[Any]) -> list[Tree]:
        """Leaves of all arguments as one tree for each argument."""
        trees, at = [], 0
        for shape in self.structures:
            trees.append(tree.unflatten(shape, leaves[at : at + shape.size]))
            at += shape.size
        return trees


def _numbers(argnums: Argnums, count: int, who: str) -> list[int]:
    numbers = [argnums] if isinstance(argnums, int) else list(argnums)
    for n in numbers:
        if not -count <= n < count:
            raise ValueError(f"{who}: argnums names argument {n}, and {count} were given")
    found = [n % count for n in numbers]
    if len(set(found)) < len(found):
        raise ValueError(f"{who}: argnums {argnums} names an argument twice; name each once")
    return found


def _one_or_all(argnums: Argnums, results: list[Any]) -> Any:
    return results[0] if isinstance(argnums, int) else tuple(results)


def _scalar(who: str, run: _Recorded) -> Tensor:
    if len(run.outputs) != 1 or run.outputs[0].size != 1:
        shapes = [y.shape for y in run.outputs]
        raise _core.GradientError(
            f"{who}: the function must return one scalar, and it returned shapes {shapes}; reduce it with sum() or "
            f"mean(), or use jacobian()"
        )
    return run.outputs[0]


def value_and_grad(f: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """A function that returns ``f``'s value and its gradient by the arguments that ``argnums`` names.

    ``f`` returns a scalar, or with ``has_aux`` a pair of a scalar and anything. A gradient has the structure, shapes
    and dtypes of its argument; it is zero where ``f`` does not depend on it. Raises GradientError if the result is no
    scalar or an argument holds no floats.
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
        value = (run.value(), _cut(aux[0], run)) if has_aux else run.value()
        return value, _one_or_all(argnums, gradients)

    return value_and_grad_f


def _cut(aux: Tree, run: _Recorded) -> Tree:
    """``aux`` without what is recorded of this run, unless outer derivatives need it."""
    tensors = [leaf for leaf in tree.leaves(aux) if isinstance(leaf, Tensor)]
    if run.record and _core._depends_on_others(tensors, run.nodes):
        return aux
    return tree.map(lambda leaf: leaf.detach() if isinstance(leaf, Tensor) else leaf, aux)


def grad(f: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """A function that returns the gradient of the scalar function ``f``; see ``value_and_grad``. Compose it freely."""
    both = value_and_grad(f, argnums, has_aux)

    @wraps(f)
    def grad_f(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return grad_f


def vjp(f: Function, *primals: Any) -> tuple[Any, Function]:
    """``f``'s value at the primals, and the function from a cotangent of the value to a tuple of gradients."""
    run = _Recorded("vjp", f, primals, range(len(primals)), {})

    def pullback(cotangent: Tree) -> tuple[Any, ...]:
        leaves = [_core.asarray(c) for c in tree.match(run.structure, cotangent, "cotangent")]
        return tuple(run.by_argument(run.pull(run.outputs, leaves)))

    return run.value(), pullback


def linearize(f: Function, *primals: Any) -> tuple[Any, Function]:
    """``f``'s value at the primals, and its derivative there as a function of tangents; ``f`` runs once."""
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
    """``f``'s value and its derivative along the tangents, one tangent a primal (both in tuples or lists)."""
    one = not isinstance(primals, tuple | list)
    y, pushforward = linearize(f, *((primals,) if one else primals))
    return y, pushforward(*((tangents,) if one else tangents))


def _basis(x: Tensor) -> list[Tensor]:
    eye = _core.reshape(_core.eye(x.size, dtype=x.dtype), (x.size, *x.shape))
    return list(eye)


def _rows(run: _Recorded, y: Tensor) -> list[Tensor]:
    """The Jacobian of one output by every input, a row a backward walk."""
    pulled = [run.pull([y], [seed]) for seed in _basis(y.detach())]
    if not pulled:
        return [_core.zeros((*y.shape, *x.shape), dtype=x.dtype) for x in run.inputs]
    stacked = [_core.stack([row[i] for row in pulled]) for i in range(len(run.inputs))]
    return [_core.reshape(s, (*y.shape, *x.shape)) for s, x in zip(stacked, run.inputs, strict=True)]


def _columns(run: _Recorded) -> list[list[Tensor]]:
    """The Jacobians of all outputs, a column a forward walk."""
    blocks: list[list[Tensor]] = [[] for _ in run.outputs]
    for i, x in enumerate(run.inputs):
        zero = [_core.zeros_like(other.detach()) for other in run.inputs]
        pushed = [run.push([*zero[:i], seed, *zero[i + 1 :]]) for seed in _basis(x.detach())]
        for j, y in enumerate(run.outputs):
            columns = _core.stack([p[j] for p in pushed], axis=-1)
            blocks[j].append(_core.reshape(columns, (*y.shape, *x.shape)))
    return blocks


def jacobian(f: Function, argnums: Argnums = 0) -> Function:
    """A function that returns the Jacobian of ``f``: of shape (*output.shape, *input.shape), derivatives of each output
    element along the last axes (the numerator layout of the notes, row 26, for vectors). For trees: the output's
    structure, each leaf holding the input's. Forward mode where there are fewer inputs than outputs."""

    @wraps(f)
    def jacobian_f(*args: Any, **kwargs: Any) -> Any:
        run = _Recorded("jacobian", f, args, _numbers(argnums, len(args), "jacobian"), kwargs)
        inputs, outputs = sum(x.size for x in run.inputs), sum(y.size for y in run.outputs)
        blocks = _columns(run) if 0 < inputs < outputs else [_rows(run, y) for y in run.outputs]
        leaves = [_one_or_all(argnums, run.by_argument(block)) for block in blocks]
        return tree.unflatten(run.structure, leaves)

    return jacobian_f


def hessian(f: Function, argnums: Argnums = 0) -> Function:
    """A function that returns the matrix of second derivatives of the scalar function ``f``: (*x.shape, *x.shape)."""
    return jacobian(grad(f, argnums), argnums)


def hvp(f: Function, primals: Any, tangents: Any) -> Any:
    """The Hessian of the scalar function ``f`` times a vector, forward over reverse; no Hessian is formed.

    ``primals`` and ``tangents``: one argument, or a tuple of all of them; the result is like ``primals``.
    """
    one = not isinstance(primals, tuple)
    args, along = ((primals,), (tangents,)) if one else (primals, tangents)
    _, product = jvp(grad(f, tuple(range(len(args)))), args, along)
    return product[0] if one else product
