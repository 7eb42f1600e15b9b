"""Convolutions whose kernel is as large as the image: each is a product of matrices over the batch.

So they are the last layer of many a trunk and the first of a generator. Start reading at ``CASES``.
"""

from __future__ import annotations

import numpy as np
import pytest
import steep as sp

CASES = {
    "1d": ((5, 6, 9), (4, 6, 9)),
    "2d": ((33, 20, 4, 5), (40, 20, 4, 5)),
    "2d, one image": ((1, 700, 3, 3), (30, 700, 3, 3)),
    "2d, one tap": ((17, 30, 1, 1), (12, 30, 1, 1)),
    "3d": ((3, 4, 2, 3, 4), (5, 4, 2, 3, 4)),
}
CONV = {1: sp.conv1d, 2: sp.conv2d, 3: sp.conv3d}
TRANSPOSED = {1: sp.conv_transpose1d, 2: sp.conv_transpose2d, 3: sp.conv_transpose3d}


def operands(case, dtype="float32"):
    """Image, kernel, bias, and a gradient of the result."""
    rng = np.random.default_rng(0)
    image, kernel = CASES[case]
    shapes = (image, kernel, kernel[:1], (image[0], kernel[0]) + (1,) * (len(image) - 2))
    return [rng.standard_normal(s).astype(dtype) for s in shapes]


def convolved(x, weight, bias, g):
    """The result, and the gradients with respect to all three."""
    x, weight, bias = (sp.tensor(a, requires_grad=True) for a in (x, weight, bias))
    y = CONV[x.ndim - 2](x, weight, bias)
    y.backward(sp.tensor(g))
    return [y.numpy(), x.grad.numpy(), weight.grad.numpy(), bias.grad.numpy()]


@pytest.mark.parametrize("mode", ["auto", "fma", "split", "bf16", "winograd4"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_the_definition(case, dtype, mode):
    x, weight, bias, g = (a.astype(np.float64) for a in operands(case, dtype))
    flat, rows, gradient = (a.reshape(len(a), -1) for a in (x, weight, g))
    expected = [flat @ rows.T + bias, gradient @ rows, gradient.T @ flat, gradient.sum(axis=0)]
    limit = 0.03 if mode == "bf16" and dtype == "float32" else 1e-5 if dtype == "float32" else 1e-13
    with sp.matmul_precision(mode):
        found = convolved(*operands(case, dtype))
    for a, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.reshape(e.shape), e, rtol=0, atol=limit * np.abs(e).max())


@pytest.mark.parametrize("case", CASES)
def test_transposed_convolutions_of_one_position(case):
    _, weight, bias, g = operands(case)
    bias = np.arange(weight.shape[1], dtype=np.float32)
    found = TRANSPOSED[weight.ndim - 2](g, weight, bias).numpy()
    expected = (g.reshape(len(g), -1) @ weight.reshape(len(weight), -1)).reshape(found.shape)
    expected += bias.reshape(-1, *(1,) * (weight.ndim - 2))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("case", CASES)
def test_bits_do_not_depend_on_threads_nor_on_the_batch(case):
    x, weight, bias, g = operands(case)
    with sp.matmul_precision("fma"):
        whole = convolved(x, weight, bias, g)
        for n in (1, 2, 3, 8):
            with sp.threads(n):
                for a, b in zip(convolved(x, weight, bias, g), whole, strict=True):
                    np.testing.assert_array_equal(a, b)
        for i in range(len(x)):
            one = convolved(x[i : i + 1], weight, bias, g[i : i + 1])
            np.testing.assert_array_equal(one[0][0], whole[0][i])
            np.testing.assert_array_equal(one[1][0], whole[1][i])


def test_by_default_a_large_batch_is_computed_as_by_fma():
    rng = np.random.default_rng(0)
    x, weight = (rng.standard_normal(s).astype(np.float32) for s in ((300, 64, 2, 2), (256, 64, 2, 2)))
    with sp.matmul_precision("auto"):
        y = sp.conv2d(x, weight).numpy()
    with sp.matmul_precision("fma"):
        np.testing.assert_array_equal(sp.conv2d(x, weight).numpy(), y)


@pytest.mark.parametrize("case", CASES)
def test_a_compiled_step_has_the_same_bits(case):
    x, weight, bias, _ = map(sp.tensor, operands(case))

    def layer(x, weight, bias):
        return sp.relu(CONV[x.ndim - 2](x, weight, bias)) + 1.0

    step = sp.compile(layer)
    constant = sp.compile(lambda x: layer(x, weight, bias))
    for _ in range(3):
        np.testing.assert_array_equal(step(x, weight, bias).numpy(), layer(x, weight, bias).numpy())
        np.testing.assert_array_equal(constant(x).numpy(), layer(x, weight, bias).numpy())


def test_gradients_pass_to_second_order():
    rng = np.random.default_rng(0)
    x, weight = (rng.uniform(-1, 1, s) for s in ((3, 2, 2, 3), (4, 2, 2, 3)))
    sp.check_grads(lambda x, w: sp.sum(sp.tanh(sp.conv2d(x, w))), (x, weight), order=2)


def test_nothing_to_do():
    assert sp.conv2d(sp.zeros((0, 3, 4, 4)), sp.zeros((5, 3, 4, 4))).shape == (0, 5, 1, 1)
    gradient = sp.grad(lambda w: sp.sum(sp.conv2d(sp.zeros((0, 3, 4, 4)), w)))(sp.ones((5, 3, 4, 4)))
    np.testing.assert_array_equal(gradient.numpy(), np.zeros((5, 3, 4, 4)))
