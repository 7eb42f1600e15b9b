"""Adversarial examples: small changes of an input that change the prediction; adversarial training and checks.

Every attack is ``optim.minimize`` or ``maximize`` with a projection onto the allowed set; success is always evaluated
by predicting again. Start reading at ``problem.py``, then ``pgd.py``. An overview of the attacks: docs/attack.md.
"""

from steep.attack.pgd import fgsm, pgd
from steep.attack.ddn import ddn
from steep.attack.deepfool import deepfool
from steep.attack.masking import Masking, masking, without_gradient
from steep.attack.carlini_wagner import carlini_wagner, lbfgs
from steep.attack.problem import Attack
from steep.attack.rounding import rounded
from steep.attack.training import adversary

__all__ = [
    "Attack", "Masking", "adversary", "carlini_wagner", "ddn", "deepfool", "fgsm", "lbfgs", "masking", "pgd",
    "rounded", "without_gradient",
]  # fmt: skip
