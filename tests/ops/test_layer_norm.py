"""Layer norm's fused kernels: odd and long rows, values at the edges, and gradients against the rules made of ops.

The op table has its values, gradients and bits; here is what depends on a row's length and on what it holds.
"""

from __future__ import annotations

import numpy as np
import pytest
import steep as sp

EPS = 1e-5
LENGTHS = [1, 2, 3, 15, 16, 17, 31, 63, 64, 65, 129, 1000, 2049, 4097, 9001]


def drawn(rows, n, dtype, seed=0):
    rng = np.random.default_rng([seed, rows, n])
    x, g, weight, bias = (rng.standard_normal(s) for s in ((rows, n), (rows, n), n, n))
    return [a.astype(dtype) for a in (3 * x + 1, g, weight, bias)]


def standardized(x):
    x = x.astype(np.float64)
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + EPS)


def gradients(x, g, weight, bias, recorded=False):
    """Of layer_norm, with respect to x, weight and bias; `recorded`: through the rules that are made of ops."""
    leaves = [sp.tensor(a) for a in (x, weight, bias)]

    def pulled(*args):
        _, pull = sp.vjp(lambda x, w, b: sp.layer_norm(x, x.shape[-1:], w, b), *args)
        return pull(sp.tensor(g))

    if not recorded:
        return [d.numpy() for d in pulled(*leaves)]
    with sp.GradientTape() as tape:
        tape.watch(leaves[0])
        found = pulled(*leaves)
    return [d.detach().numpy() for d in found]


@pytest.mark.parametrize("dtype, tolerance", [("float32", 3e-6), ("float64", 1e-13)])
@pytest.mark.parametrize("n", LENGTHS)
def test_rows_of_any_length(n, dtype, tolerance):
    x, g, weight, bias = drawn(5, n, dtype)
    y = standardized(x)
    scale = 1 + abs(y).max()
    np.testing.assert_allclose(sp.layer_norm(x, n).numpy(), y, atol=tolerance * scale)
    np.testing.assert_allclose(sp.layer_norm(x, n, weight, bias).numpy(), y * weight + bias, atol=4 * tolerance * scale)
    by_x, by_weight, by_bias = gradients(x, g, weight, bias)
    wide = g.astype(np.float64)
    d = wide * weight
    wanted = d - d.mean(-1, keepdims=True) - y * (d * y).mean(-1, keepdims=True)
    wanted /= np.sqrt(x.astype(np.float64).var(-1, keepdims=True) + EPS)
    np.testing.assert_allclose(by_x, wanted, atol=20 * tolerance * (1 + abs(wanted).max()))
    np.testing.assert_allclose(by_weight, (wide * y).sum(0), atol=20 * tolerance * scale)
    np.testing.assert_allclose(by_bias, wide.sum(0), atol=10 * tolerance)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-13)])
@pytest.mark.parametrize("rows, n", [(3, 7), (70, 33), (130, 65), (2, 5000)])
def test_fused_gradients_equal_the_rules(rows, n, dtype, tolerance):
    arrays = drawn(rows, n, dtype)
    for fused, ruled in zip(gradients(*arrays), gradients(*arrays, recorded=True), strict=True):
        np.testing.assert_allclose(fused, ruled, atol=tolerance * (1 + abs(ruled).max()))


def test_a_row_alone_has_the_bits_it_has_among_others():
    x, g, weight, bias = drawn(70, 333, "float32")
    whole, by_x = sp.layer_norm(x, 333, weight, bias).numpy(), gradients(x, g, weight, bias)[0]
    for i in (0, 1, 69):
        np.testing.assert_array_equal(sp.layer_norm(x[i : i + 1], 333, weight, bias).numpy()[0], whole[i])
        np.testing.assert_array_equal(gradients(x[i : i + 1], g[i : i + 1], weight, bias)[0][0], by_x[i])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_stays_in_its_row(value):
    x, g, weight, bias = drawn(6, 40, "float32")
    before = sp.layer_norm(x, 40, weight, bias).numpy(), gradients(x, g, weight, bias)[0]
    x[2, 5] = value
    after = sp.layer_norm(x, 40, weight, bias).numpy(), gradients(x, g, weight, bias)[0]
    others = np.arange(6) != 2
    for was, now in zip(before, after, strict=True):
        np.testing.assert_array_equal(now[others], was[others])
        assert np.isnan(now[2]).all()


def test_a_row_whose_gradient_is_zero_sends_back_zero_whatever_it_holds():
    x, g, weight, bias = drawn(4, 40, "float32")
    clean = gradients(x[1:], g[1:], weight, bias)
    x[0], g[0] = np.nan, 0
    found = gradients(x, g, weight, bias)
    assert (found[0][0] == 0).all()
    np.testing.assert_allclose(found[1], clean[1], atol=1e-5)


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e15])
def test_values_of_any_size_that_can_be_squared(scale):
    x, _, _, _ = drawn(4, 50, "float32")
    x *= np.float32(scale)
    np.testing.assert_allclose(sp.layer_norm(x, 50).numpy(), standardized(x), atol=1e-5)


def test_a_constant_row_is_zero_and_a_far_mean_costs_no_more_than_its_rounding():
    assert (sp.layer_norm(np.full((2, 33), 7.25, np.float32), 33).numpy() == 0).all()
    x = 1e4 + drawn(3, 256, "float32")[0]
    np.testing.assert_allclose(sp.layer_norm(x, 256).numpy(), standardized(x), atol=2e-3)


@pytest.mark.parametrize("norm", [
    lambda x: sp.layer_norm(x, (3, 4)),
    lambda x: sp.group_norm(x, 1),
    lambda x: sp.instance_norm(x),
])  # fmt: skip
def test_norms_share_the_rows_and_compile_to_one_op(norm):
    x = sp.tensor(np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32"), requires_grad=True)

    @sp.compile
    def step():
        x.grad = None
        y = norm(x)
        y.sum().backward()
        return y.detach()

    step()
    step()
    assert str(step.program).count("standardize_last") == 1
    assert str(step.program).count("layer_norm_gradient") == 1


def test_a_compiled_step_sums_the_gradients_of_weight_and_bias_once():
    x, g = (sp.tensor(a) for a in drawn(20, 30, "float32")[:2])
    layer = sp.nn.LayerNorm(30)

    @sp.compile
    def step(x, g):
        layer.weight.grad = layer.bias.grad = None
        layer(x).backward(g)

    for _ in range(2):
        step(x, g)
    assert str(step.program).count("layer_norm_sums") == 1
    np.testing.assert_allclose(layer.bias.grad.numpy(), g.numpy().sum(0), atol=1e-5)


def test_empty_inputs():
    weight = sp.tensor(np.ones(4, np.float32), requires_grad=True)
    y = sp.layer_norm(sp.zeros((0, 4)), 4, weight)
    assert y.shape == (0, 4)
