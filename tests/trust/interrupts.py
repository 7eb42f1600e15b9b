"""Row 14: Ctrl-C inside a long op. ``python tests/trust/interrupts.py [ELEMENTS]`` sweeps the op table.

Every op runs at a large size with a signal on the way, forward and backward, and so do the methods that are no ops.
What is measured is the processor time between the signal and KeyboardInterrupt. Operands are those of bench/ops.py.
Start reading at ``latency``.
"""

from __future__ import annotations

import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench")]

import numpy as np  # noqa: E402
import ops as bench  # noqa: E402
import optable  # noqa: E402
import steep as sp  # noqa: E402

LIMIT = 0.1  # seconds of processor time
OBJECTS = ("tolist", "tolist of rows")  # what makes objects of Python, which Python frees before it goes on


def once(work: Callable[[], object], after: float) -> float | None:
    """Processor seconds from a signal ``after`` seconds into the work to KeyboardInterrupt; None if it was over."""
    ended = False

    def handler(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGPROF, handler)  # by a timer of processor time, which the loops see as they see SIGINT
    began = time.process_time()
    try:
        signal.setitimer(signal.ITIMER_PROF, after)
        work()
        ended = True
        signal.setitimer(signal.ITIMER_PROF, 0)
        return None
    except KeyboardInterrupt:
        return None if ended else time.process_time() - began - after


def latency(work: Callable[[], object]) -> float | None:
    """The worst of signals at several moments of the work; None if it takes less than the limit anyway."""
    began = time.process_time()
    work()
    whole = time.process_time() - began
    if whole < LIMIT:
        return None
    found = [once(work, share * whole) for share in (0.1, 0.35, 0.6, 0.85)]
    return max((v for v in found if v is not None), default=None)


def methods(n: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is long and no row of the table."""
    rng = np.random.default_rng(0)
    x, i = sp.tensor(rng.standard_normal(n), dtype="float32"), sp.tensor(rng.integers(0, n, n))
    square = int(n**0.5)
    m = x[: square * square].reshape((square, square))
    yield "tolist", x.tolist
    yield "tolist of rows", m.tolist
    yield "searchsorted", lambda: sp.searchsorted(sp.sort(x[:1000]), x)
    yield "unique_all", lambda: sp.unique_all(i)
    yield "x[i]", lambda: x[i]
    yield "x[mask]", lambda: x[x > 0]
    yield "transposed copy", m.T.copy
    yield "zeros", lambda: sp.zeros((4 * n,))
    yield "arange", lambda: sp.arange(2 * n)
    for dtype in ("float64", "int64", "uint8", "bfloat16"):
        a = m[:1500, :1500].astype(dtype)
        yield f"matmul {dtype}", lambda a=a: a @ a
        b = m.astype(dtype)
        yield f"matmul one column {dtype}", lambda b=b: b @ b[:, :1]
    yield "einsum", lambda: sp.einsum("ij,kj,lj->ikl", m[:300, :500], m[:300, :500], m[:300, :500])
    for dtype in ("int64", "float64", "bool"):
        v = x.astype(dtype)
        for name in ("sum", "prod", "cumsum", "max", "argmax", "sort", "all"):
            if dtype != "bool" or name in ("sum", "sort", "all"):
                yield f"{name} {dtype}", lambda f=getattr(sp, name), v=v: f(v)


def table(n: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """Every op forward, and with its gradient."""
    rows = {row.name: row for row in reversed(optable.OPS)}
    for row in reversed(rows.values()):
        for backward in (False, True):
            case = bench.scaled(row, n)
            if not backward or (bench.is_differentiable(row, case) and bench.fits(row, n)):
                yield row.name + " backward" * backward, bench.step_of(row, case, backward)


def freeing(work: Callable[[], object]) -> float:
    """Processor seconds to free a result."""
    result = work()
    began = time.process_time()
    del result
    return time.process_time() - began


def sweep(n: int, only: str = "") -> Iterator[tuple[str, float]]:
    """The latency of everything that takes long enough to have one, less the time that Python needs to free objects."""
    for source in (methods, table):
        for name, work in source(n):
            if only not in name:
                continue
            try:
                worst = latency(work)
            except MemoryError:
                continue
            if worst is not None:
                worst -= freeing(work) if name in OBJECTS else 0.0
                if worst > LIMIT:
                    print(f"{1e3 * worst:8.0f} ms  {name}", flush=True)
                yield name, worst


def main(n: int, only: str = "") -> str:
    """The row's figure; an AssertionError names what is late."""
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
    sp.set_num_threads(1)
    found = dict(sweep(n, only))
    late = [name for name, worst in found.items() if worst > LIMIT]
    assert not late, f"later than {LIMIT} s: {late}"
    name, worst = max(found.items(), key=lambda item: item[1])
    return f"{len(found)} long ops of {n} elements, worst {1e3 * worst:.0f} ms ({name})"


if __name__ == "__main__":
    print(main(int(float(sys.argv[1])) if len(sys.argv) > 1 else 10_000_000, *sys.argv[2:3]))
