"""The loss of contrastive pre-training, and the measure of what came of it: ranks in retrieval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from steep import _core
from steep._core import Tensor

HIDDEN = -1e4  # the similarity of a pair that is no negative


def contrastive_loss(images: Any, texts: Any, scale: Any, groups: Any = None) -> Tensor:
    """Symmetric InfoNCE with masked negatives: two pairs of one group are not told apart.

    Args:
        images: vectors (n, d) of length 1.
        texts: vectors (n, d) of length 1; row i belongs to row i of ``images``.
        scale: the factor of the similarities, 1 / temperature.
        groups: integers (n,), such as the concept that each pair shows; pairs of one group are not negatives of one
            another. None: all pairs are.

    Returns:
        A scalar tensor.

    Raises:
        ValueError: if the shapes differ.

    References:
        van den Oord et al. 2018, arXiv:1807.03748; Radford et al. 2021, arXiv:2103.00020; Khosla et al. 2020,
        arXiv:2004.11362, for pairs of one class.

    Example:
        >>> round(float(sp.imagine.contrastive_loss(sp.eye(4), sp.eye(4), 1.0)), 4)
        0.7437
        >>> float(sp.imagine.contrastive_loss(sp.eye(4), sp.eye(4), 1.0, sp.zeros(4))) < 1e-6
        True
    """
    images, texts = _core.asarray(images), _core.asarray(texts)
    if images.shape != texts.shape or images.ndim != 2:
        raise ValueError(f"contrastive_loss: images {images.shape} and texts {texts.shape} are not both (n, d)")
    similarity = _core.matmul(images, _core.permute_dims(texts, (1, 0))) * scale
    n = images.shape[0]
    if groups is not None:
        marks = _core.asarray(groups)
        same = _core.reshape(marks, (n, 1)) == _core.reshape(marks, (1, n))
        own = _core.asarray(np.eye(n, dtype=bool))
        similarity = _core.where(_core.logical_and(same, _core.logical_not(own)), HIDDEN, similarity)
    matched = _core.sum(images * texts, axis=1) * scale
    rows, columns = (_core.logsumexp(similarity, axis=axis) for axis in (1, 0))
    return _core.mean((rows + columns) / 2 - matched)


def retrieval(images: Any, texts: Any, right: Any, at: Sequence[int] = (1, 5, 10)) -> dict[int, float]:
    """Text to image: the share of texts whose own image is among the nearest k.

    Args:
        images: vectors (n, d) of length 1.
        texts: vectors (m, d) of length 1.
        right: for each text the position of its image, or a row of positions, any of which counts.
        at: the values of k.

    Returns:
        The share for each k.

    Example:
        >>> sp.imagine.retrieval(np.eye(4), np.eye(4)[[0, 1]], [0, 2], at=(1, 4))
        {1: 0.5, 4: 1.0}
    """
    found = ranks(images, texts, right)
    return {k: float(np.mean(found < k)) for k in at}


def ranks(images: Any, texts: Any, right: Any) -> Any:
    """The rank of each text's own image, 0 for the first: the number of images that are nearer, or as near.

    Args:
        images: vectors (n, d).
        texts: vectors (m, d).
        right: positions (m,) or (m, any); the best of a row counts.

    Returns:
        An integer array (m,).
    """
    scores = np.asarray(texts, np.float64) @ np.asarray(images, np.float64).T
    places = np.asarray(right).reshape(len(scores), -1)
    own = np.take_along_axis(scores, places, axis=1).max(axis=1, keepdims=True)
    nearer = scores >= own
    np.put_along_axis(nearer, places, False, axis=1)
    return nearer.sum(axis=1)
