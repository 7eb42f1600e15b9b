"""``report``: what a model file would meet in steep, before anything of it runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from steep.onnx.graph import Graph, Source, read


@dataclass(frozen=True)
class Report:
    """How many nodes of each operator; what is unsupported, and which have no gradient, and why.

    Operators go by their names, tensors as "initializer 'w'". ``widened``: where types stand that are held in wider
    ones, such as "float16 as float32".
    """

    opset: int
    operators: dict[str, int]
    unsupported: dict[str, str] = field(default_factory=dict)
    no_gradient: dict[str, str] = field(default_factory=dict)
    widened: dict[str, list[str]] = field(default_factory=dict)

    @property
    def supported(self) -> bool:
        """Whether the model can be loaded."""
        return not self.unsupported

    def __str__(self) -> str:
        lines = [f"opset {self.opset}, {sum(self.operators.values())} nodes"]
        lines += [f"unsupported  {op}: {why}" for op, why in self.unsupported.items()]
        lines += [f"no gradient  {op}: {why}" for op, why in self.no_gradient.items()]
        lines += [] if len(lines) > 1 else ["all operators are supported and differentiable"]
        lines += [f"widened      {how}: {_some(where)}" for how, where in self.widened.items()]
        return "\n".join(lines)


def _some(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def report(source: Source) -> Report:
    """What of a model, given by path or as bytes, is unsupported or has no gradient.

    Raises ValueError for a file that is malformed.
    """
    graph: Graph = read(source, strict=False)
    counts = Counter(node.op for node in graph.nodes)
    unsupported = {op: why for op, _, why in graph.problems}
    silent = {node.op: node.row.gradient for node in graph.nodes if node.row.gradient}
    return Report(graph.opset, dict(sorted(counts.items())), unsupported, dict(sorted(silent.items())), graph.widened)
