"""Adversarial examples: the smallest change of an input that changes the prediction.

Each attack is ``optim.maximize`` with a projection onto the allowed set; success always comes from predicting again.
"""

from steep.attack.bounded import Attack, fgsm, pgd

__all__ = ["Attack", "fgsm", "pgd"]
