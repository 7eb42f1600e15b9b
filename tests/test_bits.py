"""Results depend on values alone: bitwise equal for any number of threads, and for AVX2 and AVX-512.

The operands are the table's large ones, so that work is split. Instruction sets are chosen at import, so each
computes in a process of its own and prints a digest of every result.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import optable
import pytest
import steep as sp
from optable import ROWS, A, C

WIDE = (300, 701)
SHARED = {"avx2", "avx512"}  # these promise one another's bits


def large(row):
    """Cases with enough elements for several threads."""
    return row.big or (tuple(C(*[A(WIDE)] * len(row.cases[0].args)) for _ in (1,)) if row.elementwise else ())


LARGE = [(row, case, t) for row in ROWS for case in large(row) for t in ("float32", "float64") if t in row.dtypes]


def digest(arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


def compute(row, case, dtype):
    """The results of one call and of its gradient, as arrays."""
    args = [sp.tensor(a) if isinstance(a, np.ndarray) else a for a in optable.operands(case, row, dtype)]
    args = [[sp.tensor(b) for b in a] if isinstance(a, list) else a for a in args]
    found = [a for a in args if isinstance(a, sp.Tensor) and a.dtype.kind == "f"]
    for x in found:
        x.requires_grad = True
    y = row.function(*args, **case.kwargs)
    outputs = list(y) if isinstance(y, tuple) else [y]
    if outputs[0].requires_grad:
        rng = np.random.default_rng(1)
        outputs[0].backward(sp.tensor(rng.standard_normal(outputs[0].shape).astype(outputs[0].dtype.name)))
    return [o.detach().numpy() for o in outputs] + [x.grad.numpy() for x in found if x.grad is not None]


@pytest.mark.parametrize("row, case, dtype", LARGE, ids=lambda v: getattr(v, "name", None))
def test_bits_do_not_depend_on_threads(row, case, dtype):
    results = {}
    for n in (1, 2, 3, 4, 8):
        with sp.threads(n):
            results[n] = digest(compute(row, case, dtype))
    assert len(set(results.values())) == 1, results


def all_digests(dtype):
    """The digest of every large call, for one instruction set."""
    return {f"{row.name} {i}": digest(compute(row, case, t)) for i, (row, case, t) in enumerate(LARGE) if t == dtype}


def in_process(isa, dtype):
    code = f"import json, test_bits; print(json.dumps(test_bits.all_digests({dtype!r})))"
    paths = os.pathsep.join([os.path.dirname(os.path.abspath(__file__)), *filter(None, sys.path)])
    env = {**os.environ, "STEEP_ISA": isa, "STEEP_MATMUL": "fma", "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_avx2_and_avx512_agree_bit_for_bit(dtype):
    usable = set(sp._core._isas()[1].split()) & SHARED
    if len(usable) < 2:
        pytest.skip("this processor has one of the two only")
    a, b = (in_process(isa, dtype) for isa in sorted(usable))
    assert a.keys() == b.keys()
    assert not {name for name in a if a[name] != b[name]}


def test_a_batch_gives_the_bits_of_its_parts():
    """Rows of a product, of a softmax and of a reduction do not depend on the rows beside them."""
    rng = np.random.default_rng(0)
    x, w = (sp.tensor(rng.standard_normal(s).astype("float32")) for s in ((97, 200), (200, 60)))
    for f in (lambda t: t @ w, sp.softmax, lambda t: sp.sum(t, axis=1), lambda t: sp.logsumexp(t, axis=1), sp.gelu):
        whole = f(x).numpy()
        for cut in (1, 5, 32, 50):
            parts = [f(x[i : i + cut]).numpy() for i in range(0, 97, cut)]
            np.testing.assert_array_equal(np.concatenate(parts), whole)
