"""Normalisation of gradients before a step, so that the learning rate sets the size of the step.

``DIRECTIONS`` is the table. Each image of a batch (n, c, h, w) is normalised separately, tensors of fewer dimensions as
a whole; a gradient of exactly zero stays zero.
"""

from __future__ import annotations

from collections.abc import Callable

from steep import _core
from steep._core import Tensor

Direction = Callable[[Tensor], Tensor]


def same(g: Tensor) -> Tensor:
    """The gradient unchanged.

    Args:
        g: the gradient.

    Returns:
        A tensor of the same shape.

    Example:
        >>> sp.optim.directions.same(sp.tensor([3.0, 4.0])).tolist()
        [3.0, 4.0]
    """
    return g


def l2(g: Tensor) -> Tensor:
    """The gradient normalised to Euclidean length 1, as in Keras's "Visualizing what convnets learn".

    Args:
        g: the gradient.

    Returns:
        A tensor of the same shape.

    Example:
        >>> sp.optim.directions.l2(sp.tensor([3.0, 4.0]))
        tensor([0.6, 0.8], dtype=float32)
    """
    return _over(g, _core.norm(g, axis=_axes(g), keepdims=True))


def mean_abs(g: Tensor) -> Tensor:
    """The gradient normalised to mean absolute value 1, as in DeepDream.

    Args:
        g: the gradient.

    Returns:
        A tensor of the same shape.

    Example:
        >>> sp.optim.directions.mean_abs(sp.tensor([1.0, -3.0])).tolist()
        [0.5, -1.5]
    """
    return _over(g, _core.mean(_core.abs(g), axis=_axes(g), keepdims=True))


def std(g: Tensor) -> Tensor:
    """The gradient normalised to standard deviation 1.

    Args:
        g: the gradient.

    Returns:
        A tensor of the same shape.

    Example:
        >>> sp.optim.directions.std(sp.tensor([2.0, -2.0])).tolist()
        [1.0, -1.0]
    """
    return _over(g, _core.std(g, axis=_axes(g), keepdims=True))


def sign(g: Tensor) -> Tensor:
    """The sign of each element: -1, 0 or 1.

    Args:
        g: the gradient.

    Returns:
        A tensor of the same shape.

    Example:
        >>> sp.optim.directions.sign(sp.tensor([2.0, 0.0])).tolist()
        [1.0, 0.0]
    """
    return _core.sign(g)


DIRECTIONS: dict[str | None, Direction] = {None: same, "l2": l2, "mean_abs": mean_abs, "std": std, "sign": sign}


def find_direction(name: str | None) -> Direction:
    """The function called ``name``.

    Args:
        name: "l2", "mean_abs", "std", "sign" or None.

    Returns:
        A function from gradients to gradients.

    Raises:
        ValueError: for another name.

    Example:
        >>> sp.optim.directions.find_direction("l2")(sp.tensor([3.0, 4.0]))
        tensor([0.6, 0.8], dtype=float32)
    """
    if name not in DIRECTIONS:
        raise ValueError(f"normalize must be one of {list(DIRECTIONS)}, got {name!r}")
    return DIRECTIONS[name]


def _axes(g: Tensor) -> tuple[int, ...]:
    return tuple(range(1 if g.ndim >= 4 else 0, g.ndim))


def _over(g: Tensor, size: Tensor) -> Tensor:
    return g / _core.where(size > 0, size, _core.ones_like(size))
