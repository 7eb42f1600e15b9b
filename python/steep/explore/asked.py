"""What the page asks for, checked: numbers in their ranges, names among those there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Asked:
    """A request of the page.

    Args:
        values: the object that was sent.
    """

    def __init__(self, values: Any) -> None:
        if not isinstance(values, dict):
            raise ValueError(f"a request is an object, got {type(values).__name__}")
        self._values = values

    def number(self, name: str, low: float, high: float, default: float | None = None) -> float:
        """A number. Raises ValueError outside of ``low`` to ``high``, or without a default if it is missing."""
        value = self._values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"{name} is a number from {low:g} to {high:g}, got {value!r}")
        return float(value)

    def integer(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """An integer. Raises ValueError as ``number`` does, and for a fraction."""
        value = self.number(name, low, high, default)
        if value != int(value):
            raise ValueError(f"{name} is an integer, got {value}")
        return int(value)

    def optional(self, name: str, low: int, high: int) -> int | None:
        """An integer, or None."""
        return None if self._values.get(name) is None else self.integer(name, low, high)

    def text(self, name: str, most: int) -> str:
        """A string of at most ``most`` characters. Raises ValueError for a longer or an empty one."""
        value = self._values.get(name)
        if not isinstance(value, str) or not value.strip() or len(value) > most:
            raise ValueError(f"{name} is a string of 1 to {most} characters, got {str(value)[:40]!r}")
        return value

    def choice(self, name: str, among: Sequence[str], default: str | None = None) -> str:
        """One of several strings. Raises ValueError for another."""
        value = self._values.get(name, default)
        if value not in among:
            raise ValueError(f"{name} is one of {', '.join(map(repr, among[:12]))}, got {value!r}")
        return str(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """True or False."""
        value = self._values.get(name, default)
        if not isinstance(value, bool):
            raise ValueError(f"{name} is true or false, got {value!r}")
        return value
