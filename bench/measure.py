"""One process of the comparison: pinned to its cores, it runs the workloads on every peer and prints rows as JSON.

The peers alternate in rounds, so that other load on the machine affects all of them alike; a round gives each peer one
time, and ratios are taken within a round (report.py). Gradients are compared before anything is timed. Nothing here
imports NumPy or a peer before ``pin`` has set the environment. Start reading at ``measure``.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
STEEP = ("steep", "captured")  # the eager column and the compiled one
PEERS = (*STEEP, "torch", "torch_compile", "jax", "mlx", "numpy", "onnxruntime", "openvino")
SLOW_TO_COMPILE = ("torch_compile",)  # minutes for a row: measured on one thread only
ROUNDS, FEWEST, LEAST = 9, 5, 3  # times of every peer: usually, where one of them is slow, and where very slow
BLOCK, SLOW, SLOWEST = 0.03, 0.3, 1.5  # seconds of one time, and from how many a peer is slow, or very slow
PATIENCE = 120  # seconds for a peer to make a job and its gradients, and with them to compile it
PAUSE = 0.1  # seconds before each: idle workers of some peers spin for a while, on the core the next one needs


def pin(threads):
    """This process and all it starts, on the first ``threads`` cores it may use."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "STEEP_NUM_THREADS"):
        os.environ[variable] = str(threads)
    for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(variable, None)
    sys.path.insert(0, str(HERE))


def load_peers(threads, names=PEERS):
    """Those of the peers that are installed, told their number of threads."""
    found = {}
    for name in names:
        if name in SLOW_TO_COMPILE and threads > 1:
            continue
        try:
            found[name] = importlib.import_module(f"peers.{name}_peer")
        except ImportError as error:
            print(f"versus: {name} is left out ({error})", file=sys.stderr)
            continue
        found[name].set_threads(threads)
    return found


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Raises TimeoutError in what takes longer."""

    def expire(*_):
        raise TimeoutError(f"not compiled after {seconds} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def jobs_of(workload, peers):
    """Every peer's job and the gradients it finds; one that fails, or takes too long, is left out. steep must not."""
    jobs, gradients = {}, {}
    for name, peer in peers.items():
        if workload.kind not in peer.KINDS:
            continue
        try:
            with within(PATIENCE):
                job = peer.KINDS[workload.kind](workload.inputs)
                gradients[name] = job.gradients()
        except Exception as error:
            if name in STEEP:
                raise
            reason = str(error).strip().split("\n")[0]
            print(f"versus: {workload.name} fails on {name} ({type(error).__name__}: {reason})", file=sys.stderr)
            continue
        jobs[name] = job
    return jobs, gradients


def differences(gradients, tolerance, deep=False):
    """Peers whose gradients are not eager steep's, with the relative difference: of the worst element, or of all."""
    import numpy as np

    def relative(mine, theirs):
        size = np.linalg.norm if deep else lambda a: np.max(np.abs(a), initial=0)
        return float(size(mine - theirs) / max(1e-30, size(theirs)))

    def worst(arrays):
        if deep:
            return relative(*(np.concatenate([a.ravel() for a in g]) for g in (gradients["steep"], arrays)))
        return max((relative(a, b) for a, b in zip(gradients["steep"], arrays, strict=True)), default=0.0)

    found = {name: worst(arrays) for name, arrays in gradients.items()}
    return {name: difference for name, difference in found.items() if not difference <= tolerance}


def time_block(step, count):
    start = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - start) / count


def estimate(step):
    """Seconds of a step, by the faster of two runs after a first one, which may compile."""
    step()
    return max(1e-8, min(time_block(step, 1) for _ in range(2)))


def rounds_for(slowest, rounds):
    """As many as were asked for, fewer if the slowest peer takes that many seconds per step."""
    return min(rounds, LEAST if slowest > SLOWEST else FEWEST if slowest > SLOW else rounds)


def timed(jobs, unit, rounds):
    """Microseconds of every job in each round. Who goes first changes from round to round."""
    seconds = {name: estimate(job.step) for name, job in jobs.items()}
    counts = {name: max(1, int(BLOCK / s)) for name, s in seconds.items()}
    rounds = rounds_for(max(seconds.values()), rounds)
    times = {name: [] for name in jobs}
    names = list(jobs)
    for turn in range(rounds):
        gc.collect()
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            time.sleep(PAUSE)
            if seconds[name] < SLOWEST:
                jobs[name].step()
            times[name].append(time_block(jobs[name].step, counts[name]) * 1e6 / unit)
    return times


def require_finite(name, jobs):
    """A step that has diverged multiplies NaN and infinities, for which some kernels have other paths.

    Steps give a loss or scores; some give nothing, or a result of several arrays, which is not looked at.
    """
    import numpy as np

    for peer in jobs.keys() & set(STEEP):
        value = np.asarray(jobs[peer].step())
        if np.issubdtype(value.dtype, np.number) and not np.isfinite(value).all():
            raise FloatingPointError(f"{name}: {peer} gives {value} after the timed steps; lower its rate or its loss")


def measure(workload, peers, rounds=ROUNDS):
    """A row: the times of every peer, and whose gradients differ."""
    workload.make()
    jobs, gradients = jobs_of(workload, peers)
    wrong = differences(gradients, workload.tolerance, workload.deep)
    gradients.clear()
    times = {
        name: {"min": min(t), "median": statistics.median(t), "rounds": t}
        for name, t in timed(jobs, workload.unit, rounds).items()
    }
    require_finite(workload.name, jobs)
    workload.inputs = {}
    return {"name": workload.name, "times": times, "wrong": wrong, "goal": workload.goal, "flop": workload.flop}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--without", type=json.loads, default=[], help="names of workloads to leave out, as JSON")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    pin(options.threads)
    from workloads import WORKLOADS

    peers = load_peers(options.threads)
    rows = []
    for workload in WORKLOADS:
        if options.only in workload.name and workload.name not in options.without:
            rows.append(measure(workload, peers, options.rounds))
            print(f"versus: {options.threads} thread(s), {workload.name}", file=sys.stderr)
    json.dump(rows, sys.stdout)


if __name__ == "__main__":
    main()
