"""Training an image classifier: one recipe, one function, the one loop.

Start reading at ``fit.py``; ``recipe.py`` holds the options, ``batches.py`` provides the batches.
"""

from steep.training.fit import TrainingProgress, Trained, fit
from steep.training.recipe import Recipe

__all__ = ["Recipe", "TrainingProgress", "Trained", "fit"]
