"""What a piece of code spends its time on: by op, by line of Python, by pass, eager and compiled alike.

``with sp.profile() as p:`` notes every computation of the calling thread; ``print(p)`` shows a table with the rates
reached beside the machine's own, ``p.save("trace.json")`` writes a trace for a viewer. Start reading at ``profile``.
"""

from __future__ import annotations

import functools
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steep import _core
from steep.flops import flops, shown


@dataclass(frozen=True)
class Layout:
    """What is known of an operand: not its values.

    Attributes:
        dtype: its dtype.
        shape: its shape.
    """

    dtype: Any
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return self.size * int(self.dtype.itemsize)


@dataclass(frozen=True)
class Operation:
    """One application of an op.

    Attributes:
        name: name of the op.
        line: the user's line, as ``file.py:12``; of a gradient, the line of the op that it belongs to.
        inputs: its operands.
        output: its result.
    """

    name: str
    line: str
    inputs: tuple[Layout, ...]
    output: Layout

    @property
    def flops(self) -> int:
        """Operations of arithmetic, as ``steep.flops`` counts them."""
        return flops(self.name, self.inputs, self.output)

    @property
    def nbytes(self) -> int:
        """Bytes of its operands and of its result."""
        return self.output.nbytes + sum(each.nbytes for each in self.inputs)


@dataclass(frozen=True)
class Event:
    """What ran at one go.

    Attributes:
        phase: "forward", "backward" or "compiled".
        rule: in the backward pass the op whose gradient was computed, else "".
        begin: seconds since the profile began.
        end: seconds since the profile began.
        operations: the op, or in a compiled function all that are fused into one.
    """

    phase: str
    rule: str
    begin: float
    end: float
    operations: tuple[Operation, ...]

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.begin

    @property
    def name(self) -> str:
        """The op's name, or those that are fused: "matmul + add + relu"."""
        names = [each.name for each in self.operations]
        return " + ".join(names if len(names) <= 4 else [*names[:3], f"{len(names) - 3} more"])

    @property
    def flops(self) -> int:
        """Operations of arithmetic."""
        return sum(each.flops for each in self.operations)


@dataclass
class Row:
    """A line of the table.

    Attributes:
        name: what the events have in common.
        calls: number of events.
        seconds: their time.
        flops: their operations of arithmetic.
    """

    name: str
    calls: int = 0
    seconds: float = 0.0
    flops: float = 0.0


def _by_line(event: Event) -> Iterator[tuple[str, float]]:
    """A fused event belongs to the lines of all its ops, in equal parts."""
    for each in event.operations:
        yield each.line or "(not in Python)", 1 / len(event.operations)


# How events are gathered: from an event, the names of its rows and which part of it each has.
BY: dict[str, Callable[[Event], Iterator[tuple[str, float]]]] = {
    "op": lambda event: iter([(event.name + (f" (gradient of {event.rule})" if event.rule else ""), 1.0)]),
    "line": _by_line,
    "phase": lambda event: iter([(event.phase, 1.0)]),
}


@functools.lru_cache(maxsize=8)
def _peak(threads: int, precision: str) -> tuple[float, float]:
    """Best of some runs: operations per second of a product of 1024 columns, bytes per second of a copy of 32 MB."""
    big = _core.ones((1 << 23,))
    a = _core.cos(_core.arange(1 << 20, dtype="float32")).reshape((1024, 1024))  # numbers with all their digits

    def fastest(run: Callable[[], Any]) -> float:
        times = []
        for _ in range(8):
            begin = time.perf_counter()
            run()
            times.append(time.perf_counter() - begin)
        return min(times)

    with _core.no_grad():
        return 2 * 1024**3 / fastest(lambda: a @ a), 2 * big.size * 4 / fastest(big.copy)


def _short(name: str, width: int) -> str:
    """The end of a name that is longer, since it tells files of one folder apart."""
    return name if len(name) <= width else "..." + name[3 - width :]


@dataclass
class Profile:
    """What ran in a ``profile()`` block.

    Attributes:
        events: in order.
        elapsed: seconds from entering to leaving, less what noting the events took.
    """

    events: list[Event] = field(default_factory=list)
    elapsed: float = 0.0

    @property
    def seconds(self) -> float:
        """Time in ops; the rest of ``elapsed`` is Python's and the graph's."""
        return sum(each.seconds for each in self.events)

    def by(self, what: str = "op") -> list[Row]:
        """The events gathered.

        Args:
            what: "op", "line" or "phase". The time of ops that are fused is shared equally by their lines.

        Returns:
            Rows, the longest time first.

        Raises:
            ValueError: for another word.

        Example:
            >>> x = sp.ones((2, 3))
            >>> with sp.profile() as p:
            ...     y = sp.tanh(x) + sp.tanh(x)
            >>> sorted((row.name, row.calls) for row in p.by("op"))
            [('add', 1), ('tanh', 2)]
        """
        if what not in BY:
            raise ValueError(f"profile: by {what!r}; it must be one of {', '.join(BY)}")
        rows: dict[str, Row] = {}
        for event in self.events:
            for name, part in BY[what](event):
                row = rows.setdefault(name, Row(name))
                row.calls += 1
                row.seconds += part * event.seconds
                row.flops += part * event.flops
        return sorted(rows.values(), key=lambda row: -row.seconds)

    def table(self, what: str = "op", limit: int = 20) -> str:
        """The rows as text, with rates beside those that this machine reaches in a large product and a large copy.

        Args:
            what: "op", "line" or "phase".
            limit: most rows; what is left is summed up.

        Returns:
            Lines of text. The first call measures the machine, which takes some tenths of a second.

        Raises:
            ValueError: for another word.
        """
        rows = self.by(what)
        if len(rows) > limit:
            rest = rows[limit:]
            calls = sum(row.calls for row in rest)
            total = Row(f"({len(rest)} more)", calls, sum(r.seconds for r in rest), sum(r.flops for r in rest))
            rows = [*rows[:limit], total]
        width = min(60, max([len(what), *(len(row.name) for row in rows)]))
        lines = [f"{what:<{width}}  calls        time   share    rate"]
        for row in rows:
            share = row.seconds / self.seconds if self.seconds else 0.0
            rate = shown(row.flops / row.seconds, "FLOP/s") if row.flops and row.seconds else ""
            name, took = _short(row.name, width), f"{1e3 * row.seconds:,.3f} ms"
            lines.append(f"{name:<{width}}  {row.calls:>5} {took:>11} {share:>6.1%}   {rate}".rstrip())
        return "\n".join([*lines, *self._summary()])

    def _summary(self) -> list[str]:
        product, copied = _peak(_core.get_num_threads(), _core.get_matmul_precision())
        outside = max(0.0, self.elapsed - self.seconds)
        return [
            f"{1e3 * self.elapsed:,.3f} ms: {1e3 * self.seconds:,.3f} in {len(self.events):,} ops, "
            f"{1e3 * outside:,.3f} in Python and the graph",
            f"this machine, {_core.get_num_threads()} threads: {shown(product, 'FLOP/s')} in a product of 1024 "
            f"columns, {shown(copied, 'B/s')} in a copy",
        ]

    def __str__(self) -> str:
        """The tables by op and by line."""
        return self.table("op") + "\n\n" + "\n".join(self.table("line").split("\n")[:-2])

    def __repr__(self) -> str:
        """A short form."""
        return f"Profile({len(self.events):,} events, {1e3 * self.seconds:,.3f} of {1e3 * self.elapsed:,.3f} ms in ops)"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a trace in the Trace Event Format, which chrome://tracing and Perfetto read.

        Args:
            path: the file; ".json" is usual.

        References:
            Trace Event Format, Chromium project, the "X" (complete) events.

        Example:
            >>> with sp.profile() as p:
            ...     y = sp.ones(3) + 1
            >>> p.save("trace.json")
        """
        events = [
            {
                "name": each.name,
                "cat": each.phase,
                "ph": "X",
                "ts": 1e6 * each.begin,
                "dur": 1e6 * each.seconds,
                "pid": 0,
                "tid": each.phase,
                "args": {
                    "line": ", ".join(dict.fromkeys(one.line for one in each.operations)),
                    "gradient of": each.rule,
                    "operands": [[f"{x.dtype}{list(x.shape)}" for x in one.inputs] for one in each.operations],
                    "flops": each.flops,
                },
            }
            for each in self.events
        ]
        Path(path).write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}))


def _layout(found: tuple[Any, tuple[int, ...]]) -> Layout:
    return Layout(*found)


def _event(found: tuple[str, str, int, int, list[Any]]) -> Event:
    phase, rule, begin, end, operations = found
    made = (Operation(n, line, tuple(map(_layout, ins)), _layout(out)) for n, line, ins, out in operations)
    return Event(phase, rule, begin / 1e9, end / 1e9, tuple(made))


class profile:
    """Notes every computation of the calling thread in a ``with`` block: eager ops, their gradients, compiled steps.

    Each has its time, the shapes of its operands and the line of Python that asked for it. Entering gives a
    ``Profile``, which is filled when the block is left, by an exception too. Noting takes about two microseconds per
    op, which is not counted as the op's. What other threads of Python compute is not noted; the threads that share the
    work of one op are within its time.

    Raises:
        ValueError: on entering within another ``profile()`` block of the same thread.

    Example:
        >>> w = sp.ones((3, 3), requires_grad=True)
        >>> with sp.profile() as p:
        ...     sp.tanh(w @ w).sum().backward()
        >>> [event.name for event in p.events if event.phase == "forward"]
        ['matmul', 'tanh', 'sum']
    """

    def __enter__(self) -> Profile:
        """Begins.

        Returns:
            The profile, filled on leaving.
        """
        self._profile = Profile()
        self._notes = _core._Profile()
        return self._profile

    def __exit__(self, *error: object) -> None:
        """Ends, and fills the profile."""
        self._notes.stop()
        self._profile.events = list(map(_event, self._notes.events()))
        self._profile.elapsed = (self._notes.elapsed - self._notes.own_time) / 1e9
        del self._notes
