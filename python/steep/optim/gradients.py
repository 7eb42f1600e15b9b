"""Limits for gradients: by the norm of all together, or by value; of lists of gradients, or of ``.grad`` in place.

References:
    Pascanu et al. 2013, "On the difficulty of training recurrent neural networks", arXiv:1211.5063.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from steep import _core, tree
from steep._core import Tensor
from steep.instances import instance
from steep.optim.optimizer import Gradients, non_negative
from steep.tree import Tree


def norm(gradients: Sequence[Tensor | None], ord: float = 2.0) -> Tensor:
    """The norm of all gradients, as of one vector.

    Args:
        gradients: tensors, or None.
        ord: the order, ``math.inf`` for the largest magnitude.

    Returns:
        A scalar tensor; 0 for no gradients.

    Example:
        >>> sp.optim.gradients.norm([sp.tensor([3.0]), None, sp.tensor([4.0])]).item()
        5.0
    """
    norms = [_core.norm(_core.reshape(g.detach(), (-1,)), ord) for g in gradients if g is not None and g.size]
    if not norms:
        return _core.zeros(())
    return norms[0] if len(norms) == 1 else _core.norm(_core.stack(norms), ord)


def clip_norm(gradients: Sequence[Tensor | None], most: float, ord: float = 2.0) -> Gradients:
    """Gradients scaled so that their norm, all taken together, is at most ``most``; as PyTorch's ``clip_grad_norm_``.

    They are multiplied by ``min(1, most / (norm + 1e-6))``.

    Args:
        gradients: tensors, or None, which stays.
        most: the largest norm.
        ord: the order of the norm.

    Returns:
        A list of tensors.

    Raises:
        ValueError: for a negative norm.

    Example:
        >>> [g.tolist() for g in sp.optim.gradients.clip_norm([sp.tensor([3.0, 4.0])], 10.0)]
        [[3.0, 4.0]]
    """
    return _scaled(gradients, _factor(norm(gradients, ord), most))


def _factor(before: Tensor, most: float) -> Tensor:
    return _core.minimum(non_negative("the largest norm", most) / (before + 1e-6), 1.0)


def _scaled(gradients: Sequence[Tensor | None], factor: Tensor) -> Gradients:
    return [None if g is None else g * factor.astype(g.dtype) for g in gradients]


def clip_value(gradients: Sequence[Tensor | None], most: float) -> Gradients:
    """Gradients with every element limited to [-most, most]; as PyTorch's ``clip_grad_value_``.

    Args:
        gradients: tensors, or None, which stays.
        most: the largest magnitude.

    Returns:
        A list of tensors.

    Raises:
        ValueError: for a negative limit.

    Example:
        >>> sp.optim.gradients.clip_value([sp.tensor([3.0, -4.0])], 1.0)[0].tolist()
        [1.0, -1.0]
    """
    limit = non_negative("the largest magnitude", most)
    return [None if g is None else _core.clip(g, -limit, limit) for g in gradients]


def clip_grad_norm(params: Tree, most: float, ord: float = 2.0) -> float | Tensor:
    """Scales the ``.grad`` of parameters as ``clip_norm`` does, in place.

    Args:
        params: a tree of tensors.
        most: the largest norm.
        ord: the order of the norm.

    Returns:
        The norm before; inside a compiled function a scalar tensor, for its value differs from call to call.

    Raises:
        TypeError: if one of params is no tensor.
        ValueError: if the norm is not finite; the gradients are unchanged then. Calls of a compiled function do not
            raise it: all gradients become NaN.

    Example:
        >>> w = sp.tensor([3.0, 4.0], requires_grad=True)
        >>> (w * w / 2).sum().backward()
        >>> sp.optim.clip_grad_norm([w], 1.0), [round(g, 4) for g in w.grad.tolist()]
        (5.0, [0.6, 0.8])
    """
    leaves = [instance("clip_grad_norm: every one of params", leaf, Tensor) for leaf in tree.leaves(params)]
    gradients = [leaf.grad for leaf in leaves]
    before = norm(gradients, ord)
    factor = _factor(before, most)
    recording = _core._is_recording()
    if recording:
        factor = _core.where(_core.isfinite(before), factor, math.nan)
    elif not math.isfinite(before.item()):
        raise ValueError(f"clip_grad_norm: the norm of the gradients is {before.item()}")
    for leaf, grad in zip(leaves, _scaled(gradients, factor), strict=True):
        leaf.grad = grad
    return before if recording else float(before)
