"""What the site is made of beside docs/: README and other pages of the root, the API reference, the notebooks.

mkdocs calls the functions named ``on_...`` (mkdocs.yml names this file). Links between files of the repository become
links between pages; one to a file that is not in the site is a warning, and so an error of ``make docs``. Start at
``on_files``.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

import reference

ROOT = Path(__file__).resolve().parent.parent
LOG = logging.getLogger("mkdocs.plugins.steep")
PLACES = {  # of files of the repository in the site; a file of docs/ has the same path there
    "README.md": "index.md",
    "docs/README.md": "pages.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
CODE = re.compile(r"(^ *```.*?^ *```|`[^`\n]*`)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(\]\()([^)\s#:]+)(#[^)\s]*)?\)")


def place_of(path: str) -> str | None:
    """The path in the site of a file of the repository; None if it is not there."""
    if path in PLACES:
        return PLACES[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return path if path.startswith("notebooks/") else None


def source_of(place: str) -> str:
    """The path in the repository of a page."""
    return next((path for path, each in PLACES.items() if each == place), f"docs/{place}")


def relinked(markdown: str, source: str) -> str:
    """The text of the repository's file ``source`` with its links leading to pages of the site."""

    def moved(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[2]))
        place = place_of(target)
        if place is None:
            LOG.warning("%s links to %s, which is not in the site", source, target)
        start = posixpath.dirname(place_of(source) or "") or "."
        return f"{found[1]}{posixpath.relpath(place or target, start)}{found[3] or ''})"

    parts = CODE.split(markdown)
    return "".join(plain(part) if number % 2 else LINK.sub(moved, part) for number, part in enumerate(parts))


def plain(code: str) -> str:
    """Code as it is; in a table GitHub wants a bar within code to be escaped, and the site's Markdown does not."""
    return code if code.lstrip().startswith("```") else code.replace("\\|", "|")


def on_config(config: Any) -> Any:
    """Puts the pages of the reference into the navigation, at the entry "API"."""
    titles = {"api/index.md": "Overview", reference.TENSOR: "Tensor", reference.OPS: "Functions of tensors"}
    pages = [{titles.get(path, Path(path).stem): path} for path in reference.pages()]
    entry = next(each for each in config.nav if "API" in each)
    entry["API"] = pages
    return config


def on_files(files: Any, config: Any) -> Any:
    """Adds what is not in docs/."""
    from mkdocs.structure.files import File

    files.remove(files.get_file_from_path("README.md"))
    for path, place in PLACES.items():
        files.append(File.generated(config, place, content=(ROOT / path).read_text()))
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        files.append(File.generated(config, f"notebooks/{path.name}", abs_src_path=str(path)))
    for place, text in reference.pages().items():
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """The links of what comes from the repository."""
    place = page.file.src_uri
    return markdown if place.startswith("api/") else relinked(markdown, source_of(place))
