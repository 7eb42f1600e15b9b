"""What a model costs on an input: operations of arithmetic and bytes of outputs, by layer, from the ops that ran.

What an op takes is said in steep/flops.py. Start reading at ``cost``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from steep import _core, tree
from steep._core import Tensor
from steep.evaluation import evaluating
from steep.flops import flops
from steep.nn.module import Module, around_calls


@dataclass
class Cost:
    """The cost of a module, its children included.

    Attributes:
        flops: operations of arithmetic.
        memory: bytes of its output.
        shape: shape of its output, as text.
    """

    flops: int = 0
    memory: int = 0
    shape: str = ""


def cost(model: Module, x: Any) -> dict[str, Cost]:
    """The cost of every module that runs on an input, in evaluation mode.

    Args:
        model: the model.
        x: an input.

    Returns:
        A dict by dotted name, "" for the model; a module that runs several times has the sum.

    Example:
        >>> sp.nn.cost.cost(sp.nn.Linear(4, 3, generator=0), sp.ones((2, 4)))[""].flops
        54
    """
    names = {id(module): name for name, module in model.named_modules()}
    found: dict[str, Cost] = {}
    leaf = x if isinstance(x, Tensor) else tree.map(_core.asarray, x)
    capture = _core._Capture([each for each in tree.leaves(leaf) if isinstance(each, Tensor)], True)

    def around(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        before = len(capture.traced())
        output = module.forward(*args, **kwargs)
        mine = found.setdefault(names.get(id(module), ""), Cost())
        mine.flops += sum(flops(op, inputs, made) for op, _, inputs, made, _ in capture.traced()[before:])
        tensors = [each for each in tree.leaves(output) if isinstance(each, Tensor)]
        mine.memory += sum(each.size * each.dtype.itemsize for each in tensors)
        mine.shape = ", ".join(str(tuple(each.shape)) for each in tensors)
        return output

    try:
        with evaluating(), around_calls(around):
            model(leaf)
    finally:
        capture.stop()
    return found
