"""The map of a model: its layers in order, what each is, its shape, and which layers it reads.

It is found by running the model once on a blank image and following the recorded graph from each layer's output back to
those of others, so it holds for modules, functions inside them and ONNX files alike. Start reading at ``layers``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from steep import _core
from steep._core import Node, Tensor
from steep.evaluation import evaluating
from steep.explore.subject import Subject
from steep.nn.module import Module


@dataclass(frozen=True)
class Layer:
    """A layer of the map.

    Attributes:
        name: its name, as in ``model.activations``.
        kind: what it is, such as "Conv2d".
        shape: the shape of its output without the batch, (channels, ...).
        inputs: the names of the layers that it reads; "" is the image.
        aliases: other names of the same output.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    inputs: tuple[str, ...]
    aliases: tuple[str, ...] = ()

    @property
    def plain(self) -> dict[str, Any]:
        """What JSON can hold."""
        return asdict(self)


def layers(subject: Subject) -> list[Layer]:
    """The layers of a model whose outputs depend on its input, in the order in which they run.

    Of names for one and the same output the innermost stands; a model without layers has one, called "".

    Args:
        subject: the model.

    Returns:
        A list of ``Layer``.

    Raises:
        Exception: whatever the model raises.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> found = sp.explore.layers(sp.explore.Subject("digits", model, model.preprocessing))
        >>> found[1]
        Layer(name='relu1', kind='ReLU', shape=(16, 28, 28), inputs=('conv1',), aliases=())
    """
    model, blank = subject.model, _core.full(subject.preprocessing.shape, 0.5)
    x = _core.tensor(subject.preprocessing.normalize(blank), requires_grad=True)
    with evaluating():
        found = model.activations(x) if hasattr(model, "activations") else {"": model(x)}
        known = {name: value for name, value in found.items() if _is_layer(value)}
    nodes = {name: _core._node_of(value) for name, value in known.items()}
    names = _innermost(nodes)
    kept = {node: group[0] for node, group in names.items()}
    image = _core._node_of(x)
    kinds = _kinds(model)
    return [
        Layer(group[0], kinds.get(group[0], node.name), tuple(known[group[0]].shape[1:]),
              tuple(_read(node, kept, image)), tuple(group[1:]))
        for node, group in sorted(names.items(), key=lambda pair: pair[0].sequence)
    ]  # fmt: skip


def _is_layer(value: Any) -> bool:
    """Whether it is a tensor (1, channels, ...) computed from the input."""
    return isinstance(value, Tensor) and value.ndim > 1 and len(value) == 1 and _core._node_of(value) is not None


def _innermost(nodes: dict[str, Node | None]) -> dict[Node, list[str]]:
    """The names of each node, the innermost first, and of those the one that ran first."""
    found: dict[Node, list[str]] = {}
    for name, node in nodes.items():
        if node is not None and node.inputs:
            found.setdefault(node, []).append(name)
    return {node: sorted(names, key=lambda name: -(name.count(".") + bool(name))) for node, names in found.items()}


def _kinds(model: Any) -> dict[str, str]:
    if not isinstance(model, Module) or hasattr(model, "outputs"):  # of an ONNX model the ops say it
        return {}
    return {name: type(module).__name__ for name, module in model.named_modules()}


def _read(node: Node, kept: dict[Node, str], image: Node | None) -> Iterable[str]:
    """The names of the nearest layers before a node, each once; other leaves than the image are weights."""
    found: dict[Node, str] = {}
    waiting, seen = [each for each in node.inputs if each is not None], set[Node]()
    while waiting:
        each = waiting.pop(0)
        if each in seen:
            continue
        seen.add(each)
        if each in kept:
            found[each] = kept[each]
        elif each == image:
            found[each] = ""
        else:
            waiting += [more for more in each.inputs if more is not None]
    return [found[each] for each in sorted(found, key=lambda each: each.sequence)]
