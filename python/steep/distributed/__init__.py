"""Past one machine: sums that do not depend on who computes which part, ranks that share training, and data sets and
sweeps by any executor.

Start reading at ``fold.py`` (the tree), ``mpi.py`` (ranks), ``watch.py`` (the heartbeat) and ``map.py`` (executors).
"""

from steep.distributed.fold import Fold
from steep.distributed.gradient import value_and_grad
from steep.distributed.map import Mapped, Point, map, sweep
from steep.distributed.mpi import init
from steep.distributed.world import World, world

__all__ = ["Fold", "Mapped", "Point", "World", "init", "map", "sweep", "value_and_grad", "world"]
