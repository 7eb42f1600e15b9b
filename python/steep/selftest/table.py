"""All checks in order of their rows, and how to choose and run them."""

from __future__ import annotations

from collections.abc import Iterable

from steep.selftest import basics, calculus, inputs, landscapes, optimisers, worked
from steep.selftest.check import Check, Outcome, judge

CHECKS: list[Check] = sorted(
    [*basics.CHECKS, *optimisers.CHECKS, *calculus.CHECKS, *worked.CHECKS, *inputs.CHECKS, *landscapes.CHECKS],
    key=lambda check: check.row,
)


def select(rows: str = "") -> list[Check]:
    """The checks of some rows.

    Args:
        rows: numbers and ranges between commas, such as "19,40-52"; all if empty.

    Returns:
        A list of checks in order of their rows.

    Raises:
        ValueError: for what is no number or range, and for rows without a check.

    Example:
        >>> sorted({check.row for check in sp.selftest.select("1-3")})
        [1, 2, 3]
    """
    if not rows.strip():
        return CHECKS
    wanted = {row for part in rows.split(",") for row in _range(part.strip())}
    found = [check for check in CHECKS if check.row in wanted]
    if not found:
        raise ValueError(f"no check among rows {rows}; there are rows {_known()}")
    return found


def run(checks: Iterable[Check] = CHECKS) -> list[Outcome]:
    """Runs checks.

    Args:
        checks: the checks; all if not given.

    Returns:
        The outcome of each check, in order.

    Example:
        >>> all(outcome.ok for outcome in sp.selftest.run(sp.selftest.select("19")))
        True
    """
    return [judge(check) for check in checks]


def _range(part: str) -> range:
    first, dash, last = part.partition("-")
    if not first.isdigit() or (dash and not last.isdigit()):
        raise ValueError(f"{part!r} is no row or range of rows; write rows as 19 or 40-52")
    return range(int(first), int(last or first) + 1)


def _known() -> str:
    return ", ".join(str(row) for row in sorted({check.row for check in CHECKS}))
