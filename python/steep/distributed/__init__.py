"""Past one machine: sums that do not depend on who computes which part, and the ranks that share the work.

Start reading at ``fold.py`` (the tree) and ``world.py`` (the ranks).
"""

from steep.distributed.fold import Fold
from steep.distributed.world import World, world

__all__ = ["Fold", "World", "world"]
