"""Figures of descents: paths on contours or a curve, five rates, the stability map, the cost of each order.

Each function returns colours, a uint8 array, and needs Pillow; the same arguments give the same bytes. Start reading at
``picture``; ``film`` gives the same picture step by step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from steep.descent.canvas import INK, LINE, SCALE, SOFT, Axes, Canvas, Colour, banded
from steep.descent.landscapes import Landscape, Points, shown
from steep.descent.orders import Cost
from steep.descent.paths import METHODS, Path
from steep.descent.stability import StabilityMap
from steep.pictures import Colours

__all__ = ["curves", "film", "orders", "picture", "rates", "stability"]

PLOT, PANEL, MARGIN, TOP = 460, 430, 56, 80
COLOURS: dict[str, Colour] = {method.name: method.colour for method in METHODS}
BLUE, RED, GREEN = (33, 102, 172), (178, 24, 43), (44, 120, 60)


def picture(landscape: Landscape, paths: Sequence[Path], upto: int | None = None, ground: Any = None) -> Colours:
    """Paths on a landscape, with the values of each beside.

    Args:
        landscape: the landscape.
        paths: the paths.
        upto: number of steps to draw; all if None.
        ground: what ``background`` returned, for many pictures of one landscape.

    Returns:
        A uint8 array (height, width, 3).

    Example:
        >>> bowl = sp.descent.find("quadratic")
        >>> sp.descent.draw.picture(bowl, sp.descent.descend(bowl, ["adam"], steps=5)).shape
        (584, 986, 3)
    """
    rows = 26 * len(paths) + 60
    canvas = Canvas(MARGIN + PLOT + PANEL + 40, max(TOP + PLOT + 44, TOP + rows))
    canvas.text(20, 22, landscape.name.replace("_", " "), 18)
    canvas.text(20, 44, canvas.fitted(_subtitle(landscape), canvas.size[0] - 40), 12, SOFT)
    draw = _curve if landscape.dimensions == 1 else _contours
    draw(canvas, landscape, background(landscape) if ground is None else ground, [_begun(path, upto) for path in paths])
    _values(canvas, landscape, paths, upto)
    return canvas.finished()


def film(landscape: Landscape, paths: Sequence[Path], frames: int = 40) -> list[Colours]:
    """The picture after more and more steps.

    Args:
        landscape: the landscape.
        paths: the paths.
        frames: the largest number of frames.

    Returns:
        Pictures, the last with all steps.

    Example:
        >>> bowl = sp.descent.find("quadratic")
        >>> len(sp.descent.draw.film(bowl, sp.descent.descend(bowl, ["adam"], steps=2)))
        3
    """
    longest = max((path.steps for path in paths), default=0)
    # Paths move most at first, so frames are denser there.
    when = sorted({round(longest * (k / max(1, frames - 1)) ** 1.6) for k in range(frames)})
    ground = background(landscape)
    return [picture(landscape, paths, upto, ground) for upto in when]


def background(landscape: Landscape) -> Any:
    """What does not depend on paths: the values of a curve, or the colours of a surface.

    Args:
        landscape: the landscape.

    Returns:
        An array.
    """
    if landscape.dimensions == 2:
        return banded(surface(landscape, PLOT, PLOT)).repeat(SCALE, axis=0).repeat(SCALE, axis=1)
    with np.errstate(all="ignore"):
        return landscape.at(_across(landscape)[:, None])


def _across(landscape: Landscape) -> Points:
    return np.linspace(*landscape.domain[0], 4 * PLOT + 1)


def _subtitle(landscape: Landscape) -> str:
    return ": ".join(part for part in (landscape.formula, landscape.about) if part)


def _begun(path: Path, upto: int | None) -> tuple[str, Points, Points]:
    end = len(path.points) if upto is None else min(upto + 1, len(path.points))
    return path.method, path.points[:end], path.values[:end]


def _axes(x: tuple[float, float], y: tuple[float, float]) -> Axes:
    return Axes((MARGIN, TOP, MARGIN + PLOT, TOP + PLOT), x, y)


def surface(landscape: Landscape, width: int, height: int) -> Points:
    """Values on a grid of pixels, the first row being the top.

    Args:
        landscape: a landscape of two variables.
        width: pixels across.
        height: pixels from top to bottom.

    Returns:
        An array (height, width).
    """
    (left, right), (low, high) = landscape.domain
    x = left + (np.arange(width) + 0.5) / width * (right - left)
    y = high - (np.arange(height) + 0.5) / height * (high - low)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    with np.errstate(all="ignore"):
        return landscape.at(points).reshape(height, width)


def _contours(canvas: Canvas, landscape: Landscape, ground: Any, paths: list[tuple[str, Points, Points]]) -> None:
    axes = _axes(*landscape.domain)
    canvas.surface(ground, axes.box[0], axes.box[1])
    axes.ticks(canvas, ("x", "y"))
    for name, points, _ in paths:
        _path(canvas, axes, points, COLOURS[name])


def _path(canvas: Canvas, axes: Axes, pairs: Points, colour: Colour) -> None:
    """A line with a dot for each step, and a larger one at its end."""
    axes.clipped(canvas, pairs, colour)
    pixels = axes.place(pairs)
    for (x, y), inside in zip(pixels, axes.inside(pixels), strict=True):
        if inside:
            canvas.dot(x, y, 1.8, colour)
    if axes.inside(pixels[-1:])[0]:
        canvas.dot(float(pixels[-1, 0]), float(pixels[-1, 1]), 5, colour, (255, 255, 255))
    if axes.inside(pixels[:1])[0]:
        canvas.dot(float(pixels[0, 0]), float(pixels[0, 1]), 4, (255, 255, 255), INK)


def range_of(values: Points) -> tuple[float, float]:
    """The range of a vertical axis, with a margin.

    Args:
        values: the values of a curve; those that are not finite are left out.

    Returns:
        The lower and the upper end.
    """
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    margin = 0.08 * (high - low) or 1.0
    return low - margin, high + margin


def _curve(canvas: Canvas, landscape: Landscape, ground: Points, paths: list[tuple[str, Points, Points]]) -> None:
    axes = _axes(landscape.domain[0], range_of(ground))
    _graph(canvas, axes, _across(landscape), ground)
    axes.ticks(canvas, ("x", "f(x)"))
    for name, points, values in paths:
        _path(canvas, axes, np.stack([points[:, 0], values], axis=-1), COLOURS[name])


def _graph(canvas: Canvas, axes: Axes, x: Points, y: Points, colour: Colour = SOFT) -> None:
    """A curve, with gaps where it is not finite or jumps."""
    with np.errstate(all="ignore"):  # gaps are not finite
        change = np.diff(y)
    gaps = np.nonzero(~(np.abs(change) <= 0.2 * (axes.y[1] - axes.y[0])))[0] + 1
    for part in np.split(np.arange(len(x)), gaps):
        axes.clipped(canvas, np.stack([x[part], y[part]], axis=-1), colour, 2)


def _values(canvas: Canvas, landscape: Landscape, paths: Sequence[Path], upto: int | None) -> None:
    left, y = MARGIN + PLOT + 28, TOP + 4
    columns = (left + 18, left + 190, left + 205, left + 330)
    for at, words, anchor in zip(columns, ("method", "value", "at", "steps"), ("lm", "rm", "lm", "lm"), strict=True):
        canvas.text(at, y, words, 11, SOFT, anchor)
    for path in paths:
        y += 26
        _, points, values = _begun(path, upto)
        canvas.dot(left + 6, y, 5, COLOURS[path.method])
        canvas.text(columns[0], y, path.method)
        canvas.text(columns[1], y, f"{values[-1]:.3g}", anchor="rm")
        canvas.text(columns[2], y, canvas.fitted(shown(points[-1]), 120))
        ended = len(points) == len(path.points)
        words = f"{len(points) - 1}" + (f" {path.status}" if ended and path.status != "finished" else "")
        canvas.text(columns[3], y, canvas.fitted(words, 100), colour=RED if path.status == "diverged" else INK)
    canvas.text(left, y + 34, "white: the start; large: the last step", 11, SOFT)


def curves(x: Any, lines: Mapping[str, Any]) -> Colours:
    """Functions of one variable in one plot, such as a function with its tangent or its derivative.

    Args:
        x: where the values are, an array (n,).
        lines: names with values (n,); those that are not finite are gaps.

    Returns:
        A uint8 array (height, width, 3).

    Example:
        >>> x = np.linspace(0, 1, 50)
        >>> sp.descent.draw.curves(x, {"x^2": x**2, "its derivative": 2 * x}).shape
        (524, 736, 3)
    """
    across = np.asarray(x, np.float64)
    heights = {name: np.asarray(values, np.float64) for name, values in lines.items()}
    canvas, top = Canvas(MARGIN + PLOT + 220, PLOT + 64), 20
    span = (float(across.min()), float(across.max()))
    axes = Axes((MARGIN, top, MARGIN + PLOT, top + PLOT), span, range_of(np.concatenate(list(heights.values()))))
    axes.ticks(canvas, ("x", ""))
    for k, (name, y) in enumerate(heights.items()):
        colour = METHODS[k % len(METHODS)].colour
        _graph(canvas, axes, across, y, colour)
        left, down = MARGIN + PLOT + 20, top + 26 * k
        canvas.box(left, down, left + 14, down + 14, colour)
        canvas.text(left + 22, down + 7, canvas.fitted(name, 170))
    return canvas.finished()


def rates(runs: Sequence[tuple[float, Path]], counts: Sequence[int | None]) -> Colours:
    """The same quadratic at several rates, side by side.

    Args:
        runs: pairs of a rate and a path of one variable.
        counts: steps that each rate needs, None if it does not arrive.

    Returns:
        A uint8 array (height, width, 3).

    Example:
        >>> sp.descent.draw.rates(sp.descent.five_rates((0.5,)), [10]).shape
        (330, 266, 3)
    """
    width, gap = 200, 36
    canvas = Canvas(len(runs) * (width + gap) + 30, 330)
    canvas.text(20, 22, "Gradient descent on w^2 / 2 from 1, at five rates", 18)
    x = np.linspace(-1.6, 1.6, 201)
    for k, ((rate, path), count) in enumerate(zip(runs, counts, strict=True)):
        left = 36 + k * (width + gap)
        axes = Axes((left, 74, left + width, 264), (-1.6, 1.6), (-0.1, 1.3))
        _graph(canvas, axes, x, x * x / 2)
        axes.ticks(canvas)
        _path(canvas, axes, np.stack([path.points[:, 0], path.values], axis=-1), BLUE if count else RED)
        canvas.text(left, 60, f"rate {rate:g}", 14)
        words = f"{count} step{'s' * (count > 1)} to a value of 1e-6" if count else "diverges"
        canvas.text(left, 304, words, 12, INK if count else RED)
    return canvas.finished()


def stability(found: StabilityMap) -> Colours:
    """The stability map over rate times curvature and momentum.

    Args:
        found: the map.

    Returns:
        A uint8 array (height, width, 3).

    Example:
        >>> sp.descent.draw.stability(sp.descent.stability(momenta=(0.0, 0.5))).shape
        (560, 900, 3)
    """
    canvas = Canvas(900, 560)
    canvas.text(20, 22, "Gradient descent with momentum on a quadratic of curvature lambda", 18)
    box = (70, 64, 610, 500)
    axes = Axes(box, (0.0, float(found.products[-1])), (0.0, 1.0))
    width, height = (box[2] - box[0]) * SCALE, (box[3] - box[1]) * SCALE
    across = np.searchsorted(found.products, np.arange(width) / width * axes.x[1]).clip(0, len(found.products) - 1)
    up = np.searchsorted(found.momenta, 1 - np.arange(height) / height).clip(0, len(found.momenta) - 1)
    canvas.surface(_speeds(found)[np.ix_(up, across)], box[0], box[1])
    beta = np.linspace(0, 1, 101)
    axes.clipped(canvas, np.stack([2 * (1 + beta), beta], axis=-1), INK, 2)
    for sign in (-1, 1):
        axes.clipped(canvas, np.stack([(1 + sign * np.sqrt(beta)) ** 2, beta], axis=-1), (255, 255, 255), 2)
    axes.ticks(canvas, ("rate times curvature, eta lambda", "momentum, beta"))
    _stability_key(canvas)
    return canvas.finished()


def _speeds(found: StabilityMap) -> Colours:
    """Green where errors shrink fast, pale where slowly, red where they grow."""
    speed = np.clip(-np.log(np.maximum(found.radius, 1e-12)) / 0.7, -1, 1)[..., None]
    pale = np.array([236, 242, 236])
    shrinking = pale + (np.array(GREEN) - pale) * np.sqrt(np.maximum(speed, 0))
    growing = np.array([246, 214, 206]) + (np.array(RED) - np.array([246, 214, 206])) * np.maximum(-speed, 0)
    colours: Colours = np.rint(np.where(speed > 0, shrinking, growing)).astype(np.uint8)
    return colours


def _stability_key(canvas: Canvas) -> None:
    lines: list[tuple[Colour, str]] = [
        (GREEN, "errors shrink, the darker the faster"),
        ((226, 150, 140), "errors grow"),
        (INK, "eta lambda = 2 (1 + beta)"),
        (LINE, "between the white lines the roots"),
    ]
    for k, (colour, words) in enumerate(lines):
        canvas.box(640, 90 + 28 * k, 654, 104 + 28 * k, colour)
        canvas.text(664, 97 + 28 * k, words)
    canvas.text(664, 97 + 28 * len(lines) - 8, "are complex: steps oscillate")


def orders(costs: Sequence[Cost]) -> Colours:
    """What each method needs, as bars on a logarithmic scale.

    Args:
        costs: the costs, in the order to be drawn.

    Returns:
        A uint8 array (height, width, 3).

    Example:
        >>> sp.descent.draw.orders(sp.descent.compare(tolerance=1.0)).shape
        (354, 900, 3)
    """
    canvas = Canvas(900, 90 + 44 * len(costs))
    canvas.text(20, 22, "Evaluations until the value is within 1e-8 of the minimum", 18)
    canvas.text(20, 44, "a quadratic of ten variables, condition 100; products with the Hessian count as evaluations",
                12, SOFT)  # fmt: skip
    colours: tuple[Colour, ...] = ((150, 150, 160), BLUE, GREEN)
    longest = math.log10(max(cost.total for cost in costs))
    for k, cost in enumerate(costs):
        y = 84 + 44 * k
        canvas.text(150, y, cost.method, anchor="rm", size=13)
        end = 160 + 480 * math.log10(max(cost.total, 1.3)) / longest
        canvas.box(160, y - 12, end, y + 12, colours[cost.order])
        words = f"{cost.total:,}" + (f" ({cost.products} products)" if cost.products else "")
        canvas.text(end + 8, y, words + ("" if cost.reached else ", not reached"))
    for k, words in enumerate(("values alone", "gradients", "gradients and Hessian-vector products")):
        canvas.box(160 + 150 * k, canvas.size[1] - 26, 172 + 150 * k, canvas.size[1] - 14, colours[k])
        canvas.text(178 + 150 * k, canvas.size[1] - 20, words, 11, SOFT)
    return canvas.finished()
