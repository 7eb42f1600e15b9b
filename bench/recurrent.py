"""Recurrent layers beside torch's: a forward pass and a step of training, eager and compiled.

    .venv-bench/bin/python bench/recurrent.py [THREADS]

Both libraries have the same weights and run alternately for some seconds; the least time of each is printed, and how
many times as long as torch's steep's takes. Start reading at ``main``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ["STEEP_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = sys.argv[1] if len(sys.argv) > 1 else "1"

import numpy as np
import steep as sp
import torch

SECONDS = 4.0  # for each layer
# The layer, features of an input, units, steps, sequences.
LAYERS = [
    ("RNN", 128, 128, 64, 32),
    ("GRU", 128, 128, 64, 32),
    ("LSTM", 128, 128, 64, 32),
    ("LSTM", 64, 256, 100, 16),
    ("LSTM", 32, 32, 50, 8),
    ("LSTM", 256, 512, 32, 64),
]


def jobs(kind: str, features: int, units: int, steps: int, sequences: int) -> dict[str, Callable[[], Any]]:
    """What is timed, by name."""
    theirs, ours = getattr(torch.nn, kind)(features, units), getattr(sp.nn, kind)(features, units)
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    drawn = np.random.default_rng(0).standard_normal((steps, sequences, features)).astype(np.float32)
    x, other = sp.tensor(drawn), torch.tensor(drawn)
    sgd, torch_sgd = sp.optim.SGD(ours.parameters(), lr=1e-6), torch.optim.SGD(theirs.parameters(), lr=1e-6)

    def step(x: sp.Tensor) -> sp.Tensor:
        sgd.zero_grad()
        loss = sp.sum(ours(x)[0])
        loss.backward()
        sgd.step()
        return loss

    def torch_step() -> None:
        torch_sgd.zero_grad()
        theirs(other)[0].sum().backward()
        torch_sgd.step()

    def forward() -> Any:
        with sp.no_grad():
            return ours(x)

    def torch_forward() -> Any:
        with torch.no_grad():
            return theirs(other)

    np.testing.assert_allclose(np.asarray(forward()[0]), torch_forward()[0].numpy(), atol=1e-5)
    compiled, compiled_step = sp.compile(lambda x: ours(x)[0]), sp.compile(step)
    return {
        "forward": forward,
        "forward, compiled": lambda: compiled(x),
        "forward, torch": torch_forward,
        "step": lambda: step(x),
        "step, compiled": lambda: compiled_step(x),
        "step, torch": torch_step,
    }


def main() -> None:
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    for layer in LAYERS:
        todo = jobs(*layer)
        for job in todo.values():
            job()
            job()
        least, end = dict.fromkeys(todo, float("inf")), time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            for name, job in todo.items():
                began = time.perf_counter()
                job()
                least[name] = min(least[name], 1e3 * (time.perf_counter() - began))
        print("{} of {} features, {} units, {} steps, {} sequences".format(*layer))
        for what in ("forward", "step"):
            torch_ms, names = least[f"{what}, torch"], (what, f"{what}, compiled")
            row = ", ".join(f"{name} {least[name]:.2f} ms ({least[name] / torch_ms:.2f})" for name in names)
            print(f"  {row}, torch {torch_ms:.2f} ms", flush=True)


if __name__ == "__main__":
    main()
