"""What to excite: objectives of a classifier, as terms of its input.

With a batch and a class for each row, the rows do not influence one another, and one run excites them all.
"""

from __future__ import annotations

import math
from typing import Any

from steep import _core
from steep._core import Tensor
from steep.ascent.term import Term
from steep.scores import Classifier, class_scores, probabilities, unnormalised


def logit(model: Classifier, target: Any) -> Term:
    """The unnormalised score of class ``target``, summed over rows; ``target`` is one class, or one for each row.

    Highest score and highest probability are different things: see ``probability``. Raises IndexError, when called,
    for a class outside the model's. Source: notes table, row 53.
    """
    scores = unnormalised("logit", model, shifted=False)
    return Term(lambda x: _core.sum(class_scores(scores(x), target)), f"logit({target})")


def probability(model: Classifier, target: Any) -> Term:
    """The probability of class ``target`` by softmax, summed over rows. Source: notes table, row 53."""
    scores = unnormalised("probability", model)
    return Term(lambda x: _core.sum(class_scores(probabilities(scores, x), target)), f"probability({target})")


def margin(model: Classifier, target: Any) -> Term:
    """The score of class ``target`` less the log-sum-exp of all others, summed over rows.

    For each row it is the log-odds of the class, log(p / (1 - p)), so it grows on when the probability is near 1.
    Raises ValueError, when called, for a model of one class: nothing is left to compare it with.
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
