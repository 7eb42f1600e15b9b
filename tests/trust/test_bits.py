"""Results depend on values alone: bitwise equal for any number of threads, and on every instruction set.

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
    """The digest of every large call, product and reduction, for one instruction set."""
    calls = {f"{row.name} {i}": digest(compute(row, case, t)) for i, (row, case, t) in enumerate(LARGE) if t == dtype}
    return calls | product_digests(dtype) | winograd_digests(dtype)


def winograd_digests(dtype):
    """Of convolutions that these modes compute in float32, and of their gradients."""
    rng = np.random.default_rng(5)
    x, weight = (rng.standard_normal(s).astype(dtype) for s in ((2, 40, 23, 37), (50, 40, 3, 3)))
    found = {}
    for mode in ("winograd2", "winograd4"):
        with sp.matmul_precision(mode):
            y, back = sp.vjp(lambda x, w: sp.conv2d(x, w, padding=1), sp.tensor(x), sp.tensor(weight))
            found[mode] = digest([a.numpy() for a in (y, *back(y))])
    return found


def in_process(isa, dtype):
    code = f"import json, test_bits; print(json.dumps(test_bits.all_digests({dtype!r})))"
    paths = os.pathsep.join([os.path.dirname(os.path.abspath(__file__)), *filter(None, sys.path)])
    env = {**os.environ, "STEEP_ISA": isa, "STEEP_MATMUL": "fma", "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# Products (batch, m, n, k) that reach every code path of the kernel and every division of the work, and reductions.
PRODUCTS = [(1, 1, 700, 900), (1, 700, 1, 900), (1, 8, 512, 512), (1, 16, 3000, 27), (1, 32, 784, 128)]
PRODUCTS += [(1, 200, 210, 530), (2, 150, 90, 300), (3, 5, 260, 600), (5, 64, 64, 64), (64, 31, 33, 40)]
PRODUCTS += [(1, 3, 603, 530)]  # whose single rows and pairs of rows read B as it lies
PRODUCTS += [(1, 520, 300, 700)]  # whose pieces share the packed B
LAYOUTS = [(a, b) for a in (False, True) for b in (False, True)]


def laid(array, transposed):
    """The array as a tensor whose last two axes lie in rows, or in columns."""
    return sp.tensor(np.ascontiguousarray(array.mT)).mT if transposed else sp.tensor(array)


def products(dtype, layout):
    rng = np.random.default_rng(3)
    for batch, m, n, k in PRODUCTS:
        a, b = (rng.standard_normal((batch, *s)).astype(dtype) for s in ((m, k), (k, n)))
        yield (a[0], b[0], layout) if batch == 1 else (a, b, layout)


def product_digests(dtype):
    """For every layout the digest of all products, then of reductions along each axis."""
    found = {
        str(la): digest([(laid(a, la[0]) @ laid(b, la[1])).numpy() for a, b, _ in products(dtype, la)])
        for la in LAYOUTS
    }
    x = sp.tensor(np.random.default_rng(4).standard_normal((130, 70, 90)).astype(dtype))
    for f in (sp.sum, sp.mean, sp.prod, sp.max, sp.logsumexp):
        found[f.__name__] = digest([f(x, axis=axis).numpy() for axis in (0, 1, 2, None)])
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_and_reductions_do_not_depend_on_threads_or_layout(dtype):
    results = []
    for n in (1, 2, 3, 4, 8):
        with sp.threads(n):
            results.append(product_digests(dtype))
    assert all(r == results[0] for r in results)
    assert len({results[0][str(layout)] for layout in LAYOUTS}) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_factors_in_one_memory_or_read_backwards_do_not_depend_on_threads(dtype):
    """Pieces share a packed B except where A lies within it or its elements are read from the last to the first."""
    x = sp.tensor(np.random.default_rng(6).standard_normal((700, 700)).astype(dtype))
    pairs = [(x.T, x), (x, x.T), (x[:, ::-1], x), (x, x[::-1]), (x[:, :300], x[:300, ::-1]), (x[1:], x[:, :-1])]
    for a, b in pairs:
        results = []
        for n in (1, 2, 3):
            with sp.threads(n):
                results.append((a @ b).numpy().tobytes())
        assert results[0] == results[1] == results[2]


def assert_parts(whole, a, b, rows, columns):
    """The product of some rows of `a` and some columns of `b` has the bits that it has within `whole`."""
    part = (a[..., rows, :] @ b[..., :, columns]).numpy()
    np.testing.assert_array_equal(part, whole[..., rows, columns])


@pytest.mark.parametrize("mode", ["fma", "split", "bf16"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_product_gives_the_bits_of_its_parts(dtype, mode):
    """In a mode asked for by name, rows, columns and members of a batch do not depend on those beside them."""
    with sp.matmul_precision(mode):
        for layout in LAYOUTS:
            for a, b, (ta, tb) in products(dtype, layout):
                x, y = laid(a, ta), laid(b, tb)
                whole, m, n = (x @ y).numpy(), a.shape[-2], b.shape[-1]
                for i, j in ((0, n // 3), (m // 2, 0), (m - 1, n - 1)):
                    assert_parts(whole, x, y, slice(i, None), slice(j, None))
                if a.ndim == 3:
                    np.testing.assert_array_equal((x[1] @ y[1]).numpy(), whole[1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_by_default_a_product_of_fewer_than_256_rows_gives_the_bits_of_its_rows(dtype):
    """ "auto" may choose another kernel from 256 rows on; below, rows and batches never change a bit."""
    with sp.matmul_precision("auto"):
        for layout in LAYOUTS:
            for a, b, (ta, tb) in products(dtype, layout):
                a = a[..., :255, :]
                x, y = laid(a, ta), laid(b, tb)
                whole, m = (x @ y).numpy(), a.shape[-2]
                for rows in (slice(0, 1), slice(m // 2, None), slice(m // 3, m // 2 + 1)):
                    assert_parts(whole, x, y, rows, slice(None))
                if a.ndim == 3:
                    np.testing.assert_array_equal((x[1] @ y[1]).numpy(), whole[1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_instruction_sets_agree_bit_for_bit(dtype):
    usable = sorted(sp._core._isas()[1].split())
    if len(usable) < 2:
        pytest.skip("this processor has one of them only")
    first, *others = (in_process(isa, dtype) for isa in usable)
    for other in others:
        assert first.keys() == other.keys()
        assert not {name for name in first if first[name] != other[name]}


ROW_BY_ROW = {
    "product": lambda t, w: t @ w[:, :60],
    "wide product": lambda t, w: t @ w,
    "linear": lambda t, w: sp.nn.functional.linear(t, w.T),
    "softmax": lambda t, w: sp.softmax(t),
    "sum": lambda t, w: sp.sum(t, axis=1),
    "logsumexp": lambda t, w: sp.logsumexp(t, axis=1),
    "gelu": lambda t, w: sp.gelu(t),
    "convolution": lambda t, w: sp.conv1d(t[:, None], w[:130, None, :3], padding=1),
}


@pytest.mark.parametrize("mode", ["auto", "fma", "split", "bf16"])
@pytest.mark.parametrize("name", ROW_BY_ROW)
def test_a_batch_gives_the_bits_of_its_parts(name, mode):
    """A row of a batch does not depend on the rows beside it."""
    rng = np.random.default_rng(0)
    x, w = (sp.tensor(rng.standard_normal(s).astype("float32")) for s in ((97, 200), (200, 300)))
    with sp.matmul_precision(mode):
        whole = ROW_BY_ROW[name](x, w).numpy()
        for cut in (1, 5, 32, 50):
            parts = [ROW_BY_ROW[name](x[i : i + cut], w).numpy() for i in range(0, 97, cut)]
            np.testing.assert_array_equal(np.concatenate(parts), whole)
