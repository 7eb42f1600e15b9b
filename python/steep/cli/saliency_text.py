"""``steep saliency --text``: which words of a text make it similar to another, as coloured text."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from rich.text import Text

from steep import text
from steep.cli import output as out
from steep.cli import screen
from steep.io.atomic import atomic_write
from steep.report import html as page
from steep.zoo.table import MINILM_FILE

MOST_GAP = 0.05


def words_of(given: str, like: str, output: Path | None, json: bool) -> int:
    """Print the words of a text coloured, write the page, and return the exit code: 1 if the parts do not add up."""
    if not like.strip():
        raise ValueError('--text needs --like "...", the text that it is compared with')
    if output is not None and output.suffix.lower() != ".html":
        raise ValueError(f"{output}: coloured text is written as .html")
    if output is not None:
        out.check_folder(output)
    found = text.attribution(text.encoder(), given, like)
    said = (
        f"similarity with {like!r}: {found.score:.4f}, {found.baseline:.4f} without words; "
        f"parts add up to {sum(found.parts):.4f} (gap {found.gap:.1e})"
    )
    if output is not None:
        with atomic_write(output) as file:
            file.write(_page(found, like, said).encode())
    if json:
        words = [{"word": word, "part": part} for word, part in found.words()]
        told: dict[str, Any] = {
            "text": given,
            "like": like,
            "words": words,
            "tokens": found.tokens,
            "parts": found.parts,
        }
        told |= {"score": found.score, "baseline": found.baseline, "gap": found.gap, "sha256": MINILM_FILE.sha256}
        screen.print_json({**told, "output": None if output is None else str(output)})
    else:
        screen.out.print(coloured(found.words()))
        screen.out.print(said, markup=False)
        if output is not None:
            screen.out.print(str(output), markup=False)
    return 0 if found.gap <= MOST_GAP else 1


def coloured(words: list[tuple[str, float]]) -> Text:
    """Words with their parts, the largest ones bold: green adds, red takes away."""
    largest = max((abs(part) for _, part in words), default=0.0) or 1.0
    made = Text()
    for word, part in words:
        share = abs(part) / largest
        style = f"{'bold ' if share > 0.5 else ''}{'green' if part > 0 else 'red'}" if share > 0.1 else "dim"
        made.append(f"{word} ", style)
        made.append(f"{part:+.3f}  ", "dim")
    return made


def _page(found: text.TokenAttribution, like: str, said: str) -> str:
    rows = [(escape(word), f"{part:+.4f}") for word, part in found.words()]
    body = [
        page.header("Which words matter", escape(said), []),
        page.section(
            "Words",
            f"Compared with: {escape(like)}. Green words add to the similarity, red ones take away.",
            f"<p>{found.html()}</p>",
        ),
        page.section("Parts", "What each word adds to the similarity.", page.table(rows)),
    ]
    return page.document("Which words matter", "\n".join(body))
