"""ONNX models: ``load`` runs and differentiates them, ``report`` says what would not work, ``save`` writes one.

Needs the package ``onnx`` (``pip install 'steep[onnx]'``), which parses the files. Start reading at ``graph.py`` (a
file read and checked), then ``model.py`` (a graph run), then ``table.py`` (operators as rows).
"""

from steep.onnx.model import Model, load
from steep.onnx.report import Report, report
from steep.onnx.save import save
from steep.onnx.table import UnsupportedError

__all__ = ["Model", "Report", "UnsupportedError", "load", "report", "save"]
