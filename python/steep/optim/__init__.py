"""Optimisers, learning-rate schedules and the one loop that runs them.

Start reading at ``loop.py`` (params -> scalar -> gradient -> update -> project), then ``optimizer.py``.
"""

from steep.elsewhere import answer_unknown_names
from steep.optim import averaging, gradients, directions, projections, schedules
from steep.optim.averaging import EMA
from steep.optim.gradients import clip_grad_norm
from steep.optim.first_order import SGD, AdaGrad, Adam, AdamW, RMSProp
from steep.optim.adaptive import Adadelta, Adamax, Lion, NAdam, RAdam
from steep.optim.box_lbfgs import BoxLBFGS
from steep.optim.cmaes import CMAES
from steep.optim.direct import NelderMead, RandomSearch
from steep.optim.lbfgs import LBFGS
from steep.optim.newton_cg import NewtonCG
from steep.optim.loop import Progress, Result, maximize, minimize
from steep.optim.optimizer import Optimizer
from steep.optim.steepest import Polyak, Steepest

__all__ = [
    "CMAES", "EMA", "LBFGS", "SGD", "AdaGrad", "Adadelta", "Adam", "AdamW", "Adamax", "BoxLBFGS", "Lion", "NAdam",
    "NelderMead", "NewtonCG", "Optimizer", "Polyak", "Progress", "RAdam", "RMSProp", "RandomSearch", "Result",
    "Steepest", "averaging", "clip_grad_norm", "gradients", "directions", "maximize", "minimize", "projections",
    "schedules",
]  # fmt: skip

answer_unknown_names(__name__)
