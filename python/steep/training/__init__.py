"""Training: one recipe, one function, the one loop; classifiers by default, any loss on request.

Start reading at ``fit.py``; ``recipe.py`` holds the options, ``choices.py`` the losses, optimisers and schedules that
it names, ``batches.py`` provides the batches.
"""

from steep.training.choices import LOSSES, OPTIMIZERS, SCHEDULES
from steep.training.fit import fit
from steep.training.recipe import Recipe
from steep.training.run import Trained, TrainingProgress

__all__ = ["LOSSES", "OPTIMIZERS", "SCHEDULES", "Recipe", "Trained", "TrainingProgress", "fit"]
