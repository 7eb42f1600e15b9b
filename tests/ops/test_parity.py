"""docs/parity.md states how many cases of the op table are held against NumPy, and with which tolerances.

The numbers are counted here from the table (optable.py) and compared with the page's. ``pytest -m parity`` runs them.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import optable

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "parity.md").read_text()
FLOATS = ("float32", "float64")


def tolerance(row, dtype):
    """(rtol, atol) of a float dtype, 0 for exact rows and other dtypes."""
    at = FLOATS.index(dtype) if dtype in FLOATS else 0
    return (0.0, 0.0) if row.exact or dtype not in FLOATS else (row.rtol[at], row.atol[at])


def test_the_page_states_the_number_of_cases():
    runs = optable.runs()
    stated = re.search(r"(\d+) cases of (\d+) ops", PAGE)
    assert tuple(map(int, stated.groups())) == (len(runs), len({row.name for row, _, _ in runs}))


def test_the_page_states_the_tolerances():
    found = Counter()
    for row, _, dtype in optable.runs():
        rtol, atol = tolerance(row, dtype)
        found[dtype, f"{rtol:g}" if rtol else "exact", f"{atol:g}" if rtol else ""] += 1
    rows = re.findall(r"^\| (\w+) \| (\S+) \| (\S*) ?\| (\d+) \|$", PAGE, re.MULTILINE)
    assert {(dtype, rtol, atol): int(count) for dtype, rtol, atol, count in rows} == dict(found)
