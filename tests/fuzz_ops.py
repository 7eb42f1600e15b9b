"""Random calls of every op with hostile arguments: ``python tests/fuzz_ops.py CALLS SEED``.

Exits 0 if each call returned or raised one of Python's ordinary exceptions with text, quickly. What was called last is
in the file named at the start, so that a crash can be traced. tests/bindings/test_errors.py makes the short run.
"""

from __future__ import annotations

import faulthandler
import random
import resource
import sys
import tempfile
import time

import numpy as np
import steep as sp

TABLE = [row for row in sp._core._op_table() if not row["hidden"]]
ALLOWED = (ValueError, TypeError, IndexError, MemoryError, OverflowError, sp.GradientError)
NUMBERS = [0, 1, 2, 3, -1, -2, 7, 8, 9, 63, 64, 255, 2**31, 2**33, -(2**31), 2**62, 2**63 - 1, -(2**63), 2**64, True,
    None,
           0.0, -0.0, 0.5, -1.5, 1e300, float("inf"), float("-inf"), float("nan")]  # fmt: skip
WORDS = [
    "",
    "x",
    "constant",
    "reflect",
    "edge",
    "ij,jk->ik",
    "i...->...",
    "ii->i",
    "->",
    ",",
    "float32",
    "int64",
    "a" * 300,
]
DTYPES = ["bool", "uint8", "int32", "int64", "float32", "float64"]


def shape(r: random.Random) -> tuple[int, ...]:
    return tuple(r.choice([0, 1, 1, 2, 3, 4, 5]) for _ in range(r.choice([0, 1, 1, 2, 2, 3, 4, 8])))


def tensor(r: random.Random) -> sp.Tensor:
    """Any layout, any dtype, special values, now and then a leaf or part of a graph."""
    dtype, size = r.choice(DTYPES), shape(r)
    values = np.array([r.choice([0, 1, 2, -1, 0.5, 3, 1e30, -7]) for _ in range(int(np.prod(size)))]).reshape(size)
    with np.errstate(all="ignore"):
        values = np.nan_to_num(values).astype(dtype)
    kind = r.randrange(7)
    if kind == 0:
        values = values.T
    if kind == 1 and values.ndim:
        values = values[::-1]
    x = sp.asarray(values) if kind < 3 else sp.tensor(values)
    if kind == 3 and x.ndim < 7:
        x = sp.broadcast_to(x, (r.choice([0, 2, 3]), *x.shape))
    if kind >= 5 and dtype in DTYPES[4:]:
        x.requires_grad = True
        x = x * 1 if kind == 6 else x
    return x


def anything(r: random.Random, depth: int = 0):
    """An argument: mostly tensors and small integers."""
    kind = r.randrange(14)
    if kind < 4:
        return tensor(r)
    if kind < 7:
        return r.randrange(-3, 5)
    if kind < 9:
        return r.choice(NUMBERS)
    if kind == 9:
        return r.choice(WORDS)
    if kind < 12 and depth < 2:
        return [anything(r, depth + 1) for _ in range(r.randrange(4))]
    if kind == 12 and depth < 2:
        return tuple(r.randrange(-2, 4) for _ in range(r.randrange(5)))
    return r.choice([None, True, False, object(), {}, np.float64(1.5), np.int32(2), b"xy", sp.float32, slice(1), ...])


def parameters(row) -> list[str]:
    inside = row["signature"].strip("()")
    return [p.split("=")[0].strip() for p in inside.split(", ")] if inside else []


def likely(r: random.Random, name: str):
    """An argument of about the right kind for a parameter of this name."""
    if name in ("x", "x1", "x2", "condition", "min", "max", "updates"):
        return tensor(r)
    if name in ("arrays", "operands"):
        one = tensor(r)
        return [one if r.random() < 0.6 else tensor(r) for _ in range(r.randrange(1, 4))]
    if name == "indices":
        return sp.tensor(np.array([r.randrange(-4, 4) for _ in range(r.randrange(6))], dtype="int64"))
    if name == "dtype":
        return r.choice(DTYPES)
    if name == "subscripts":
        letters = "ijk."
        return "".join(r.choice(letters + ",->") for _ in range(r.randrange(9)))
    if name in ("axis", "axes", "shape", "shift", "pad_width", "repetitions", "indices_or_sections"):
        return r.choice([r.randrange(-3, 4), tuple(r.randrange(-3, 5) for _ in range(r.randrange(4)))])
    return r.choice([r.randrange(-3, 6), r.choice(NUMBERS)])


def arguments(r: random.Random, row) -> tuple[list, dict]:
    args: list = []
    for name in parameters(row):
        if args and r.random() < 0.3:
            break
        args.append(likely(r, name) if r.random() < 0.85 else anything(r))
    if r.random() < 0.1:
        args.append(anything(r))
    named = {r.choice(["axis", "keepdims", "dtype", "x", "k", "y"]): anything(r)} if r.random() < 0.15 else {}
    return args, named


def index(r: random.Random, depth: int = 0):
    kind = r.randrange(8)
    if kind < 3:
        return slice(*(r.choice([None, r.randrange(-5, 6), r.choice([2**62, -(2**63), 2**70])]) for _ in range(3)))
    if kind == 3 and depth == 0:
        return tuple(index(r, 1) for _ in range(r.randrange(5)))
    return r.choice([r.randrange(-4, 5), None, ..., anything(r, 1), tensor(r)])


def call(r: random.Random, log):
    """One random call, described in the log before it is made."""
    kind = r.randrange(12)
    if kind == 0:
        x, key = tensor(r), index(r)
        log(f"getitem {x.shape} {x.dtype} {key!r}")
        return x[key]
    if kind == 1:
        x, key, value = tensor(r), index(r), r.choice([tensor(r), 1, 0.5])
        log(f"setitem {x.shape} {x.dtype} {key!r} {value!r}")
        x[key] = value
        return x
    row = r.choice(TABLE)
    args, named = arguments(r, row)
    log(f"{row['name']} {args!r} {named!r}")
    return getattr(sp, row["name"])(*args, **named)


def finish(r: random.Random, y) -> None:
    """What came back is printed and differentiated."""
    outputs = list(y) if isinstance(y, tuple) else [y]
    for out in outputs[:2]:
        if isinstance(out, sp.Tensor) and out.size < 10_000:
            out.tolist()
            if out.requires_grad:
                out.backward(sp.ones_like(out.detach()), retain_graph=True)


def main(calls: int, seed: int) -> None:
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    r = random.Random(seed)
    refused = 0
    with tempfile.NamedTemporaryFile("w", prefix="steep-fuzz-", delete=False) as last:
        print(f"the last call is in {last.name}", flush=True)

        def log(text: str) -> None:
            last.seek(0)
            last.truncate()
            last.write(text[:4000])
            last.flush()

        for i in range(calls):
            began = time.process_time()  # of this process: others may have the processor
            try:
                finish(r, call(r, log))
            except ALLOWED as e:
                refused += 1
                assert str(e), f"call {i}: {type(e).__name__} without text; see {last.name}"
            took = time.process_time() - began
            assert took < 5, f"call {i} took {took:.1f} s; see {last.name}"
    print(f"{calls} calls, {refused} refused")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
