"""A step of ascent on a face of 512 pixels (`steep imagine --generator mobilestylegan`, docs/imagine.md) beside torch.

    .venv-bench/bin/python bench/faces.py [THREADS] [STEPS]

Both libraries run the synthesis network of the zoo, the same nodes and constants, up to its bands of 512 pixels; the
score is the distance to a fixed picture, its gradient is taken with respect to the styles, and Adam takes a step. steep
runs it compiled, as its own loop does, torch eagerly, since torch.compile refuses a graph that computes sizes with
NumPy; steps alternate, and scores and gradients are compared before. The graph is fetched at the first use. Start
reading at ``main``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any, cast

os.environ["STEEP_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = sys.argv[1] if len(sys.argv) > 1 else "1"

import numpy as np
import steep as sp
import torch
from steep import zoo
from steep.imagine.generators import HAAR, HALF
from steep.zoo.openvino import OPERATORS, Graph, Node
from torch.nn import functional

STEPS = int(sys.argv[2]) if len(sys.argv) > 2 else 10
RATE = 0.03
Job = tuple[Callable[[], Any], Callable[[], tuple[float, Any]]]  # a step, and the score with its gradient


def convolution(node: Node, x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """As steep's row does it, of equal paddings."""
    groups, flat = kernel.shape[0] if kernel.ndim == 5 else 1, kernel.reshape(-1, *kernel.shape[-3:])
    padding = node.numbers("pads_begin")
    assert padding == node.numbers("pads_end")
    return functional.conv2d(x, flat, None, node.numbers("strides"), padding, node.numbers("dilations"), groups)


def transposed(node: Node, x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Of kernels (groups, in, out, height, width)."""
    flat = kernel.reshape(-1, *kernel.shape[-3:])
    strides, padding, dilations = (node.numbers(each) for each in ("strides", "pads_begin", "dilations"))
    more = node.numbers("output_padding") if "output_padding" in node.options else 0
    return functional.conv_transpose2d(x, flat, None, strides, padding, more, kernel.shape[0], dilations)


def concatenated(node: Node, *parts: Any) -> Any:
    """Of arrays of sizes, or of tensors."""
    axis = int(node.options["axis"])
    whole = all(isinstance(part, np.ndarray) for part in parts)
    return np.concatenate(parts, axis) if whole else torch.cat([torch.as_tensor(part) for part in parts], axis)


def product(node: Node, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """With either operand transposed."""
    x, y = (v.mT if node.options.get(f"transpose_{s}") == "true" else v for v, s in zip((x, y), "ab", strict=True))
    return x @ y


def sizes_of(value: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in np.ravel(np.asarray(value)))


def broadcast(node: Node, x: Any, shape: Any, *_: Any) -> Any:
    """To a shape, or to what both shapes give together."""
    wanted = sizes_of(shape)
    if node.options.get("mode") == "bidirectional":
        wanted = np.broadcast_shapes(tuple(x.shape), wanted)
    return np.broadcast_to(x, wanted) if isinstance(x, np.ndarray) else x.broadcast_to(wanted)


# The rows that call steep; the others are indexing and arithmetic of any tensors.
OF_TORCH: dict[str, Callable[..., Any]] = {
    "MatMul": product,
    "PReLU": lambda _, x, factors: functional.prelu(x, factors.reshape(-1)),
    "Convolution": convolution,
    "GroupConvolution": convolution,
    "GroupConvolutionBackpropData": transposed,
    "Concat": concatenated,
    "Broadcast": broadcast,
    "Tile": lambda _, x, counts: x.tile(sizes_of(counts)),
}


def in_torch(graph: Graph, until: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """The graph up to a node, as a function of torch's tensors."""
    constants: dict[str, Any] = dict(graph.integers)
    for node in graph.nodes:
        if node.kind == "Const" and node.id not in constants:
            constants[node.id] = torch.tensor(np.asarray(getattr(graph, f"constant{node.id}")))
    operators = {**OPERATORS, **OF_TORCH}

    def run(x: torch.Tensor) -> torch.Tensor:
        values: dict[Any, Any] = {}
        for node in graph.nodes:
            inputs = [values[port] for port in node.inputs]
            if node.kind in ("Parameter", "Const"):
                found = x if node.kind == "Parameter" else constants[node.id]
            else:
                found = operators[node.kind](node, *inputs)
            if node.name == until:
                return found
            outputs = found if isinstance(found, tuple) else (found,)
            values.update(zip(((node.id, port) for port in node.outputs), outputs, strict=True))
        raise ValueError(until)

    return run


def job_of_steep(synthesis: Graph, start: Any, target: Any) -> Job:
    """Adam on the styles, its loss and gradient one compiled program."""
    w, wanted = sp.tensor(start), sp.tensor(target)
    adam = sp.optim.Adam([w], RATE)
    both = sp.value_and_grad(lambda w: sp.mean((synthesis(w, HALF)[:, :3] * HAAR - wanted) ** 2))
    compiled = sp.compile(both)

    def step() -> None:
        adam.apply_gradients([(compiled(w)[1], w)])

    def found() -> tuple[float, Any]:
        value, gradient = both(w)
        return value.item(), np.asarray(gradient)

    return step, found


def job_of_torch(synthesis: Graph, start: Any, target: Any) -> Job:
    """The same, eagerly."""
    w, wanted, run = torch.tensor(start, requires_grad=True), torch.tensor(target), in_torch(synthesis, HALF)
    adam = torch.optim.Adam([w], RATE)

    def score(w: torch.Tensor) -> torch.Tensor:
        return ((run(w)[:, :3] * HAAR - wanted) ** 2).mean()

    def step() -> None:
        adam.zero_grad()
        score(w).backward()
        adam.step()

    def found() -> tuple[float, Any]:
        value = score(w)
        (gradient,) = torch.autograd.grad(value, w)
        return value.item(), gradient.numpy()

    return step, found


def main() -> None:
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    mapping, synthesis = cast(tuple[Graph, Graph], tuple(zoo.load("mobilestylegan")))
    rng = np.random.default_rng(0)
    start = np.asarray(mapping(sp.tensor(rng.standard_normal((1, 512)).astype(np.float32))))
    target = rng.uniform(-1, 1, (1, 3, 512, 512)).astype(np.float32)
    jobs = {"steep": job_of_steep(synthesis, start, target), "torch": job_of_torch(synthesis, start, target)}
    (ours, mine), (theirs, other) = jobs["steep"][1](), jobs["torch"][1]()
    apart = np.linalg.norm(mine - other) / np.linalg.norm(other)
    print(f"score {ours:.6f} and {theirs:.6f}, gradients differ by {apart:.1e}")
    for step, _ in jobs.values():
        step()  # which may compile
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(STEPS):
        for name, (step, _) in jobs.items():
            began = time.perf_counter()
            step()
            times[name].append(1e3 * (time.perf_counter() - began))
    for name, each in times.items():
        ratios = f"{min(each) / min(times['steep']):.2f} {np.median(each) / np.median(times['steep']):.2f}"
        print(f"{name:14} {min(each):8.1f} ms, median {np.median(each):8.1f}, times steep's {ratios}")


if __name__ == "__main__":
    main()
