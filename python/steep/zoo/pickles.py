"""Pickles read as data: an interpreter that knows containers, numbers, text and arrays, and runs nothing else.

Python's unpickler calls what a file names. Here the standard library's ``pickletools`` only decodes the file, each
opcode is a row of ``STEPS``, and the few globals that files of weights need are rows of ``NUMPY`` (and of ``TORCH`` in
``torch_file.py``), with functions of this package in their place. Start reading at ``load``.
"""

from __future__ import annotations

import io
import math
import pickletools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steep.io.malformed import DAMAGE

MARK = object()
DTYPES = ("f4", "f8", "i4", "i8", "u1", "b1")
MOST_DIMENSIONS = 8


class Name(NamedTuple):
    """A global that a pickle may name; ``call`` replaces calling it, None if it must not be called."""

    name: str
    call: Callable[..., Any] | None


class Pending:
    """An object that a pickle creates first and fills later, by BUILD; ``value`` is the result."""

    def __init__(self, build: Callable[[Any], Any], value: Any = None) -> None:
        self.build, self.value = build, value


Names = Mapping[str, Callable[..., Any] | None]


def load(file: BinaryIO, names: Names, persistent: Callable[[Any], Any] | None = None) -> Any:
    """Reads a pickle as data: containers, numbers, text, and ``Pending`` arrays.

    Args:
        file: a binary file, at the start of the pickle.
        names: the allowed globals ("module name") and their replacements.
        persistent: makes objects of persistent ids.

    Returns:
        The content.

    Raises:
        ValueError: naming a refused global or opcode, or if the pickle is truncated.
    """
    machine = _Machine(names, persistent)
    at: int | None = 0
    with malformed():
        try:
            for op, argument, at in pickletools.genops(file):  # noqa: B007, `at` is where it stops
                if op.name not in STEPS:
                    raise ValueError(f"opcode {op.name} is refused")
                STEPS[op.name](machine, argument)
            return machine.stack[-1]
        except ValueError as error:
            raise ValueError(f"{error}, at byte {at}") from None


@contextmanager
def malformed() -> Iterator[None]:
    """Inside, errors caused by malformed files become ValueError; a context manager."""
    try:
        yield
    except ValueError:
        raise
    except (*DAMAGE, MemoryError) as error:
        raise ValueError(f"not a whole pickle: {type(error).__name__}: {error}") from None


def plain_keys(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """A dict of pairs whose keys are text or numbers: hashing a deeply nested tuple would crash the process.

    Args:
        pairs: the pairs.

    Returns:
        A dict.

    Raises:
        ValueError: for another key.
    """
    found = {}
    for key, value in pairs:
        if type(key) not in (str, int, float, bool, bytes, type(None)):
            raise ValueError(f"a {type(key).__name__} as a key is refused")
        found[key] = value
    return found


class _Machine:
    def __init__(self, names: Names, persistent: Callable[[Any], Any] | None) -> None:
        self.names, self.persistent = names, persistent
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def since_mark(self) -> list[Any]:
        """Takes what lies above the last mark, and the mark, off the stack."""
        at = max(i for i, item in enumerate(self.stack) if item is MARK) if MARK in self.stack else -1
        if at < 0:
            raise ValueError("not a whole pickle: a mark is missing")
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def take(self, count: int) -> list[Any]:
        """Takes ``count`` items off the stack."""
        if count > len(self.stack):
            raise ValueError("not a whole pickle: the stack is empty")
        items = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return items

    def find(self, name: str) -> None:
        """Pushes the global of that name. Raises ValueError if it is not allowed."""
        if name not in self.names:
            raise ValueError(f"the global {name.replace(' ', '.')!r} is refused")
        self.stack.append(Name(name, self.names[name]))

    def reduce(self) -> None:
        """Calls a global with a tuple of arguments."""
        function, arguments = self.take(2)
        if not isinstance(function, Name) or function.call is None:
            raise ValueError(f"a call of {getattr(function, 'name', type(function).__name__)!r} is refused")
        self.stack.append(function.call(*arguments))

    def build(self) -> None:
        """Passes a state to a pending object; dicts are left as they are."""
        state = self.take(1)[0]
        if isinstance(self.stack[-1], Pending):
            self.stack[-1].value = self.stack[-1].build(state)
        elif not isinstance(self.stack[-1], dict):
            raise ValueError(f"a state for a {type(self.stack[-1]).__name__} is refused")

    def fill(self, pairs: list[Any]) -> None:
        """Puts pairs of key and value into the dict on top of the stack."""
        if len(pairs) % 2 or not isinstance(self.stack[-1], dict):
            raise ValueError("not a whole pickle: items without a dict")
        self.stack[-1].update(plain_keys(zip(pairs[::2], pairs[1::2], strict=True)))

    def extend(self, items: list[Any]) -> None:
        """Puts items at the end of the list on top of the stack."""
        if not isinstance(self.stack[-1], list):
            raise ValueError("not a whole pickle: items without a list")
        self.stack[-1].extend(items)

    def look_up(self, identity: Any) -> None:
        """Pushes the object of a persistent id."""
        if self.persistent is None:
            raise ValueError("opcode BINPERSID is refused")
        self.stack.append(self.persistent(identity))


Step = Callable[[_Machine, Any], Any]


def _push(make: Callable[[Any], Any]) -> Step:
    return lambda machine, argument: machine.stack.append(make(argument))


def _tuple(count: int) -> Step:
    return lambda machine, _: machine.stack.append(tuple(machine.take(count)))


def _then_fill(machine: _Machine, _: Any) -> None:
    pairs = machine.since_mark()
    machine.stack.append({})
    machine.fill(pairs)


_VALUES = (
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8",
)  # fmt: skip
STEPS: dict[str, Step] = {
    **dict.fromkeys(_VALUES, _push(lambda value: value)),
    "NONE": _push(lambda _: None),
    "NEWTRUE": _push(lambda _: True),
    "NEWFALSE": _push(lambda _: False),
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda machine, _: None),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), lambda m, i: m.memo.__setitem__(i, m.stack[-1])),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda m, i: m.stack.append(m.memo[i])),
    "MEMOIZE": lambda m, _: m.memo.__setitem__(len(m.memo), m.stack[-1]),
    "MARK": _push(lambda _: MARK),
    "EMPTY_DICT": _push(lambda _: {}),
    "EMPTY_LIST": _push(lambda _: []),
    "EMPTY_TUPLE": _push(lambda _: ()),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.since_mark())),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "DICT": _then_fill,
    "LIST": lambda m, _: m.stack.append(m.since_mark()),
    "SETITEM": lambda m, _: m.fill(m.take(2)),
    "SETITEMS": lambda m, _: m.fill(m.since_mark()),
    "APPEND": lambda m, _: m.extend(m.take(1)),
    "APPENDS": lambda m, _: m.extend(m.since_mark()),
    "GLOBAL": lambda m, name: m.find(name),
    "STACK_GLOBAL": lambda m, _: m.find(" ".join(m.take(2))),
    "REDUCE": lambda m, _: m.reduce(),
    "BUILD": lambda m, _: m.build(),
    "BINPERSID": lambda m, _: m.look_up(m.take(1)[0]),
}


# -- NumPy's arrays ---------------------------------------------------------------------------------------------------


def _dtype(code: Any, *_: Any) -> Pending:
    if code not in DTYPES:
        raise ValueError(f"dtype {code!r:.40} is refused; known are {DTYPES}")
    return Pending(lambda state: np.dtype(code).newbyteorder(state[1] if state[1] in "<>" else "="), np.dtype(code))


def _array(state: Any) -> NDArray[Any]:
    """The array of a state (version, shape, dtype, fortran, bytes)."""
    _, shape, dtype, fortran, data = state
    if not isinstance(dtype, Pending) or not isinstance(dtype.value, np.dtype) or not isinstance(data, bytes):
        raise ValueError("an array without its dtype or bytes is refused")
    if not are_sizes(shape) or math.prod(shape) * dtype.value.itemsize != len(data):
        raise ValueError(f"an array of shape {shape!r:.80} does not fit the {len(data)} bytes that the file has for it")
    values: NDArray[Any] = np.frombuffer(data, dtype.value)
    shaped: NDArray[Any] = values.reshape(shape, order="F" if fortran else "C")
    return shaped


def are_sizes(value: Any) -> bool:
    """Whether a value is a short tuple of non-negative integers.

    Args:
        value: the value.

    Returns:
        A bool.
    """
    return isinstance(value, tuple) and len(value) <= MOST_DIMENSIONS and all(type(n) is int and n >= 0 for n in value)


NUMPY: dict[str, Callable[..., Any] | None] = {
    **{f"{module}.multiarray _reconstruct": lambda *_: Pending(_array) for module in ("numpy.core", "numpy._core")},
    "numpy ndarray": None,
    "numpy dtype": _dtype,
}


def read_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a pickle of nested dicts and lists, by dotted path ("conv1.0").

    Args:
        data: the bytes of the file.

    Returns:
        A dict of arrays.

    Raises:
        ValueError: naming what is refused, if a container occurs twice (a cycle), or if the file is truncated.
    """
    found: dict[str, NDArray[Any]] = {}
    _collect(load(io.BytesIO(data), NUMPY), "", found, set())
    return found


def _collect(value: Any, path: str, found: dict[str, NDArray[Any]], seen: set[int]) -> None:
    if isinstance(value, Pending) and isinstance(value.value, np.ndarray):
        found[path] = value.value
    elif isinstance(value, (dict, list)):
        if id(value) in seen or path.count(".") > MOST_DIMENSIONS:
            raise ValueError(f"the container at {path!r} occurs twice or is nested too deeply")
        seen.add(id(value))
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            _collect(item, f"{path}.{key}" if path else str(key), found, seen)
