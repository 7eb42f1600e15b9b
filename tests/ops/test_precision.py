"""The modes of float32 products: their errors, special values, bits under splits and threads, gradients, and scoping.

docs/precision.md states what is held here. The tiles of AMX themselves are tests/native/split_test.cpp's, which
emulates them; here ``split`` and ``bf16`` run on whatever the processor has, with the same bits.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import steep as sp

MODES = ("auto", "fma", "split", "bf16", "winograd2", "winograd4")


def product(mode, a, b):
    with sp.matmul_precision(mode):
        return (sp.asarray(a) @ sp.asarray(b)).numpy()


def normal(rng, shape):
    return rng.standard_normal(shape).astype(np.float32)


def wide(rng, shape):
    return (rng.standard_normal(shape) * 2.0 ** rng.integers(-30, 30, shape)).astype(np.float32)


def cancelling(n, rng):
    """The second half of the terms takes the first half away, but for a ten-thousandth."""
    a, b = normal(rng, (n, n)), normal(rng, (n, n))
    a[:, n // 2 :], b[n // 2 :] = -a[:, : n // 2], b[: n // 2] * np.float32(1.0001)
    return a, b


def operands(kind, n):
    rng = np.random.default_rng(n)
    if kind == "cancelling":
        return cancelling(n, rng)
    draw = {"normal": normal, "wide": wide}[kind]
    return draw(rng, (n, n)), draw(rng, (n, n))


def errors(mode, a, b):
    """Root mean square and maximum of the errors, as parts of the sum of the terms' magnitudes."""
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    relative = np.abs(product(mode, a, b) - wide_a @ wide_b) / (np.abs(wide_a) @ np.abs(wide_b))
    return np.sqrt((relative**2).mean()), relative.max()


@pytest.mark.parametrize("n", [64, 256, 1024])
@pytest.mark.parametrize("kind", ["normal", "wide", "cancelling"])
def test_six_products_err_less_than_fused_multiply_adds(kind, n):
    a, b = operands(kind, n)
    fma, split, bf16 = (errors(mode, a, b) for mode in ("fma", "split", "bf16"))
    assert split[0] <= fma[0]
    assert split[1] <= fma[1]
    assert bf16[1] <= 2.0**-7


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3.4e38, -1e16])
@pytest.mark.parametrize("mode", ["split", "bf16"])
def test_special_values_take_the_code_path_of_fma_and_leave_others_alone(mode, value):
    rng = np.random.default_rng(0)
    a, b = normal(rng, (70, 90)), normal(rng, (90, 80))
    before = product(mode, a, b)
    a[5, 3] = b[4, 7] = value
    after, fma = product(mode, a, b), product("fma", a, b)
    touched = np.zeros((70, 80), bool)
    touched[5], touched[:, 7] = True, True
    np.testing.assert_array_equal(after, np.where(touched, fma, before))


@pytest.mark.parametrize("scale", [1e-45, 1e-40, 1e-38, 1e-32])
def test_products_that_would_underflow_take_the_code_path_of_fma(scale):
    rng = np.random.default_rng(0)
    a, b = normal(rng, (70, 90)) * np.float32(scale), normal(rng, (90, 80))
    np.testing.assert_array_equal(product("split", a, b), product("fma", a, b))


def test_rows_of_zeros_and_empty_products():
    a = np.ones((40, 50), np.float32)
    a[3] = 0
    for mode in MODES:
        assert (product(mode, a, np.ones((50, 30), np.float32))[3] == 0).all()
        assert product(mode, a[:0], a.T).shape == (0, 40)
        np.testing.assert_array_equal(product(mode, a[:, :0], a.T[:0]), np.zeros((40, 40)))


def awkward():
    """Operands with all that the guard looks for, in some rows and columns."""
    rng = np.random.default_rng(0)
    a, b = normal(rng, (257, 300)), normal(rng, (300, 190))
    a[6, 1], a[100], a[200, 5], b[2, 9], b[:, 20] = np.inf, a[100] * 1e-30, 1e-20, 1e30, b[:, 20] * 1e-25
    return a, b


@pytest.mark.parametrize("mode", ["split", "bf16"])
def test_bits_do_not_depend_on_threads_nor_on_rows_and_columns_beside(mode):
    a, b = awkward()
    whole = product(mode, a, b)
    for n in (1, 2, 3, 4, 8):
        with sp.threads(n):
            np.testing.assert_array_equal(product(mode, a, b), whole)
    for cut in (1, 5, 32, 100):
        rows = [product(mode, a[i : i + cut], b) for i in range(0, 257, cut)]
        np.testing.assert_array_equal(np.concatenate(rows), whole)
        columns = [product(mode, a, b[:, j : j + cut]) for j in range(0, 190, cut)]
        np.testing.assert_array_equal(np.concatenate(columns, axis=1), whole)


@pytest.mark.parametrize("mode", ["split", "bf16"])
@pytest.mark.parametrize("odd", ["none", "rows", "columns", "everything"])
def test_what_finishes_a_product_sees_elements_that_are_computed_again(mode, odd):
    """Bias and activation run on a rectangle when it is final, or after the others where it waits for such elements."""
    rng = np.random.default_rng(7)
    x, w, bias = (normal(rng, s) for s in ((300, 600), (600, 290), (290,)))
    if odd in ("rows", "everything"):
        x[5, 3], x[299, 0], x[130] = np.inf, 1e30, x[130] * np.float32(1e-38)
    if odd in ("columns", "everything"):
        w[4, 150], w[:, 289] = np.nan, w[:, 289] * np.float32(1e-38)
    step = sp.compile(lambda x, w, bias: sp.relu(x @ w + bias))
    with sp.matmul_precision(mode):
        for operands in ((x, w, bias), (x[:, ::-1], w[::-1], bias)):
            tensors = [sp.tensor(a) for a in operands]
            expected = sp.relu(sp.asarray(product(mode, *operands[:2])) + bias).numpy()
            for _ in range(2):
                np.testing.assert_array_equal(step(*tensors).numpy(), expected)


@pytest.mark.parametrize("mode", ["split", "bf16"])
def test_bits_do_not_depend_on_layout_nor_on_batching(mode):
    rng = np.random.default_rng(0)
    a, b = normal(rng, (4, 40, 100)), normal(rng, (100, 70))
    whole = product(mode, a, b)
    for i in range(4):
        np.testing.assert_array_equal(product(mode, a[i], b), whole[i])
        np.testing.assert_array_equal(product(mode, np.asfortranarray(a[i]), np.asfortranarray(b)), whole[i])


def test_every_instruction_set_gives_the_same_bits():
    code = (
        "import numpy as np, steep as sp, hashlib, test_precision as t; a, b = t.awkward();"
        "print([hashlib.sha256(t.product(m, a, b).tobytes()).hexdigest() for m in ('split', 'bf16')])"
    )
    here = os.path.dirname(os.path.abspath(__file__))
    found = set()
    for isa in sp._core._isas()[1].split():
        env = {**os.environ, "STEEP_ISA": isa, "PYTHONPATH": os.pathsep.join([here, *filter(None, sys.path)])}
        found.add(subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True).stdout)
    assert len(found) == 1


@pytest.mark.parametrize("mode", ["fma", "split"])
def test_gradients_pass_under_each_mode(mode):
    rng = np.random.default_rng(0)
    a, b = (rng.uniform(-1, 1, s).astype(np.float32) for s in ((5, 7), (7, 4)))
    with sp.matmul_precision(mode):
        sp.check_grads(lambda x, y: sp.sum(sp.tanh(x @ y)), (a, b))


@pytest.mark.parametrize("mode", MODES)
def test_gradients_follow_the_mode_they_are_computed_in(mode):
    rng = np.random.default_rng(0)
    a, b, g = normal(rng, (70, 90)), normal(rng, (90, 80)), normal(rng, (70, 80))
    x, y = sp.tensor(a, requires_grad=True), sp.tensor(b, requires_grad=True)
    with sp.matmul_precision(mode):
        (x @ y).backward(sp.tensor(g))
    np.testing.assert_array_equal(x.grad.numpy(), product(mode, g, b.T))
    np.testing.assert_array_equal(y.grad.numpy(), product(mode, a.T, g))


def test_scopes_nest_and_end_by_exception():
    before = sp.get_matmul_precision()
    with sp.matmul_precision("fma"):
        with pytest.raises(KeyError), sp.matmul_precision("split"):
            assert sp.get_matmul_precision() == "split"
            raise KeyError
        assert sp.get_matmul_precision() == "fma"
    assert sp.get_matmul_precision() == before


def by(mode, function, *operands):
    with sp.matmul_precision(mode):
        return np.asarray(function(*operands))


@pytest.mark.parametrize("m", [1, 8, 97, 255, 256, 400])
@pytest.mark.parametrize(
    "n, k, gaining", [(512, 512, True), (192, 64, True), (191, 512, False), (512, 63, False), (200, 65, False)]
)
def test_the_default_splits_only_what_is_large_enough_to_gain(m, n, k, gaining):
    """Splitting a matrix takes as long as some hundred rows gain: one row times 512 x 512 took 27 times as long."""
    rng = np.random.default_rng(0)
    x, w = (sp.tensor(rng.standard_normal(s), dtype="float32") for s in ((m, k), (k, n)))
    gains = gaining and m >= 256 and not sp._core._amx_missing()
    stacked = lambda x, w: x.reshape((1, *x.shape)) @ w  # noqa: E731
    for product in (sp.matmul, stacked, lambda x, w: sp.nn.functional.linear(x, w.mT)):
        np.testing.assert_array_equal(by("auto", product, x, w), by("split" if gains else "fma", product, x, w))


@pytest.mark.parametrize("passed", ["forward", "input", "weight"])
@pytest.mark.parametrize(
    ("image", "kernel", "gaining"),
    [
        ((2, 64, 20, 20), (256, 64, 3, 3), {"forward", "input", "weight"}),
        ((2, 256, 14, 14), (256, 256, 3, 3), {"forward", "input", "weight"}),
        ((2, 64, 18, 18), (64, 64, 3, 3), {"forward", "input", "weight"}),
        ((2, 16, 32, 32), (16, 16, 3, 3), set()),  # half of every block of 32 channels would be zeros
        ((2, 256, 7, 7), (256, 256, 3, 3), {"weight"}),  # splitting the weight would take longest
        ((2, 64, 20, 20), (256, 64, 1, 1), {"forward"}),  # products with the image
        ((2, 256, 20, 20), (64, 256, 1, 1), {"input"}),
        ((2, 16, 20, 20), (256, 16, 1, 1), set()),
        ((2, 3, 40, 40), (64, 3, 7, 7), set()),
    ],
)
def test_the_default_splits_only_convolutions_that_gain(passed, image, kernel, gaining):
    """Of VGG16's shapes, ResNet's and others, whatever the batch."""
    rng = np.random.default_rng(0)
    x, w = (sp.tensor(rng.standard_normal(s), dtype="float32") for s in (image, kernel))
    gains = passed in gaining and not sp._core._amx_missing()

    def run(x, w):
        y, back = sp.vjp(sp.conv2d, x, w)
        return y if passed == "forward" else back(sp.ones(y.shape))[passed == "weight"]

    found = by("auto", run, x, w)
    np.testing.assert_array_equal(found, by("split" if gains else "fma", run, x, w))
    if passed == "forward":
        np.testing.assert_array_equal(by("auto", run, x[1:], w), found[1:])


def test_a_scope_is_its_threads_own_and_the_setting_everybodys():
    seen = []
    before = sp.get_matmul_precision()
    try:
        sp.set_matmul_precision("bf16")
        with sp.matmul_precision("fma"):
            other = threading.Thread(target=lambda: seen.append(sp.get_matmul_precision()))
            other.start()
            other.join()
            assert sp.get_matmul_precision() == "fma"
        assert seen == ["bf16"]
    finally:
        sp.set_matmul_precision(before)


@pytest.mark.parametrize("word", ["", "FMA", "fast", "float32"])
def test_other_words_are_refused_with_the_list_of_good_ones(word):
    for use in (sp.set_matmul_precision, lambda w: sp.matmul_precision(w).__enter__()):
        with pytest.raises(ValueError, match='none of "auto", "fma", "split" and "bf16"'):
            use(word)


@pytest.mark.parametrize("word, expected", [("", "auto"), *((m, m) for m in MODES), ("fast", "")])
def test_the_environment_sets_the_mode(word, expected):
    code = "import steep; print(steep.get_matmul_precision())"
    env = {**os.environ, "STEEP_MATMUL": word, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    if expected:
        assert done.stdout.strip() == expected, done.stderr
    else:
        assert "ImportError: STEEP_MATMUL is 'fast'; it must be auto, fma, split or bf16" in done.stderr
