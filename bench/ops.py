"""Every op of the op table, timed at three sizes by pytest-benchmark: forward, and forward with backward.

``make bench-ops`` runs it. Operands come from tests/optable.py, whose small shapes are scaled until the largest array
has about as many elements as the size says. Ops whose arguments name shapes do not scale by themselves: CASES spells
them out. Nothing here asserts a time. Start reading at ``runs``.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import steep as sp

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))  # where the op table is

import optable
from optable import A, C, ints, labels

SIZES = (100, 10_000, 1_000_000)  # elements
MOST_ELEMENTS = 2_000_000  # of an array that a gradient may need


def root(n):
    return math.isqrt(n)


def images(n, channels=8, dimensions=2):
    """One image of about n elements."""
    return (1, channels, *(round((n / channels) ** (1 / dimensions)),) * dimensions)


def convolution(n, dimensions):
    return C(A(images(n, 8, dimensions)), A((8, 8, *(3,) * dimensions)), padding=1)


def convolution_row(n, *shapes_and_sizes):
    """A hidden row of two dimensions: groups 1, stride 1, padding 1 on both sides, dilation 1."""
    first, second, *sizes = shapes_and_sizes
    return C(A(first), A(second), 2, 1, 1, 1, 1, 1, *sizes)


def in_planes(shape, positions):
    """The same positions in every plane."""
    return np.broadcast_to(positions.reshape(shape[2:]), shape).copy()


# Cases for a number of elements: where the table's arguments are shapes, or its smallest case is not typical.
CASES = {
    "reshape": lambda n: C(A((2, n // 2)), (n // 2, 2)),
    "broadcast_to": lambda n: C(A((1, root(n))), (root(n), root(n))),
    "slice": lambda n: C(A((n,)), (0,), (1,), (n // 2,)),
    "embed": lambda n: C(A((n // 2,)), (1,), (2,), (n + 1,)),
    "split": lambda n: C(A((4 * (n // 4),)), 4),
    "outer": lambda n: C(A((root(n),)), A((root(n),))),
    "matmul": lambda n: C(A((root(n), root(n))), A((root(n), root(n)))),
    "tensordot": lambda n: C(A((root(n), root(n))), A((root(n), root(n))), 1),
    "cumprod": lambda n: C(A((root(n), root(n)))),
    "cumprod_last": lambda n: C(A((root(n), root(n)))),
    "cross_entropy_last": lambda n: C(A((n // 10, 10)), np.arange(n // 10) % 10),
    "cross_entropy_gradient": lambda n: C(A((n // 10, 10)), np.arange(n // 10) % 10, A((n // 10,))),
    "label_cross_entropy": lambda n: C(A((n // 10, 10)), np.arange(n // 10) % 10),
    "take_rows": lambda n: C(A((n // 10, 10)), ints((n // 10,), n // 10)),
    "add_rows": lambda n: C(A((n // 10, 10)), ints((n // 10,), n // 10), n // 10),
    "write_elements": lambda n: C(A((n,)), np.arange(n)[::-1].copy()),
    "_checked_labels": lambda n: C(np.arange(n) % 7, 7, "labels"),
    "one_hot": lambda n: C(labels((n // 10,), 10), 10),
    "take": lambda n: C(A((n,)), ints((n,), n), axis=0),
    "wrap_index": lambda n: C(ints((n,), 5), 5),
    "random_bits": lambda n: C(3, 5, (n,), dtype="int64"),
    "random_uniform": lambda n: C(3, 5, (n,), dtype="float32"),
    "random_normal": lambda n: C(3, 5, (n,), dtype="float32"),
    "_random_draw": lambda n: C("random_bits", np.array([3, 5]), (n,)),
    "conv1d": lambda n: convolution(n, 1),
    "conv2d": lambda n: convolution(n, 2),
    "conv3d": lambda n: convolution(n, 3),
    "conv_transpose1d": lambda n: convolution(n, 1),
    "conv_transpose2d": lambda n: convolution(n, 2),
    "conv_transpose3d": lambda n: convolution(n, 3),
    "conv": lambda n: convolution_row(n, images(n), (8, 8, 3, 3)),
    "conv_input": lambda n: convolution_row(n, images(n), (8, 8, 3, 3), images(n)[2:]),
    "conv_weight": lambda n: convolution_row(n, images(n), images(n), (3, 3)),
    "max_unpool2d": lambda n: C(A(images(n)), in_planes(images(n), 4 * np.arange(images(n)[-1] ** 2)), 2),
    "take_planes": lambda n: C(A((1, 8, n // 8)), in_planes((1, 8, n // 8), np.arange(n // 8)[::-1])),
    "put_planes": lambda n: C(A((1, 8, n // 8)), in_planes((1, 8, n // 8), np.arange(n // 8)[::-1]), n // 8),
    "layer_norm": lambda n: C(A((n // 100, 100)), 100, A((100,)), A((100,))),
    "interpolate": lambda n: C(A(images(n)), tuple(2 * d for d in images(n)[2:]), "linear"),
    "grid_sample": lambda n: C(A(images(n)), A((1, *images(n)[2:], 2), "grid")),
}


def each(case, change):
    """The case with every A of its arguments, in lists too, replaced."""

    def visit(v):
        return change(v) if isinstance(v, A) else [visit(x) for x in v] if isinstance(v, list) else v

    return dataclasses.replace(case, args=tuple(visit(v) for v in case.args))


def largest(case):
    """Elements of its largest operand, and how many of that operand's sides can grow."""
    shapes = []
    each(case, lambda a: shapes.append(a.shape) or a)
    shape = max(shapes, key=math.prod)
    return math.prod(shape), sum(d > 1 for d in shape)


def scaled(row, n):
    """A case of the row with about n elements."""
    if row.name in CASES:
        return CASES[row.name](n)
    case = max(row.cases, key=lambda c: largest(c)[0])
    count, sides = largest(case)
    factor = max(1, round((n / count) ** (1 / sides)))

    def grow(a):
        return dataclasses.replace(a, shape=tuple(d * factor if d > 1 else d for d in a.shape), high=a.high * factor)

    return each(case, grow)


def dtype_of(row):
    return "float32" if "float32" in row.dtypes else row.dtypes[0]


def is_differentiable(row, case):
    return row.differentiable and case.grad and dtype_of(row) == "float32"


def fits(row, n):
    """Whether its gradient stays of a size: that of cumprod makes a square of its axis."""
    return not row.name.startswith("cumprod") or n * root(n) <= MOST_ELEMENTS


def runs():
    """(row, size, whether with backward), each op's first row only."""
    rows = {row.name: row for row in reversed(optable.OPS)}
    for row in reversed(rows.values()):
        for n in SIZES:
            yield row, n, False
            if is_differentiable(row, scaled(row, n)) and fits(row, n):
                yield row, n, True


def arguments(row, case, backward):
    """Operands as tensors, floats ready for gradients where these are wanted, and those that are."""
    leaves = []

    def tensor(v):
        if isinstance(v, list) and v and all(isinstance(x, np.ndarray) for x in v):
            return [tensor(x) for x in v]
        if not isinstance(v, np.ndarray):
            return v
        t = sp.tensor(v, requires_grad=backward and v.dtype.kind == "f")
        leaves.extend([t] if t.requires_grad else [])
        return t

    return [tensor(v) for v in optable.operands(case, row, dtype_of(row))], leaves


def step_of(row, case, backward):
    """What is timed."""
    args, leaves = arguments(row, case, backward)
    if not backward:
        return lambda: row.function(*args, **case.kwargs)

    def step():
        for leaf in leaves:
            leaf.grad = None
        y = row.function(*args, **case.kwargs)
        sum(part.sum() for part in (y if isinstance(y, tuple | list) else (y,))).backward()

    return step


def name_of(value):
    if isinstance(value, bool):
        return "backward" if value else "forward"
    return value.name if isinstance(value, optable.Row) else str(value)


@pytest.mark.parametrize("row, n, backward", list(runs()), ids=name_of)
def test_op(benchmark, row, n, backward):
    benchmark.group = f"{n} elements, {name_of(backward)}"
    benchmark(step_of(row, scaled(row, n), backward))
