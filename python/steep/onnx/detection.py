"""Operators of detectors: boxes that overlap better ones are dropped, and maps are sampled inside of boxes.

NonMaxSuppression runs on the host, since its result has a shape that depends on values. Start reading at ``roi_align``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core
from steep._core import Tensor
from steep.onnx.table import Node, Value, number, op

NONE = "none: the result is positions"


@op("NonMaxSuppression", host=(0, 1, 2, 3, 4), gradient=NONE)
def non_max_suppression(
    node: Node, boxes: Any, scores: Any, most: Value = None, overlap: Value = None, least: Value = None
) -> NDArray[np.int64]:
    """(batch, class, box) of the boxes that are kept, for each batch and class the best first."""
    limit, threshold = int(number(most, 0)), number(overlap, 0.0)
    found = list[tuple[int, int, int]]()
    for i, in_image in enumerate(np.asarray(boxes, np.float32)):
        corners = _corners(in_image, bool(node["center_point_box"]))
        for j, row in enumerate(np.asarray(scores, np.float32)[i]):
            order = np.argsort(-row, kind="stable")
            order = order if least is None else order[row[order] > number(least)]
            found += [(i, j, int(k)) for k in _kept(corners, order, limit, threshold)]
    return np.asarray(found, np.int64).reshape(-1, 3)


def _corners(boxes: NDArray[np.float32], centred: bool) -> NDArray[np.float32]:
    """Boxes as (least of both coordinates, largest of both)."""
    if centred:
        return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)
    a, b = boxes[:, :2], boxes[:, 2:]
    return np.concatenate([np.minimum(a, b), np.maximum(a, b)], axis=1)


def _kept(boxes: NDArray[np.float32], order: NDArray[np.int64], most: int, threshold: float) -> list[int]:
    """The first of some boxes, the next that does not overlap it too much, and so on."""
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    kept = list[int]()
    while len(order) and len(kept) < most:
        best, order = order[0], order[1:]
        kept.append(int(best))
        inner = np.minimum(boxes[best, 2:], boxes[order, 2:]) - np.maximum(boxes[best, :2], boxes[order, :2])
        shared = np.prod(np.maximum(inner, 0), axis=1)
        both = areas[best] + areas[order] - shared
        order = order[shared <= threshold * both]
    return kept


@op("RoiAlign", since=10, host=(1, 2), forms={"mode": ("avg", "max")})
def roi_align(node: Node, x: Tensor, rois: Any, batches: Any) -> Tensor:
    """Maps (n, channels, height, width) sampled in boxes (x1, y1, x2, y2), to (boxes, channels, rows, columns).

    He et al. 2017, "Mask R-CNN", arXiv:1703.06870. Boxes are constants: there is no gradient with respect to them.
    """
    boxes = np.asarray(rois, np.float64) * node["spatial_scale"]
    half = 0.5 if node["coordinate_transformation_mode"] == "half_pixel" else 0.0
    whole = node["coordinate_transformation_mode"] != "half_pixel"  # boxes are then one pixel long at least
    out = (node["output_height"], node["output_width"])
    if min(out) < 1:
        raise ValueError(f"the output has {out[0]} rows and {out[1]} columns: one of each at least")
    pieces = [_sampled(node, x[int(i)], box - half, out, whole) for i, box in zip(batches, boxes, strict=True)]
    return _core.stack(pieces) if pieces else _core.zeros((0, x.shape[1], *out), dtype=x.dtype)


def _sampled(node: Node, x: Tensor, box: NDArray[np.float64], out: tuple[int, int], whole: bool) -> Tensor:
    """One box's part of (channels, height, width)."""
    rows, columns = (
        _weights(box[1 - axis], box[3 - axis], out[axis], x.shape[1 + axis], node["sampling_ratio"], whole)
        for axis in (0, 1)
    )
    if node["mode"] == "max":
        return _largest(x, rows, columns)
    across = _core.asarray(columns.mean(axis=1).T.astype(x.dtype.name))
    down = _core.asarray(rows.mean(axis=1).astype(x.dtype.name))
    found: Tensor = down @ (x @ across)
    return found


def _largest(x: Tensor, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Tensor:
    """The largest of all weighted corners of all samples of each bin, as ONNX defines mode max."""
    kind = x.dtype.name
    best: Tensor | None = None
    for row, column in ((r, c) for r in _corners_of(rows) for c in _corners_of(columns)):
        corner = _core.asarray(row.astype(kind)) @ (x @ _core.asarray(column.T.astype(kind)))
        best = corner if best is None else _core.maximum(best, corner)
    assert best is not None  # a bin has a sample at least
    return best


def _corners_of(weights: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The two corners of each sample along an axis, (bins, size) for each."""
    first = weights.copy()
    found = list[NDArray[np.float64]]()
    for sample in range(weights.shape[1]):
        one = first[:, sample]
        at = np.argmax(one > 0, axis=1)
        lower = np.zeros_like(one)
        lower[np.arange(len(one)), at] = one[np.arange(len(one)), at]
        found += [lower, one - lower]
    return found


def _weights(low: float, high: float, bins: int, size: int, ratio: int, whole: bool) -> NDArray[np.float64]:
    """The weights (bins, samples, size) of places on an axis: linear between neighbours, none outside."""
    length = max(high - low, 1.0) if whole else high - low
    count = ratio if ratio > 0 else max(1, int(np.ceil(length / bins)))
    places = low + (np.arange(bins)[:, None] + (np.arange(count) + 0.5) / count) * (length / bins)
    inside = (places >= -1) & (places <= size)
    at = np.clip(places, 0, size - 1)
    first = np.floor(at).astype(np.int64)
    part = at - first
    weights = np.zeros((bins, count, size))
    i, j = np.indices(places.shape)
    np.add.at(weights, (i, j, first), np.where(inside, 1 - part, 0))
    np.add.at(weights, (i, j, np.minimum(first + 1, size - 1)), np.where(inside, part, 0))
    return weights
