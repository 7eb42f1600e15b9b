"""What is measured, as data: each workload has a name, a kind, its sizes and its inputs as NumPy arrays.

A peer (bench/peers/) turns a kind into a ``Job``: a step to time, and the gradients of its first step to compare.
Start reading at ``WORKLOADS``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import models
import networks
import numpy as np

LR, MOMENTUM = 0.01, 0.9
ASCENT_LR = 0.1
ADAM_LR, BETAS, EPS = 1e-3, (0.9, 0.999), 1e-8
CHAIN_A = 1.5
CHAIN_OPS = 100
INPUT_GRADIENT = "forward + gradient with respect to the input"
BOTH_GRADIENTS = "forward + gradients with respect to both operands"
PGD_STEPS, PGD_RADIUS, PGD_STEP = 20, 0.3, 0.03
IG_STEPS, IG_BATCH = 50, 10
VISUALIZE_STEPS, VISUALIZE_LENGTH, VISUALIZE_CHANNEL = 256, 10.0, 33


# Batch norm over 64 values per channel, 27 layers deep: in float32 torch and steep are each 1.2e-2 of the length away
# from the gradient in float64, in which they agree to 2e-13.
ILL_CONDITIONED = {"MobileNet at 128x128": 4e-2}


@dataclass
class Job:
    """One peer's side of a workload: ``step`` is timed; ``gradients`` are arrays to hold against the other peers'.

    ``gradients`` is called once, before any timed step. What comes of a compiled function is the compiled one's answer.
    """

    step: Callable[[], Any]
    gradients: Callable[[], list[np.ndarray]]


@dataclass
class Workload:
    """``unit`` divides the time of a step: ops in a chain, so that the table shows the time per op."""

    name: str
    kind: str
    sizes: tuple[int, ...]
    batch: int = 0
    activation: str = "relu"
    optimizer: str = "sgd"
    dtype: str = "float32"
    unit: int = 1
    flop: float = 0.0
    network: str = ""  # of networks.py
    goal: float = 0.0  # microseconds on the reference machine, captured; kept in the JSON for orientation
    inputs: dict[str, Any] = field(default_factory=dict)

    @property
    def deep(self) -> bool:
        """Whether gradients are compared by their length rather than by their largest element.

        In float32 a rounding decides which side of a ReLU or which of two pooled values a deep network's gradient goes
        to, so single pixels differ by per cents between any two libraries, and all of them together by some thousandths
        of the length; in float64 all agree to 2e-15.
        """
        return self.kind in ("input_gradient", "visualize", "model_train", "model_input_gradient", "pgd", "integrated")

    @property
    def tolerance(self) -> float:
        """Of gradients, relative to the largest element, or of deep ones to their length."""
        if self.deep:
            return ILL_CONDITIONED.get(self.network, 1e-2)
        return 2e-4 if self.dtype == "float32" else 1e-11

    def make(self) -> None:
        """Fills ``inputs`` from a fixed seed."""
        self.inputs = MAKERS[self.kind](self, np.random.default_rng(0))


def _array(w: Workload, a: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(a, dtype=w.dtype)


def _overhead(w: Workload, rng: np.random.Generator) -> dict[str, Any]:
    return {"x": _array(w, rng.normal(size=w.sizes)), "b": _array(w, 1 + 0.01 * rng.normal(size=w.sizes))}


def _mlp(w: Workload, rng: np.random.Generator) -> dict[str, Any]:
    gain = np.sqrt(2) if w.activation == "relu" else 1
    weights = [
        (_array(w, gain * rng.normal(size=(i, o)) / np.sqrt(i)), _array(w, 0.1 * rng.normal(size=o)))
        for i, o in itertools.pairwise(w.sizes)
    ]
    x = _array(w, rng.normal(size=(w.batch, w.sizes[0])))
    target = _array(w, rng.normal(size=(w.batch, 1))) if w.sizes[-1] == 1 else rng.integers(0, w.sizes[-1], w.batch)
    return {"weights": weights, "x": x, "target": target, "activation": w.activation, "optimizer": w.optimizer}


def _chain(w: Workload, rng: np.random.Generator) -> dict[str, Any]:
    return {"x": _array(w, rng.normal(size=w.sizes))}


def _matmul(w: Workload, rng: np.random.Generator) -> dict[str, Any]:
    *batch, m, k, n = w.sizes
    shapes = {"a": (*batch, m, k), "b": (*batch, k, n), "g": (*batch, m, n)}
    return {name: _array(w, rng.normal(size=shape)) for name, shape in shapes.items()}


def _softmax(w: Workload, rng: np.random.Generator) -> dict[str, Any]:
    return {"x": _array(w, 3 * rng.normal(size=w.sizes)), "target": rng.integers(0, w.sizes[1], w.sizes[0])}


def _layernorm(w: Workload, rng: np.random.Generator) -> dict[str, Any]:
    x, g = (_array(w, rng.normal(size=w.sizes)) for _ in range(2))
    weight, bias = (_array(w, at + 0.1 * rng.normal(size=w.sizes[-1])) for at in (1, 0))
    return {"x": x, "weight": weight, "bias": bias, "g": g}


def _cnn(w: Workload, rng: np.random.Generator) -> dict[str, Any]:
    """Two convolutions, each with ReLU and a pool of 2, and a linear layer; sizes are channels, side and classes."""
    *channels, side, classes = w.sizes
    kernels = [(o, i, 3, 3) for i, o in itertools.pairwise(channels)]
    shapes = [*kernels, (channels[-1] * (side >> len(kernels)) ** 2, classes)]
    weights = [
        (
            _array(w, rng.normal(size=s) * np.sqrt(2 / (np.prod(s[1:]) if len(s) == 4 else s[0]))),
            _array(w, 0.1 * rng.normal(size=s[0] if len(s) == 4 else s[1])),
        )
        for s in shapes
    ]
    x = _array(w, rng.normal(size=(w.batch, channels[0], side, side)))
    return {"weights": weights, "x": x, "target": rng.integers(0, classes, w.batch), "optimizer": w.optimizer}


def _network(w: Workload, rng: np.random.Generator) -> dict[str, Any]:
    """Weights by He et al. 2015, images and labels."""
    shapes = [shape for shape, _ in networks.weights_of(w.network, w.sizes)]
    weights = [
        (_array(w, rng.normal(size=s) * np.sqrt(2 / np.prod(s[1:]))), _array(w, 0.1 * rng.normal(size=s[0])))
        for s in shapes
    ]
    x = _array(w, rng.normal(size=(w.batch, *w.sizes)))
    target = rng.integers(0, shapes[-1][0], w.batch)
    return {"network": w.network, "weights": weights, "x": x, "target": target, "optimizer": w.optimizer}


def _model(w: Workload, rng: np.random.Generator) -> dict[str, Any]:
    """Parameters, inputs and labels of one of models.py. The pairs of other kinds are single parameters here."""
    model = models.MODELS[w.network]
    shape = (w.batch, *model.input)
    x = rng.integers(0, model.vocabulary, shape) if model.vocabulary else _array(w, rng.uniform(size=shape))
    labels = x.size if model.vocabulary else w.batch
    weights = [(a,) for a in models.parameters_of(model, rng)]
    target = rng.integers(0, max(1, model.classes), labels)
    return {"network": w.network, "weights": weights, "x": x, "target": target, "optimizer": w.optimizer}


def _zoo(w: Workload, rng: np.random.Generator) -> dict[str, Any]:
    """Images for a model of the zoo, which has its own weights."""
    return {"network": w.network, "weights": [], "x": _array(w, rng.uniform(size=(w.batch, *w.sizes)))}


MAKERS = {
    "overhead": _overhead,
    "mlp": _mlp,
    "chain": _chain,
    "matmul": _matmul,
    "product": _matmul,
    "softmax": _softmax,
    "layernorm": _layernorm,
    "cnn": _cnn,
    "ascent": _cnn,
    "train": _network,
    "forward": _network,
    "input_gradient": _network,
    "visualize": _network,
    "pgd": _network,
    "integrated": _network,
    "zoo_forward": _zoo,
    "model_train": _model,
    "model_input_gradient": _model,
}


def kinds_of(names: dict[str, Any]) -> dict[str, Callable[..., Job]]:
    """What a peer can do: the functions among its names that are called like a kind."""
    return {kind: names[kind] for kind in MAKERS if kind in names}


def mlp(*sizes: int, batch: int, activation: str = "relu", optimizer: str = "sgd", goal: float = 0.0) -> Workload:
    """A training step. Each weight takes three products, but the first layer's input has no gradient."""
    weights = [i * o for i, o in itertools.pairwise(sizes)]
    flop = 2.0 * batch * (3 * sum(weights) - weights[0]) if batch > 1 else 0.0
    hidden = sizes[1:-1]
    shape = "-".join(map(str, sizes)) if len(hidden) < 4 else f"{sizes[0]}-{hidden[0]}x{len(hidden)}-{sizes[-1]}"
    how = f"batch {batch}{', Adam' if optimizer == 'adam' else ''}"
    return Workload(f"MLP {shape} {activation}, {how}, step", "mlp", sizes, batch, activation, optimizer, "float32", 1,
                    flop, goal)  # fmt: skip


def network(name: str, kind: str, image: tuple[int, int, int], batch: int, goal: float = 0.0) -> Workload:
    """A training step, a forward pass, or that and the gradient of a sum over the result with respect to the images."""
    what = {"train": "step", "forward": "forward", "input_gradient": INPUT_GRADIENT}[kind]
    products = sum(np.prod(shape) * uses for shape, uses in networks.weights_of(name, image))
    flop = 2.0 * batch * products * {"train": 3, "forward": 1, "input_gradient": 2}[kind]
    full = f"{name} at {image[1]}x{image[2]}, batch {batch}, {what}"
    return Workload(full, kind, image, batch, flop=float(flop), network=name, goal=goal)


def model(name: str, kind: str, batch: int) -> Workload:
    """A training step, or a forward pass and the gradient of the sum of the scores with respect to the input."""
    what = {"model_train": "step", "model_input_gradient": INPUT_GRADIENT}[kind]
    return Workload(f"{name}, batch {batch}, {what}", kind, (), batch, network=name)


def _square(n: int, goal: float) -> Workload:
    name = f"matmul {n}, {BOTH_GRADIENTS}"
    return Workload(name, "matmul", (n, n, n), flop=6.0 * n**3, goal=goal)


def _product(m: int, k: int, n: int, dtype: str) -> Workload:
    return Workload(f"matmul {m}x{k}x{n} alone, {dtype}", "product", (m, k, n), flop=2.0 * m * k * n, dtype=dtype)


PRODUCTS = ((1024, 1024, 1024), (256, 256, 256), (128, 128, 128), (32, 784, 128), (784, 32, 128), (8, 512, 512))
BATCHED = (64, 128, 64, 128)

CNN = (3, 32, 64, 32, 10)

ZOO = {
    "squeezenet1_1": (3, 224, 224),
    "efficientnet_lite0": (3, 224, 224),
    "alexnet_features": (3, 224, 224),
    "vgg16_features": (3, 224, 224),
}
MODEL_ROWS = [  # code as people write it; the geometric mean over these is what report.py states
    model("nn.Linear 1024-1024-10", "model_train", 64),
    model("nn.Linear 512-512-10", "model_train", 128),
    model("GPT, 4 layers of 256, 4 heads, 128 tokens", "model_train", 8),
    model("ViT-Tiny at 224x224", "model_input_gradient", 2),
    model("ResNet-20 with batch norm", "model_train", 32),
    model("MobileNet at 128x128", "model_train", 4),
    model("VAE 784-400-20", "model_train", 128),
    Workload("PGD of 20 steps, LeNet at 28x28, batch 128", "pgd", (1, 28, 28), 128, network="LeNet"),
    Workload("integrated gradients of 50 steps, SqueezeNet 1.1 at 227x227", "integrated", (3, 227, 227), 1,
             network="SqueezeNet 1.1"),
]  # fmt: skip

WORKLOADS = [
    Workload("overhead per op, 4 elements", "overhead", (4,), unit=CHAIN_OPS, goal=0.025),
    mlp(2, 2, 1, batch=1, activation="tanh", goal=2.5),
    mlp(784, 128, 10, batch=32, goal=100),
    mlp(784, 256, 128, 10, batch=128, activation="tanh", goal=800),
    mlp(784, 1024, 1024, 10, batch=256, goal=14000),
    mlp(784, 512, 512, 512, 512, 512, 10, batch=128, optimizer="adam"),
    Workload("elementwise chain, n=1e3", "chain", (1000,), goal=3),
    Workload("elementwise chain, n=1e5", "chain", (100_000,), goal=80),
    Workload("elementwise chain, n=1e6", "chain", (1_000_000,), goal=1100),
    Workload("elementwise chain, n=1e7", "chain", (10_000_000,), goal=22000),
    Workload("softmax + cross-entropy 1024x1000", "softmax", (1024, 1000)),
    Workload("layer norm 1024x1024, forward + gradients", "layernorm", (1024, 1024)),
    Workload("CNN 3-32-64 on 32x32, batch 32, step", "cnn", CNN, 32, flop=1.02e9, goal=11000),
    Workload("same CNN, batch 1, ascent on the input", "ascent", CNN, 1, flop=22e6, goal=320),
    network("LeNet", "train", (1, 28, 28), 64),
    network("SqueezeNet 1.1", "forward", (3, 227, 227), 1, goal=8000),
    network("SqueezeNet 1.1", "input_gradient", (3, 227, 227), 1, goal=17000),
    network("SqueezeNet 1.1", "forward", (3, 227, 227), 8, goal=60000),
    network("SqueezeNet 1.1", "input_gradient", (3, 227, 227), 8, goal=125000),
    Workload(
        "SqueezeNet channel visualisation at 227x227, 256 steps",
        "visualize",
        (3, 227, 227),
        1,
        network="SqueezeNet 1.1 to fire7",
    ),
    network("VGG16 trunk", "forward", (3, 224, 224), 1, goal=185000),
    network("VGG16 trunk", "input_gradient", (3, 224, 224), 1, goal=375000),
    network("VGG16 trunk", "forward", (3, 224, 224), 8),
    network("VGG16 trunk", "input_gradient", (3, 224, 224), 8),
    _square(64, 12),
    _square(256, 570),
    _square(1024, 35000),
    Workload(f"matmul 64 x (128x64x128), {BOTH_GRADIENTS}", "matmul", BATCHED, flop=6.0 * np.prod(BATCHED)),
    *MODEL_ROWS,
    *(
        Workload(f"{name} of the zoo, batch {batch}, forward", "zoo_forward", image, batch, network=name)
        for name, image in ZOO.items()
        for batch in (1, 8)
    ),
    *(_product(*shape, dtype) for dtype in ("float32", "float64") for shape in PRODUCTS),
]
