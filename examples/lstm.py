"""A long short-term memory that writes text, character by character.

    python examples/lstm.py --output text.txt

The text is Python's own reference, which comes with every Python (``pydoc_data.topics``). The network is that of
Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000. Start reading at ``Writer``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import steep as sp
from adam_step import AdamStep, command
from steep import data, nn
from steep.random import Generator
from steep.training import Recipe, fit

LENGTH = 64  # characters of a training sample


def text(count: int = 200_000) -> str:
    """The first ``count`` characters of Python's reference; other versions of Python have slightly different ones."""
    from pydoc_data import topics

    return "\n\n".join(topics.topics[name] for name in sorted(topics.topics))[:count]


class Writer(nn.Module):
    """Characters to scores of the next one."""

    def __init__(self, letters: str, hidden: int = 128, seed: int = 0) -> None:
        source = Generator(seed)
        self.letters = letters
        self.memory = nn.LSTM(len(letters), hidden, batch_first=True, generator=source)
        self.out = nn.Linear(hidden, len(letters), generator=source)
        with sp.no_grad():
            self.memory.bias_ih_l0[hidden : 2 * hidden] = 1.0  # keep what is in the memory, to begin with

    def forward(self, letters, state=None):
        """Scores (n, length, letters) after each of the characters (n, length), and the state after the last."""
        outputs, state = self.memory(sp.one_hot(letters, len(self.letters)), state)
        return self.out(outputs), state


def loss(model, x, y, draw):
    """The cross-entropy of each next character, in nats and as bits."""
    codes = x.astype(sp.int64)
    scores, _ = model(codes[:, :-1])
    nats = nn.cross_entropy(scores.reshape((-1, scores.shape[-1])), codes[:, 1:].reshape((-1,)))
    return {"loss": nats, "bits": nats / math.log(2)}


def windows(written: str, letters: str) -> data.Part:
    """All disjoint pieces of the text, as codes."""
    codes = np.array([letters.index(c) for c in written], np.float32)
    count = (len(codes) - 1) // LENGTH
    x = np.stack([codes[i * LENGTH : (i + 1) * LENGTH + 1] for i in range(count)])
    return data.Part(x, np.zeros(count, np.int64))


def parts(count: int, letters: str = "") -> tuple[str, data.Part, data.Part]:
    """The letters of the text, its pieces for training, and every twentieth for testing."""
    written = text(count)
    letters = letters or "".join(sorted(set(written)))
    x, y = windows(written, letters)
    tested = np.arange(len(x)) % 20 == 19
    return letters, data.Part(x[~tested], y[~tested]), data.Part(x[tested], y[tested])


def train(epochs: int, hidden: int = 128, count: int = 200_000, seed: int = 0, callback: Any = None, **more) -> Any:
    """The network, trained on the text; ``more`` goes to ``fit``."""
    letters, part, _ = parts(count)
    model = Writer(letters, hidden, seed)
    recipe = Recipe(epochs=epochs, batch_size=32, shift=0, seed=seed)
    step = AdamStep(model, loss, 5e-3, seed)
    return fit(model, part, None, recipe, callback or (lambda p: None), train_step=step, **more)


def bits(model: Writer, count: int = 200_000) -> float:
    """Bits per character of the pieces of the text that the network has not seen."""
    with sp.no_grad():
        return float(loss(model, sp.asarray(parts(count, model.letters)[2].x), None, None)["bits"])


def write(model: Writer, begin: str = "The ", count: int = 400, temperature: float = 0.5, seed: int = 0) -> str:
    """Text that the network writes: each character is drawn from its softmax, and read as the next."""
    rng, state, written = np.random.default_rng(seed), None, begin
    with sp.no_grad():
        for at in range(len(begin) + count - 1):
            given, state = model(sp.asarray([[model.letters.index(written[at])]]), state)
            if at + 1 == len(written):
                scores = np.asarray(given, np.float64)[0, 0] / temperature
                chances = np.exp(scores - scores.max())
                written += model.letters[rng.choice(len(chances), p=chances / chances.sum())]
    return written


def show(model: Writer) -> tuple[str, bytes]:
    """The figure of the run, and a sample."""
    sample = write(model)
    print(sample)
    return f"{bits(model):.2f} bits per character of text not seen", sample.encode()


if __name__ == "__main__":
    command(__doc__, train, show, epochs=25)
