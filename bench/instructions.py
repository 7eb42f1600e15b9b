"""What a call costs on tensors so small that arithmetic does not count: processor instructions, counted by valgrind.

``python bench/instructions.py [case ...]`` prints a row for each case: instructions for one call, which a busy machine
does not change, and nanoseconds, which it does. A case runs in a process of its own, twice; the difference of the two
counts leaves out what Python and steep need to start. Needs valgrind. Start reading at ``CASES``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import timeit
from collections.abc import Callable

import steep as sp

CALLS = (500, 5500)

x = sp.ones((4, 4))
w = sp.full((4, 4), 0.5, requires_grad=True)


def with_gradient(step: Callable[[sp.Tensor], sp.Tensor]) -> Callable[[], None]:
    """A hundred steps, one after the other, and the backward pass through them."""

    def run() -> None:
        y = w
        for _ in range(100):
            y = step(y)
        y.sum().backward()
        w.grad = None

    return run


# Calls, and how many ops one of them runs.
CASES: dict[str, tuple[Callable[[], object], int]] = {
    "an empty function": (lambda: None, 1),
    "x * x": (lambda: x * x, 1),
    "x * x, recorded": (lambda: w * x, 1),
    "x * x, recorded, with its gradient": (with_gradient(lambda y: y * x), 100),
    "tanh(x), recorded, with its gradient": (with_gradient(sp.tanh), 100),
    "x @ x, recorded, with its gradient": (with_gradient(lambda y: y @ x), 100),
    "x + 1.0": (lambda: x + 1.0, 1),
    "exp(x)": (lambda: sp.exp(x), 1),
    "x.sum(axis=0)": (lambda: x.sum(axis=0), 1),
    "x.reshape(2, 8)": (lambda: x.reshape(2, 8), 1),
    "x[1:3]": (lambda: x[1:3], 1),
    "tensor([1.0, 2.0, 3.0])": (lambda: sp.tensor([1.0, 2.0, 3.0]), 1),
    "x.numpy()": (lambda: x.numpy(), 1),
}


def repeat(case: str, calls: int) -> None:
    call, ops = CASES[case]
    for _ in range(calls // ops):
        call()


def counted(case: str, calls: int) -> int:
    """The instructions of a process that makes so many calls."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable, __file__]
    fixed = {"PYTHONHASHSEED": "0", "STEEP_NUM_THREADS": "1", "STEEP_ISA": "avx2", "OPENBLAS_NUM_THREADS": "1"}
    command += ["--repeat", case, str(calls)]
    done = subprocess.run(command, env={**os.environ, **fixed}, capture_output=True, text=True, check=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if not found:
        raise SystemExit(f"valgrind said no count: {done.stderr[-300:]}")
    return int(found[1])


def row(case: str) -> str:
    few, many = (counted(case, calls) for calls in CALLS)
    call, ops = CASES[case]
    seconds = min(timeit.repeat(call, number=1000 // ops, repeat=9)) / (1000 // ops * ops)
    return f"{case:40} {(many - few) / (CALLS[1] - CALLS[0]):8.0f} {seconds * 1e9:8.0f}"


def main(cases: list[str]) -> None:
    print(f"{'':40} {'instr.':>8} {'ns':>8}")
    for case in cases or CASES:
        print(row(case), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--repeat"]:
        repeat(sys.argv[2], int(sys.argv[3]))
    else:
        sp.set_num_threads(1)
        main(sys.argv[1:])
