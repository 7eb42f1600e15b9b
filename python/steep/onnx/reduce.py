"""Reductions over axes, argmax and argmin, softmax and similar functions.

Until opset 12 (ReduceSum) or 17 (the others) axes are an attribute, afterwards an input.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from steep import _core
from steep._core import Tensor
from steep.onnx.table import Node, Value, axis_of, ints, op, root

NONE = "none: positions are integers"
Reducer = Callable[..., Tensor]


def _axes(node: Node, x: Tensor, given: Value) -> tuple[int, ...] | None:
    """The axes to reduce, () for none at all."""
    axes = node["axes"] if given is None else ints(given, "axes")
    if axes:
        return tuple(axis_of(a, x.ndim) for a in axes)
    return () if node["noop_with_empty_axes"] else tuple(range(x.ndim))


def _size(x: Tensor, axes: tuple[int, ...]) -> int:
    return math.prod(x.shape[a] for a in axes)


def _keep(reducer: Reducer) -> Reducer:
    """The same in x's type."""
    return lambda x, axes, keep: reducer(x, axis=axes, keepdims=keep).astype(x.dtype)


def _extreme(reducer: Reducer, empty: float) -> Reducer:
    def run(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
        if x.dtype == _core.bool:
            return run(x.astype("uint8"), axes, keep).astype("bool")
        if _size(x, axes):
            return reducer(x, axis=axes, keepdims=keep)
        shape = [1 if i in axes else n for i, n in enumerate(x.shape) if keep or i not in axes]
        return _core.full(tuple(shape), _bound(x, empty), dtype=x.dtype)

    return run


def _bound(x: Tensor, sign: float) -> float:
    """The identity of max or min in x's type."""
    if x.dtype.kind == "f":
        return sign * math.inf
    bits = {"uint8": (0, 255), "int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}[x.dtype.name]
    return bits[sign > 0]


def _log_sum_exp(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    return _core.logsumexp(x, axes, keep) if _size(x, axes) else _core.log(_core.sum(x, axis=axes, keepdims=keep))


def _mean(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    wide = x.astype("float64") if x.dtype.name in ("int32", "int64", "uint8") else x
    return _core.mean(wide, axis=axes, keepdims=keep).astype(x.dtype)


REDUCERS: dict[str, Reducer] = {
    "ReduceL1": _keep(lambda x, **at: _core.sum(_core.abs(x), **at)),
    "ReduceL2": _keep(lambda x, **at: root(_core.sum(x * x, **at), 2)),
    "ReduceLogSum": _keep(lambda x, **at: _core.log(_core.sum(x, **at))),
    "ReduceLogSumExp": _log_sum_exp,
    "ReduceMax": _extreme(_core.max, -1.0),
    "ReduceMean": _mean,
    "ReduceMin": _extreme(_core.min, 1.0),
    "ReduceProd": _keep(_core.prod),
    "ReduceSum": _keep(_core.sum),
    "ReduceSumSquare": _keep(lambda x, **at: _core.sum(x * x, **at)),
}


def _put(name: str, reducer: Reducer) -> None:
    def run(node: Node, x: Tensor, axes: Value = None) -> Tensor:
        chosen = _axes(node, x, axes)
        return reducer(x, chosen, bool(node["keepdims"]))

    op(name, host=(1,))(run)


for _name, _reducer in REDUCERS.items():
    _put(_name, _reducer)


@op("ArgMax", "ArgMin", gradient=NONE)
def arg_extreme(node: Node, x: Tensor) -> Tensor:
    """Position of the first, or last, of the largest or smallest elements along an axis."""
    find = _core.argmax if node.op == "ArgMax" else _core.argmin
    axis = axis_of(node["axis"], x.ndim)
    if not node["select_last_index"]:
        return find(x, axis, bool(node["keepdims"]))
    return x.shape[axis] - 1 - find(_core.flip(x, axis), axis, bool(node["keepdims"]))


def _flat(function: Callable[..., Tensor], node: Node, x: Tensor) -> Tensor:
    axis = axis_of(node["axis"], x.ndim)
    rows = _core.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))
    return _core.reshape(function(rows, 1), x.shape)


def _hardmax(x: Tensor, axis: int) -> Tensor:
    last = _core.moveaxis(x, axis, -1)
    return _core.moveaxis(_core.one_hot(_core.argmax(last, -1), last.shape[-1], x.dtype), -1, axis)


_ALONG: dict[str, Reducer] = {"Softmax": _core.softmax, "LogSoftmax": _core.log_softmax, "Hardmax": _hardmax}


@op("Softmax", "LogSoftmax", until=12)
def softmax_of_rows(node: Node, x: Tensor) -> Tensor:
    """Over all axes from ``axis`` on together."""
    return _flat(_ALONG[node.op], node, x)


@op("Softmax", "LogSoftmax", since=13)
def softmax(node: Node, x: Tensor) -> Tensor:
    """Along one axis."""
    return _ALONG[node.op](x, axis_of(node["axis"], x.ndim))


@op("Hardmax", until=12, gradient="zero everywhere")
def hardmax_of_rows(node: Node, x: Tensor) -> Tensor:
    """1 at the first largest element of the axes from ``axis`` on, 0 elsewhere."""
    return _flat(_hardmax, node, x)


@op("Hardmax", since=13, gradient="zero everywhere")
def hardmax(node: Node, x: Tensor) -> Tensor:
    """1 at the first largest element along an axis, 0 elsewhere."""
    return _hardmax(x, axis_of(node["axis"], x.ndim))


@op("CumSum", "CumProd", host=(1,))
def cumulative(node: Node, x: Tensor, axis: Value) -> Tensor:
    """Running sum or product along an axis, from either end, with or without the element itself."""
    at = axis_of(ints(axis, "axis")[0], x.ndim)
    adds = node.op == "CumSum"
    y = _core.flip(x, at) if node["reverse"] else x
    y = (_core.cumsum if adds else _core.cumprod)(y, at).astype(x.dtype)
    if node["exclusive"] and x.shape[at]:
        first = (slice(None),) * at
        start = (_core.zeros if adds else _core.ones)(y[(*first, slice(0, 1))].shape, dtype=x.dtype)
        y = _core.concat([start, y[(*first, slice(0, -1))]], at)
    return _core.flip(y, at) if node["reverse"] else y
