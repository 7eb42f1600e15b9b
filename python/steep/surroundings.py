"""What a compiled function can see besides its arguments, so that a change to it is noticed.

A function sees the variables it closes over, the globals and attributes that its code names, and what these hold:
containers, modules, other functions. Each value found becomes a guard, checked in C++ before a replay: numbers and text
by their bits, everything else by being the same object. Start reading at ``Surroundings``.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import CellType, CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, TypeAlias

from steep import _core, tree
from steep._core import Tensor
from steep.looking import looking_now

Guard: TypeAlias = tuple[int, Any, Any, Any]

CELL, ITEM, ATTRIBUTE, LENGTH, GRAPH = range(5)
PLAIN = (bool, int, float, str, type(None))
MOST_ITEMS, MOST_GUARDS = 1000, 5000
_CONTAINERS = (list, tuple, dict)


class _Missing:
    def __repr__(self) -> str:
        return "missing"


MISSING = _Missing()


def _bytes(t: Tensor) -> bytes:
    """Through no other library, which may take a lack of memory for something else."""
    return memoryview(t.detach()).tobytes() if t.dtype.name != "bfloat16" else t.detach().numpy().tobytes()


class Surroundings:
    """What a function can see, as it was when the recording began."""

    def __init__(self, function: Any) -> None:
        self.found: list[Guard] = []
        self._absent: list[tuple[Any, str]] = []
        self._names: set[str] = set()
        self._objects: list[Any] = []
        self._modules = False
        self._seen: dict[int, Any] = {}
        self._see(function)
        self._look_into_objects()

    def guards(self) -> list[Guard]:
        """What was found. Raises CompileError if the run has changed any of it: a replay would not."""
        kept = []
        for kind, holder, name, before in self.found:
            now = value_of(kind, holder, name)
            if kind == LENGTH and now != before and _counts_calls(holder, before):
                continue
            changed = now is not before and not _equal(now, before) and kind != GRAPH
            if changed and _matters(now if before is MISSING else before):
                raise _core.CompileError(_refusal(kind, holder, name))
            if before is not MISSING:
                kept.append((kind, holder, name, before))
        for holder, name in self._absent:
            if _matters(vars(holder).get(name, MISSING)):
                raise _core.CompileError(_refusal(ATTRIBUTE, holder, name))
        return kept

    def holds(self, x: Tensor) -> bool:
        """Whether the function can reach this tensor's memory without being given it."""
        return any(isinstance(t, Tensor) and _core._same_memory(x, t) for t in self._seen.values())

    # -- a run that was refused ---------------------------------------------------------------------------------

    def keep(self) -> None:
        """Copies every tensor within reach, so that ``undo`` can put back what a run writes in place."""
        leaves = [t for t in self._reachable() if t.is_leaf]
        self._copies = [(t, _core.asarray(t.detach(), None, True)) for t in leaves]
        self._grads = [(t, t.grad) for t in leaves if t.requires_grad]

    def undo(self) -> None:
        """Puts back what has changed since ``keep``, so that the function can run again as if it never had."""
        with _core._unrecorded(), _core.no_grad():
            for tensor, copy in self._copies:
                if _bytes(tensor) != _bytes(copy):
                    tensor[...] = copy
        for tensor, grad in self._grads:
            tensor.grad = grad
        for kind, holder, name, before in self.found:
            now = value_of(kind, holder, name)
            if now is not before and not _equal(now, before):
                _put_back(kind, holder, name, before)

    def _reachable(self) -> Iterator[Tensor]:
        """The tensors that were found, and those in attributes of steep's own objects among what was found."""
        waiting, seen = list(self._seen.values()), dict[int, Any]()
        while waiting:
            value = waiting.pop()
            if id(value) in seen or isinstance(value, (*PLAIN, type, ModuleType, FunctionType)):
                continue
            seen[id(value)] = value
            if isinstance(value, Tensor):
                yield value
                waiting.append(value.grad)
            elif type(value) in _CONTAINERS:
                waiting += (value.values() if isinstance(value, dict) else value) if len(value) <= MOST_ITEMS else ()
            elif any(base.__module__.startswith("steep.") for base in type(value).__mro__):
                waiting += getattr(value, "__dict__", {}).values()

    # -- finding ------------------------------------------------------------------------------------------------

    def _note(self, kind: int, holder: Any, name: Any, value: Any) -> None:
        self.found.append((kind, holder, name, value))
        self._see(value)

    def _see(self, value: Any) -> None:
        """Takes note of everything that can be reached from a value."""
        waiting = [value]
        while waiting:
            value = waiting.pop()
            if isinstance(value, PLAIN) or id(value) in self._seen:
                continue
            self._seen[id(value)] = value
            waiting += self._parts(value)

    def _parts(self, value: Any) -> Iterator[Any]:
        """The values one step away from a value, noted."""
        if isinstance(value, Tensor):
            self.found.append((GRAPH, value, "requires_grad", value.requires_grad))
        elif isinstance(value, FunctionType):
            yield from self._function(value)
        elif isinstance(value, MethodType):
            yield from (value.__func__, value.__self__)
        elif isinstance(value, _core.CompiledBase) or (not _is_users(type(value)) and hasattr(value, "__wrapped__")):
            yield getattr(value, "__wrapped__", None)
        elif type(value) in _CONTAINERS:
            yield from self._items(value)
        elif _is_module(value):
            yield from self._module(value)
        elif hasattr(value, "func") and hasattr(value, "keywords"):  # functools.partial
            yield from (value.func, list(value.args), dict(value.keywords))
        elif not isinstance(value, type | ModuleType | CellType) and _is_users(type(value)):
            self._objects.append(value)
            yield from (getattr(type(value), name, None) for name in ("__call__", "__getitem__"))
        else:
            yield from tree.leaves(getattr(value, "params", None))  # of an optimiser

    def _function(self, f: FunctionType) -> Iterator[Any]:
        ours = not _is_users(f)
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            value = value_of(CELL, cell, name)
            if not ours:
                self.found.append((CELL, cell, name, value))
            yield value
        if ours:
            return
        names, attributes = _names_in(f.__code__)
        self._names |= attributes
        for name in names & f.__globals__.keys():
            self.found.append((ITEM, f.__globals__, name, f.__globals__[name]))
            yield f.__globals__[name]

    def _items(self, value: Any) -> Iterator[Any]:
        if not isinstance(value, tuple):
            self.found.append((LENGTH, value, "len", len(value)))
        if len(value) > MOST_ITEMS or len(self.found) > MOST_GUARDS:
            return  # data rather than options: known by its length
        for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
            if not isinstance(value, tuple):
                self.found.append((ITEM, value, key, item))
            yield item

    def _module(self, module: Any) -> Iterator[Any]:
        own = vars(module)
        own.setdefault("training", True)  # so that it is a plain entry, which a guard compares without a call
        self.found.append((ITEM, own, "training", own["training"]))
        if not self._modules:
            self.found.append((ATTRIBUTE, *looking_now()))
            self._modules = True
        if _is_users(type(module)):
            self._objects.append(module)
            yield type(module).forward
        for name, value in vars(module).items():
            if _is_users(type(module)) and not (isinstance(value, (Tensor, *_CONTAINERS)) or _is_module(value)):
                continue
            self.found.append((ITEM, vars(module), name, value))
            yield value

    def _look_into_objects(self) -> None:
        """Attributes of users' objects, where some code names them; what is found there may name others."""
        done: set[tuple[int, str]] = set()
        while todo := [(x, n) for x in self._objects for n in self._names if (id(x), n) not in done]:
            for holder, name in todo:
                done.add((id(holder), name))
                self._look_up(holder, name)

    def _look_up(self, holder: Any, name: str) -> None:
        if name in getattr(holder, "__dict__", ()):
            return self._note(ITEM, vars(holder), name, vars(holder)[name])
        inherited = getattr(type(holder), name, MISSING)
        if isinstance(inherited, property):
            self._see(inherited.fget)
        elif isinstance(inherited, FunctionType):
            self._see(inherited)
        elif isinstance(inherited, MemberDescriptorType):  # of __slots__
            self._note(ATTRIBUTE, holder, name, value_of(ATTRIBUTE, holder, name))
        elif inherited is not MISSING and isinstance(inherited, (*PLAIN, Tensor, *_CONTAINERS)):
            self._note(ATTRIBUTE, holder, name, inherited)
        elif inherited is MISSING and hasattr(holder, "__dict__"):
            self._absent.append((holder, name))


def _is_module(value: Any) -> bool:
    return hasattr(type(value), "named_modules")


def _is_users(thing: Any) -> bool:
    """Whether a function or class is of the user's own program, rather than steep's or a library of Python's."""
    home = thing.__globals__.get("__name__") if isinstance(thing, FunctionType) else thing.__module__
    return str(home).split(".")[0] not in ("steep", "builtins", "numpy", "threading", "itertools", "collections")


def _names_in(code: CodeType) -> tuple[set[str], set[str]]:
    """The globals and the attributes that code names, with those of the functions written inside of it."""
    import dis  # here, because it is slow to import and only recordings need it

    names, attributes = set(), set()
    for i in dis.get_instructions(code):
        if i.opname.endswith(("_GLOBAL", "_NAME")):
            names.add(i.argval)
        elif i.opname.endswith(("_ATTR", "_METHOD")):
            attributes.add(i.argval)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            more = _names_in(inner)
            names, attributes = names | more[0], attributes | more[1]
    return names, attributes


def value_of(kind: int, holder: Any, name: Any) -> Any:
    """What a guard compares: the value now."""
    try:
        if kind == CELL:
            return holder.cell_contents
        if kind == LENGTH:
            return len(holder)
        return holder[name] if kind == ITEM else getattr(holder, name)
    except (ValueError, LookupError, AttributeError):
        return MISSING


def _put_back(kind: int, holder: Any, name: Any, before: Any) -> None:
    if before is MISSING:  # a variable that had no value
        del holder.cell_contents
    elif kind == CELL:
        holder.cell_contents = before
    elif kind == ITEM and isinstance(holder, list) and name == len(holder):
        holder.append(before)
    elif kind == ITEM:
        holder[name] = before
    elif kind == ATTRIBUTE:
        setattr(holder, name, before)
    elif kind == LENGTH:
        while len(holder) > before:
            holder.popitem() if isinstance(holder, dict) else holder.pop()


def _matters(value: Any) -> bool:
    return isinstance(value, (*PLAIN, Tensor, *_CONTAINERS))


def _equal(a: Any, b: Any) -> bool:
    return type(a) is type(b) and isinstance(a, PLAIN) and (a == b or a != a)


def _counts_calls(holder: Any, before: int) -> bool:
    """Whether a list has only got plain values at its end: a record of recordings, which no replay needs."""
    return isinstance(holder, list) and len(holder) > before and all(isinstance(x, PLAIN) for x in holder[before:])


def _refusal(kind: int, holder: Any, name: Any) -> str:
    if kind == LENGTH:
        what = f"adds to or takes from a {type(holder).__name__} outside of it"
    elif kind == ATTRIBUTE or not isinstance(holder, CellType | dict):
        what = f"sets {name!r}, a part of a {type(holder).__name__} outside of it"
    else:
        what = f"sets {name!r}, a variable outside of it"
    return (
        f"compile: the function {what}, which a replay would not do; return the new value, or keep it in a tensor "
        f"and update that in place"
    )
