"""Suggestions for unknown names in error messages: names that contain the word, or else those spelled alike."""

from __future__ import annotations

import re
from collections.abc import Iterable

MOST_WITH_WORD = 5


def near(name: str, known: Iterable[str], most: int = 3) -> str:
    """A suggestion for an unknown name: "; did you mean 'a' or 'b'?", or "" if no known name is similar.

    Where names contain the words that were given, as "Egyptian cat" contains "cat", these are suggested; else those of
    a similar spelling.

    Args:
        name: the unknown name.
        known: the known names.
        most: maximum number of names of a similar spelling.

    Returns:
        A string.
    """
    import difflib  # late, since it takes as long to import as some of steep's packages

    names, asked = {each.lower(): each for each in known}, str(name).lower()
    with_words = [each for each in names if _words(asked) and _words(asked) < _words(each)]
    found = with_words[:MOST_WITH_WORD] or difflib.get_close_matches(asked, names, most, 0.55)
    return "; did you mean " + " or ".join(repr(names[each]) for each in found) + "?" if found else ""


def _words(name: str) -> set[str]:
    """The words of a name that have a meaning of their own: those of three letters and more."""
    return {word for word in re.split(r"[\W_]+", name) if len(word) > 2 and not word.isdecimal()}
