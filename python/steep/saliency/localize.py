"""Where in an image a map lies: a segment, the rectangle around it, and how much of the map a region holds.

No network here was trained to localise anything; a map of a classifier says where its object is, as in Simonyan et al.
2014, section 3.2. ``SEGMENTS`` holds the two ways to cut a map out. Start reading at ``box``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep.data.boxes import Box
from steep.saliency.min_cut import min_cut
from steep.suggest import near

Array = NDArray[Any]
Mask = NDArray[np.bool_]
SIDE = 64  # pixels of the longer side at which a graph is cut


def box(map: Any, image: Any = None, *, method: str = "threshold", **options: Any) -> Box:
    """The rectangle around the largest connected part of a map's segment.

    Args:
        map: a saliency map (height, width): one image's, reduced over channels. The sign is not used.
        image: the image itself, (height, width) or (height, width, channels), of any range; for "graph_cut".
        method: "threshold" or "graph_cut".
        options: keyword arguments of the function of that name.

    Returns:
        A ``data.Box``.

    Raises:
        ValueError: for a map that is empty, constant or not finite, which localises nothing.

    References:
        Simonyan et al. 2014, arXiv:1312.6034, section 3.2 ("graph_cut"); Zhou et al. 2016, "Learning deep features for
        discriminative localization", arXiv:1512.04150 ("threshold").

    Example:
        >>> map = np.zeros((20, 30))
        >>> map[5:9, 10:16] = 1.0
        >>> sp.saliency.box(map, blur=0.0)
        Box(top=5, left=10, bottom=9, right=16)
    """
    if method not in SEGMENTS:
        raise ValueError(f"box: there is no method {method!r}{near(method, SEGMENTS) or '.'} "
                         f"There are {', '.join(SEGMENTS)}")  # fmt: skip
    rows, columns = np.nonzero(_largest_part(SEGMENTS[method](map, image, **options)))
    return Box(int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1)


def threshold(map: Any, image: Any = None, *, level: float = 0.2, blur: float = 0.03) -> Mask:
    """The pixels at which a map exceeds a share of its maximum.

    Args:
        map: a saliency map (height, width). The sign is not used.
        image: not used.
        level: the share, in [0, 1).
        blur: standard deviation of the Gaussian that smooths the map, relative to its longer side. Maps of gradients
            are noise without it.

    Returns:
        A bool array (height, width).

    Raises:
        ValueError: for a map that is empty, constant or not finite, or a level outside [0, 1).

    Example:
        >>> sp.saliency.threshold([[0.0, 1.0], [0.1, 0.3]], blur=0.0).tolist()
        [[False, True], [False, True]]
    """
    if not 0 <= level < 1 or not 0 <= blur < 1:
        raise ValueError(f"threshold: level and blur are in [0, 1), got {level} and {blur}")
    values = _smoothed(_checked("threshold", map), blur)
    found: Mask = values > level * values.max()
    return found


def graph_cut(
    map: Any, image: Any, *, foreground: float = 0.05, background: float = 0.3, smoothness: float = 5.0
) -> Mask:
    """The segment of an image whose colours are those of the highest values of its map, by a minimum cut.

    The pixels with the highest values of the map are examples of the object's colours, those with the lowest of the
    background's, each described by a mixture of Gaussians. Of all segments the one with the highest likelihood is
    returned, less a price for each edge between neighbours, which is lower where their colours differ. It is found at
    64 pixels.

    Args:
        map: a saliency map (height, width). The sign is not used.
        image: the image itself, (height, width) or (height, width, channels), of any range.
        foreground: share of the pixels that are examples of the object.
        background: share of the pixels that are examples of the background.
        smoothness: price of an edge of the segment between pixels of one colour.

    Returns:
        A bool array (height, width).

    Raises:
        ValueError: for a map that is empty, constant or not finite, an image of another size, shares that do not sum
            to less than 1, or a negative smoothness.

    References:
        Boykov and Jolly 2001, "Interactive graph cuts for optimal boundary and region segmentation of objects",
        doi:10.1109/ICCV.2001.937505; Simonyan et al. 2014, arXiv:1312.6034, section 3.2.

    Example:
        >>> map = np.zeros((32, 32))
        >>> map[12:16, 12:16] = 1.0  # a part of the object suffices
        >>> image = np.zeros((32, 32))
        >>> image[8:24, 8:24] = 1.0
        >>> sp.saliency.box(map, image, method="graph_cut")
        Box(top=8, left=8, bottom=24, right=24)
    """
    values = _checked("graph_cut", map)
    size, colours = values.shape, _colours(image, values.shape)
    shares_fit = min(foreground, background) > 0 and foreground + background < 1
    if not (shares_fit and 0 <= smoothness < np.inf):
        raise ValueError(f"graph_cut: foreground and background are shares that sum to less than 1, and smoothness is "
                         f"0 or more, got {foreground}, {background} and {smoothness}")  # fmt: skip
    by = -(-max(values.shape) // SIDE)
    values = _checked("graph_cut", _reduced(_smoothed(values, 0.01), by))
    colours = _reduced(colours, by)
    object_, rest = _examples(values, foreground, background)
    costs = [-_log_likelihood(colours, colours[part]) for part in (object_, rest)]
    lowest = np.minimum(*costs)
    edges = [smoothness * _likeness(colours, axis) for axis in (0, 1)]
    found = min_cut(costs[1] - lowest, costs[0] - lowest, *edges)
    if not found.any():
        found = object_
    return np.repeat(np.repeat(found, by, 0), by, 1)[: size[0], : size[1]]


SEGMENTS: dict[str, Callable[..., Mask]] = {"threshold": threshold, "graph_cut": graph_cut}


def iou(first: Box, second: Box) -> float:
    """Intersection over union of two rectangles: 1 if they are equal, 0 if they do not overlap.

    Args:
        first: a rectangle.
        second: another one.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: for a rectangle without pixels.

    Example:
        >>> sp.saliency.iou(sp.data.Box(0, 0, 2, 2), sp.data.Box(0, 1, 2, 3))
        0.3333333333333333
    """
    a, b = Box(*first), Box(*second)
    if not a.area or not b.area:
        raise ValueError(f"iou: a rectangle without pixels: {a if not a.area else b}")
    both = Box(max(a.top, b.top), max(a.left, b.left), min(a.bottom, b.bottom), min(a.right, b.right)).area
    return both / (a.area + b.area - both)


def mass(map: Any, region: Any) -> float:
    """The share of a map's absolute values that lies in a region.

    Args:
        map: a saliency map (height, width).
        region: a ``data.Box``, or a bool array (height, width).

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: for a map that is empty, constant zero or not finite, or a region of another size.

    Example:
        >>> sp.saliency.mass([[3.0, 0.0], [0.0, -1.0]], sp.data.Box(0, 0, 1, 2))
        0.75
    """
    values = _checked("mass", map, constant=True)
    if isinstance(region, Box):
        return float(values[region.slices].sum() / values.sum())
    where = np.asarray(region)
    if where.dtype != bool or where.shape != values.shape:
        raise ValueError(f"mass: a region is a data.Box or a bool array of shape {values.shape}, got {where.dtype} of "
                         f"shape {where.shape}")  # fmt: skip
    return float(values[where].sum() / values.sum())


def _checked(what: str, map: Any, constant: bool = False) -> Array:
    """The magnitudes of a map that can say where something is."""
    values = np.abs(np.asarray(map.detach() if hasattr(map, "detach") else map, np.float64))
    if values.ndim != 2 or not values.size:
        raise ValueError(f"{what}: needs the map of one image, (height, width), got shape {values.shape}; "
                         "reduce the channels by channels=\"max\" and take one row")  # fmt: skip
    if not np.isfinite(values).all():
        raise ValueError(f"{what}: {np.sum(~np.isfinite(values))} of {values.size} values of the map are not finite")
    if values.max() == 0 or not (constant or np.ptp(values) > 1e-12 * values.max()):
        raise ValueError(f"{what}: all values of the map are {values.flat[0]:.4g}, so it localises nothing")
    return values


def _colours(image: Any, shape: tuple[int, ...]) -> Array:
    """An image (height, width, channels), each channel with standard deviation 1."""
    values = np.asarray(image.detach() if hasattr(image, "detach") else image)
    if image is None or values.dtype.kind not in "biuf" or values.ndim not in (2, 3) or values.shape[:2] != shape:
        got = "None" if image is None else f"{values.dtype} of shape {values.shape}"
        raise ValueError(f"graph_cut: needs the image, (height, width) or (height, width, channels), as large as the "
                         f"map, {shape}, got {got}")  # fmt: skip
    colours = values.reshape(*shape, -1).astype(np.float64)
    if not np.isfinite(colours).all():
        raise ValueError("graph_cut: the image has values that are not finite")
    colours -= colours.mean(axis=(0, 1))
    return np.asarray(colours / max(float(colours.std()), 1e-12))


def _smoothed(values: Array, blur: float) -> Array:
    """A Gaussian filter, with a standard deviation relative to the longer side; the border is repeated."""
    std = blur * max(values.shape)
    reach = int(np.ceil(3 * std))
    if not reach:
        return values
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / std) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        wide = np.pad(values, [(reach, reach) if axis == i else (0, 0) for i in (0, 1)], mode="edge")
        values = np.apply_along_axis(np.convolve, axis, wide, weights, mode="valid")
    return values


def _reduced(values: Array, by: int) -> Array:
    """The means of squares of ``by`` pixels; the border is repeated."""
    pad = [(0, -side % by) for side in values.shape[:2]] + [(0, 0)] * (values.ndim - 2)
    wide = np.pad(values, pad, mode="edge")
    height, width = (side // by for side in wide.shape[:2])
    return np.asarray(wide.reshape(height, by, width, by, *values.shape[2:]).mean(axis=(1, 3)))


def _examples(values: Array, foreground: float, background: float) -> tuple[Mask, Mask]:
    """The pixels with the highest and with the lowest values, shares of all; equal values are of one kind."""
    low, high = np.quantile(values, [background, 1 - foreground], method="lower")
    low = min(low, values[values < values.max()].max())
    return np.asarray((values >= high) & (values > low)), np.asarray(values <= low)


def _log_likelihood(colours: Array, examples: Array, components: int = 4, rounds: int = 15) -> Array:
    """The logarithm of the density of colours in a mixture of Gaussians fitted to examples (n, channels)."""
    order = np.argsort(examples.sum(axis=1), kind="stable")
    centres = examples[order[np.linspace(0, len(order) - 1, 2 * components + 1).astype(int)[1::2]]]
    shares = np.exp(-0.5 * ((examples[:, None] - centres) ** 2).sum(-1)) + 1e-9
    for _ in range(rounds):
        weights = shares / shares.sum(axis=1, keepdims=True)
        mixture = _fitted(examples, weights)
        shares = np.exp(_log_parts(examples, *mixture)) + 1e-300
    found = np.log(np.exp(_log_parts(colours.reshape(-1, colours.shape[-1]), *mixture)).sum(axis=1) + 1e-9)
    return np.asarray(found.reshape(colours.shape[:2]))


def _fitted(examples: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Shares, means and covariances of a mixture, from how much each example belongs to each component."""
    counts = weights.sum(axis=0) + 1e-9
    means = weights.T @ examples / counts[:, None]
    away = examples[:, None] - means
    covariances = np.einsum("nk,nki,nkj->kij", weights, away, away) / counts[:, None, None]
    return counts / len(examples), means, covariances + 0.01 * np.eye(examples.shape[1])


def _log_parts(colours: Array, shares: Array, means: Array, covariances: Array) -> Array:
    """The logarithm of each component's part of the density at each colour, (n, components)."""
    away = colours[:, None] - means
    distance = np.einsum("nki,kij,nkj->nk", away, np.linalg.inv(covariances), away)
    return np.asarray(np.log(shares) - 0.5 * (distance + np.linalg.slogdet(covariances)[1]))


def _likeness(colours: Array, axis: int) -> Array:
    """How alike neighbours along an axis are: 1 for one colour, towards 0 for others."""
    difference = (np.diff(colours, axis=axis) ** 2).sum(axis=-1)
    return np.asarray(np.exp(-difference / max(2 * float(difference.mean() if difference.size else 0), 1e-12)))


def _largest_part(mask: Mask) -> Mask:
    """The largest connected part of a mask, by its four neighbours; the first of equals."""
    left, best = mask.copy(), np.zeros(mask.shape, bool)
    for start in zip(*np.nonzero(mask), strict=True):
        if left[start]:
            part = _connected(left, start)
            best = part if part.sum() > best.sum() else best
    return best


def _connected(left: Mask, start: tuple[Any, ...]) -> Mask:
    """The part of ``left`` that is connected to a pixel; it is removed there."""
    part, waiting = np.zeros(left.shape, bool), [start]
    left[start] = False
    while waiting:
        row, column = waiting.pop()
        part[row, column] = True
        for at in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if 0 <= at[0] < left.shape[0] and 0 <= at[1] < left.shape[1] and left[at]:
                left[at] = False
                waiting.append(at)
    return part
