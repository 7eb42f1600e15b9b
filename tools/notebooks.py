"""Makes notebooks/*.ipynb from pages of docs/, so that a text and its notebook cannot drift apart.

A fenced block of Python becomes a cell; one that opens with ``# file: NAME`` a cell that writes that file; one of
``sh`` a cell of commands; all else is text. ``python tools/notebooks.py`` writes the notebooks, ``--check`` exits with
1 if one is out of date, ``--pictures`` runs the pages and writes what they show below docs/pictures.
tests/project/test_docs.py runs the same cells. Start reading at ``cells``.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PAGES = (
    "tutorial_train", "tutorial_onnx", "tape", "what_excites_a_neuron", "visualisation", "optimisation",
    "backpropagation", "calculus",
)  # fmt: skip
FENCE = re.compile(r"^```(python|sh)\n(.*?)^```$\n?", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"^!\[.*\]\(pictures/.*\)\n+", re.MULTILINE)  # which a notebook shows by itself
LINK = re.compile(r"\]\((?![a-z]+:|#)")


class Cell(NamedTuple):
    """``kind``, "markdown" or "code", and the ``source`` as a notebook has it."""

    kind: str
    source: str


def cells(page: str) -> list[Cell]:
    """The cells that a page of Markdown makes."""
    parts = FENCE.split(page)
    found = [Cell("markdown", parts[0])]
    for language, code, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        found += [Cell("code", as_cell(language, code)), Cell("markdown", text)]
    stripped = [
        Cell(kind, (source if kind == "code" else PICTURE.sub("", source)).strip("\n")) for kind, source in found
    ]
    return [cell for cell in stripped if cell.source]


def as_cell(language: str, code: str) -> str:
    """A block of code as a notebook writes it: commands after "!", files by %%writefile."""
    if language == "sh":
        return re.sub(r"^(?=.)", "!", code, flags=re.MULTILINE)
    return re.sub(r"\A# file: (\S+)\n", r"%%writefile \1\n", code)


def notebook(page: str) -> dict[str, Any]:
    """The page as a notebook (nbformat 4.5) without outputs; its links lead back to docs/."""
    made = []
    for number, (kind, source) in enumerate(cells(page)):
        text = LINK.sub("](../docs/", source) if kind == "markdown" else source
        cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
        cell |= {"execution_count": None, "outputs": []} if kind == "code" else {}
        made.append(cell | {"source": text.splitlines(keepends=True)})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def files() -> dict[Path, str]:
    """What each notebook's file should hold."""
    pages = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in PAGES}
    made = {name: json.dumps(notebook(page), indent=1, ensure_ascii=False) for name, page in pages.items()}
    return {ROOT / "notebooks" / f"{name}.ipynb": text + "\n" for name, text in made.items()}


def run_cell(source: str, names: dict[str, Any], command: Callable[[list[str]], object]) -> Any:
    """Does what a notebook does with a cell of code; gives the value of its last line, if that is an expression."""
    if source.startswith("%%writefile "):
        first, text = source.split("\n", 1)
        Path(first.split()[1]).write_text(text)
    elif source.startswith("!"):
        for line in source.splitlines():
            command(shlex.split(line[1:], comments=True))
    else:
        *body, last = ast.parse(source).body
        body += [] if isinstance(last, ast.Expr) else [last]
        exec(compile(ast.Module(body, []), source.split("\n", 1)[0], "exec"), names)
        return eval(compile(ast.Expression(last.value), "", "eval"), names) if isinstance(last, ast.Expr) else None


def shown(page: str, command: Callable[[list[str]], object], names: dict[str, Any]) -> Iterator[Any]:
    """Runs a page in the current folder, and gives the images that it shows, one after the other."""
    for cell in cells(page):
        value = run_cell(cell.source, names, command) if cell.kind == "code" else None
        if hasattr(value, "save"):
            yield value


def draw_pictures(name: str) -> None:
    """Writes what a page shows to docs/pictures/NAME/1.png and so on."""
    page, folder, before = (ROOT / "docs" / f"{name}.md").read_text(), ROOT / "docs" / "pictures" / name, Path.cwd()
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as elsewhere:
        os.chdir(elsewhere)
        sys.path.insert(0, elsewhere)
        steep = [sys.executable, "-m", "steep"]
        for number, picture in enumerate(shown(page, lambda w: subprocess.run(steep + w[1:], check=True), {}), 1):
            picture.save(folder / f"{number}.png", optimize=True)
        os.chdir(before)


def main() -> int:
    if "--pictures" in sys.argv:
        for name in PAGES:
            draw_pictures(name)
    stale = {path: text for path, text in files().items() if not path.exists() or path.read_text() != text}
    for path, text in stale.items():
        print(f"{path.relative_to(ROOT)} is out of date", file=sys.stderr)
        if "--check" not in sys.argv:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    raise SystemExit(main())
