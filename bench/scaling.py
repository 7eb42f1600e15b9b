"""Time of a training step against batch, width and depth: steep eager and captured, torch, jax; one thread.

``python bench/scaling.py`` measures the sweeps and draws docs/pictures/scaling_*.png; the figures go to
bench/results/scaling.json, from which ``--draw`` draws again without measuring. Start reading at ``SWEEPS``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import measure

RESULTS = measure.HERE / "results" / "scaling.json"
PICTURES = measure.HERE.parent / "docs" / "pictures"
NAMES = {"steep": "steep, eager", "captured": "steep, captured", "torch": "torch", "jax": "jax, jit"}
COLOURS = {"steep": "#e08a3c", "captured": "#b3261e", "torch": "#5b6abf", "jax": "#3f8f6b"}


@dataclass(frozen=True)
class Sweep:
    """One plot: a step's shape for each value on its axis."""

    name: str
    axis: str
    values: tuple[int, ...]
    shape: Callable[[int], tuple[tuple[int, ...], int]]  # layers and batch
    title: str


SWEEPS = (
    Sweep("batch", "rows in a batch", (1, 4, 16, 64, 256, 1024), lambda n: ((784, 256, 10), n), "784-256-10"),
    Sweep("width", "width of two hidden layers", (8, 32, 128, 512, 2048), lambda n: ((64, n, n, 10), 64),
          "64-n-n-10, batch 64"),
    Sweep("depth", "hidden layers", (1, 4, 16, 64, 128), lambda n: ((32, *(32,) * n, 10), 32),
          "hidden layers of width 32, batch 32"),
)  # fmt: skip


def times_of(sweep, peers, rounds):
    """Microseconds (median) by peer, one for each value."""
    from workloads import mlp

    found = {name: [] for name in peers}
    for value in sweep.values:
        sizes, batch = sweep.shape(value)
        row = measure.measure(mlp(*sizes, batch=batch), peers, rounds)
        assert not row["wrong"], f"gradients differ at {sweep.name} {value}: {row['wrong']}"
        for name, times in row["times"].items():
            found[name].append(times["median"])
    return found


def measured(rounds):
    """Every sweep's times, in a process pinned to one core."""
    measure.pin(1)
    peers = measure.load_peers(1, NAMES)
    return {sweep.name: times_of(sweep, peers, rounds) for sweep in SWEEPS}


def draw(sweep, times):
    """One image, both axes logarithmic."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5.6, 3.6), layout="constrained")
    for name, points in times.items():
        axes.loglog(sweep.values, points, marker="o", markersize=4, color=COLOURS[name], label=NAMES[name])
    axes.set(xlabel=sweep.axis, ylabel="microseconds per training step", title=sweep.title)
    axes.set_xticks(sweep.values, [str(v) for v in sweep.values])
    axes.minorticks_off()
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    PICTURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURES / f"scaling_{sweep.name}.png", dpi=110)
    pyplot.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", action="store_true", help="draw what was measured last")
    parser.add_argument("--rounds", type=int, default=measure.ROUNDS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    if not options.draw:
        options.results.parent.mkdir(parents=True, exist_ok=True)
        options.results.write_text(json.dumps(measured(options.rounds), indent=1))
    found = json.loads(options.results.read_text())
    for sweep in SWEEPS:
        draw(sweep, found[sweep.name])


if __name__ == "__main__":
    main()
