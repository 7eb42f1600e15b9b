"""What lstm.py, vae.py, memory.py and dcgan.py share: training by Adam under ``fit``, and the command line.

``AdamStep`` is a training step of one's own (own_step.py says what that is) made from a loss alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import steep as sp
from steep import optim
from steep.random import Generator


class AdamStep:
    """One update by Adam of ``loss(model, x, y, draw)``, a dict of scalars whose first is the loss.

    Gradients are scaled down to a norm of ``clip`` at most: recurrent networks need it, and it harms none.
    """

    def __init__(self, model: Any, loss: Callable[..., dict], lr: float, seed: int = 0, clip: float = 1.0) -> None:
        self.loss, self.clip, self.draw = loss, clip, Generator(seed)
        self.optimizer = optim.Adam(model.parameters(), lr)

    def __call__(self, model, optimizer, x, y):
        weights = model.parameters()
        with sp.GradientTape() as tape:
            told = self.loss(model, x, y, self.draw)
        gradients = tape.gradient(next(iter(told.values())), weights)
        norm = sp.sqrt(sum(sp.sum(g * g) for g in gradients))
        scale = self.clip / sp.maximum(norm, self.clip)
        self.optimizer.apply_gradients(zip([g * scale for g in gradients], weights, strict=True))
        return told

    def state_dict(self):
        """The optimiser and the generator."""
        return {"optimizer": self.optimizer.state_dict(), "draw": self.draw.state()}

    def load_state_dict(self, state):
        """Restores what ``state_dict`` returned."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.draw.set_state(state["draw"])


def told(progress: Any) -> None:
    """A line of figures ten times per run, for ``fit``'s callback."""
    if progress.step % max(1, progress.steps // 10) == 0 or progress.step == progress.steps:
        shown = "  ".join(f"{name} {value:.4f}" for name, value in progress.logs.items())
        print(f"step {progress.step}/{progress.steps}  {shown}", flush=True)


def command(
    what: str,
    train: Callable[..., Any],
    show: Callable[[Any], tuple[str, bytes]],
    epochs: int,
    sets: Sequence[str] = (),
) -> None:
    """The command line of an example: trains, prints the figures, and writes samples where ``--output`` says.

    ``sets`` are the data sets that ``train`` can be told by ``name``, the default first.
    """
    words = argparse.ArgumentParser(description=what, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--epochs", type=int, default=epochs)
    words.add_argument("--threads", type=int, help="threads to use; the result does not depend on it")
    words.add_argument("--output", type=Path, help="where to write samples")
    if sets:
        words.add_argument(
            "--data", choices=sets, default=sets[0], help="the data set; the figures are for the default"
        )
    given, began = words.parse_args(), time.perf_counter()
    if given.threads:
        sp.set_num_threads(given.threads)
    named = {"name": given.data} if sets else {}
    trained = train(given.epochs, callback=told, **named)
    text, samples = show(trained.model)
    print(f"{trained.status}, {time.perf_counter() - began:.0f} s; {text}")
    if given.output:
        given.output.write_bytes(samples)
