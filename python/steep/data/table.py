"""Tables as data: CSV files, NumPy arrays and frames of pandas or polars; numbers, categories and missing values.

``table`` reads columns, finds out what each holds, and encodes it as numbers: scaled, or one column per category.
``Table.encode`` does the same to further rows, with what was found in the first ones. Start reading at ``table``.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep.data.dataset import TensorDataset
from steep.display import displayed
from steep.suggest import near

ABSENT = ("", "na", "nan", "null", "none", "n/a", "?")  # texts of a CSV file that stand for no value
MISSING = ("raise", "drop", "mean")


@displayed
@dataclass
class Column:
    """How a column is encoded.

    Attributes:
        name: its name.
        categories: its values, sorted, if it holds categories; else empty.
        mean: what is subtracted from numbers.
        std: what they are divided by then.
        fill: the mean of the numbers, which may stand for a missing one.
    """

    name: str
    categories: list[str] = field(default_factory=list)
    mean: float = 0.0
    std: float = 1.0
    fill: float = 0.0

    def names(self) -> list[str]:
        """The names of the encoded columns."""
        return [f"{self.name}={value}" for value in self.categories] or [self.name]


class Table(TensorDataset):
    """A data set of the rows of a table: (x, y), float32 (features,) and the target, or x alone without a target.

    Args:
        columns: how each column was encoded.
        target: how the target was, or None.
        x: float32 (n, features).
        y: targets (n,), float32, or int64 indices of ``classes``; None without.
        missing: what is done about missing values.
        dropped: numbers of the rows that were left out for their missing values.

    Attributes:
        names: name of each feature.
        classes: the values of a target that holds categories; else empty.
    """

    def __init__(
        self,
        columns: list[Column],
        target: Column | None,
        x: NDArray[np.float32],
        y: NDArray[Any] | None,
        missing: Any,
        dropped: list[int],
    ) -> None:
        super().__init__(*((x,) if y is None else (x, y)))
        self.x, self.y, self.columns, self.target = x, y, columns, target
        self.names = [name for column in columns for name in column.names()]
        self.classes = [] if target is None else target.categories
        self.missing, self.dropped = missing, dropped

    @property
    def labels(self) -> Any:
        """The targets."""
        return self.y

    def encode(self, source: Any) -> Table:
        """Further rows, encoded as these were; without the target if they lack it.

        Args:
            source: as in ``table``.

        Returns:
            A ``Table``.

        Raises:
            ValueError: for a missing column, or a category that these rows do not have, with its row.
        """
        given = _read(source)
        target = self.target if self.target is not None and self.target.name in given else None
        return _encoded(given, self.columns, target, self.missing)

    def decode(self, y: Any) -> NDArray[Any]:
        """Predicted classes by their names.

        Args:
            y: indices of classes (n,), or scores (n, classes).

        Returns:
            An array of names.

        Raises:
            ValueError: if the target is no category.
        """
        if not self.classes:
            raise ValueError("Table.decode: the target holds numbers, and has no classes")
        found = np.asarray(y)
        names: NDArray[Any] = np.array(self.classes)[found.argmax(axis=1) if found.ndim == 2 else found]
        return names


def table(
    source: Any,
    target: str | int | None = None,
    *,
    categories: Sequence[str] = (),
    drop: Sequence[str] = (),
    missing: str | float = "raise",
    scale: bool = True,
) -> Table:
    """A table as a data set.

    A column of texts, or of truth values, holds categories, and becomes one column of 0 and 1 per value; other columns
    hold numbers. A target of categories becomes their indices.

    Args:
        source: the path of a CSV file with a header, a frame of pandas or polars, a structured or 2-d array (whose
            columns are named "0", "1", ...), or a dict of columns.
        target: name or number of the column to predict; None for none.
        categories: names of columns of numbers that are categories all the same.
        drop: names of columns to leave out.
        missing: what to do about missing values: "raise", naming column and rows, "drop" to leave the rows out, "mean"
            to put the column's mean, or for categories a category of its own, or a number to put.
        scale: whether to bring every column of numbers, but not the target, to mean 0 and standard deviation 1.

    Returns:
        A ``Table``.

    Raises:
        ValueError: for an unknown column, a row too short or too long, a text among numbers, or missing values.

    Example:
        >>> rows = sp.data.table({"size": [1.0, 3.0], "colour": ["red", "blue"], "price": [10, 20]}, target="price")
        >>> rows.names, rows.x.tolist(), rows.y.tolist()
        (['size', 'colour=blue', 'colour=red'], [[-1.0, 0.0, 1.0], [1.0, 1.0, 0.0]], [10.0, 20.0])
    """
    if isinstance(missing, str) and missing not in MISSING:
        raise ValueError(f"table: missing must be a number or one of {list(MISSING)}, got {missing!r}")
    given = _read(source)
    wanted = None if target is None else _column(given, str(target))
    for name in (*categories, *drop):
        _column(given, name)
    features = [name for name in given if name != wanted and name not in drop]
    kept = _complete(given, [*features, *([wanted] if wanted else [])], missing)
    known = {name: values[kept] for name, values in given.items()}
    columns = [_described(name, known[name], name in categories, scale) for name in features]
    goal = None if wanted is None else _described(wanted, known[wanted], wanted in categories, False)
    return _encoded(given, columns, goal, missing)


# -- reading ------------------------------------------------------------------------------------------------------


def _read(source: Any) -> dict[str, NDArray[Any]]:
    """The columns by name; texts as objects, with None where there is no value."""
    if isinstance(source, str | os.PathLike):
        return _read_csv(Path(source))
    if isinstance(source, Mapping):
        columns = {str(name): np.asarray(values) for name, values in source.items()}
    elif hasattr(source, "columns"):
        columns = {str(name): np.asarray(source[name].to_numpy()) for name in source.columns}
    elif isinstance(source, np.ndarray) and source.dtype.names:
        columns = {name: source[name] for name in source.dtype.names}
    elif np.ndim(source) == 2:
        columns = {str(i): column for i, column in enumerate(np.asarray(source).T)}
    else:
        raise TypeError(f"table: needs a path, a frame, a dict or a 2-d array, got {type(source).__name__}")
    if not columns or len({values.shape for values in columns.values()}) != 1 or next(iter(columns.values())).ndim != 1:
        raise ValueError(f"table: columns must be of one length, got { {n: v.shape for n, v in columns.items()} }")
    return columns


def _read_csv(path: Path) -> dict[str, NDArray[Any]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file)
        header = next(rows, None)
        if not header or len(set(header)) != len(header):
            raise ValueError(f"{path}: the first line must name the columns, each once, got {header}")
        found: list[list[str]] = []
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise ValueError(
                    f"{path}, line {rows.line_num}: {len(row)} values, and there are {len(header)} columns"
                )
            found.append(row)
    if not found:
        raise ValueError(f"{path} holds no rows")
    return {name: _parsed([row[i].strip() for row in found]) for i, name in enumerate(header)}


def _parsed(texts: list[str]) -> NDArray[Any]:
    values = [None if text.lower() in ABSENT else text for text in texts]
    try:
        return np.array([np.nan if value is None else float(value) for value in values])
    except ValueError:
        return np.array(values, object)


def _column(columns: Mapping[str, Any], name: str) -> str:
    if name not in columns:
        raise ValueError(
            f"table: there is no column {name!r}{near(name, columns) or ';'} there are {', '.join(columns)}"
        )
    return name


# -- what a column holds ------------------------------------------------------------------------------------------


def _absent(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Where there is no value: None, NaN, or a text that says so."""
    if values.dtype.kind == "f":
        return np.asarray(np.isnan(values))
    if values.dtype.kind in "biu":
        return np.zeros(len(values), bool)
    return np.array([v is None or v != v or str(v).strip().lower() in ABSENT for v in values.tolist()], bool)


def _complete(columns: Mapping[str, NDArray[Any]], names: Sequence[str], missing: Any) -> NDArray[np.bool_]:
    """The rows to keep; raises for missing values that are not to be replaced."""
    absent = {name: _absent(columns[name]) for name in names}
    if missing == "raise":
        for name, gaps in absent.items():
            if gaps.any():
                rows = np.flatnonzero(gaps)
                shown = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
                raise ValueError(
                    f"table: column {name!r} has no value in {len(rows)} of {len(gaps)} rows ({shown}); "
                    f"missing='drop', missing='mean' or a number says what to do"
                )
    if missing == "drop":
        return np.asarray(~np.any(list(absent.values()), axis=0))
    return np.ones(len(next(iter(columns.values()))), bool)


def _described(name: str, values: NDArray[Any], category: bool, scale: bool) -> Column:
    there = values[~_absent(values)]
    if category or values.dtype.kind == "b" or not _are_numbers(there):
        texts = sorted({_text(value) for value in there.tolist()})
        return Column(name, [*texts, *([""] if len(there) < len(values) else [])])
    numbers = there.astype(np.float64)
    fill = float(numbers.mean()) if len(numbers) else 0.0
    std = float(numbers.std()) if scale and len(numbers) else 1.0
    return Column(name, mean=fill if scale else 0.0, std=std or 1.0, fill=fill)


def _are_numbers(values: NDArray[Any]) -> bool:
    return values.dtype.kind in "iuf" or all(
        isinstance(v, int | float | np.number) and not isinstance(v, bool) for v in values.tolist()
    )


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


# -- encoding -----------------------------------------------------------------------------------------------------


def _encoded(given: Mapping[str, NDArray[Any]], columns: list[Column], target: Column | None, missing: Any) -> Table:
    names = [_column(given, column.name) for column in [*columns, *([target] if target else [])]]
    kept = _complete(given, names, missing)
    rows = np.flatnonzero(kept)
    parts = [_features(column, given[column.name][kept], rows, missing) for column in columns]
    x = np.concatenate(parts, axis=1) if parts else np.zeros((len(rows), 0))
    y = None if target is None else _targets(target, given[target.name][kept], rows, missing)
    return Table(columns, target, x.astype(np.float32), y, missing, np.flatnonzero(~kept).tolist())


def _features(column: Column, values: NDArray[Any], rows: NDArray[Any], missing: Any) -> NDArray[np.float64]:
    if column.categories:
        return np.eye(len(column.categories))[_indices(column, values, rows)]
    return (_numbers(column, values, rows, missing)[:, None] - column.mean) / column.std


def _targets(column: Column, values: NDArray[Any], rows: NDArray[Any], missing: Any) -> NDArray[Any]:
    if column.categories:
        return _indices(column, values, rows)
    return _numbers(column, values, rows, missing).astype(np.float32)


def _indices(column: Column, values: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.int64]:
    place = {value: i for i, value in enumerate(column.categories)}
    texts = ["" if gap else _text(v) for v, gap in zip(values.tolist(), _absent(values), strict=True)]
    for row, text in zip(rows, texts, strict=True):
        if text not in place:
            known = ", ".join(repr(value) for value in column.categories[:10])
            raise ValueError(f"table: column {column.name!r}, row {row}: {text!r} is no category among {known}")
    return np.array([place[text] for text in texts], np.int64)


def _numbers(column: Column, values: NDArray[Any], rows: NDArray[Any], missing: Any) -> NDArray[np.float64]:
    gaps = _absent(values)
    found = np.empty(len(values))
    for i, value in enumerate(values.tolist()):
        try:
            found[i] = np.nan if gaps[i] else float(value)
        except (TypeError, ValueError):
            raise ValueError(f"table: column {column.name!r}, row {rows[i]}: {value!r} is not a number") from None
    if gaps.any():
        found[gaps] = column.fill if missing == "mean" else float(missing)
    return found
