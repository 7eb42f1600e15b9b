"""Suggestions for misspelled names in error messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near(name: str, known: Iterable[str], most: int = 3) -> str:
    """A suggestion for an unknown name: "; did you mean 'a' or 'b'?", or "" if no known name is similar.

    Args:
        name: the unknown name.
        known: the known names.
        most: maximum number of suggestions.

    Returns:
        A string.
    """
    names = {each.lower(): each for each in known}
    found = difflib.get_close_matches(str(name).lower(), names, most, 0.55)
    return "; did you mean " + " or ".join(repr(names[each]) for each in found) + "?" if found else ""
