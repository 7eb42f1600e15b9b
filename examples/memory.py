"""A key-value memory that is read by attention: it learns to look up what it was shown once.

    python examples/memory.py --output digits.png

Images are written to the memory, each as a key with a value, its label; another image is a query, whose key asks for
the values of similar keys (matching networks, Vinyals et al. 2016, arXiv:1606.04080). Labels are permuted at random in
every step, so that weights cannot hold them: only the memory can. Then digits that were never trained on are written
to it, one of each, and asked for. Start reading at ``Memory``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import steep as sp
from adam_step import AdamStep, command
from steep import data, nn, pictures
from steep.random import Generator
from steep.training import Recipe, fit

TRAINED, NEW = range(5), range(5, 10)  # the digits


class Memory(nn.Module):
    """Images to keys of length 1; ``read`` is the attention."""

    def __init__(self, channels: int = 16, size: int = 64, seed: int = 0) -> None:
        source, c = Generator(seed), channels
        self.key = nn.Sequential(
            nn.Conv2d(1, c, 3, padding=1, generator=source), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(c, 2 * c, 3, padding=1, generator=source), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(49 * 2 * c, size, generator=source),
        )  # fmt: skip
        self.sharpness = nn.init.parameter(sp.full((), 10.0))

    def forward(self, x):
        """The keys of images, (n, size)."""
        keys = self.key(x)
        return keys / sp.sqrt(sp.sum(keys * keys, axis=1, keepdims=True) + 1e-6)

    def attention(self, query, keys):
        """How much each query looks at each key: a softmax of their cosines."""
        return sp.softmax(self.sharpness * query @ keys.T, axis=-1)

    def read(self, query, keys, values):
        """The values (n, width) at keys, averaged by attention."""
        return self.attention(query, keys) @ values


def loss(model, x, y, draw):
    """One half of a batch is written, the other asked for, under labels permuted at random.

    Every class is rotated and mirrored at random too, so there are eight times as many, and none to learn by heart.
    """
    x = oriented(x)[draw.integers(0, 8, (len(TRAINED),))[y], sp.arange(x.shape[0])]
    values = sp.one_hot(y, len(TRAINED))[:, draw.permutation(len(TRAINED))]
    half, keys = x.shape[0] // 2, model(x)
    found = model.read(keys[half:], keys[:half], values[:half])
    nats = -sp.mean(sp.sum(values[half:] * sp.log(found + 1e-6), axis=1))
    right = sp.argmax(found, axis=1) == sp.argmax(values[half:], axis=1)
    return {"loss": nats, "accuracy": sp.mean(right.astype(sp.float32))}


def oriented(x):
    """Images (n, 1, h, h) in the eight orientations of a square, (8, n, 1, h, h)."""
    mirrored = [x, x[..., ::-1]]
    upright = mirrored + [image[..., ::-1, :] for image in mirrored]
    return sp.stack(upright + [sp.swapaxes(image, 2, 3) for image in upright])


def only(part: data.Part, digits: Any) -> data.Part:
    """The images of some digits."""
    mine = np.isin(part.y, list(digits))
    return data.Part(part.x[mine][:, None], part.y[mine])


def train(epochs: int, channels: int = 16, count: int = 2000, seed: int = 0, callback: Any = None, **more) -> Any:
    """The memory, trained on the digits 0 to 4; ``more`` goes to ``fit``."""
    part = only(data.load("mnist5k").train, TRAINED)
    model = Memory(channels, seed=seed)
    recipe = Recipe(epochs=epochs, batch_size=50, shift=1, seed=seed)
    step = AdamStep(model, loss, 1e-3, seed)
    few = data.Part(part.x[:count], part.y[:count])
    return fit(model, few, None, recipe, callback or (lambda p: None), train_step=step, **more)


def asked(model: Memory, shots: int = 1, rounds: int = 200, seed: int = 0) -> float:
    """The share of right answers about the digits 5 to 9 when ``shots`` images of each have been written."""
    part, rng, right = only(data.load("mnist5k").test, NEW), np.random.default_rng(seed), []
    with sp.no_grad():
        keys = np.asarray(model(sp.asarray(part.x)))
        for _ in range(rounds):
            picked = np.array([rng.permutation(np.flatnonzero(part.y == digit))[: shots + 1] for digit in NEW])
            written, query = picked[:, :shots].ravel(), picked[:, shots]
            values = np.repeat(np.eye(len(NEW), dtype=np.float32), shots, axis=0)
            found = model.read(sp.asarray(keys[query]), sp.asarray(keys[written]), sp.asarray(values))
            right.append(np.asarray(found).argmax(axis=1) == np.arange(len(NEW)))
    return float(np.mean(right))


def samples(model: Memory, seed: int = 0) -> Any:
    """A table as colours: above, one image of each of five new digits, which is written; left, others, which ask for
    them; in the middle, the attention, brighter the higher."""
    part, rng = only(data.load("mnist5k").test, NEW), np.random.default_rng(seed)
    picked = np.array([rng.permutation(np.flatnonzero(part.y == digit))[:2] for digit in NEW])
    written, query = (sp.asarray(part.x[picked[:, i]]) for i in range(2))
    with sp.no_grad():
        weights = np.asarray(model.attention(model(query), model(written)))
    tiles = [np.zeros((28, 28)), *np.asarray(written)[:, 0]]
    for image, row in zip(np.asarray(query)[:, 0], weights, strict=True):
        tiles += [image, *(np.full((28, 28), weight) for weight in row)]
    return pictures.sheet([pictures.grey(tile) for tile in tiles], 6, gap=2)


def show(model: Memory) -> tuple[str, bytes]:
    """The figures of the run, and a picture of the memory being read."""
    once, often = asked(model), asked(model, 5)
    return f"digits never trained on: {once:.1%} right after 1 image of each, {often:.1%} after 5", pictures.png(
        samples(model), 2)  # fmt: skip


if __name__ == "__main__":
    command(__doc__, train, show, epochs=60)
