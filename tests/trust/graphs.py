"""Row 1: a chain and a diamond of N nodes, built, differentiated and dropped. ``python tests/trust/graphs.py [N]``.

All of it runs on a stack of 256 KB, each graph in a process of its own, which has no memory of the other's. Bytes per
node: resident memory after the forward pass less that before it, divided by N; what the backward pass needs on top is
in the second figure, from the peak. Operands are 0-d tensors, and are counted; equal Python numbers share one.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
from collections.abc import Callable

import steep as sp

STACK = 256 * 1024


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def chain(x: sp.Tensor, n: int) -> sp.Tensor:
    for _ in range(n):
        x = x + 1.0
    return x


def diamond(x: sp.Tensor, n: int) -> sp.Tensor:
    """Each pair of nodes reads one tensor by two ways and joins them."""
    for _ in range(n // 2):
        x = x * 0.5 + x
    return x


def measure(build: Callable[[sp.Tensor, int], sp.Tensor], n: int) -> tuple[float, float]:
    x = sp.tensor(1e-300, dtype="float64", requires_grad=True)
    before = resident()
    y = build(x, n)
    built = resident()
    y.backward()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert x.grad is not None and x.grad.item() > 0
    nodes = sp.live_nodes()
    del y
    assert nodes >= n - 1 and sp.live_nodes() == 1
    return (built - before) / n, (peak - before) / n


def on_small_stack(name: str, n: int) -> str:
    """The figure of one graph."""
    found: list[tuple[float, float]] = []
    threading.stack_size(STACK)
    thread = threading.Thread(target=lambda: found.append(measure(BUILDS[name], n)))
    thread.start()
    thread.join()
    ((built, peak),) = found
    return f"{name} {built:.0f} B per node, {peak:.0f} with the backward pass"


def main(n: int) -> str:
    """The row's figure."""
    runs = [subprocess.run([sys.executable, __file__, name, str(n)], check=True, stdout=subprocess.PIPE, text=True)
            for name in BUILDS]  # fmt: skip
    return "; ".join(run.stdout.strip() for run in runs)


BUILDS = {"chain": chain, "diamond": diamond}

if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in BUILDS:
        print(on_small_stack(sys.argv[1], int(sys.argv[2])))
    else:
        print(main(int(float(sys.argv[1])) if len(sys.argv) > 1 else 1_000_000))
