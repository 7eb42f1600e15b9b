"""From the result of an attack to an image in bytes that still succeeds.

Images are stored in bytes, so what counts is the rounded image, and the network's prediction for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.int64]
ORDERS = {"linf": np.inf, "l2": 2, "l1": 1}
STRETCHES = (1.0, 1.02, 1.05, 1.1, 1.2, 1.5, 2.0, 3.0, 5.0, 8.0)  # of a smallest change, which rounding may undo


def rounded(
    clean: Any,
    found: Any,
    fooled: Callable[[Bytes], bool],
    *,
    norm: str = "linf",
    eps: float | None = None,
    smallest: bool = False,
) -> tuple[Bytes, float]:
    """An attacked image in bytes: the first rounding that succeeds, or else the first within ``eps``.

    Args:
        clean: the unchanged image in bytes, integers of any shape.
        found: the attacked image in [0, 1], of the same shape.
        fooled: whether an image in bytes is predicted as wanted.
        norm: "linf", "l2" or "l1".
        eps: the largest norm of the change, for values in [0, 1]; None for any.
        smallest: whether the attack searched the smallest change; rounding may undo it, so larger ones are tried too.

    Returns:
        The image as int64 from 0 to 255, and the norm of its change.

    Example:
        >>> made, distance = sp.attack.rounded(np.array([100]), np.array([0.41]), lambda made: True, eps=0.02)
        >>> made, round(distance * 255)
        (array([104]), 4)
    """
    start = np.asarray(clean, np.int64)
    first = None
    for made in _roundings(start, np.asarray(found) * 255 - start, smallest):
        distance = float(np.linalg.norm(((made - start) / 255).ravel(), ORDERS[norm]))
        if eps is not None and distance > eps * (1 + 1e-9):
            continue
        if fooled(made):
            return made, distance
        first = first or (made, distance)
    return first or (start, 0.0)


def _roundings(clean: Bytes, change: NDArray[Any], smallest: bool) -> Iterator[Bytes]:
    """Ways to round a change to bytes: to nearest, towards no change, which stays in the ball, or enlarged first."""
    if not smallest:
        yield clean + np.trunc(change + np.sign(change) * 1e-4).astype(np.int64)
    for stretch in STRETCHES if smallest else STRETCHES[:1]:
        yield np.clip(np.rint(clean + stretch * change), 0, 255).astype(np.int64)
    yield clean + np.trunc(change).astype(np.int64)
