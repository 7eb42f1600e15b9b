"""Classes of characters as Hugging Face's ``tokenizers`` has them (``tables.py``), which are not quite Python's.

Regular expressions of tokenizer files use ``\\p{L}`` and ``\\p{N}``, which Python's ``re`` lacks: ``translated`` writes
them out as ranges.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from steep.text import tables

SPACES = frozenset(map(chr, [*range(9, 14), 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F,
                             0x205F, 0x3000]))  # fmt: skip
SPACE = "\\t-\\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"  # the same, inside brackets
CJK = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip
KINDS = {"L": tables.LETTER, "N": tables.NUMBER}


@cache
def ranges(table: str) -> str:
    """The characters of a table as ranges, to stand inside the brackets of a regular expression."""
    made, at = [], 0
    for entry in table.split():
        distance, _, more = entry.partition("+")
        first = at + int(distance, 16)
        at = first + int(more or "0", 16)
        made.append(f"\\U{first:08x}-\\U{at:08x}")
    return "".join(made)


@cache
def _among(table: str) -> Callable[[str], object]:
    return re.compile(f"[{ranges(table)}]").match


def is_control(character: str) -> bool:
    """Whether it is dropped as a control character: categories C, except tab and ends of lines."""
    return _among(tables.CONTROL)(character) is not None


def is_punctuation(character: str) -> bool:
    """Whether it is a token of its own: categories P, and ASCII's signs."""
    return _among(tables.PUNCTUATION)(character) is not None


def is_mark(character: str) -> bool:
    """Whether it is an accent by itself, a nonspacing mark."""
    return _among(tables.MARK)(character) is not None


def is_cjk(character: str) -> bool:
    """Whether it is an ideograph, which is a word by itself."""
    return any(first <= ord(character) <= last for first, last in CJK)


def lower(text: str) -> str:
    """Lower case, character by character: a final sigma is like any other."""
    return "".join(_small_letters().get(c) or c.lower() for c in text)


@cache
def _small_letters() -> dict[str, str]:
    return {chr(c): chr(c + by) for first, last, by in tables.LATER_CAPITALS for c in range(first, last + 1)}


@cache
def translated(pattern: str) -> re.Pattern[str]:
    """A regular expression of a tokenizer file as Python's.

    Args:
        pattern: the expression, with ``\\p{L}`` and the like.

    Returns:
        A compiled pattern.

    Raises:
        NotImplementedError: for what Python's ``re`` does not have.
    """
    made, inside, at = [], False, 0
    while at < len(pattern):
        step = re.compile(r"\\p\{(\w+)\}|\\.|.", re.DOTALL).match(pattern, at)
        assert step is not None
        piece, kind = step[0], step[1]
        inside = piece == "[" or (inside and piece != "]")
        made.append(_piece(piece, kind, inside))
        at = step.end()
    try:
        return re.compile("".join(made))
    except re.error as error:
        raise NotImplementedError(f"the regular expression {pattern!r}: {error}") from None


def _piece(piece: str, kind: str | None, inside: bool) -> str:
    if kind is not None:
        if kind not in KINDS:
            raise NotImplementedError(f"the category {piece} of a regular expression")
        return ranges(KINDS[kind]) if inside else f"[{ranges(KINDS[kind])}]"
    if piece == "\\s":
        return SPACE if inside else f"[{SPACE}]"
    if piece == "\\S" and not inside:
        return f"[^{SPACE}]"
    if piece in ("\\S", "\\P"):
        raise NotImplementedError(f"{piece} inside the brackets of a regular expression")
    return piece
