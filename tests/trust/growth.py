"""Row 19: memory after many steps, exceptions and reference cycles included. ``python tests/trust/growth.py [STEPS]``.

Resident memory after a tenth of the steps, when caches and allocators have settled, against that at the end. The cycles
are those of tests/graph/test_cycles.py. Start reading at ``growth``.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "graph"))

import numpy as np
import steep as sp
import test_cycles
from graphs import resident
from steep import nn, optim


def trainer() -> Callable[[], object]:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = optim.Adam(model.parameters(), 1e-3)
    x, labels = sp.tensor(np.ones((5, 4)), dtype="float32"), sp.tensor(np.arange(5) % 3)

    def step() -> None:
        optimizer.zero_grad()
        nn.cross_entropy(model(x), labels).backward()
        optimizer.step()

    return step


def failing() -> None:
    x = sp.ones((3,))
    x.requires_grad = True
    with suppress(sp.GradientError):
        (x * sp.ones((3,))).sum().backward(sp.ones((7,)))


def growth(work: Callable[[], object], steps: int) -> float:
    """Bytes per step: the least of six stretches. A leak shows in each; heaps that settle show in the first ones."""
    found = []
    for _ in range(6):
        gc.collect()
        before = resident()
        for _ in range(steps):
            work()
        gc.collect()
        found.append((resident() - before) / steps)
    return min(found)


def main(steps: int) -> str:
    """The row's figure; the cycles, each slower than a step, get a tenth of the steps."""
    found = {"training": growth(trainer(), steps), "exceptions": growth(failing, steps)}
    found |= {work.__name__: growth(work, steps // 10) for work in test_cycles.CYCLES}
    name, worst = max(found.items(), key=lambda item: item[1])
    few = 4 * 4096 / (steps // 10)  # pages, which is what residency counts in
    assert worst < max(1.0, few), f"{name} grows by {worst:.2f} bytes per step"
    return f"{len(found)} kinds of steps, worst {worst:.2f} B per step ({name})"


if __name__ == "__main__":
    print(main(int(float(sys.argv[1])) if len(sys.argv) > 1 else 20_000))
