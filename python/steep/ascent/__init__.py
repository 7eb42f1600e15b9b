"""Gradient ascent on inputs: what would excite this neuron most?

The weights are held and the input moves. Objectives and regularizers are small functions of the input that add and
scale (``term.py``); ``maximize`` hands them to the one loop, ``optim.maximize``. Start reading at ``loop.py``.
"""

from steep.ascent.loop import Ascent, maximize
from steep.ascent.objectives import logit, margin, probability
from steep.ascent.regularizers import l2, total_variation
from steep.ascent.term import Term
from steep.ascent.transforms import blur
from steep.optim.projections import ball, box, compose

__all__ = [
    "Ascent", "Term", "ball", "blur", "box", "compose", "l2", "logit", "margin", "maximize", "probability",
    "total_variation",
]  # fmt: skip
