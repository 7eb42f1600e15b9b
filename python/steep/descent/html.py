"""The page: a landscape with sliders for rate, momentum and start, one self-contained file.

Every path that it can show is computed here by steep, for each position of the sliders, and stored as JSON; the script
only draws. Below it stands the verdict. Start reading at ``page``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from steep import pictures
from steep.descent.canvas import SURFACE, banded
from steep.descent.draw import range_of, surface
from steep.descent.landscapes import Landscape, Points
from steep.descent.paths import MOMENTUM, Method, Path, Settings, checked, find_methods, follow
from steep.descent.script import SCRIPT, STYLE
from steep.descent.verdict import Verdict
from steep.pictures import Colours
from steep.report import html as parts

FACTORS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0)  # of the landscape's rate
MOMENTA = (0.0, 0.5, 0.8, 0.9, 0.99)
SHOWN = ("gradient descent", "momentum", "Adam")
PIXELS = 460


def page(
    verdict: Verdict, methods: Sequence[str] | str = "all", steps: int = 80, rate: float | None = None, seed: int = 0
) -> str:
    """The page of a landscape.

    Args:
        verdict: what ``judge`` found out, with its landscape.
        methods: names of ``METHODS``; "all" for all.
        steps: number of steps of each path.
        rate: the middle of the slider of rates; the landscape's if None.
        seed: seed of random methods.

    Returns:
        HTML.

    Example:
        >>> bowl = sp.descent.find("quadratic")
        >>> verdict = sp.descent.judge(bowl, paths=sp.descent.descend(bowl, ["adam"], steps=5))
        >>> sp.descent.page(verdict, ["adam"], steps=5)[:15]
        '<!DOCTYPE html>'
    """
    landscape, rows = verdict.landscape, find_methods(methods)
    data = page_data(landscape, rows, steps, landscape.rate if rate is None else rate, seed)
    # In JSON "<" stands in strings alone, so that no name can end the script element.
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    stored = f'<script id="data" type="application/json">{text}</script>'
    title = f"Descending {landscape.name.replace('_', ' ')}"
    lead = ". ".join(filter(None, (landscape.formula, landscape.about.capitalize())))
    body = [
        STYLE,
        parts.header(escape(title), escape(lead), []),
        f"<section>{_stage(landscape, rows, data, steps)}</section>",
        parts.section(
            "Is it differentiable? Is it hard?",
            "Computed: kinks by differences and the trace, curvatures by the Hessian, what each method reaches.",
            _verdict(verdict),
        ),
        stored,
        SCRIPT,
    ]
    return parts.document(escape(title), "\n".join(body))


def page_data(landscape: Landscape, methods: list[Method], steps: int, rate: float, seed: int = 0) -> dict[str, Any]:
    """What the script draws: the background, and a run for each method and position of its sliders.

    Args:
        landscape: the landscape.
        methods: rows of ``METHODS``.
        steps: number of steps.
        rate: the middle of the slider of rates.
        seed: seed of random methods.

    Returns:
        Plain values for JSON.
    """
    rates = [float(f"{rate * factor:.3g}") for factor in FACTORS]
    starts = [np.array(start) for start in landscape.starts or (landscape.start,)]
    runs = {}
    for method in methods:
        for r in range(len(rates)) if "rate" in method.settings else [None]:
            for m in range(len(MOMENTA)) if "momentum" in method.settings else [None]:
                settings = _settings(landscape, rates, r, m, seed)
                for s, start in enumerate(starts):
                    path = checked(landscape, follow(landscape, method, start, steps, settings))
                    runs["|".join([method.name, _index(r), _index(m), str(s)])] = _run(landscape, path)
    background, axes = _background(landscape)
    listed = [{"name": m.name, "id": _id(m), "colour": "#" + bytes(m.colour).hex(), "settings": list(m.settings)}
              for m in methods]  # fmt: skip
    chosen = [m.name for m in methods if m.name in SHOWN] or [m.name for m in methods[:3]]
    return {"dimensions": landscape.dimensions, "axes": axes, "image": parts.embedded(pictures.png(background)),
            "methods": listed, "shown": chosen, "rate": rates, "momentum": list(MOMENTA),
            "start": [start.tolist() for start in starts], "runs": runs}  # fmt: skip


def _settings(landscape: Landscape, rates: list[float], r: int | None, m: int | None, seed: int) -> Settings:
    width = max(high - low for low, high in landscape.domain)
    return Settings(rates[0] if r is None else rates[r], MOMENTUM if m is None else MOMENTA[m], width / 10, seed)


def _index(at: int | None) -> str:
    return "-" if at is None else str(at)


def _id(method: Method) -> str:
    return re.sub(r"\W+", "-", method.name.lower())


def _run(landscape: Landscape, path: Path) -> dict[str, Any]:
    """A path as plain values: points in the picture's coordinates, values, status and what is wrong from which step."""
    pairs = path.points if landscape.dimensions == 2 else np.stack([path.points[:, 0], path.values], axis=-1)
    told: dict[str, Any] = {
        "p": [[_short(v) for v in pair] for pair in pairs],
        "v": [_short(v) for v in path.values],
        "s": path.status,
    }
    wrong = "; ".join(filter(None, (path.problem, path.message if path.status in ("refused", "diverged") else "")))
    if wrong:
        told["w"] = wrong
        found = re.search(r"step (\d+)", wrong)
        told["k"] = min(int(found[1]), path.steps) if found else 0
    return told


def _short(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None


def _background(landscape: Landscape) -> tuple[Colours, list[list[float]]]:
    """The picture below the paths, and its ranges of x and y."""
    if landscape.dimensions == 2:
        return banded(surface(landscape, 2 * PIXELS, 2 * PIXELS)), [list(r) for r in landscape.domain]
    ((left, right),) = landscape.domain
    x = left + (np.arange(2 * PIXELS) + 0.5) / (2 * PIXELS) * (right - left)
    with np.errstate(all="ignore"):
        y = landscape.at(x[:, None])
    low, high = range_of(y)
    return _below(y, low, high), [[left, right], [low, high]]


def _below(y: Points, low: float, high: float) -> Colours:
    """A white sky above a curve, and ground below it."""
    heights = high - (np.arange(2 * PIXELS) + 0.5) / (2 * PIXELS) * (high - low)
    ground = heights[:, None] < y[None]
    colours: Colours = np.where(ground[..., None], SURFACE[1], SURFACE[0]).astype(np.uint8)
    edge = ground.copy()
    edge[2:] &= ~ground[:-2]
    colours[edge] = SURFACE[5]
    return colours


def _stage(landscape: Landscape, methods: list[Method], data: dict[str, Any], steps: int) -> str:
    """The plot with its sliders, and the values beside."""
    middle = FACTORS.index(1.0)
    sliders = [
        _slider("rate", "rate", len(FACTORS) - 1, middle),
        _slider("momentum", "momentum", len(MOMENTA) - 1, MOMENTA.index(MOMENTUM)),
        _slider("start", "start", len(data["start"]) - 1, _first(landscape, data["start"])),
        _slider("step", "step", steps, steps),
    ]
    lines = "".join(_row(method, method.name in data["shown"]) for method in methods)
    heads = '<tr><th>method</th><th class="number">value</th><th>at</th><th>steps</th></tr>'
    return (
        '<div class="descent"><div><canvas id="plot" width="920" height="920" role="img" '
        f'aria-label="paths on {escape(landscape.name)}"></canvas><p class="ranges">{_ranges(landscape, data)}</p>'
        "</div><div>"
        f'<div class="sliders">{"".join(sliders)}</div><p><button class="play" id="play">Play</button></p>'
        f'<div class="wide"><table class="values">{heads}{lines}</table></div>'
        '<ul class="problems" id="problems" aria-live="polite"></ul></div></div>'
    )


def _ranges(landscape: Landscape, data: dict[str, Any]) -> str:
    """What the plot shows, in words."""
    names = ("x", "y" if landscape.dimensions == 2 else "f(x)")
    return "; ".join(
        f"{name} from {low:.4g} to {high:.4g}" for name, (low, high) in zip(names, data["axes"], strict=True)
    )


def _first(landscape: Landscape, starts: list[list[float]]) -> int:
    return starts.index(list(landscape.start)) if list(landscape.start) in starts else 0


def _slider(name: str, label: str, last: int, value: int) -> str:
    return (f'<label for="{name}">{label}</label><input type="range" id="{name}" min="0" max="{last}" value="{value}">'
            f'<output id="{name}-is" for="{name}"></output>')  # fmt: skip


def _row(method: Method, checked: bool) -> str:
    mark, colour = " checked" * checked, "#" + bytes(method.colour).hex()
    return (f'<tr id="row-{_id(method)}"><td><label><input type="checkbox" value="{escape(method.name)}"{mark}>'
            f'<i style="background:{colour}"></i>{escape(method.name)}</label></td><td class="number"></td>'
            "<td></td><td></td></tr>")  # fmt: skip


def _verdict(verdict: Verdict) -> str:
    rows = [
        ("differentiable", verdict.differentiable),
        ("the trace", verdict.gradient),
        ("conditioning", verdict.conditioning),
    ]
    rows += [("minimum", f"{m.value:.4g} at ({', '.join(f'{v:.6g}' for v in m.point)})") for m in verdict.minima[:6]]
    rows += verdict.outcomes
    rows += [("source", verdict.landscape.source)] if verdict.landscape.source else []
    return '<div class="wide">' + parts.table((escape(name), escape(text)) for name, text in rows) + "</div>"
