"""Adversarial examples: small changes of an input that change the prediction, and how to train and check against them.

Every attack is ``optim.minimize`` or ``maximize`` with a projection onto the allowed set; success always comes from
predicting again. Start reading at ``problem.py``, then ``bounded.py``. Which one for what question: docs/attack.md.
"""

from steep.attack.bounded import fgsm, pgd
from steep.attack.decoupled import ddn
from steep.attack.deepfool import deepfool
from steep.attack.masking import Masking, masking, without_gradient
from steep.attack.penalised import carlini_wagner, lbfgs
from steep.attack.problem import Attack
from steep.attack.training import adversary

__all__ = [
    "Attack", "Masking", "adversary", "carlini_wagner", "ddn", "deepfool", "fgsm", "lbfgs", "masking", "pgd",
    "without_gradient",
]  # fmt: skip
