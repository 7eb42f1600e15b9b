"""What the benchmarks of `pytest bench --benchmark-only` share: workloads beside their sides, steep and NumPy.

A side is a peer of bench/peers that needs no other library: steep eager, steep compiled ("captured"), and NumPy with
gradients written by hand. Nothing asserts a time. Start reading at ``cases``.
"""

from __future__ import annotations

from typing import Any

import pytest
from peers import captured_peer, numpy_peer, steep_peer
from workloads import WORKLOADS, Workload

SIDES = {peer.NAME: peer.KINDS for peer in (steep_peer, captured_peer, numpy_peer)}
QUICK = pytest.mark.benchmark(max_time=0.3, min_rounds=5, warmup=True, warmup_iterations=2)


def cases(*kinds: str, most_flop: float = 5e9) -> list[Any]:
    """(workload, side) of these kinds, as parameters of a test, but for the largest workloads."""
    return [
        pytest.param(workload, side, id=f"{workload.name}-{side}")
        for workload in WORKLOADS
        if workload.kind in kinds and workload.flop <= most_flop
        for side, known in SIDES.items()
        if workload.kind in known
    ]


def measure(benchmark: Any, workload: Workload, side: str) -> None:
    """Times a step, in a group with the other sides of its workload."""
    workload.make()
    job = SIDES[side][workload.kind](workload.inputs)
    job.gradients()  # as in versus.py, before any timed step: a compiled one is recorded here
    benchmark.group = workload.name
    benchmark.extra_info["side"] = side
    benchmark(job.step)
    workload.inputs = {}
