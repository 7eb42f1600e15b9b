"""The demo: train on digits, then fix the weights and optimise the input.

``run.py`` computes, ``report.py`` makes the images and writes the page. Start reading at ``run``.
"""

from steep.demo.report import write_report
from steep.demo.run import Outcome, Settings, run

__all__ = ["Outcome", "Settings", "run", "write_report"]
