"""Ops beside NumPy's functions of the same name, at two sizes, on operands of the op table.

``pytest bench/test_ops.py --benchmark-only``; bench/ops.py times all ops, forward and backward. Docs: CONTRIBUTING.md.
"""

import numpy as np
import ops
import optable
import pytest
from sides import QUICK

pytestmark = QUICK
SIZES = (10_000, 1_000_000)
REDUCTIONS = ("sum", "mean", "prod", "max", "min", "std", "var", "argmax", "argmin", "sort", "argsort", "matmul")


def runs():
    """(row, size, side): ops that NumPy has under the same name, float32 among their dtypes."""
    for row in {row.name: row for row in reversed(optable.OPS)}.values():
        if hasattr(np, row.name) and (row.elementwise or row.name in REDUCTIONS) and "float32" in row.dtypes:
            for n in SIZES:
                for side in ("steep", "numpy"):
                    yield pytest.param(row, n, side, id=f"{row.name}-{n}-{side}")


@pytest.mark.parametrize("row, n, side", list(runs()))
def test_op(benchmark, row, n, side):
    case = ops.scaled(row, n)
    arguments = optable.operands(case, row, "float32")
    benchmark.group = f"{row.name}, {n} elements"
    benchmark.extra_info["side"] = side
    if side == "numpy":
        with np.errstate(all="ignore"):
            benchmark(lambda: getattr(np, row.name)(*arguments, **case.kwargs))
    else:
        benchmark(ops.step_of(row, case, False))
