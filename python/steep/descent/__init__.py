"""Landscapes and what optimisers do on them: paths, verdicts, stability, the cost of each order, pictures and a page.

Start reading at ``landscapes.py`` (the table), then ``paths.py`` (what each optimiser does, by the one loop);
``draw.py`` and ``html.py`` show it. The command is ``steep descend``.
"""

from steep.descent import draw
from steep.descent.cuts import Cut, find_cut
from steep.descent.expression import parse
from steep.descent.html import page
from steep.descent.kinks import Kink, described, in_domain, suspects, undefined
from steep.descent.landscapes import LANDSCAPES, Landscape, find, landscape
from steep.descent.orders import ORDERS, Cost, compare, valley
from steep.descent.paths import METHODS, Path, descend, find_methods, outcome
from steep.descent.stability import StabilityMap, boundary, five_rates, iteration, stability, steps_to
from steep.descent.verdict import Minimum, Verdict, judge

__all__ = [
    "LANDSCAPES", "METHODS", "ORDERS", "Cost", "Cut", "Kink", "Landscape", "Minimum", "Path", "StabilityMap", "Verdict",
    "boundary", "compare", "descend", "described", "draw", "find", "find_cut", "find_methods", "five_rates",
    "in_domain", "iteration", "judge", "landscape", "outcome", "page", "parse", "stability", "steps_to",
    "suspects", "undefined", "valley",
]  # fmt: skip
