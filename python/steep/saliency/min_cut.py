"""The minimum cut of a grid, by push-relabel (Goldberg and Tarjan 1988) on all pixels at once.

Every pixel has an edge from the source, one to the sink and one to each of its four neighbours. Excess is pushed along
one direction at a time for the whole grid, so a step is a few operations on arrays. Start reading at ``min_cut``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
FAR = 1 << 30  # the height of a pixel from which the sink cannot be reached
SWEEPS = 40  # between exact heights

# Each direction as (axis, step); the reverse of direction i is i ^ 1.
DIRECTIONS = ((0, 1), (0, -1), (1, 1), (1, -1))


def min_cut(source: Array, sink: Array, down: Array, right: Array) -> NDArray[np.bool_]:
    """The pixels on the source's side of a minimum cut.

    Args:
        source: capacity of the edge from the source to each pixel, (height, width), non-negative.
        sink: capacity of the edge from each pixel to the sink.
        down: capacity of the edges between a pixel and the one below, both ways, (height - 1, width).
        right: capacity of the edges between a pixel and the one to its right, (height, width - 1).

    Returns:
        A bool array (height, width).

    Raises:
        ValueError: for shapes that do not fit, and negative or NaN capacities.

    References:
        Goldberg and Tarjan 1988, "A new approach to the maximum-flow problem", doi:10.1145/48014.61051.
    """
    given = [np.asarray(values, np.float64) for values in (source, sink, down, right)]
    height, width = given[0].shape
    shapes = [(height, width), (height, width), (max(0, height - 1), width), (height, max(0, width - 1))]
    if [values.shape for values in given] != shapes or not all((values >= 0).all() for values in given):
        raise ValueError(f"min_cut: capacities are non-negative, of shapes {shapes}, "
                         f"got {[values.shape for values in given]}")  # fmt: skip
    excess, drain = np.maximum(given[0] - given[1], 0), np.maximum(given[1] - given[0], 0)
    residual = [_padded(given[2 + axis], axis, step, (height, width)) for axis, step in DIRECTIONS]
    while True:
        heights = _distances(drain, residual)
        if not (excess[heights < FAR] > 0).any():
            return np.asarray(heights == FAR)
        for _ in range(SWEEPS):
            _push(excess, drain, residual, heights)
            heights = _relabelled(excess, drain, residual, heights)


def _padded(edges: Array, axis: int, step: int, shape: tuple[int, int]) -> Array:
    """Capacities of the edges that leave each pixel in a direction; 0 at the border."""
    found = np.zeros(shape)
    found[_from(axis, step)] = edges
    return found


def _from(axis: int, step: int) -> tuple[slice, ...]:
    """The pixels that have a neighbour in a direction."""
    cut = slice(None, -1) if step > 0 else slice(1, None)
    return (cut, slice(None)) if axis == 0 else (slice(None), cut)


def _lowest(residual: list[Array], heights: Array) -> Array:
    """The lowest neighbour that each pixel can push to; FAR if there is none."""
    found = np.full(heights.shape, FAR)
    for edges, (axis, step) in zip(residual, DIRECTIONS, strict=True):
        here, there = _from(axis, step), _from(axis, -step)
        found[here] = np.minimum(found[here], np.where(edges[here] > 0, heights[there], FAR))
    return found


def _distances(drain: Array, residual: list[Array]) -> Array:
    """The number of edges with capacity left between each pixel and the sink."""
    heights = np.where(drain > 0, 1, FAR)
    while True:
        nearer = np.minimum(heights, np.minimum(_lowest(residual, heights) + 1, FAR))
        if np.array_equal(nearer, heights):
            return heights
        heights = nearer


def _push(excess: Array, drain: Array, residual: list[Array], heights: Array) -> None:
    """Pushes what is in excess to the sink, and to neighbours that are one lower."""
    flow = np.where(heights == 1, np.minimum(excess, drain), 0)
    excess -= flow
    drain -= flow
    for i, (axis, step) in enumerate(DIRECTIONS):
        here, there = _from(axis, step), _from(axis, -step)
        lower = (heights[here] == heights[there] + 1) & (heights[here] < FAR)
        flow = np.where(lower, np.minimum(excess[here], residual[i][here]), 0)
        excess[here] -= flow
        residual[i][here] -= flow
        excess[there] += flow
        residual[i ^ 1][there] += flow


def _relabelled(excess: Array, drain: Array, residual: list[Array], heights: Array) -> Array:
    """Heights after pixels that still have excess were raised above their lowest neighbour."""
    above = np.where(drain > 0, 1, np.minimum(_lowest(residual, heights) + 1, FAR))
    return np.where(excess > 0, np.maximum(heights, above), heights)
