"""Holds the project to the words of its field: tools/words.toml says which words give way to which.

Read are comments, docstrings and other strings of Python and C++, whole pages and notebooks, and, for rows that say so,
identifiers. ``python tools/words.py`` prints a line for each find, and exits with 1 if there is one. Start at
``blocks``.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

try:
    import tomllib
except ImportError:  # before Python 3.11
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
TABLE = tomllib.loads((ROOT / "tools" / "words.toml").read_text())
CPP = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"', re.DOTALL)
BREAK = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_")  # between the words of an identifier

Block = tuple[int, str]  # the first line, and the text


def whole_strings(source: str) -> Iterator[tokenize.TokenInfo]:
    """The tokens, with every f-string as one, as Python has them before 3.12."""
    lines, depth, first = source.splitlines(keepends=True), 0, None
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        kind = tokenize.tok_name[token.type]
        if kind.endswith("STRING_START"):
            depth, first = depth + 1, first or token
        elif kind.endswith("STRING_END"):
            depth -= 1
        elif not depth:
            yield token
        if first and not depth:
            (top, left), (bottom, right) = first.start, token.end
            inside = lines[top - 1 : bottom]
            inside[-1] = inside[-1][:right]
            inside[0] = inside[0][left:]
            yield tokenize.TokenInfo(tokenize.STRING, "".join(inside), first.start, token.end, token.line)
            first = None


def python(source: str) -> tuple[list[Block], list[Block]]:
    """Comments and strings, and names."""
    prose, names = [], []
    for token in whole_strings(source):
        if token.type == tokenize.COMMENT or "STRING" in tokenize.tok_name[token.type]:
            prose.append((token.start[0], token.string))
        elif token.type == tokenize.NAME:
            names.append((token.start[0], token.string))
    return prose, names


def cpp(source: str) -> tuple[list[Block], list[Block]]:
    """Comments and strings, and the words of all else."""
    found = [(source.count("\n", 0, m.start()) + 1, m[0]) for m in CPP.finditer(source)]
    rest = CPP.sub(lambda m: "\n" * m[0].count("\n"), source).split("\n")
    return found, [(n, word) for n, line in enumerate(rest, 1) for word in re.findall(r"[A-Za-z_]\w+", line)]


def joined(prose: list[Block]) -> Iterator[Block]:
    """Comments on neighbouring lines are one text, so that a phrase is found across a line's end."""
    first, last, text = 0, -1, ""
    for line, part in prose:
        if line == last + 1 and part.startswith(("#", "//")) and text.startswith(("#", "//")):
            text += "\n" + part.lstrip("#/")
        else:
            yield first, text
            first, text = line, part
        last = line + part.count("\n")
    yield first, text


def blocks(path: Path) -> tuple[list[Block], list[Block]]:
    """The prose of a file, and its identifiers."""
    source = path.read_text()
    kind = {".py": python, ".pyi": python, ".cpp": cpp, ".h": cpp, ".def": cpp}.get(path.suffix)
    prose, names = kind(source) if kind else ([(1, source)], [])
    return list(joined(prose)), names


def finds(row: dict[str, Any], text: str) -> Iterator[re.Match[str]]:
    """Where a row's words are in a text, contexts that it allows left out; a blank stands for any white space."""
    pattern = row["find"].replace(" ", r"[\s\\n]+")
    allowed = [m.span() for each in row.get("allow", []) for m in re.finditer(each.replace(" ", r"\s+"), text, re.I)]
    for match in re.finditer(rf"(?<![\w-])(?:{pattern})(?!\w)", text, re.I):
        if not any(begin <= match.start() and match.end() <= end for begin, end in allowed):
            yield match


def check(path: Path) -> Iterator[str]:
    """A line for each word of the table in a file."""
    where = str(path.relative_to(ROOT))
    prose, names = blocks(path)
    names = [(line, BREAK.sub(" ", name)) for line, name in names]
    for row in TABLE["word"]:
        if any(fnmatch(where, each) for each in row.get("files", [])):
            continue
        for line, text in (prose if row.get("prose", True) else []) + (names if row.get("names") else []):
            for match in finds(row, text):
                at = line + text.count("\n", 0, match.start())
                yield f"{where}:{at}: {' '.join(match[0].split())!r}: say {row['say']}"


def main() -> int:
    """Check every file that git knows and the table does not leave out."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    left_out = TABLE["leave_out"]
    paths = [ROOT / name for name in listed if not any(fnmatch(name, each) for each in left_out)]
    found = [line for path in paths if path.is_file() for line in check(path)]
    print(*found, sep="\n", end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
