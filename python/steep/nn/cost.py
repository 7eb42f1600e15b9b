"""What a model costs on an input: operations of arithmetic and bytes of outputs, by layer, from the ops that ran.

A multiplication with an addition counts two, as is usual; elementwise ops and reductions one per element that they
read or write, whichever is more; ops that only move values nothing. Start reading at ``cost``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from steep import _core, tree
from steep._core import Tensor
from steep.evaluation import evaluating
from steep.nn.module import Module, around_calls

# Ops that compute nothing.
MOVES = frozenset(
    (
        "astype", "broadcast_to", "concat", "copy", "embed", "expand_dims", "flatten", "flip", "matrix_transpose",
        "moveaxis", "one_hot", "pad", "permute_dims", "repeat", "reshape", "roll", "slice", "split", "squeeze", "stack",
        "swapaxes", "take", "take_along_axis", "take_planes", "take_rows", "tile", "tril", "triu", "unstack",
        "wrap_index", "write_elements",
    )
)  # fmt: skip


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


def flops(name: str, inputs: list[Tensor], output: Tensor) -> int:
    """The operations of one op.

    Args:
        name: name of the op.
        inputs: its operands.
        output: its result.

    Returns:
        An integer.

    Example:
        >>> sp.nn.cost.flops("matmul", [sp.ones((2, 3)), sp.ones((3, 4))], sp.ones((2, 4)))
        48
    """
    if name in MOVES:
        return 0
    if name == "matmul":
        return 2 * output.size * inputs[0].shape[-1]
    if name in ("conv", "conv_input"):  # of an input and a weight (out, in, ...)
        swept = output if name == "conv" else inputs[0]
        return 2 * swept.size * math.prod(inputs[1].shape[1:])
    return max([output.size, *(each.size for each in inputs)])


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


def shown(number: float, unit: str = "") -> str:
    """A number with three digits and a prefix.

    Args:
        number: the number.
        unit: what is counted.

    Returns:
        Text.

    Example:
        >>> sp.nn.cost.shown(1_234_000, "B")
        '1.23 MB'
    """
    for prefix in ("", "k", "M", "G"):
        if number < 1000:
            return f"{number:.3g} {prefix}{unit}".strip()
        number /= 1000
    return f"{number:.3g} T{unit}"
