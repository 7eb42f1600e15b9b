"""Every file that a comment, a docstring or a page names exists, and every link between pages leads somewhere.

A name is a path from the root of the repository or the end of one, as in ``graph/apply.cpp`` or ``apply.cpp``.
``EXAMPLES`` are names that stand for any file, ``MADE`` files that a command writes. Start reading at ``named``.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAME = re.compile(
    r"(?<![\w/.<>*{~$-])((?:[\w.-]+/)*\w[\w.-]*\.(?:py|cpp|h|def|md|toml|ipynb|yml|pyi))(?![\w*(/-])(?!\.\w)"
)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")
FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
FOLDERS = (
    ".ci",
    ".github",
    "bench",
    "csrc",
    "docs",
    "examples",
    "notebooks",
    "python",
    "requirements",
    "tests",
    "tools",
)
EXAMPLES = {"file.py", "csrc/kernels/isa_avx.cpp"}
MADE = {"bench/results/versus.md", "versus.md"}  # by make bench


def listed(*patterns: str) -> list[str]:
    """The files of the repository that match, those of ``FOLDERS`` and those beside them."""
    inside = (path for folder in FOLDERS for pattern in patterns for path in (ROOT / folder).rglob(pattern))
    beside = (path for pattern in patterns for path in ROOT.glob(pattern))
    return sorted(path.relative_to(ROOT).as_posix() for path in (*beside, *inside) if path.is_file())


def tool():
    """tools/words.py, which tells comments and strings from code, and is in no package."""
    found = importlib.util.spec_from_file_location("words_tool", ROOT / "tools" / "words.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


FILES = listed("*")
ENDS = {name[at:] for name in FILES for at in [0, *(m.end() for m in re.finditer("/", name))]}
TOOL = tool()


def named(path: Path) -> list[str]:
    """The files that a file's comments, docstrings or text name; strings of one line are data."""
    prose, _ = TOOL.blocks(path)
    texts = [
        text for _, text in prose if path.suffix not in (".py", ".pyi") or not re.match(r"[rbfu]*['\"](?!\"\")", text)
    ]
    return [name for text in texts for name in NAME.findall(FENCE.sub("", text))]


@pytest.mark.parametrize("name", listed("*.py", "*.cpp", "*.h", "*.def", "*.md"))
def test_files_that_are_named_exist(name):
    path = ROOT / name
    missing = {n for n in named(path) if n not in ENDS and n not in EXAMPLES | MADE and not (path.parent / n).exists()}
    assert not missing, f"{name} names {sorted(missing)}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("name", listed("*.md"))
def test_links_between_pages_lead_somewhere(name):
    page = ROOT / name
    for target, anchor in LINK.findall(FENCE.sub("", page.read_text())):
        at = page.parent / target if target else page
        assert at.exists(), f"{name} links to {target}"
        assert not anchor or anchor in anchors(at), f"{name} links to {target}#{anchor}"
