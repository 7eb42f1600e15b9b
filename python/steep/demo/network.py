"""The demo's network: one hidden layer of ReLUs."""

from __future__ import annotations

from steep import nn
from steep.data import Part
from steep.random import Generator


def network(part: Part, hidden: int, seed: int = 0) -> nn.Sequential:
    """A network from images like those of ``part`` to a score for each class, initialised from ``seed``."""
    return of_sizes(part.x[0].size, hidden, int(part.y.max()) + 1, seed)


def of_sizes(inputs: int, hidden: int, classes: int, seed: int = 0) -> nn.Sequential:
    """The network with ``inputs`` pixels, ``hidden`` units and ``classes`` scores."""
    source = Generator(seed)
    return nn.Sequential(
        {
            "flatten": nn.Flatten(),
            "hidden": nn.Linear(inputs, hidden, generator=source),
            "relu": nn.ReLU(),
            "scores": nn.Linear(hidden, classes, generator=source),
        }
    )
