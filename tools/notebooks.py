"""Makes notebooks/*.ipynb from pages of docs/, so that a text and its notebook cannot drift apart.

A fenced block of Python becomes a cell; one that opens with ``# file: NAME`` a cell that writes that file; one of
``sh`` a cell of commands; all else is text. ``python tools/notebooks.py`` writes the notebooks, ``--check`` exits with
1 if one is out of date. tests/test_docs.py runs the same cells. Start reading at ``cells``.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("tutorial_train", "tutorial_onnx", "what_excites_a_neuron")
FENCE = re.compile(r"^```(python|sh)\n(.*?)^```$\n?", re.MULTILINE | re.DOTALL)
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
    stripped = [Cell(kind, source.strip("\n")) for kind, source in found]
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


def main() -> int:
    stale = {path: text for path, text in files().items() if not path.exists() or path.read_text() != text}
    for path, text in stale.items():
        print(f"{path.relative_to(ROOT)} is out of date", file=sys.stderr)
        if "--check" not in sys.argv:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    raise SystemExit(main())
