"""The worked numbers of the lecture notes, recomputed by the engine on this machine.

``CHECKS`` is the table: a row's number, what it is, how the engine computes it, what it must be, and how exactly. The
rows are those of the notes that have a closed form; ``basics.py``, ``optimisers.py``, ``calculus.py`` and ``worked.py``
hold them in order. Needs NumPy only.
"""

from steep.selftest.check import Check, Outcome
from steep.selftest.table import CHECKS, run, select

__all__ = ["CHECKS", "Check", "Outcome", "run", "select"]
