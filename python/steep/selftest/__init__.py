"""The worked numbers of docs/notes.md, recomputed by the engine on this machine.

``CHECKS`` is the table: a row's number, a description, the computation, the expected value, and the tolerance. The rows
are those of docs/notes.md that have a closed form; ``basics.py``, ``optimisers.py``, ``calculus.py``, ``worked.py``,
``inputs.py`` and ``landscapes.py`` hold them. Needs NumPy only.
"""

from steep.selftest.check import Check, Outcome
from steep.selftest.table import CHECKS, run, select

__all__ = ["CHECKS", "Check", "Outcome", "run", "select"]
