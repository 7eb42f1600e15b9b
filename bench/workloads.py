"""What is measured, as data: each workload has a name, a kind, its sizes and its inputs as NumPy arrays.

A peer (bench/peers/) turns a kind into a ``Job``: a step to time, and the gradients of its first step to compare.
Start reading at ``WORKLOADS``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LR, MOMENTUM = 0.01, 0.9
ASCENT_LR = 0.1
CHAIN_A = 1.5
CHAIN_OPS = 100


@dataclass
class Job:
    """One peer's side of a workload: ``step`` is timed; ``gradients`` are arrays to hold against the other peers'."""

    step: Callable[[], Any]
    gradients: Callable[[], list[np.ndarray]]


@dataclass
class Workload:
    """``unit`` divides the time of a step: ops in a chain, so that the table shows time an op."""

    name: str
    kind: str
    sizes: tuple[int, ...]
    batch: int = 0
    activation: str = "relu"
    unit: int = 1
    flop: float = 0.0
    tolerance: float = 2e-4
    goal: float = 0.0  # microseconds captured, of PERFORMANCE's reference machine; shown for orientation
    inputs: dict[str, Any] = field(default_factory=dict)

    def make(self) -> None:
        """Fills ``inputs`` from a fixed seed."""
        self.inputs = MAKERS[self.kind](self, np.random.default_rng(0))


def _f32(a: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(a, dtype=np.float32)


def _overhead(w: Workload, rng: np.random.Generator) -> dict[str, Any]:
    return {"x": _f32(rng.normal(size=w.sizes)), "b": _f32(1 + 0.01 * rng.normal(size=w.sizes))}


def _mlp(w: Workload, rng: np.random.Generator) -> dict[str, Any]:
    layers = list(zip(w.sizes[:-1], w.sizes[1:], strict=True))
    weights = [(_f32(rng.normal(size=(i, o)) / np.sqrt(i)), _f32(0.1 * rng.normal(size=o))) for i, o in layers]
    x = _f32(rng.normal(size=(w.batch, w.sizes[0])))
    target = _f32(rng.normal(size=(w.batch, 1))) if w.sizes[-1] == 1 else rng.integers(0, w.sizes[-1], w.batch)
    return {"weights": weights, "x": x, "target": target, "activation": w.activation}


def _chain(w: Workload, rng: np.random.Generator) -> dict[str, Any]:
    return {"x": _f32(rng.normal(size=w.sizes))}


def _matmul(w: Workload, rng: np.random.Generator) -> dict[str, Any]:
    m, k, n = w.sizes
    return {"a": _f32(rng.normal(size=(m, k))), "b": _f32(rng.normal(size=(k, n))), "g": _f32(rng.normal(size=(m, n)))}


def _softmax(w: Workload, rng: np.random.Generator) -> dict[str, Any]:
    return {"x": _f32(3 * rng.normal(size=w.sizes)), "target": rng.integers(0, w.sizes[1], w.sizes[0])}


def _cnn(w: Workload, rng: np.random.Generator) -> dict[str, Any]:
    """Two convolutions, each with ReLU and a pool of 2, and a linear layer; sizes are channels, side and classes."""
    *channels, side, classes = w.sizes
    kernels = [(o, i, 3, 3) for i, o in itertools.pairwise(channels)]
    shapes = [*kernels, (channels[-1] * (side >> len(kernels)) ** 2, classes)]
    weights = [
        (_array(w, rng.normal(size=s) * np.sqrt(2 / (np.prod(s[1:]) if len(s) == 4 else s[0]))),
         _array(w, 0.1 * rng.normal(size=s[0] if len(s) == 4 else s[1])))
        for s in shapes
    ]
    x = _array(w, rng.normal(size=(w.batch, channels[0], side, side)))
    return {"weights": weights, "x": x, "target": rng.integers(0, classes, w.batch), "optimizer": w.optimizer}


MAKERS = {
    "overhead": _overhead,
    "mlp": _mlp,
    "chain": _chain,
    "matmul": _matmul,
    "product": _matmul,
    "softmax": _softmax,
}


def _square(n: int, goal: float) -> Workload:
    return Workload(f"matmul {n}, forward + both gradients", "matmul", (n, n, n), flop=6.0 * n**3, goal=goal)


def _product(m: int, k: int, n: int) -> Workload:
    return Workload(f"matmul {m}x{k}x{n} alone", "product", (m, k, n), flop=2.0 * m * k * n)


CNN = (3, 32, 64, 32, 10)

WORKLOADS = [
    Workload("overhead an op, 4 elements, eager", "overhead", (4,), unit=CHAIN_OPS, goal=0.20),
    Workload("MLP 2-2-1 tanh, batch 1, step", "mlp", (2, 2, 1), 1, "tanh", goal=10),
    Workload("MLP 784-128-10 relu, batch 32, step", "mlp", (784, 128, 10), 32, flop=13.1e6, goal=100),
    Workload("MLP 784-256-128-10 tanh, batch 128, step", "mlp", (784, 256, 128, 10), 128, "tanh", flop=129e6, goal=800),
    Workload("MLP 784-1024-1024-10 relu, batch 256, step", "mlp", (784, 1024, 1024, 10), 256, flop=2.41e9, goal=14000),
    Workload("elementwise chain, n=1e3", "chain", (1000,), goal=3),
    Workload("elementwise chain, n=1e5", "chain", (100_000,), goal=80),
    Workload("elementwise chain, n=1e6", "chain", (1_000_000,), goal=1100),
    Workload("elementwise chain, n=1e7", "chain", (10_000_000,), goal=22000),
    Workload("softmax + cross-entropy 1024x1000", "softmax", (1024, 1000)),
    Workload("CNN 3-32-64 on 32x32, batch 32, step", "cnn", CNN, 32, flop=1.02e9, goal=11000),
    Workload("same CNN, batch 1, ascent on the input", "ascent", CNN, 1, flop=22e6, goal=320),
    _square(64, 12),
    _square(256, 570),
    _square(1024, 35000),
    _product(1024, 1024, 1024),
    _product(256, 256, 256),
    _product(32, 784, 128),
    _product(784, 32, 128),
    _product(8, 512, 512),
]
