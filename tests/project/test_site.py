"""The pages of the site that are made: a reference of every public name, and links that lead from page to page.

`make docs` builds the site itself, and fails on a link or an anchor that leads nowhere. Start reading at ``tools``.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from pathlib import Path

import pytest
import steep as sp

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tools():
    """The modules of tools/, which is no package."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        return {name: importlib.import_module(name) for name in ("public", "reference", "site_hooks")}
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="module")
def pages(tools):
    return tools["reference"].pages()


def entries(page):
    """The names that have an entry on a page: anchors of headings, or the objects that mkdocstrings describes."""
    return set(re.findall(r"\{ #([\w.]+) \}", page)) | set(re.findall(r"^::: ([\w.]+)$", page, re.MULTILINE))


def test_every_public_name_has_an_entry(tools, pages):
    found = set().union(*map(entries, pages.values()))
    for name, module in tools["public"].modules().items():
        things = {key: thing for key, thing in tools["public"].names(module).items() if not inspect.ismodule(thing)}
        dtypes = {key for key, thing in things.items() if isinstance(thing, sp.dtype)}
        assert not {key for key in things.keys() - dtypes if f"{name}.{key}" not in found}, name
        assert all(f"`steep.{key}`" in pages["api/tensor.md"] for key in dtypes)


def test_a_new_public_name_appears_by_itself(tools, pages, monkeypatch):
    def brand_new():
        """Does nothing yet."""

    monkeypatch.setattr(sp.zoo, "brand_new", brand_new, raising=False)
    monkeypatch.setattr(sp.zoo, "__all__", [*sp.zoo.__all__, "brand_new"])
    page = tools["reference"].pages()["api/steep.zoo.md"]
    assert "::: steep.zoo.brand_new" in page and "| [`brand_new`](#steep.zoo.brand_new) | Does nothing yet. |" in page
    assert "brand_new" not in pages["api/steep.zoo.md"]


def test_ops_are_described_by_their_rows_and_stubs(pages):
    entry = pages["api/ops.md"].split("{ #steep.relu }")[1].split("\n## ")[0]
    row = next(row for row in sp._core._op_table() if row["name"] == "relu")
    assert "```python\nsteep.relu(x: ArrayLike) -> Tensor\n```" in entry and row["doc"] in entry
    assert "Tensor.relu" in entry and "does not exist: 0 at 0" in entry
    assert "steep.sum(\n    x: ArrayLike,\n" in pages["api/ops.md"]


def test_a_function_that_a_module_of_its_name_hides_is_found_where_it_is_defined(pages):
    assert "[](){ #steep.ascent.invert }\n\n::: steep.ascent.invert.invert" in pages["api/steep.ascent.md"]


def test_links_of_the_repository_become_links_of_the_site(tools, caplog):
    relinked = tools["site_hooks"].relinked
    assert relinked("[a](docs/zoo.md#photos), ![b](docs/pictures/x.png)", "README.md") == (
        "[a](zoo.md#photos), ![b](pictures/x.png)"
    )
    assert relinked("[c](../CONTRIBUTING.md) [d](README.md) [e](../notebooks/n.ipynb)", "docs/start.md") == (
        "[c](contributing.md) [d](pages.md) [e](notebooks/n.ipynb)"
    )
    kept = "[f](https://example.org/x) [g](#here) `[h](docs/zoo.md)`\n```\n[i](docs/zoo.md)\n```\n"
    assert relinked(kept, "README.md") == kept and not caplog.records
    relinked("[j](csrc/core/tensor.h)", "README.md")
    assert "csrc/core/tensor.h, which is not in the site" in caplog.text


def test_bars_in_code_are_not_escaped_in_the_site(tools):
    assert tools["site_hooks"].relinked("| `a \\| b` | c \\| d |", "README.md") == "| `a | b` | c \\| d |"


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r": (\w+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"} <= listed


def test_nothing_is_loaded_from_elsewhere():
    for path in (ROOT / "mkdocs.yml", *(ROOT / "docs" / "site").iterdir()):
        assert "://" not in path.read_text(), path
    assert "font: false" in (ROOT / "mkdocs.yml").read_text()
