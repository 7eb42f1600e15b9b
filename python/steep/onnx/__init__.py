"""ONNX models: ``load`` runs and differentiates them, ``report`` lists what is unsupported, ``save`` writes them.

Needs the package ``onnx`` (``pip install 'steep[onnx]'``), which parses the files. Start reading at ``graph.py`` (a
file, parsed and checked), then ``model.py`` (a graph, run), then ``table.py`` (operators as rows).
"""

from steep.onnx.model import Model, load
from steep.onnx.report import Report, report
from steep.onnx.save import save
from steep.onnx.table import UnsupportedError

__all__ = ["Model", "Report", "UnsupportedError", "load", "report", "save"]
