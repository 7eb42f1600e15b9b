"""What to excite: objectives of a classifier, as terms of its input.

With a batch and a class for each row, the rows do not influence one another, and one run excites them all.
"""

from __future__ import annotations

from typing import Any

from steep import _core
from steep.ascent.term import Term
from steep.scores import Classifier, class_scores, probabilities


def logit(model: Classifier, target: Any) -> Term:
    """The unnormalised score of class ``target``, summed over rows; ``target`` is one class, or one for each row.

    Highest score and highest probability are different things: see ``probability``. Raises IndexError, when called,
    for a class outside the model's. Source: notes table, row 53.
    """
    return Term(lambda x: _core.sum(class_scores(model(x), target)))


def probability(model: Classifier, target: Any) -> Term:
    """The probability of class ``target`` by softmax, summed over rows. Source: notes table, row 53."""
    return Term(lambda x: _core.sum(class_scores(probabilities(model, x), target)))
