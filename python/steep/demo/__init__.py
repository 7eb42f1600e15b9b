"""The demo: train on real digits, then hold the weights and optimise the input.

``run.py`` computes, ``report.py`` makes the pictures and writes the page. Start reading at ``run``.
"""

from steep.demo.report import write_report
from steep.demo.run import Outcome, Settings, run

__all__ = ["Outcome", "Settings", "run", "write_report"]
