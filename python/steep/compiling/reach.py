"""Everything that a function can reach besides its arguments, each value a guard that is checked before a replay.

A function reaches its defaults, the variables it closes over, the globals and attributes that its code names, and
whatever these hold: functions, classes, modules, objects, containers, arrays. ``KINDS`` says, for each kind of value,
what is guarded and what can be reached from it; reading and comparing is done in C++ (bindings/guard.cpp). Start
reading at ``Reach``.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import compress
from operator import not_
from types import FunctionType, MemberDescriptorType, ModuleType
from typing import Any

from steep import _core
from steep._core import Tensor
from steep.compiling.active import PLAIN
from steep.compiling.arrays import bytes_of, is_large, too_large
from steep.compiling.code import Names, is_library, is_library_module, names_in
from steep.compiling.kinds import BUILT_IN, is_layer, is_record, parts_of
from steep.compiling.restore import ADVANCED, refusal, restore
from steep.evaluation import evaluating_now

Guard = _core._Guard
MISSING = _core._MISSING
MOST_GUARDS = 50_000
# Methods that no expression calls.
_UNCALLED = {"__init__", "__new__", "__del__", "__repr__", "__reduce__", "__getstate__", "__setstate__"}


class Reach:
    """What a function can reach, as it was when the recording began."""

    def __init__(self, function: Any, arguments: Iterable[Any] = ()) -> None:
        self.guards: list[Any] = []
        self._made: dict[tuple[str, int, Any], Any] = {}
        self._states: list[Any] = []  # guards of what a run may advance: random generators, iterators
        self._large: list[Any] = []
        self._before: list[tuple[dict[str, Any], set[str]]] = []  # objects' attributes, and which there were
        self._filled: list[tuple[dict[str, Any], str]] = []  # attributes that a cached_property will set
        self._attributes: set[str] = set()
        self._by_text = False
        self._holders: list[Any] = []  # objects, classes and modules whose attributes code may name
        self._seen: dict[int, Any] = {}
        self._classes: dict[type, set[str]] = {}
        self._looks = False
        self.see(function)
        for argument in arguments:
            if not isinstance(argument, Tensor):
                self.see(argument)
        self._look_into_holders()

    # -- after the run --------------------------------------------------------------------------------------------

    def check_states(self) -> None:
        """Raises CompileError if the run has drawn from another library's generator or advanced an iterator."""
        for g in self._states:
            if not g.holds():
                raise _core.CompileError(ADVANCED)

    def kept(self, program: Any) -> tuple[list[Any], list[Any]]:
        """The guards of a recording, those of arrays that the program itself reads at every call apart.

        Raises CompileError if the run has changed what the function can reach: a replay would not.
        """
        for own, names in self._before:
            for name in self._attributes & own.keys() - names:
                if _matters(own[name]) and not any(own is o and name == n for o, n in self._filled):
                    raise _core.CompileError(refusal(Guard("item", own, name)))
        for array in self._large:
            if not program._reads(array):
                raise _core.CompileError(too_large(array))
        self.guards += (Guard("item", own, name) for own, name in self._filled)
        after = [_after(g) for g in self.guards]
        read = [g.kind == "buffer" and program._reads(g.holder) for g in after]
        return list(compress(after, map(not_, read))), list(compress(after, read))

    def holds(self, x: Tensor) -> bool:
        """Whether the function can reach this tensor's memory without being given it."""
        return any(isinstance(t, Tensor) and _core._same_memory(x, t) for t in self._seen.values())

    def undo(self) -> None:
        """Puts back what a run has changed outside of tensors, so that the function can run as if it never had."""
        for g in self.guards:
            if not g.holds():
                restore(g)

    # -- for the table of kinds -------------------------------------------------------------------------------------

    def see(self, value: Any) -> None:
        """Takes note of everything that can be reached from a value."""
        waiting = [value]
        while waiting:
            value = waiting.pop()
            if isinstance(value, PLAIN) or id(value) in self._seen:
                continue
            self._seen[id(value)] = value
            waiting += parts_of(value)(self, value) or ()

    def guard(self, kind: str, holder: Any, name: Any = None) -> Any:
        """The value that a guard has read, a new one if there is none yet."""
        key = (kind, id(holder), name)
        if key in self._made:
            return self._made[key].value
        if len(self._made) > MOST_GUARDS:
            raise _core.CompileError(
                f"compile: the function can reach more than {MOST_GUARDS:,} variables, containers and arrays, and all "
                "would be compared before each replay; close over fewer, or pass what it needs as arguments"
            )
        made = self._made[key] = Guard(kind, holder, name)
        self.guards.append(made)
        return made.value

    def state(self, read: Callable[[], Any]) -> None:
        """Notes the state of something that a run must not advance."""
        self._states.append(Guard("call", read))

    def array(self, value: Any) -> None:
        """Notes an array by its bytes."""
        if is_large(value):
            self._large.append(value)
        else:
            self.guard(*bytes_of(value))

    def names(self, holder: Any) -> None:
        """The attributes of ``holder`` that any code names are looked up."""
        self._holders.append(holder)
        own = getattr(holder, "__dict__", None)
        if isinstance(own, dict) and not isinstance(holder, ModuleType):
            self._before.append((own, set(own)))

    def by_text(self) -> None:
        """Attributes may be read that no code names: all are looked up."""
        self._by_text = True

    # -- functions ------------------------------------------------------------------------------------------------

    def function(self, f: FunctionType) -> Iterator[Any]:
        """What a function's code can read. Of a library's functions only what they close over."""
        yield from (f.__defaults__ or ())
        yield from (f.__kwdefaults__ or {}).values()
        cells = dict(zip(f.__code__.co_freevars, f.__closure__ or (), strict=True))
        closed = {name: self.guard("cell", cell, name) for name, cell in cells.items()}
        library = is_library(f)
        yield from (value for value in closed.values() if library or not isinstance(value, ModuleType))
        if library:
            return
        self.guard("function", f)
        if f.__kwdefaults__:
            self.guard("contents", f.__kwdefaults__)
        if vars(f):
            self.names(f)
        names = names_in(f.__code__)
        self._attributes |= names.attributes
        self._by_text = self._by_text or names.by_text
        yield from self._variables(f, names, closed)

    def _variables(self, f: FunctionType, names: Names, closed: dict[str, Any]) -> Iterator[Any]:
        """Globals that code names, modules by the paths that it names, and modules imported inside."""
        variables = f.__globals__
        for name in list(variables) if names.all_globals else names.variables & variables.keys():
            value = self.guard("item", variables, name)
            if not isinstance(value, ModuleType):
                yield value
        for path in names.paths:
            value = closed.get(path[0], variables.get(path[0]))
            if isinstance(value, ModuleType):
                yield from self._path(value, path[1:])
        package = variables.get("__package__")
        for name in names.modules:
            for full in {name, name.split(".")[0], f"{package}.{name}"}:
                yield sys.modules.get(full)

    def _path(self, module: ModuleType, path: tuple[str, ...]) -> Iterator[Any]:
        """What a dotted path from a module leads to."""
        for name in path:
            if name not in vars(module):
                return
            self.guard("item", vars(module), name)
            value = vars(module)[name]
            if not isinstance(value, ModuleType):
                if value is not sys.modules:
                    yield value
                return
            module = value
        yield module

    # -- attributes -----------------------------------------------------------------------------------------------

    def _look_into_holders(self) -> None:
        """Attributes where some code names them; what is found there may name others."""
        done: dict[int, set[str]] = {}
        more = True
        while more:
            more = False
            for holder in list(self._holders):
                new = self._names_for(holder) - done.setdefault(id(holder), set())
                done[id(holder)] |= new
                for name in new:
                    self._look_up(holder, name)
                more = more or bool(new)

    def _names_for(self, holder: Any) -> set[str]:
        """The names of attributes that ``holder`` or its class has and that some code may read."""
        cls = holder if isinstance(holder, type) else type(holder)
        own = getattr(holder, "__dict__", {})
        defined = self._names_of(cls)
        if not self._by_text or _is_closed(holder):
            return (self._attributes & defined) | (self._attributes & own.keys())
        if isinstance(own, dict):
            self.guard("length", own)
        slots = {n for c in cls.__mro__ for n, d in vars(c).items() if isinstance(d, MemberDescriptorType)}
        return (self._attributes & defined) | {n for n in own if not n.startswith("__")} | slots

    def _names_of(self, cls: type) -> set[str]:
        if cls not in self._classes:
            self._classes[cls] = {name for c in cls.__mro__ for name in vars(c)}
        return self._classes[cls]

    def _look_up(self, holder: Any, name: str) -> None:
        if isinstance(holder, ModuleType):
            self._look_up_in_module(holder, name)
        elif isinstance(holder, type):
            self._defined(holder, name)
        elif isinstance(holder, threading.local):
            self.see(self.guard("attribute", holder, name))
        else:
            self._attribute(holder, name)

    def _look_up_in_module(self, module: ModuleType, name: str) -> None:
        value = vars(module).get(name, MISSING)
        if value is MISSING or (isinstance(value, BUILT_IN) and is_library_module(module.__name__)):
            return  # a library's own tables: what it keeps there is its business
        self.guard("item", vars(module), name)
        self.see(value)

    def _attribute(self, holder: Any, name: str) -> None:
        own = getattr(holder, "__dict__", None)
        if isinstance(own, dict) and name in own:
            self.see(self.guard("item", own, name))
        defined = self._defined(type(holder), name)
        if isinstance(defined, MemberDescriptorType):  # of __slots__
            self.see(self.guard("attribute", holder, name))
        elif isinstance(own, dict) and name not in own:
            if isinstance(defined, cached_property):
                self._filled.append((own, name))
            elif not isinstance(defined, property):
                self.guard("item", own, name)

    def _defined(self, cls: type, name: str) -> Any:
        """What a class or its bases define under a name, guarded if one of the user's classes does."""
        homes = [c for c in cls.__mro__ if name in vars(c)]
        for c in [cls, *homes[1:]] if homes else ():  # those behind the first are reached by super()
            if not is_library(c):
                self.see(self.guard("lookup", c, name))
        return vars(homes[0])[name] if homes else MISSING

    def methods(self, cls: type) -> None:
        """Methods that operators, calls and iteration use without naming them."""
        for home in cls.__mro__:
            if is_library(home):
                continue
            for name, value in vars(home).items():
                if name.startswith("__") and isinstance(value, FunctionType) and name not in _UNCALLED:
                    self.see(self.guard("lookup", cls, name))

    # -- layers ---------------------------------------------------------------------------------------------------

    def layer(self, module: Any) -> Iterator[Any]:
        """A layer by all its attributes, or, if the class is the user's, by its tensors, containers and layers."""
        own = vars(module)
        own.setdefault("training", True)  # so that it is a plain entry, which a guard compares without a call
        self.guard("item", own, "training")
        if not self._looks:
            self.guard("attribute", *evaluating_now()[:2])
            self._looks = True
        users = not is_library(type(module))
        if users:
            self.names(module)
            self.methods(type(module))
        self._look_up(module, "forward")
        for name, value in list(own.items()):
            if not users or isinstance(value, (Tensor, *BUILT_IN)) or is_layer(value):
                self.guard("item", own, name)
                yield value


def _is_closed(holder: Any) -> bool:
    """Whether only attributes that code names are looked up, however the code reads them."""
    if isinstance(holder, ModuleType):
        return is_library_module(holder.__name__)
    return is_library(holder if isinstance(holder, type) else type(holder)) and not is_record(holder)


def _after(g: Any) -> Any:
    """The guard for replays, now that the run is over. Raises CompileError where the run has changed its value."""
    if g.holds():
        return g
    if _counts_calls(g):
        return Guard("start", g.holder, len(g.value))
    if _matters(g.now() if g.value is MISSING else g.value):
        raise _core.CompileError(refusal(g))
    return Guard(g.kind, g.holder, g.name)


def _matters(value: Any) -> bool:
    return isinstance(value, (*PLAIN, Tensor, *BUILT_IN))


def _counts_calls(g: Any) -> bool:
    """Whether a list has only got plain values at its end: a record of recordings, which no replay needs."""
    if g.kind != "contents" or not isinstance(g.holder, list) or len(g.holder) <= len(g.value):
        return False
    start = Guard("start", g.holder, len(g.value)).value
    added = g.holder[len(start) :]
    return _core._same_value(tuple(start), tuple(g.value)) and all(isinstance(x, PLAIN) for x in added)
