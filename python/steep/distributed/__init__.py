"""Past one machine: sums that do not depend on who computes which part, the ranks that share training, and data sets
and sweeps by any executor.

Start reading at ``fold.py`` (the tree), ``world.py`` (the ranks) and ``map.py`` (executors).
"""

from steep.distributed.fold import Fold
from steep.distributed.map import Mapped, Point, map, sweep
from steep.distributed.world import World, world

__all__ = ["Fold", "Mapped", "Point", "World", "map", "sweep", "world"]
