"""Optimisers, learning-rate schedules and the one loop that runs them.

Start reading at ``loop.py`` (params -> scalar -> gradient -> update -> project), then ``optimizer.py``.
"""

from steep.optim import directions, projections, schedules
from steep.optim.first_order import SGD, AdaGrad, Adam, AdamW, RMSProp
from steep.optim.box_lbfgs import BoxLBFGS
from steep.optim.lbfgs import LBFGS
from steep.optim.loop import Progress, Result, maximize, minimize
from steep.optim.optimizer import Optimizer
from steep.optim.steepest import Polyak, Steepest

__all__ = [
    "LBFGS", "SGD", "AdaGrad", "Adam", "AdamW", "BoxLBFGS", "Optimizer", "Polyak", "Progress", "RMSProp", "Result",
    "Steepest", "directions", "maximize", "minimize", "projections", "schedules",
]  # fmt: skip
