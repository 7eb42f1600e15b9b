"""steep against its peers: the same work in one process, interleaved, gradients compared, one thread and then two.

``python bench/versus.py`` prints the table (ratios first) and writes it beside a JSON. It exits 1 if any peer's
gradients differ from steep's beyond tolerance. Each number of threads runs in a process of its own, pinned before
anything is loaded. Start reading at ``measure``.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = ("steep", "torch", "jax", "mlx", "numpy")
ROUNDS, BLOCK = 7, 0.03  # repeats of every peer, and seconds of one repeat
PAUSE = 0.1  # seconds before a repeat: idle workers of some peers spin for a while, on the core the next one needs


def load_peers(threads):
    """The peers that are installed, told their number of threads."""
    found = {}
    for name in PEERS:
        try:
            found[name] = importlib.import_module(f"peers.{name}_peer")
        except ImportError as error:
            print(f"versus: {name} is left out ({error})", file=sys.stderr)
            continue
        found[name].set_threads(threads)
    return found


def differences(gradients, tolerance):
    """Peers whose gradients are not steep's, with the largest relative difference."""
    import numpy as np

    wrong = {}
    for name, arrays in gradients.items():
        for mine, theirs in zip(gradients["steep"], arrays, strict=True):
            worst = float(np.max(np.abs(mine - theirs)) / max(1e-30, np.max(np.abs(theirs))))
            if not worst <= tolerance:
                wrong[name] = max(worst, wrong.get(name, 0.0))
    return wrong


def time_block(step, count):
    start = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - start) / count


def measure(workload, peers):
    """Microseconds (min, median) of every peer, its repeats taking turns with the others'."""
    workload.make()
    jobs = {
        name: peer.KINDS[workload.kind](workload.inputs) for name, peer in peers.items() if workload.kind in peer.KINDS
    }
    wrong = differences({name: job.gradients() for name, job in jobs.items()}, workload.tolerance)
    counts = {}
    for name, job in jobs.items():
        job.step()
        counts[name] = max(1, int(BLOCK / max(1e-7, time_block(job.step, 2))))
    times = {name: [] for name in jobs}
    for _ in range(ROUNDS):
        for name, job in jobs.items():
            if counts[name] == 1 and len(times[name]) >= 5:
                continue
            time.sleep(PAUSE)
            job.step()
            times[name].append(time_block(job.step, counts[name]) * 1e6 / workload.unit)
    stats = {name: {"min": min(t), "median": statistics.median(t)} for name, t in times.items()}
    return {"name": workload.name, "times": stats, "wrong": wrong, "goal": workload.goal, "flop": workload.flop}


def run_pinned(threads, only):
    """The child process: pinned, then everything is imported and measured; rows go to standard output as JSON."""
    available = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, available[:threads])
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)
    for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(variable, None)
    sys.path.insert(0, str(HERE))
    from workloads import WORKLOADS

    peers = load_peers(threads)
    rows = []
    for workload in WORKLOADS:
        if only and only not in workload.name:
            continue
        rows.append(measure(workload, peers))
        print(f"versus: {threads} thread(s), {workload.name}", file=sys.stderr)
    json.dump(rows, sys.stdout)


def child(threads, only):
    command = [sys.executable, __file__, "--child", str(threads), "--only", only]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def cell(stats):
    return f"{stats['min']:.3g} / {stats['median']:.3g}" if stats else "-"


def table(threads, rows):
    """Markdown: how many times faster than each peer (by median), then microseconds, min / median."""
    names = [p for p in PEERS if any(p in row["times"] for row in rows)]
    others = [p for p in names if p != "steep"]
    head = ["workload", *(f"x {p}" for p in others), *(f"{p} us" for p in names), "GFLOP/s"]
    lines = [
        f"### {threads} thread{'s' if threads > 1 else ''}",
        "",
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
    ]
    for row in rows:
        times = row["times"]
        ratios = [f"{times[p]['median'] / times['steep']['median']:.2f}" if p in times else "-" for p in others]
        rate = f"{row['flop'] / times['steep']['median'] / 1e3:.0f}" if row["flop"] else ""
        cells = [row["name"], *ratios, *(cell(times.get(p)) for p in names), rate]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def seconds_to_import(module):
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True) for _ in range(5)]
    found = [float(r.stdout) for r in runs if r.returncode == 0]
    return min(found) if found else None


def footprint():
    """Import times and the size of what is installed."""
    times = {m: seconds_to_import(m) for m in ("numpy", "steep", "torch", "jax", "mlx.core")}
    import steep

    core = next(Path(steep.__file__).parent.glob("_core*.so"))
    return {"import_ms": {m: t and round(1e3 * t, 1) for m, t in times.items()}, "core_mb": core.stat().st_size / 1e6}


def versions():
    found = {"python": platform.python_version()}
    for name in ("steep", "numpy", "torch", "jax", "mlx"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def processor():
    lines = Path("/proc/cpuinfo").read_text().split("\n") if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def report(results, facts):
    """The whole page, and the peers whose gradients differ."""
    parts = [
        f"{facts['processor']}, {time.strftime('%Y-%m-%d')}, "
        + ", ".join(f"{k} {v}" for k, v in facts["versions"].items())
    ]
    parts.append("Microseconds, min / median; 'x peer' is how many times faster steep is, by the median.\n")
    parts += [table(threads, rows) for threads, rows in results.items()]
    parts.append("import, ms: " + ", ".join(f"{m} {t}" for m, t in facts["import_ms"].items() if t))
    parts.append(f"size of the compiled core, MB: {facts['core_mb']:.2f}")
    wrong = [f"{row['name']}: {row['wrong']}" for rows in results.values() for row in rows if row["wrong"]]
    return "\n".join(parts), wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default=str(HERE / "results"))
    parser.add_argument("--only", default="", help="only workloads with this in their name")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return run_pinned(options.child, options.only)
    cores = min(2, len(os.sched_getaffinity(0)))
    results = {n: child(n, options.only) for n in range(1, cores + 1)}
    facts = {"processor": processor(), "versions": versions(), **footprint()}
    text, wrong = report(results, facts)
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "versus.md").write_text(text + "\n")
    (folder / "versus.json").write_text(json.dumps({"facts": facts, "results": results}, indent=1))
    print(text)
    for line in wrong:
        print(f"versus: gradients differ from steep's: {line}", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
