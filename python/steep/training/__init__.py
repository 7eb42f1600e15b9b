"""Training a classifier of pictures: one recipe, one function, the one loop.

Start reading at ``fit.py``; ``recipe.py`` says what can be chosen, ``batches.py`` where the pictures come from.
"""

from steep.training.fit import TrainingProgress, Trained, fit
from steep.training.recipe import Recipe

__all__ = ["Recipe", "TrainingProgress", "Trained", "fit"]
