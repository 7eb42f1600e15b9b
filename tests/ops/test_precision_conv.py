"""Convolutions under the modes of float32 products: the forward pass and both gradients, one to three dimensions.

docs/precision.md states what is held here; test_precision.py holds the same of matmul. Start reading at ``CASES``.
"""

from __future__ import annotations

import numpy as np
import pytest
import steep as sp
from conv_cases import convolved, off_and_terms, operands

CASES = {
    "1d": ((3, 12, 70), (20, 12, 5), {}),
    "1d, stride and padding": ((2, 16, 65), (40, 16, 4), {"stride": 3, "padding": 2}),
    "2d": ((3, 16, 12, 13), (24, 16, 3, 3), {}),
    "2d, padding": ((2, 70, 9, 9), (33, 70, 3, 3), {"padding": 1}),
    "2d, one tap": ((2, 48, 11, 10), (36, 48, 1, 1), {}),
    "2d, stride and padding": ((2, 8, 21, 19), (16, 8, 5, 5), {"stride": 2, "padding": 2}),
    "2d, many channels and stride": ((3, 40, 21, 19), (48, 40, 3, 3), {"stride": 2, "padding": 1}),
    "2d, dilation and groups": ((2, 16, 14, 15), (24, 8, 3, 3), {"dilation": 2, "padding": 2, "groups": 2}),
    "3d": ((2, 6, 6, 7, 8), (10, 6, 3, 2, 3), {"stride": (1, 2, 1), "padding": 1}),
}


def errors(mode, case, arrays):
    """Root mean square and maximum for each of the three, as parts of the sum of the terms' magnitudes."""
    relative = [off / terms for off, terms in off_and_terms(mode, case, arrays)]
    return [(np.sqrt((r**2).mean()), r.max()) for r in relative]


@pytest.mark.parametrize("case", CASES)
def test_six_products_err_no_more_than_fused_multiply_adds(case):
    arrays = operands(CASES[case])
    fma, split, bf16 = (errors(mode, CASES[case], arrays) for mode in ("fma", "split", "bf16"))
    for by_fma, by_split, by_bf16 in zip(fma, split, bf16, strict=True):
        assert by_split[0] <= by_fma[0]
        assert by_split[1] <= by_fma[1]
        assert by_fma[1] < by_bf16[1] <= 2.0**-7


@pytest.mark.parametrize("value", [np.nan, np.inf, 3.4e38, -1e16])
@pytest.mark.parametrize("mode", ["split", "bf16"])
def test_special_values_take_the_code_path_of_fma_and_leave_others_alone(mode, value):
    case = "2d, padding"
    x, weight, bias, g = operands(CASES[case])
    weight = weight[:, :40]
    x = x[:, :40]
    before = convolved(mode, CASES[case], x, weight, bias, g)
    x[1, 3, 4, 5] = weight[7, 2, 1, 0] = value
    after, fma = (convolved(m, CASES[case], x, weight, bias, g) for m in (mode, "fma"))
    touched = np.zeros(after[0].shape, bool)
    touched[1, :, 3:6, 4:7] = touched[:, 7] = True
    np.testing.assert_array_equal(after[0], np.where(touched, fma[0], before[0]))
    touched = np.zeros(after[1].shape, bool)
    touched[:, 2] = True
    np.testing.assert_array_equal(after[1], np.where(touched, fma[1], before[1]))
    touched = np.zeros(after[2].shape, bool)
    touched[:, 3] = True
    np.testing.assert_array_equal(after[2], np.where(touched, fma[2], before[2]))


@pytest.mark.parametrize("scale", [1e-45, 1e-40, 1e-32])
def test_products_that_would_underflow_take_the_code_path_of_fma(scale):
    case = "2d"
    x, weight, bias, g = operands(CASES[case])
    x, g = x * np.float32(scale), g * np.float32(scale)
    split, fma = (convolved(m, CASES[case], x, weight, 0 * bias, g) for m in ("split", "fma"))
    for a, b in zip(split[:2], fma[:2], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "case", ["1d, stride and padding", "2d, dilation and groups", "2d, many channels and stride", "2d, one tap", "3d"]
)
@pytest.mark.parametrize("mode", ["split", "bf16"])
def test_bits_do_not_depend_on_threads_nor_on_the_batch(mode, case):
    x, weight, bias, g = operands(CASES[case])
    x[0, 0], g[1, 0], weight[0, 0] = x[0, 0] * 1e-30, g[1, 0] * 1e30, np.inf
    whole = convolved(mode, CASES[case], x, weight, bias, g)
    for n in (2, 3, 8):
        with sp.threads(n):
            for a, b in zip(convolved(mode, CASES[case], x, weight, bias, g), whole, strict=True):
                np.testing.assert_array_equal(a, b)
    for i in range(len(x)):
        one = convolved(mode, CASES[case], x[i : i + 1], weight, bias, g[i : i + 1])
        np.testing.assert_array_equal(one[0][0], whole[0][i])
        np.testing.assert_array_equal(one[1][0], whole[1][i])


@pytest.mark.parametrize("mode", ["split", "bf16"])
def test_strips_and_blocks_do_not_show(mode):
    """Images of several strips, channels of several blocks and a batch of several blocks of positions."""
    rng = np.random.default_rng(0)
    x, weight = (rng.standard_normal(s).astype(np.float32) for s in ((1, 300, 30, 31), (4, 300, 3, 3)))
    with sp.matmul_precision(mode):
        y = sp.conv2d(x, weight).numpy()
        np.testing.assert_array_equal(sp.conv2d(x[:, :, 20:], weight).numpy(), y[:, :, 20:])


@pytest.mark.parametrize("mode", ["fma", "split"])
def test_gradients_pass_under_each_mode(mode):
    rng = np.random.default_rng(0)
    x, weight = (rng.uniform(-1, 1, s).astype(np.float32) for s in ((2, 8, 5, 5), (3, 8, 3, 3)))
    with sp.matmul_precision(mode):
        sp.check_grads(lambda x, w: sp.sum(sp.tanh(0.1 * sp.conv2d(x, w, stride=2, padding=1))), (x, weight))


@pytest.mark.parametrize("mode", ["fma", "split", "bf16"])
def test_a_compiled_step_keeps_the_mode_it_was_recorded_in(mode):
    x, weight, _, _ = operands(CASES["2d"])

    @sp.compile
    def step(x, weight):
        with sp.matmul_precision(mode):
            return sp.grad(lambda x, w: sp.sum(sp.conv2d(x, w) ** 2), argnums=(0, 1))(x, weight)

    first = [g.numpy().copy() for g in step(sp.tensor(x), sp.tensor(weight))]
    with sp.matmul_precision("bf16" if mode == "fma" else "fma"):
        again = [g.numpy() for g in step(sp.tensor(x), sp.tensor(weight))]
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_modes_are_not_merged_as_common_subexpressions():
    x, weight, _, _ = operands(CASES["2d"])

    @sp.compile
    def both(x, weight):
        with sp.matmul_precision("fma"):
            a = sp.conv2d(x, weight)
        with sp.matmul_precision("bf16"):
            return a - sp.conv2d(x, weight)

    for _ in range(2):
        assert abs(both(sp.tensor(x), sp.tensor(weight)).numpy()).max() > 1e-4


def test_one_channel_a_group_multiplies_as_fma():
    rng = np.random.default_rng(0)
    x, weight = (rng.standard_normal(s).astype(np.float32) for s in ((1, 3, 20, 20), (3, 1, 7, 7)))
    found = []
    for mode in ("fma", "split", "bf16"):
        with sp.matmul_precision(mode):
            found.append(sp.conv2d(x, weight, groups=3).numpy())
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
