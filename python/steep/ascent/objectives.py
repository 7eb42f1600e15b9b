"""Objectives of a classifier, as terms of its input: the score, the probability or the log-odds of a class.

The rows of a batch are independent: with one class for each row, one run optimises them all.
"""

from __future__ import annotations

import math
from typing import Any

from steep import _core
from steep._core import Tensor
from steep.ascent.term import Term
from steep.scores import Classifier, class_scores, probabilities, unnormalised


def logit(model: Classifier, target: Any) -> Term:
    """Objective: the unnormalised score of a class, summed over the batch.

    The input with the highest score need not have the highest probability: see ``probability``.

    Args:
        model: a classifier, a function from inputs to scores (n, classes).
        target: the class, or one for each row of the batch.

    Returns:
        A ``Term``. Calling it raises IndexError for a class that the model does not have.

    References:
        Simonyan et al. 2014, "Deep inside convolutional networks", arXiv:1312.6034.

    Example:
        >>> score = sp.ascent.logit(lambda x: x @ sp.eye(2), 1)
        >>> float(score(sp.tensor([[3.0, 4.0]])))
        4.0
    """
    scores = unnormalised("logit", model, shifted=False)
    return Term(lambda x: _core.sum(class_scores(scores(x), target)), f"logit({target})")


def probability(model: Classifier, target: Any) -> Term:
    """Objective: the softmax probability of a class, summed over the batch.

    Args:
        model: a classifier, a function from inputs to scores (n, classes).
        target: the class, or one for each row of the batch.

    Returns:
        A ``Term``. Calling it raises IndexError for a class that the model does not have.

    Example:
        >>> chance = sp.ascent.probability(lambda x: x, 0)
        >>> float(chance(sp.tensor([[1.0, 1.0]])))
        0.5
    """
    scores = unnormalised("probability", model)
    return Term(lambda x: _core.sum(class_scores(probabilities(scores, x), target)), f"probability({target})")


def margin(model: Classifier, target: Any) -> Term:
    """Objective: the log-odds of a class, its score minus the log-sum-exp of all others, summed over the batch.

    It equals log(p / (1 - p)), so it does not saturate as the probability p approaches 1.

    Args:
        model: a classifier, a function from inputs to scores (n, classes).
        target: the class, or one for each row of the batch.

    Returns:
        A ``Term``. Calling it raises ValueError for a model with a single class, IndexError for an unknown class.

    Example:
        >>> odds = sp.ascent.margin(lambda x: x, 0)
        >>> float(odds(sp.tensor([[2.0, 1.0]])))
        1.0
    """
    scores = unnormalised("margin", model)
    return Term(lambda x: _log_odds(scores(x), target), f"margin({target})")


def _log_odds(scores: Tensor, target: Any) -> Tensor:
    chosen = class_scores(scores, target)
    if scores.shape[-1] < 2:
        raise ValueError(f"margin needs two classes at least, got scores of shape {scores.shape}")
    mine = _core.one_hot(_core.asarray(target, dtype=_core.int64), scores.shape[-1]) > 0
    others = _core.logsumexp(_core.where(mine, -math.inf, scores), axis=-1)
    return _core.sum(chosen - others)
