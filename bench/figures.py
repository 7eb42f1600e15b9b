"""What is measured besides workloads: what a node costs, memory of a training step, time to import, size on disk.

Each figure comes from a fresh process, since the memory peak and imports cannot be reset. Run with a name and arguments
it is such a process, and prints JSON; ``all_figures`` starts them and collects. Start there.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import measure

ROOT = measure.HERE.parent
CHAINS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
LEAST_FOR_BYTES = 100_000  # nodes, below which pages and pools are coarser than the chain
MEMORY_PEERS = ("steep", "captured", "torch")
MEMORY_WORKLOAD = "MLP 784-1024-1024-10 relu, batch 256, step"
MEMORY_STEPS = 5
IMPORTS = ("steep", "torch", "jax", "mlx.core")
INSTALLED = ("torch", "jaxlib", "mlx-cpu")


def resident():
    """Bytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak():
    """The most bytes it has had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def available():
    """Bytes of memory that the machine has left."""
    lines = Path("/proc/meminfo").read_text().split("\n")
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


# ---- one figure, in a separate process ----


def chain_of_nodes(name, count):
    """Nanoseconds and bytes per node of a chain that is built, differentiated and freed."""
    import numpy as np

    peer = measure.load_peers(1, [name])[name]
    b = peer.leaf(np.full(4, 1.000001, "float32")).detach()
    x = peer.leaf(np.ones(4, "float32"))

    def run(count):
        start = time.perf_counter()
        y = x
        for _ in range(count):
            y = y * b
        x.grad = None
        y.sum().backward()
        del y
        return (time.perf_counter() - start) / count

    run(100)
    before = resident()
    seconds = min(run(count) for _ in range(max(2, min(100, 1_000_000 // count))))
    size = (peak() - before) / count if count >= LEAST_FOR_BYTES else None
    return {"ns": seconds * 1e9, "bytes": size}


def memory_of_training(name):
    """Megabytes that a few training steps take beyond the import."""
    peer = measure.load_peers(1, [name])[name]
    from workloads import WORKLOADS

    before = peak()
    workload = next(w for w in WORKLOADS if w.name == MEMORY_WORKLOAD)
    workload.make()
    job = peer.KINDS["mlp"](workload.inputs)
    for _ in range(MEMORY_STEPS):
        job.step()
    return (peak() - before) / 1e6


def import_over_numpy(module):
    """Milliseconds to import a module after NumPy."""
    import numpy

    assert numpy
    start = time.perf_counter()
    importlib.import_module(module)
    return (time.perf_counter() - start) * 1e3


FIGURES = {"nodes": chain_of_nodes, "memory": memory_of_training, "import": import_over_numpy}


def fresh(figure, *arguments):
    """A figure measured in a separate process; None if it fails, for example if a peer is not installed."""
    command = [sys.executable, __file__, figure, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip().split("\n")[-1]
        print(f"versus: no figure for {figure} {' '.join(map(str, arguments))} ({reason})", file=sys.stderr)
        return None
    return json.loads(done.stdout)


# ---- all of them ----


def node_costs(longest):
    """By peer and length of chain. A length that may not fit into memory is left out."""
    found = {}
    for name in ("steep", "torch"):
        found[name], last = {}, None
        for count in (n for n in CHAINS if n <= longest):
            if last and last["bytes"] and 1.3 * last["bytes"] * count > available():
                print(f"versus: no memory for {count} nodes of {name}", file=sys.stderr)
                break
            last = fresh("nodes", name, count)
            if last is None:
                break
            found[name][str(count)] = last
    return found


def import_times(repeats):
    """Milliseconds, the median; the modules alternate."""
    found = {module: [] for module in IMPORTS}
    for _ in range(repeats):
        for module, times in found.items():
            taken = fresh("import", module)
            if taken is not None:
                times.append(taken)
    return {module: statistics.median(times) for module, times in found.items() if times}


def newest_wheel(build):
    """The newest wheel that `make` or someone has built; if there is none, it is built on request."""

    def found():
        wheels = [path for folder in ("dist", "build/wheel") for path in (ROOT / folder).glob("steep-*.whl")]
        return max(wheels, key=lambda path: path.stat().st_mtime, default=None)

    if build and found() is None:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(ROOT / "dist"), str(ROOT)]
        subprocess.run(command, check=False, stdout=sys.stderr)
    return found()


def installed_size(package):
    """Bytes of a distribution's files; None if it is not installed."""
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    paths = (Path(str(f.locate())) for f in files)
    return sum(p.stat().st_size for p in paths if p.exists())


def sizes(build):
    """Megabytes: steep's wheel, and what peers take once installed."""
    wheel = newest_wheel(build)
    found = {"steep wheel": wheel.stat().st_size / 1e6} if wheel else {}
    for package in INSTALLED:
        size = installed_size(package)
        if size:
            found[f"{package} installed"] = size / 1e6
    return found


def all_figures(quick):
    """Everything above. ``quick``: shorter chains, fewer repeats, and no wheel is built."""
    return {
        "nodes": node_costs(CHAINS[2] if quick else CHAINS[-1]),
        "memory_mb": {name: fresh("memory", name) for name in MEMORY_PEERS},
        "import_ms": import_times(3 if quick else 7),
        "size_mb": sizes(build=not quick),
    }


if __name__ == "__main__":
    measure.pin(1)
    figure, *arguments = sys.argv[1:]
    json.dump(FIGURES[figure](*(int(a) if a.isdecimal() else a for a in arguments)), sys.stdout)
