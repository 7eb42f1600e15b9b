"""Names that somebody may have meant: what errors suggest for a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near(name: str, known: Iterable[str], most: int = 3) -> str:
    """ "; did you mean 'a' or 'b'?" for the known names most like ``name``, whatever their case; "" if none is."""
    names = {each.lower(): each for each in known}
    found = difflib.get_close_matches(str(name).lower(), names, most, 0.55)
    return "; did you mean " + " or ".join(repr(names[each]) for each in found) + "?" if found else ""
