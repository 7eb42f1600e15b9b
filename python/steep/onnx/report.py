"""``report``: which operators of a model file are unsupported or have no gradient, before anything runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from steep.onnx.graph import Graph, Source, read


@dataclass(frozen=True)
class Report:
    """What ``report`` found.

    Attributes:
        opset: version of the standard operators.
        operators: number of nodes per operator.
        unsupported: reasons by operator, or by tensor as "initializer 'w'".
        no_gradient: reasons by operator.
        widened: where types are held in wider ones, such as "float16 as float32".
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
    """Lists what of a model is unsupported or has no gradient, without running it.

    Args:
        source: a path, or the bytes of a file.

    Returns:
        A ``Report``.

    Raises:
        ValueError: for a malformed file.

    Example:
        >>> model = sp.nn.Sequential({"scores": sp.nn.Linear(4, 3, generator=0)})
        >>> sp.onnx.save(model, "model.onnx", sp.zeros((1, 4)))
        >>> sp.onnx.report("model.onnx").supported
        True
    """
    graph: Graph = read(source, strict=False)
    counts = Counter(node.op for node in graph.nodes)
    unsupported = {op: why for op, _, why in graph.problems}
    no_gradient = {node.op: node.row.gradient for node in graph.nodes if node.row.gradient}
    ordered = dict(sorted(counts.items()))
    return Report(graph.opset, ordered, unsupported, dict(sorted(no_gradient.items())), graph.widened)
