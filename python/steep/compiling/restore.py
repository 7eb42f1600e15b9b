"""What a run has changed outside of itself: the message of the refusal, and putting it back."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, MutableSequence, MutableSet
from typing import Any

import numpy as np

from steep import _core

MISSING = _core._MISSING
ADVANCED = (
    "compile: the function draws from a random generator of Python or NumPy, or advances an iterator, outside of it, "
    "which a replay would not do; draw from a steep.random.Generator, or pass the values as arguments"
)


def refusal(g: Any) -> str:
    """Why a run that changed a guarded value cannot be compiled."""
    if g.kind in ("contents", "start", "length", "buffer"):
        what = f"changes a {type(g.holder).__name__} outside of it"
    elif g.kind == "call":
        what = "changes a context variable, or an array of another library, outside of it"
    elif g.kind == "attribute":
        what = f"sets {g.name!r}, an attribute of a {type(g.holder).__name__} outside of it"
    else:
        what = f"sets {g.name!r}, a variable or an attribute outside of it"
    return (
        f"compile: the function {what}, which a replay would not do; return the new value, or keep it in a tensor and "
        f"update that in place"
    )


def restore(g: Any) -> None:
    """Gives a guarded place its former value. What cannot be written stays as it is."""
    if put := _PUT.get(g.kind):
        put(g.holder, g.name, g.value)


def _cell(cell: Any, name: Any, before: Any) -> None:
    if before is MISSING:  # a variable that had no value
        del cell.cell_contents
    else:
        cell.cell_contents = before


def _item(holder: Any, name: Any, before: Any) -> None:
    if before is MISSING:
        del holder[name]
    else:
        holder[name] = before


def _attribute(holder: Any, name: Any, before: Any) -> None:
    if before is MISSING:
        delattr(holder, name)
    else:
        setattr(holder, name, before)


def _contents(holder: Any, name: Any, before: Any) -> None:
    if isinstance(holder, MutableSequence):
        while len(holder):
            holder.pop()
        holder.extend(before)
    elif isinstance(holder, MutableSet):
        holder.clear()
        for item in before:
            holder.add(item)
    elif isinstance(holder, MutableMapping):
        pairs = zip(before[::2], before[1::2], strict=True) if _is_flat(holder) else before
        holder.clear()
        holder.update(pairs)


def _buffer(array: Any, name: Any, before: tuple[str, bytes]) -> None:
    if isinstance(array, bytearray):  # its length may be another
        array[:] = before[1]
        return
    elements = np.asarray(array)
    if elements.flags.writeable and elements.nbytes == len(before[1]):
        elements[...] = np.frombuffer(before[1], elements.dtype).reshape(elements.shape)


def _is_flat(mapping: Any) -> bool:
    """Whether the guard of a mapping holds its keys and values alternately, rather than as pairs."""
    from collections import OrderedDict

    return isinstance(mapping, dict) and not isinstance(mapping, OrderedDict)


_PUT: dict[str, Callable[[Any, Any, Any], None]] = {
    "cell": _cell,
    "item": _item,
    "attribute": _attribute,
    "lookup": _attribute,
    "contents": _contents,
    "buffer": _buffer,
}
