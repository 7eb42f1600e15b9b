"""A small canvas for plots by Pillow: axes, lines, dots, text, and colours of a surface.

Everything is drawn at twice the size and reduced, so lines are smooth; the bytes depend on the values and Pillow's
version alone. Start reading at ``Axes``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from steep.descent.landscapes import Points
from steep.pictures import Colours

SCALE = 2
INK, SOFT, LINE, PAPER = (29, 36, 48), (90, 101, 119), (205, 211, 221), (255, 255, 255)
Colour = tuple[int, int, int]
# Anchors of the colours of a surface, from low to high.
SURFACE = np.array(
    [[250, 252, 255], [222, 233, 245], [184, 207, 230], [143, 176, 208], [104, 140, 180], [74, 105, 148]]
)


class Canvas:
    """An image to draw on, in pixels from the top left.

    Args:
        width: its width.
        height: its height.
    """

    def __init__(self, width: int, height: int) -> None:
        from PIL import Image, ImageDraw

        self.image = Image.new("RGB", (width * SCALE, height * SCALE), PAPER)
        self.pen = ImageDraw.Draw(self.image)
        self.size = width, height

    def finished(self) -> Colours:
        """The image as a uint8 array (height, width, 3)."""
        from PIL import Image

        return np.asarray(self.image.resize(self.size, Image.Resampling.BOX))

    def line(self, points: Any, colour: Colour, width: float = 1.5) -> None:
        """Joins points (n, 2)."""
        flat = [(float(x) * SCALE, float(y) * SCALE) for x, y in np.asarray(points)]
        if len(flat) > 1:
            self.pen.line(flat, fill=colour, width=max(1, round(width * SCALE)), joint="curve")

    def dot(self, x: float, y: float, radius: float, colour: Colour, rim: Colour | None = None) -> None:
        """A filled circle."""
        box = [(x - radius) * SCALE, (y - radius) * SCALE, (x + radius) * SCALE, (y + radius) * SCALE]
        self.pen.ellipse(box, fill=colour, outline=rim, width=SCALE)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour | None = None) -> None:
        """A frame, or a filled rectangle if a colour is given."""
        corners = [left * SCALE, top * SCALE, right * SCALE, bottom * SCALE]
        self.pen.rectangle(corners, fill=colour, outline=LINE if colour is None else None, width=SCALE)

    def text(self, x: float, y: float, words: str, size: int = 12, colour: Colour = INK, anchor: str = "lm") -> None:
        """A line of text; ``anchor`` as in Pillow: left, middle or right, then top, middle or baseline."""
        self.pen.text((x * SCALE, y * SCALE), words, fill=colour, font=_font(size), anchor=anchor)

    def width_of(self, words: str, size: int = 12) -> float:
        """The width of a text."""
        return float(self.pen.textlength(words, font=_font(size))) / SCALE

    def fitted(self, words: str, width: float, size: int = 12) -> str:
        """A text, shortened to fit into a width."""
        if self.width_of(words, size) <= width:
            return words
        while words and self.width_of(words + "...", size) > width:
            words = words[:-1]
        return words.rstrip() + "..."

    def surface(self, colours: Colours, left: int, top: int) -> None:
        """An array of pixels (height, width, 3) of the large image."""
        from PIL import Image

        self.image.paste(Image.fromarray(np.ascontiguousarray(colours), "RGB"), (left * SCALE, top * SCALE))


@lru_cache
def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size * SCALE)


@dataclass(frozen=True)
class Axes:
    """A rectangle of a canvas with ranges of x and y.

    Attributes:
        box: left, top, right and bottom in pixels.
        x: range of x.
        y: range of y.
    """

    box: tuple[int, int, int, int]
    x: tuple[float, float]
    y: tuple[float, float]

    def place(self, points: Any) -> Points:
        """Points (n, 2) in pixels, kept near the rectangle."""
        left, top, right, bottom = self.box
        p = np.asarray(points, np.float64).reshape(-1, 2)
        with np.errstate(all="ignore"):
            across = left + (p[:, 0] - self.x[0]) / (self.x[1] - self.x[0]) * (right - left)
            up = bottom - (p[:, 1] - self.y[0]) / (self.y[1] - self.y[0]) * (bottom - top)
        far = 4000
        return np.stack([np.clip(np.nan_to_num(across), -far, far), np.clip(np.nan_to_num(up), -far, far)], axis=-1)

    def inside(self, pixels: Points) -> Any:
        """Which pixels lie in the rectangle."""
        left, top, right, bottom = self.box
        return (pixels[:, 0] >= left) & (pixels[:, 0] <= right) & (pixels[:, 1] >= top) & (pixels[:, 1] <= bottom)

    def ticks(self, canvas: Canvas, names: tuple[str, str] = ("", "")) -> None:
        """The frame with numbers along two sides."""
        left, top, right, bottom = self.box
        canvas.box(*self.box)
        for value in nice(*self.x):
            ((x, _),) = self.place([(value, self.y[0])])
            canvas.line([(x, bottom), (x, bottom + 4)], LINE, 1)
            canvas.text(x, bottom + 12, f"{value:g}", 11, SOFT, "mm")
        for value in nice(*self.y):
            ((_, y),) = self.place([(self.x[0], value)])
            canvas.line([(left - 4, y), (left, y)], LINE, 1)
            canvas.text(left - 7, y, f"{value:g}", 11, SOFT, "rm")
        if names[0]:
            canvas.text((left + right) / 2, bottom + 28, names[0], 12, SOFT, "mm")
        if names[1]:
            canvas.text(left, top - 10, names[1], 12, SOFT, "lm")

    def clipped(self, canvas: Canvas, points: Any, colour: Colour, width: float = 1.5) -> None:
        """Joins points, cut at the rectangle."""
        for begin, end in cut(self.place(points), self.box):
            canvas.line([begin, end], colour, width)


def cut(pixels: Points, box: tuple[int, int, int, int]) -> list[tuple[Points, Points]]:
    """The parts of a polygonal line inside a box (Liang and Barsky 1984)."""
    left, top, right, bottom = box
    kept = []
    for a, b in pairwise(pixels):
        d, first, last = b - a, 0.0, 1.0
        for p, q in ((-d[0], a[0] - left), (d[0], right - a[0]), (-d[1], a[1] - top), (d[1], bottom - a[1])):
            if p == 0:
                first, last = (first, last) if q >= 0 else (1.0, 0.0)
            elif p < 0:
                first = max(first, q / p)
            else:
                last = min(last, q / p)
        if first <= last:
            kept.append((a + first * d, a + last * d))
    return kept


def nice(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers in a range, at most so many."""
    span = max(high - low, 1e-300)
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * m for m in (1, 2, 5, 10) if span / (power * m) <= most)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) + 0.0 for k in range(first, math.floor(high / step + 1e-9) + 1)]


def banded(values: Points, bands: int = 16) -> Colours:
    """Values (height, width) as colours with contour lines, at heights that grow towards the top.

    Args:
        values: the values; those that are not finite become grey.
        bands: number of bands.

    Returns:
        A uint8 array (height, width, 3).
    """
    finite = np.isfinite(values)
    if not finite.any():
        return np.full((*values.shape, 3), 200, np.uint8)
    low = float(values[finite].min())
    rise = np.where(finite, values, low) - low
    unit = float(np.median(rise[finite])) / 20 or 1.0
    with np.errstate(all="ignore"):
        height = np.log1p(rise / unit)
    top = float(np.quantile(height[finite], 0.995)) or 1.0
    band = np.minimum((height / top * bands).astype(int), bands)
    at = np.minimum(band / bands, 1) * (len(SURFACE) - 1)
    below = np.minimum(at.astype(int), len(SURFACE) - 2)
    colours = SURFACE[below] + (SURFACE[below + 1] - SURFACE[below]) * (at - below)[..., None]
    edge = np.zeros(values.shape, bool)
    edge[:, 1:] |= band[:, 1:] != band[:, :-1]
    edge[1:] |= band[1:] != band[:-1]
    colours[edge] *= 0.86
    colours[~finite] = 200
    painted: Colours = np.rint(colours).astype(np.uint8)
    return painted
