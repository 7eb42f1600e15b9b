"""Training a classifier by the one loop: what ``steep train`` and the demo share.

``fit`` draws batches from a seeded loader and hands the loss to ``optim.minimize``; nothing here knows of the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from steep import _core, nn, optim
from steep._core import Tensor
from steep.data import DataLoader, Part, TensorDataset
from steep.optim.loop import Progress
from steep.random import Generator
from steep.scores import accuracy


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: SGD with momentum, the rate falling as half a cosine.

    Each batch is moved by up to ``shift`` pixels each way and overlaid with normal noise of standard deviation
    ``noise``, so that the network heeds strokes rather than single pixels.
    """

    hidden: int = 256
    epochs: int = 40
    batch_size: int = 50
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 1e-3
    noise: float = 0.5
    shift: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Seen:
    """What a watcher is told after each step: how far training is, the loss and accuracy of recent batches."""

    step: int
    steps: int
    loss: float
    accuracy: float


@dataclass
class Trained:
    """The network, the mean loss of each epoch, and its accuracy on both parts; ``status`` as in ``optim.Result``."""

    model: nn.Sequential
    losses: list[float] = field(default_factory=list)
    train_accuracy: float = 0.0
    test_accuracy: float = 0.0
    status: str = "finished"


def network(inputs: int, hidden: int, classes: int, seed: int = 0) -> nn.Sequential:
    """Pictures (n, height, width) with ``inputs`` pixels to scores (n, classes), through one layer of ReLUs."""
    source = Generator(seed)
    return nn.Sequential(
        {
            "flatten": nn.Flatten(),
            "hidden": nn.Linear(inputs, hidden, generator=source),
            "relu": nn.ReLU(),
            "scores": nn.Linear(hidden, classes, generator=source),
        }
    )


def fit(train: Part, test: Part, recipe: Recipe, watch: Callable[[Seen], object] = lambda seen: None) -> Trained:
    """Train a network on ``train`` and measure it on ``test``; ``watch`` is told of every step.

    The same parts and recipe give the same weights, bit for bit, on any number of threads. Raises ValueError for a
    recipe that no optimiser or loader takes.
    """
    model = network(train.x[0].size, recipe.hidden, int(train.y.max()) + 1, recipe.seed)
    loader = DataLoader(TensorDataset(train.x, train.y), recipe.batch_size, shuffle=True, seed=recipe.seed)
    steps = recipe.epochs * len(loader)
    losses = _Losses(model, _disturbed(_endless(loader), recipe, Generator(recipe.seed + 1)))
    make = partial(
        optim.SGD,
        lr=optim.schedules.cosine(recipe.lr, max(1, steps)),
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
    result = optim.minimize(losses, model.parameters(), make, steps, callback=lambda p: losses.tell(p, steps, watch))
    epochs = [result.history[i : i + len(loader)] for i in range(0, len(result.history), len(loader))]
    means = [sum(epoch) / len(epoch) for epoch in epochs]
    return Trained(model, means, accuracy(model, *train), accuracy(model, *test), result.status)


def _endless(loader: DataLoader) -> Iterator[Any]:
    while True:
        yield from loader


def _disturbed(batches: Iterator[Any], recipe: Recipe, source: Generator) -> Iterator[Any]:
    for x, y in batches:
        moved = _moved(x, recipe.shift, source) if recipe.shift else x
        yield (moved + source.normal(x.shape, std=recipe.noise) if recipe.noise else moved), y


def _moved(x: Tensor, shift: int, source: Generator) -> Tensor:
    """All pictures of the batch by the same whole number of pixels, zeros coming in."""
    down, right = source.integers(0, 2 * shift + 1, (2,)).tolist()
    height, width = x.shape[-2:]
    wide = _core.pad(x, [(0, 0), (shift, shift), (shift, shift)])
    return wide[:, down : down + height, right : right + width]


class _Losses:
    """The loss of the next batch, a new one at each call, with a running mean of the accuracy beside it."""

    def __init__(self, model: nn.Sequential, batches: Iterator[Any]) -> None:
        self.model, self.batches = model, batches
        self.accuracy = 0.0
        self.loss: float | None = None

    def __call__(self, params: Any) -> Tensor:
        x, y = next(self.batches)
        scores = self.model(x)
        hits = float(_core.mean(_core.argmax(scores.detach(), axis=-1) == y))
        self.accuracy = hits if self.loss is None else 0.95 * self.accuracy + 0.05 * hits
        return nn.cross_entropy(scores, y)

    def tell(self, progress: Progress, steps: int, watch: Callable[[Seen], object]) -> None:
        self.loss = progress.value if self.loss is None else 0.95 * self.loss + 0.05 * progress.value
        watch(Seen(progress.step + 1, steps, self.loss, self.accuracy))
