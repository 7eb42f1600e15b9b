"""How values are shown to people: arrays as a number, a table or a picture with its scale; results in one short line.

A notebook asks for ``_repr_html_`` and ``_repr_png_``. Start reading at ``shown``, which the flip-book uses too, and at
``displayed``, which gives a class of results its short text and its HTML.
"""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Iterable
from html import escape
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from steep import pictures
from steep._core import Tensor

Array = NDArray[Any]
T = TypeVar("T")
COLUMNS, CELLS, LISTED = 6, 48, 24  # of a table, and of a list of numbers
SIDE, TILES = 64, 16  # pixels of a picture, and parts of it where there are more than two axes
IMAGE_SIDE = 8  # pixels of the smallest array of three channels that is taken for an image
WIDEST = 320  # pixels of a picture in a notebook
LETTERS = 60  # of a text in a short line


def embedded(png: bytes) -> str:
    """A PNG file as a data URI.

    Args:
        png: bytes of the file.

    Returns:
        A string for ``src``.
    """
    return "data:image/png;base64," + base64.b64encode(png).decode()


def number(value: Any) -> str:
    """A number as text: floats in four digits, integers in all of theirs.

    Args:
        value: the number.

    Returns:
        A string.
    """
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)


# -- arrays -----------------------------------------------------------------------------------------------------------


def shown(array: Any) -> dict[str, Any]:
    """What a page shows of an array, as plain values for JSON.

    Args:
        array: numbers of any shape.

    Returns:
        A dict with ``kind``: "number" with its ``text``; "table" with ``rows``; or "picture" with ``png``, ``what`` in
        words, ``colours`` ("signed" or "grey") and the ``labels`` of their scale; and the shape and the extremes.

    Example:
        >>> from steep.display import shown
        >>> shown(sp.tensor([[1.0, 2.0]]))["rows"]
        [['1', '2']]
    """
    x = _numbers(array)
    found: dict[str, Any] = {"shape": list(x.shape), **_extremes(x)}
    if x.size == 1:
        return found | {"kind": "number", "text": number(x.reshape(-1)[0])}
    if x.size == 0 or (x.ndim == 1 and x.size <= LISTED) or _is_small(x):
        rows = x.reshape(-1, x.shape[-1]) if x.size and x.ndim > 1 else x.reshape(1, -1)
        return found | {"kind": "table", "rows": [[number(v) for v in row] for row in rows]}
    made, what, colours, labels = _picture(x)
    size = [made.shape[1], made.shape[0]]
    return found | {"kind": "picture", "png": embedded(pictures.png(made, level=4)), "size": size, "what": what,
                    "colours": colours, "labels": labels}  # fmt: skip


def _numbers(array: Any) -> Array:
    x = np.asarray(array.detach() if isinstance(array, Tensor) else array)
    return x.astype(np.float32) if x.dtype.kind == "V" else x


def _is_small(x: Array) -> bool:
    return x.ndim == 2 and x.size <= CELLS and x.shape[1] <= COLUMNS


def _ends(x: Array) -> Array:
    """The smallest and the largest of the finite values; nothing where there are none."""
    if x.size and x.dtype.kind == "f" and not (np.isfinite(x.min()) and np.isfinite(x.max())):
        x = x[np.isfinite(x)]
    return np.array([x.min(), x.max()]) if x.size else x.reshape(-1)


def _extremes(x: Array) -> dict[str, str]:
    """The ends as text, and how many values are not finite."""
    ends = _ends(x)
    found = {"min": number(ends[0]), "max": number(ends[1])} if ends.size else {}
    lost = x.size - int(np.isfinite(x).sum()) if x.dtype.kind == "f" else 0
    return found | ({"lost": f"{lost} of {x.size} not finite"} if lost else {})


def _picture(x: Array) -> tuple[pictures.Colours, str, str, list[str]]:
    """The array as an image, in words what of it that shows, its colours and the labels of their scale."""
    top = 255.0 if x.dtype == np.uint8 else 1.0
    if _is_image(x, top):
        parts = x.reshape(-1, *x.shape[-3:])
        rows, columns = (_step(side, WIDEST) for side in parts.shape[-2:])
        tiles = [pictures.rgb(part[:, ::rows, ::columns], high=top) for part in parts[:TILES]]
        what = _of_many(f"an image of {x.shape[-2]} × {x.shape[-1]} pixels", len(parts), "images")
        return _sheet(tiles), what + _thinned(rows, columns), "grey", ["0", number(top)]
    parts, what = _parts(x)
    rows, columns = (_step(side, SIDE) for side in parts.shape[-2:])
    limit = float(np.abs(_ends(x).astype(np.float64)).max(initial=0.0))
    drawn = np.nan_to_num(parts[:TILES, ::rows, ::columns].astype(np.float64))
    return (
        _sheet(list(pictures.signed(drawn, limit))),
        what + _thinned(rows, columns),
        "signed",
        [f"-{number(limit)}", "0", number(limit)],
    )


def _is_image(x: Array, top: float) -> bool:
    of_images = x.ndim in (3, 4) and x.shape[-3] == 3 and min(x.shape[-2:]) >= IMAGE_SIDE
    return of_images and x.size > 0 and bool(x.min() >= 0 and x.max() <= top)


def _step(side: int, most: int) -> int:
    return max(1, math.ceil(side / most))


def _thinned(rows: int, columns: int) -> str:
    left_out = [f"one of {step} {name}" for step, name in ((rows, "rows"), (columns, "columns")) if step > 1]
    return f"; {' and '.join(left_out)} is drawn" if left_out else ""


def _sheet(tiles: list[pictures.Colours]) -> pictures.Colours:
    return pictures.sheet(tiles, len(tiles) if len(tiles) < 4 else math.ceil(math.sqrt(len(tiles))))


def _of_many(one: str, count: int, name: str) -> str:
    return one if count == 1 else f"{min(count, TILES)} of {count} {name}, each {one}"


def _parts(x: Array) -> tuple[Array, str]:
    """The array as pictures of two axes, and in words which part of it these are."""
    if x.ndim == 1:
        width = min(SIDE, x.size)
        rows = np.pad(x, (0, -x.size % width)).reshape(1, -1, width)
        return rows, f"{x.size} values" + (f" in rows of {width}" if rows.shape[1] > 1 else "")
    flat = x.reshape(x.shape[0], -1) if x.ndim > 2 and math.prod(x.shape[2:]) == 1 else x
    parts = flat.reshape(-1, *flat.shape[-2:])
    return parts, _of_many(f"{flat.shape[-2]} × {flat.shape[-1]} values", len(parts), "parts")


def as_png(array: Any) -> bytes | None:
    """An array as the PNG file that a notebook shows, enlarged where it is small; None for what is no picture.

    Args:
        array: numbers of any shape.

    Returns:
        Bytes, or None.
    """
    x = _numbers(array)
    if x.ndim < 2 or x.size < 2 or _is_small(x):
        return None
    made = _picture(x)[0]
    return pictures.png(made, max(1, WIDEST // 2 // max(made.shape[:2])))


GRADIENTS = {
    "signed": "linear-gradient(90deg, rgb(33, 102, 172), rgb(247, 247, 247), rgb(178, 24, 43))",
    "grey": "linear-gradient(90deg, rgb(0, 0, 0), rgb(255, 255, 255))",
}
_CELL = '<td style="border:1px solid #8888;padding:2px 6px;text-align:right;font-size:13px">{}</td>'


def as_html(array: Any) -> str:
    """An array as HTML for a notebook, with its scale.

    Args:
        array: numbers of any shape.

    Returns:
        HTML.
    """
    value = shown(array)
    if value["kind"] == "number":
        return f"<b>{value['text']}</b>"
    if value["kind"] == "table":
        rows = "".join("<tr>" + "".join(_CELL.format(v) for v in row) + "</tr>" for row in value["rows"])
        return f'<table style="border-collapse:collapse;display:block;overflow-x:auto">{rows}</table>'
    width = value["size"][0] * max(1, WIDEST // 2 // max(value["size"]))
    bar = "".join(f"<span>{label}</span>" for label in value["labels"])
    return (
        f'<div style="font-size:12px"><div style="max-width:{width}px;min-width:8rem">'
        f'<img alt="{escape(value["what"])}" src="{value["png"]}" '
        'style="width:100%;min-height:2rem;image-rendering:pixelated">'
        f'<div style="height:8px;background:{GRADIENTS[value["colours"]]}"></div>'
        f'<div style="display:flex;justify-content:space-between">{bar}</div></div>{escape(value["what"])}; '
        f"from {value.get('min', '-')} to {value.get('max', '-')}{_lost(value)}</div>"
    )


def _lost(value: dict[str, Any]) -> str:
    return f"; {value['lost']}" if "lost" in value else ""


# -- results ----------------------------------------------------------------------------------------------------------


def brief(value: Any) -> str:
    """A value in a few words: an array by its dtype and shape, a list by its ends.

    Args:
        value: anything.

    Returns:
        A string.

    Example:
        >>> from steep.display import brief
        >>> brief(sp.zeros((20, 28, 28))), brief([0.5] * 40)
        ('float32(20, 28, 28)', '[0.5, 0.5, ..., 0.5] of 40')
    """
    if isinstance(value, Tensor | np.ndarray):
        return str(value) if value.size == 1 and value.ndim == 0 else f"{value.dtype}{_tuple(value.shape)}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return _listed(value)
    if type(value) is dict:
        return _named(value)
    text = repr(value)
    is_short = len(text) <= LETTERS or hasattr(type(value), "_repr_html_")
    return text if is_short else f"{text[: LETTERS - 3]}..."


def _tuple(shape: Iterable[int]) -> str:
    return str(tuple(int(n) for n in shape))


def _listed(values: list[Any] | tuple[Any, ...]) -> str:
    opened, closed = ("[", "]") if isinstance(values, list) else ("(", ")")
    if len(values) <= 4:
        return f"{opened}{', '.join(map(brief, values))}{',' if closed == ')' and len(values) == 1 else ''}{closed}"
    return f"{opened}{brief(values[0])}, {brief(values[1])}, ..., {brief(values[-1])}{closed} of {len(values)}"


def _named(values: dict[Any, Any]) -> str:
    some = [f"{key!r}: {brief(value)}" for key, value in list(values.items())[:3]]
    return "{" + ", ".join(some) + (f", ...}} of {len(values)}" if len(values) > 3 else "}")


def _fields(thing: Any) -> list[tuple[str, Any]]:
    if dataclasses.is_dataclass(thing):
        return [(f.name, getattr(thing, f.name)) for f in dataclasses.fields(thing) if not f.name.startswith("_")]
    return [(name, getattr(thing, name)) for name in thing._fields]


def _line(self: Any) -> str:
    inside = ", ".join(f"{name}={brief(value)}" for name, value in _fields(self) if not _is_empty(value))
    return f"{type(self).__name__}({inside})"


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | tuple | dict) and not value)


def _html(self: Any) -> str:
    fields = [(name, value) for name, value in _fields(self) if not _is_empty(value)]
    rows = "".join(
        f'<tr><td style="text-align:left;vertical-align:top">{name}</td><td style="text-align:left">'
        f"{_cell(value, fields[:i])}</td></tr>"
        for i, (name, value) in enumerate(fields)
    )
    return f"<b>{type(self).__name__}</b><table>{rows}</table>"


def _cell(value: Any, before: list[tuple[str, Any]]) -> str:
    """A value of a result; one that stands above already, as an image that is its parameters, is not drawn again."""
    if not (_is_array(value) and value.size > 1 and value.dtype.kind in "fiub"):
        return escape(brief(value))
    same = next((name for name, other in before if _is_array(other) and _is_equal(value, other)), None)
    return f"{escape(brief(value))}" + (f", the same as {same}" if same else f"<br>{as_html(value)}")


def _is_array(value: Any) -> bool:
    return isinstance(value, Tensor | np.ndarray)


def _is_equal(one: Any, other: Any) -> bool:
    return one.shape == other.shape and np.array_equal(_numbers(one), _numbers(other))


def displayed(kind: type[T]) -> type[T]:
    """Gives a dataclass or named tuple with arrays a text of one line, with their shapes, and HTML for notebooks.

    Args:
        kind: the class.

    Returns:
        The class.
    """
    kind.__repr__ = _line  # type: ignore[method-assign]
    kind._repr_html_ = _html  # type: ignore[attr-defined]
    return kind
