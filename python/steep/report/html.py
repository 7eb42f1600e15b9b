"""Parts of a self-contained HTML page: text, embedded images with scales, curves, light and dark colours.

The same content gives the same bytes. Pages are read on phones too: nothing is wider than 390 pixels, and no letter is
smaller than 12. Start reading at ``document``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from html import escape
from math import isfinite, log10
from typing import NamedTuple

from steep import pictures
from steep.display import embedded as embedded

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
.chart { display: grid; grid-template-columns: auto minmax(0, 1fr); max-width: 46rem; color: var(--soft);
  font-size: .88rem; font-variant-numeric: tabular-nums; column-gap: .5rem; }
.chart svg { display: block; width: 100%; height: 11rem; border: 1px solid var(--line); border-width: 0 0 1px 1px; }
.chart polyline { stroke: var(--accent); stroke-width: 2; fill: none; vector-effect: non-scaling-stroke; }
.chart div { display: flex; flex-direction: column; justify-content: space-between; text-align: right; }
.chart p { grid-column: 2; display: flex; justify-content: space-between; margin: 0; }
.scale { display: block; margin-top: .35rem; }
.scale i { display: block; height: .7rem; border: 1px solid var(--line); border-radius: 3px; }
.scale span { display: flex; justify-content: space-between; gap: .5rem; font-size: .8rem; }
.command { display: flex; flex-wrap: wrap; gap: .6rem; align-items: start; margin: 0 0 1rem; }
.command pre { flex: 1 1 14rem; min-width: 0; margin: 0; padding: .5rem .7rem; border: 1px solid var(--line);
  border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere; user-select: all; }
.command button { font: inherit; font-size: .88rem; padding: .45rem .9rem; border: 1px solid var(--line);
  cursor: pointer; border-radius: 6px; background: var(--page); color: var(--ink); }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
td { padding: .2rem 1rem .2rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; vertical-align: top; }
td:first-child { color: var(--soft); min-width: 7rem; }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: .88rem; }
th { text-align: left; color: var(--soft); font-weight: normal; padding: .2rem 1rem .2rem 0; }
@media (max-width: 30rem) { .listed thead { display: none; } .listed tr { display: block; padding: .3rem 0; }
  .listed td { display: inline; border: 0; padding-right: .5rem; } .listed td:empty { display: none; }
  .listed td + td:not(:empty)::before { content: attr(data-name) " "; color: var(--soft); } }
@media (max-width: 30rem) { main { padding: 1.5rem .8rem 3rem; } section { padding: 1rem .9rem; }
  h1 { font-size: 1.6rem; overflow-wrap: anywhere; } .grid { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
"""


_command = ContextVar("command", default="")


@contextmanager
def made_by(command: str) -> Iterator[None]:
    """Pages made inside show this command line; a context manager, which the command ``steep`` enters.

    Args:
        command: the command line.
    """
    before = _command.set(command)
    try:
        yield
    finally:
        _command.reset(before)


def document(title: str, body: str) -> str:
    """A complete HTML page, with the command that makes it, if one is running.

    Args:
        title: its title.
        body: HTML of the body.

    Returns:
        HTML.
    """
    made = section("Command", "It makes this page again.", command(_command.get())) + "\n" if _command.get() else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n{made}</main>\n</body>\n</html>\n"
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


def _gradient(anchors: Iterable[Iterable[int]]) -> str:
    """Colours from left to right, as CSS."""
    return "linear-gradient(90deg, " + ", ".join(f"rgb({r}, {g}, {b})" for r, g, b in anchors) + ")"


SCALES = {
    "hot": _gradient(pictures.HOT.tolist()),
    "signed": _gradient([pictures.BLUE.tolist(), pictures.WHITE.tolist(), pictures.RED.tolist()]),
    "grey": _gradient([(0, 0, 0), (255, 255, 255)]),
}


class Scale(NamedTuple):
    """What the colours of a map stand for: one of ``SCALES``, and the labels from its left end to its right."""

    colours: str
    labels: Sequence[str]

    def html(self) -> str:
        """The scale below a map."""
        ends = "".join(f"<b>{label}</b>" for label in self.labels)
        return f'<span class="scale"><i style="background: {SCALES[self.colours]}"></i><span>{ends}</span></span>'


def figure(caption: str, *images: tuple[str, str], scale: Scale | None = None) -> str:
    """Images side by side with a caption.

    Args:
        caption: the caption.
        images: pairs of a source and a description for screen readers.
        scale: what the colours stand for, for a map.

    Returns:
        HTML.
    """
    shown = "".join(f'<img src="{source}" alt="{description}">' for source, description in images)
    below = scale.html() if scale else ""
    return f"<figure><div>{shown}</div><figcaption>{caption}{below}</figcaption></figure>"


def command(text: str) -> str:
    """A command line that can be copied.

    Args:
        text: the command line.

    Returns:
        HTML.
    """
    copied = (  # or selected, where the browser denies it
        "const text = this.previousElementSibling;"
        "(navigator.clipboard ? navigator.clipboard.writeText(text.textContent) : Promise.reject())"
        ".then(() => { this.textContent = 'Copied' },"
        " () => { getSelection().selectAllChildren(text); this.textContent = 'Selected' })"
    )
    return (
        f'<div class="command"><pre>{escape(text)}</pre><button type="button" onclick="{escape(copied)}">Copy</button>'
        "</div>"
    )


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


def listed(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of several columns, which on a phone become lines below each other.

    Args:
        head: the names of the columns.
        rows: their cells.

    Returns:
        HTML.
    """
    names = "".join(f"<th>{name}</th>" for name in head)
    lines = "".join(
        "<tr>" + "".join(f'<td data-name="{name}">{cell}</td>' for name, cell in zip(head, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<table class="listed"><thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table>'


def curve(values: list[float], label: str = "loss by epoch", unit: str = "epoch") -> str:
    """A line chart, logarithmic if all values are positive; "" for fewer than two.

    Its labels are text beside the drawing, so that they have their size on any screen.

    Args:
        values: the values.
        label: description for screen readers.
        unit: name of the horizontal unit.

    Returns:
        HTML.
    """
    shown = [value for value in values if isfinite(value)]
    if len(shown) < 2:
        return ""
    logarithmic = min(shown) > 0
    heights = [log10(value) for value in shown] if logarithmic else shown
    low, span = min(heights), max(max(heights) - min(heights), 1e-9)
    points = " ".join(
        f"{100 * i / (len(shown) - 1):.2f},{98 - 96 * (v - low) / span:.2f}" for i, v in enumerate(heights)
    )
    axis = "<span>logarithmic axis</span>" if logarithmic else ""
    return (
        f'<div class="chart" role="img" aria-label="{label}"><div><span>{max(shown):.3g}</span>'
        f"<span>{min(shown):.3g}</span></div>"
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none"><polyline points="{points}"/></svg>'
        f"<p><span>{unit} 1</span>{axis}<span>{unit} {len(shown)}</span></p></div>"
    )
