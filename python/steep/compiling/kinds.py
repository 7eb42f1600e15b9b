"""The kinds of values that a compiled function can reach, a table: how one is recognised, what is noted, what is next.

Rows are tried in order, once for each type. What a row notes goes through the methods of ``Reach``; what it returns is
looked at next.
"""

from __future__ import annotations

import sys
import weakref
from array import array
from collections import ChainMap, deque
from collections.abc import Callable, Iterable, Mapping, Sequence, Set, ValuesView
from contextvars import ContextVar
from functools import cached_property, partial
from operator import attrgetter, methodcaller
from types import BuiltinMethodType, CellType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from steep import _core, tree
from steep._core import Tensor
from steep.compiling.arrays import is_array
from steep.compiling.code import is_library
from steep.compiling.states import is_advanced, state_of

if TYPE_CHECKING:
    from steep.compiling.reach import Reach

CONTAINERS = (list, tuple, dict, set, frozenset, deque)
BUILT_IN = (*CONTAINERS, bytearray, array, np.ndarray)  # whose change means something wherever it is


def is_layer(value: Any) -> bool:
    """Whether it is a ``steep.nn.Module``."""
    return hasattr(type(value), "named_modules")


def is_record(value: Any) -> bool:
    """Whether it is an object of a library that holds attributes and nothing else."""
    argparse = sys.modules.get("argparse")  # slow to import, and without it there is none
    return isinstance(value, (SimpleNamespace, argparse.Namespace) if argparse else SimpleNamespace)


def _is(*types: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, types)


def _is_container(value: Any) -> bool:
    if isinstance(value, CONTAINERS):
        return True
    caches = (weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.WeakSet)
    collections = (Mapping, Set, Sequence, ValuesView)
    return isinstance(value, collections) and is_library(type(value)) and not isinstance(value, caches)


def _is_array(value: Any) -> bool:
    return not isinstance(value, CONTAINERS) and is_library(type(value)) and is_array(value)


def _built_in(reach: Reach, method: Any) -> Iterable[Any]:
    """``random.random`` and its kind are methods of a generator that the library keeps."""
    return (method.__self__,) if is_advanced(method.__self__) else ()


def _partial(reach: Reach, value: Any) -> Iterable[Any]:
    return value.func, value.args, value.keywords


def _tensor(reach: Reach, value: Any) -> None:
    reach.guard("graph", value, "requires_grad")


def _class(reach: Reach, value: type) -> Iterable[Any]:
    if not is_library(value):
        reach.names(value)
        reach.methods(value)
        yield from (vars(c).get(n) for c in value.__mro__ if not is_library(c) for n in ("__init__", "__new__"))


def _container(reach: Reach, value: Any) -> Iterable[Any]:
    if not isinstance(value, (tuple, frozenset)):
        reach.guard("contents", value)
    items = value.values() if isinstance(value, Mapping) else value
    yield from (x for x in items if not isinstance(x, (int, float, str)))
    if not is_library(type(value)):
        yield from _users_object(reach, value)


def _users_object(reach: Reach, value: Any) -> Iterable[Any]:
    reach.names(value)
    reach.methods(type(value))
    return ()


def _object(reach: Reach, value: Any) -> Iterable[Any]:
    if not is_library(type(value)):
        return _users_object(reach, value)
    if not type(value).__module__.startswith("steep."):
        reach.names(value)
        return (getattr(value, "__wrapped__", None),)  # of functools.lru_cache
    if hasattr(value, "params"):  # an optimiser, which tells a recording the rest itself
        return tree.leaves(value.params)
    held = getattr(value, "__dict__", {}).values()
    return [x for x in held if isinstance(x, (FunctionType, MethodType, partial, _core.CompiledBase)) or is_layer(x)]


Parts = Callable[["Reach", Any], "Iterable[Any] | None"]
Row = tuple[Callable[[Any], bool], Parts]
_rows: weakref.WeakKeyDictionary[type, Parts] = weakref.WeakKeyDictionary()  # of types that were met before


def parts_of(value: Any) -> Parts:
    """What notes a value and says what can be reached from it. All values of a type have the same."""
    kind = type(value)
    if kind not in _rows:
        _rows[kind] = next(parts for fits, parts in KINDS if fits(value))
    return _rows[kind]


KINDS: tuple[Row, ...] = (
    (_is(Tensor), _tensor),
    (_is(FunctionType), lambda reach, f: reach.function(f)),
    (_is(MethodType), lambda reach, m: (m.__func__, m.__self__)),
    (_is(staticmethod, classmethod), lambda reach, m: (m.__func__,)),
    (_is(property), lambda reach, p: (p.fget,)),
    (_is(cached_property), lambda reach, p: (p.func,)),
    (_is(partial), _partial),
    (_is(_core.CompiledBase), lambda reach, f: (f.__wrapped__,)),
    (_is(CellType), lambda reach, cell: (reach.guard("cell", cell, "a variable"),)),
    (_is(ModuleType), lambda reach, module: reach.names(module)),
    (_is(type), _class),
    (_is(ContextVar), lambda reach, variable: (reach.guard("call", variable.get),)),
    (_is(weakref.ref), lambda reach, ref: (reach.guard("call", ref),)),
    (_is(attrgetter, methodcaller), lambda reach, get: reach.by_text()),
    (is_advanced, lambda reach, value: reach.state(partial(state_of, value))),
    (_is(BuiltinMethodType), _built_in),
    (is_layer, lambda reach, module: reach.layer(module)),
    (_is(ChainMap), lambda reach, chain: (chain.maps,)),
    (_is_array, lambda reach, value: reach.array(value)),
    (_is_container, _container),
    (lambda value: True, _object),
)
