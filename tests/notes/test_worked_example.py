"""Rows 40 to 52: the network of two layers of docs/notes.md, every number, with the errors of the notes.

x0 = (1, .1), y = .5, W0 = [[1, -3], [.2, 1]], W1 = (1, -1), tanh, L = (x3 - y)^2 / 2, eta = -.2.
"""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import steep as sp
from numeric import arr, differences
from steep.optim import SGD, maximize, minimize

X0, Y, ETA = np.array([1, 0.1]), 0.5, -0.2
W0, W1 = np.array([[1, -3], [0.2, 1]]), np.array([1.0, -1])
DTYPES = pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-7), (np.float32, 1e-5)])


def forward(weights):
    x1 = weights[0] @ sp.asarray(X0.astype(np.asarray(weights[0].detach()).dtype))
    x2 = sp.tanh(x1)
    x3 = sp.vecdot(weights[1], x2)
    return x1, x2, x3, 0.5 * (x3 - Y) ** 2


def fresh(dtype=np.float64):
    return [sp.tensor(W0.astype(dtype)), sp.tensor(W1.astype(dtype))]


def example(dtype=np.float64):
    weights = fresh(dtype)
    with sp.GradientTape() as tape:
        tape.watch(weights)
        x1, x2, x3, loss = forward(weights)
    found = tape.gradient(loss, [x1, x2, x3, *weights])
    return [arr(v) for v in (x1, x2, x3, loss)], [arr(g) for g in found]


def descend(steps, go=minimize, dtype=np.float64):
    weights = fresh(dtype)
    result = go(lambda w: forward(w)[-1], weights, partial(SGD, lr=0.2), steps)
    return weights, result.history


def close(value, expected, tolerance):
    assert np.allclose(value, expected, rtol=0, atol=tolerance)


@DTYPES
def test_row_40_x1(dtype, tolerance):
    close(example(dtype)[0][0], [0.7, 0.3], tolerance)


@DTYPES
def test_row_41_x2(dtype, tolerance):
    close(example(dtype)[0][1], [0.60436778, 0.29131261], tolerance)


@DTYPES
def test_row_42_x3(dtype, tolerance):
    close(example(dtype)[0][2], 0.31305516, tolerance)


@DTYPES
def test_row_43_the_loss(dtype, tolerance):
    close(example(dtype)[0][3], 0.01747419, tolerance)


@DTYPES
def test_row_44_by_x3(dtype, tolerance):
    close(example(dtype)[1][2], -0.18694484, tolerance)


@DTYPES
def test_row_45_by_x2(dtype, tolerance):
    close(example(dtype)[1][1], [-0.18694484, 0.18694484], tolerance)


@DTYPES
def test_row_46_by_x1_is_printed_truncated(dtype, tolerance):
    found = example(dtype)[1][0]
    close(found, [-0.11866129, 0.17108013], tolerance)
    assert round(float(found[0]), 4) == -0.1187 and np.trunc(float(found[0]) * 1e4) / 1e4 == -0.1186


@DTYPES
def test_row_47_by_w0_in_numerator_layout(dtype, tolerance):
    found = example(dtype)[1]
    numerator = np.outer(X0, found[0])
    close(numerator, [[-0.11866129, 0.17108013], [-0.01186613, 0.01710801]], tolerance)
    close(found[3].T, numerator, tolerance)


# Rows 40 to 51 as the notes print them: row: printed digits. All are the value rounded, but for those of TRUNCATED.
PRINTED = {
    40: [".7", ".3"], 41: [".604", ".291"], 42: [".313"], 43: [".017"], 44: ["-.1869"], 45: ["-.1869", ".1869"],
    46: ["-.1186", ".171"], 47: ["-.1186", ".171", "-.01186", ".0171"], 48: ["-.113", "-.054"],
    50: ["1.02", "-3.0", ".17", "1.0"], 51: ["1.02", "-.989"],
}  # fmt: skip
TRUNCATED = {46: ["-.1186"], 47: ["-.1186", "-.01186"]}


def values_of_rows():
    (x1, x2, x3, loss), (dx1, dx2, dx3, dw0, dw1) = example()
    w0, w1 = (arr(w) for w in descend(1)[0])
    rows = {40: x1, 41: x2, 42: x3, 43: loss, 44: dx3, 45: dx2, 46: dx1, 47: dw0.T, 48: dw1, 50: w0, 51: w1}
    return {row: np.ravel(value) for row, value in rows.items()}


@pytest.mark.parametrize("row", PRINTED)
def test_rows_40_to_51_as_printed(row):
    values, cut = values_of_rows()[row], []
    for value, printed in zip(values, PRINTED[row], strict=True):
        digits = len(printed.partition(".")[2])
        if round(float(value), digits) != float(printed):
            assert np.trunc(float(value) * 10**digits) / 10**digits == float(printed), "neither rounded nor truncated"
            cut.append(printed)
    assert cut == TRUNCATED.get(row, [])


def test_row_47_differences():
    weights = fresh()
    expected = differences(lambda: forward(weights)[-1], weights[0], 1e-5)
    close(example()[1][3], expected, 1e-8)


@DTYPES
def test_row_48_by_w1_has_another_factor_than_typed(dtype, tolerance):
    (_, x2, _, _), found = example(dtype)
    close(found[4], [-0.11298343, -0.05445939], tolerance)
    close(x2 * -0.18694484, found[4], max(tolerance, 1e-8))
    close(x2 * -0.1186, [-0.0717, -0.0345], 5e-5)


def test_row_49_the_update_as_typed_lacks_a_transpose():
    numerator = example()[1][3].T
    close(W0 + ETA * numerator, [[1.0237, -3.0342], [0.2024, 0.9966]], 5e-5)
    close(W0 + ETA * numerator.T, arr(descend(1)[0][0]), 1e-15)


@DTYPES
def test_row_50_w0_after_the_step(dtype, tolerance):
    close(arr(descend(1, dtype=dtype)[0][0]), [[1.02373226, -2.99762677], [0.16578397, 0.9965784]], tolerance)


def test_row_50_printed_with_eta_is_sgd_bit_for_bit():
    dw0, dw1 = example()[1][3:]
    w0, w1 = descend(1)[0]
    assert np.array_equal(W0 + ETA * dw0.T.T, arr(w0)) and np.array_equal(W1 + ETA * dw1, arr(w1))


@DTYPES
def test_row_51_w1_after_the_step(dtype, tolerance):
    close(arr(descend(1, dtype=dtype)[0][1]), [1.02259669, -0.98910812], tolerance)


@DTYPES
def test_row_52_after_the_step(dtype, tolerance):
    *_, x3, loss = forward(descend(1, dtype=dtype)[0])
    close([float(x3), float(loss)], [0.37680442, 0.00758857], tolerance)


def test_row_52_the_loss_falls_at_every_step():
    weights, history = descend(50)
    history = [*history, float(forward(weights)[-1])]
    assert history[2] == pytest.approx(3.279e-3, rel=2e-4)
    assert history[10] == pytest.approx(3.752e-6, rel=2e-4)
    assert history[50] == pytest.approx(6.7e-21, rel=1e-2)
    assert all(after < before for before, after in pairwise(history))


def test_row_52_with_eta_positive_it_rises():
    weights, history = descend(1, maximize)
    assert float(forward(weights)[-1]) == pytest.approx(0.03137503, abs=1e-7)
    assert float(forward(weights)[-1]) > history[0]
