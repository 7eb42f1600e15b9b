"""Parts of a self-contained HTML page: text, embedded images, light and dark colours.

The same content gives the same bytes. Start reading at ``document``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable

STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5a6577; --page: #f6f7f9; --card: #ffffff; --line: #dfe3ea;
  --accent: #2458a6; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ef; --soft: #9aa5b8; --page: #12161d; --card: #1b212b; --line: #2e3644; --accent: #86b3f5; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .5rem; letter-spacing: -.01em; }
h2 { font-size: 1.25rem; margin: 0 0 .5rem; }
p { margin: 0 0 1rem; max-width: 46rem; }
.lead { color: var(--soft); font-size: 1.1rem; }
.numbers { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1.5rem 0 0; }
.numbers div { flex: 1 1 13rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: .9rem 1.1rem; }
.numbers b { display: block; font-size: 1.7rem; color: var(--accent); font-variant-numeric: tabular-nums; }
.numbers span, figcaption { color: var(--soft); font-size: .88rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1.4rem 1.5rem;
  margin-top: 1.5rem; }
.grid { display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); gap: 1rem; }
@media (max-width: 44rem) { .grid { grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); } }
figure { margin: 0; }
figure div { display: flex; gap: 3px; }
figure img { display: block; width: 100%; min-width: 0; image-rendering: pixelated; border-radius: 6px;
  border: 1px solid var(--line); }
figcaption { margin-top: .3rem; font-variant-numeric: tabular-nums; }
figcaption b { color: var(--ink); }
svg { display: block; width: 100%; height: auto; max-width: 46rem; }
svg text { fill: var(--soft); font-size: 12px; font-family: inherit; }
svg .axis { stroke: var(--line); } svg .curve { stroke: var(--accent); stroke-width: 2; fill: none; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
td { padding: .2rem 2rem .2rem 0; border-bottom: 1px solid var(--line); } td:first-child { color: var(--soft); }
code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: .92em; }
"""


def document(title: str, body: str) -> str:
    """A complete HTML page.

    Args:
        title: its title.
        body: HTML of the body.

    Returns:
        HTML.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def header(title: str, lead: str, numbers: Iterable[tuple[str, str]]) -> str:
    """The header: title, introduction and key figures.

    Args:
        title: the title.
        lead: a sentence or two.
        numbers: pairs of a number and its description.

    Returns:
        HTML.
    """
    tiles = "".join(f"<div><b>{number}</b><span>{what}</span></div>" for number, what in numbers)
    return f'<header><h1>{title}</h1>\n<p class="lead">{lead}</p>\n<div class="numbers">{tiles}</div></header>'


def embedded(png: bytes) -> str:
    """A PNG file as a data URI.

    Args:
        png: bytes of the file.

    Returns:
        A string for ``src``.
    """
    return "data:image/png;base64," + base64.b64encode(png).decode()


def section(title: str, text: str, content: str) -> str:
    """A card with title, paragraph and content.

    Args:
        title: the title.
        text: the paragraph.
        content: HTML below it.

    Returns:
        HTML.
    """
    return f"<section><h2>{title}</h2>\n<p>{text}</p>\n{content}\n</section>"


def figure(caption: str, *images: tuple[str, str]) -> str:
    """Images side by side with a caption.

    Args:
        caption: the caption.
        images: pairs of a source and a description for screen readers.

    Returns:
        HTML.
    """
    shown = "".join(f'<img src="{source}" alt="{description}">' for source, description in images)
    return f"<figure><div>{shown}</div><figcaption>{caption}</figcaption></figure>"


def grid(columns: int, figures: Iterable[str]) -> str:
    """Figures in rows, fewer per row on narrow screens.

    Args:
        columns: figures per row.
        figures: HTML of the figures.

    Returns:
        HTML.
    """
    return f'<div class="grid" style="--columns: {columns}">' + "\n".join(figures) + "</div>"


def table(rows: Iterable[tuple[str, str]]) -> str:
    """A table of names and values.

    Args:
        rows: the pairs.

    Returns:
        HTML.
    """
    cells = "".join(f"<tr><td>{name.replace('_', ' ')}</td><td>{value}</td></tr>" for name, value in rows)
    return f"<table>{cells}</table>"


def curve(values: list[float], label: str = "loss by epoch", unit: str = "epoch") -> str:
    """A line chart as inline SVG, logarithmic if all values are positive; "" for fewer than two.

    Args:
        values: the values.
        label: description for screen readers.
        unit: name of the horizontal unit.

    Returns:
        SVG.
    """
    from math import isfinite, log10

    shown = [value for value in values if isfinite(value)]
    if len(shown) < 2:
        return ""
    heights = [log10(value) for value in shown] if min(shown) > 0 else shown
    low, span = min(heights), max(max(heights) - min(heights), 1e-9)
    width, height, left, top = 720, 200, 72, 12
    bottom = height - 28
    points = " ".join(
        f"{left + (width - left - 12) * i / (len(shown) - 1):.1f},{bottom - (bottom - top) * (v - low) / span:.1f}"
        for i, v in enumerate(heights)
    )
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}">'
        f'<path class="axis" d="M{left} {top}V{bottom}H{width - 12}" fill="none"/>'
        f'<polyline class="curve" points="{points}"/>'
        f'<text x="{left - 8}" y="{top + 4}" text-anchor="end">{max(shown):.3g}</text>'
        f'<text x="{left - 8}" y="{bottom + 4}" text-anchor="end">{min(shown):.3g}</text>'
        f'<text x="{left}" y="{height - 8}">1</text>'
        f'<text x="{width - 12}" y="{height - 8}" text-anchor="end">{unit} {len(shown)}</text></svg>'
    )
