"""``report``: what a model file would meet in steep, before anything of it runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from steep.onnx.graph import Graph, Source, read


@dataclass(frozen=True)
class Report:
    """How many nodes of each operator; which are unsupported, and which have no gradient, and why."""

    opset: int
    operators: dict[str, int]
    unsupported: dict[str, str] = field(default_factory=dict)
    no_gradient: dict[str, str] = field(default_factory=dict)

    @property
    def supported(self) -> bool:
        """Whether the model can be loaded."""
        return not self.unsupported

    def __str__(self) -> str:
        lines = [f"opset {self.opset}, {sum(self.operators.values())} nodes"]
        lines += [f"unsupported  {op}: {why}" for op, why in self.unsupported.items()]
        lines += [f"no gradient  {op}: {why}" for op, why in self.no_gradient.items()]
        return "\n".join(lines if len(lines) > 1 else [*lines, "all operators are supported and differentiable"])


def report(source: Source) -> Report:
    """What of a model, given by path or as bytes, is unsupported or has no gradient.

    Raises ValueError for a file that is malformed.
    """
    graph: Graph = read(source, strict=False)
    counts = Counter(node.op for node in graph.nodes)
    unsupported = {op: why for op, _, why in graph.problems}
    silent = {node.op: node.row.gradient for node in graph.nodes if node.row.gradient}
    return Report(graph.opset, dict(sorted(counts.items())), unsupported, dict(sorted(silent.items())))
