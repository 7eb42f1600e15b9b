"""Gradients of products in every orientation: the same bits however a factor lies in memory, and no copies in a step.

A weight that is used transposed, as in x @ weight.T, has its gradient computed in its own orientation; a weight that a
batch of matrices shares has one product over all rows. Start reading at ORIENTATIONS.
"""

from __future__ import annotations

import numpy as np
import pytest
import steep as sp

# How a (k, n) weight is made of a parameter: its shape, and the view.
ORIENTATIONS = {
    "plain": (lambda k, n: (k, n), lambda w: w),
    "T": (lambda k, n: (n, k), lambda w: w.T),
    "mT": (lambda k, n: (n, k), lambda w: w.mT),
    "permute_dims": (lambda k, n: (n, k), lambda w: sp.permute_dims(w, (1, 0))),
    "twice": (lambda k, n: (k, n), lambda w: w.T.T),
    "part": (lambda k, n: (n + 3, k), lambda w: w[3:].T),
}


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def parameter(orientation, k, n):
    """A parameter, and its view of shape (k, n), which holds the same numbers in every orientation."""
    shape, view = ORIENTATIONS[orientation]
    values = np.zeros(shape(k, n), np.float32)
    numbers = draw(k, n, seed=1)
    if orientation == "part":
        values[3:] = numbers.T
    else:
        values[...] = numbers if values.shape == (k, n) and orientation in ("plain", "twice") else numbers.T
    leaf = sp.tensor(values, requires_grad=True)
    return leaf, view(leaf)


def as_weight(orientation, gradient):
    gradient = gradient.numpy()
    if orientation == "part":
        assert not gradient[:3].any()
        return gradient[3:].T
    return gradient if orientation in ("plain", "twice") else gradient.T


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("shape", [(5,), (2, 7), (3, 2, 5), (1, 1, 4), (0, 3)], ids=str)
def test_gradients_have_the_same_bits_in_every_orientation(orientation, shape):
    k, n = 6, 9
    found = {}
    for name in ("plain", orientation):
        x = sp.tensor(draw(*shape, k), requires_grad=True)
        leaf, weight = parameter(name, k, n)
        (sp.tanh(x @ weight) * sp.tensor(draw(*shape, n, seed=2))).sum().backward()
        found[name] = as_weight(name, leaf.grad), x.grad.numpy()
    for mine, plain in zip(found[orientation], found["plain"], strict=True):
        np.testing.assert_array_equal(mine, plain)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_gradients_of_a_left_factor_have_the_same_bits(orientation):
    y = sp.tensor(draw(9, 4))
    found = []
    for name in ("plain", orientation):
        leaf, weight = parameter(name, 6, 9)
        sp.exp(weight @ y).sum().backward()
        found.append(as_weight(name, leaf.grad))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_second_derivatives(orientation):
    shape, view = ORIENTATIONS[orientation]
    x = sp.tensor(draw(2, 3, 4).astype(np.float64))
    w = sp.tensor(draw(*shape(4, 5)).astype(np.float64))
    sp.testing.check_grads(lambda x, w: sp.tanh(x @ view(w)), (x, w), order=2)


@pytest.mark.parametrize("orientation", ["plain", "T", "mT", "permute_dims"])
@pytest.mark.parametrize("lead", [(), (3,), (2, 3)], ids=str)
def test_a_step_copies_nothing(orientation, lead):
    """Neither the weight, nor its gradient, nor a sum over the batch."""
    leaf, _ = parameter(orientation, 6, 9)
    _, view = ORIENTATIONS[orientation]
    x = sp.tensor(draw(*lead, 8, 6))
    optimizer = sp.optim.SGD([leaf], 0.1)

    @sp.compile
    def step(x):
        loss = (x @ view(leaf)).sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    step(x)
    step(x)
    ops = [line.split("=", 1)[1].split("(")[0].strip() for line in str(step.program).splitlines() if " = " in line]
    assert ops.count("matmul") == 2 and "copy" not in ops, str(step.program)
    assert ops.count("sum") == 1, "the weight's gradient is one product, not a sum of products"


@pytest.mark.parametrize("cut", [np.s_[:, :, :4], np.s_[:, ::2], np.s_[::2], np.s_[..., ::-1]], ids=str)
def test_leading_dimensions_are_one_product_wherever_strides_allow(cut):
    x, w = draw(4, 6, 8), None
    part = x[cut]
    w = draw(part.shape[-1], 5, seed=1)
    found = (sp.tensor(x)[cut] @ sp.tensor(w)).numpy()
    np.testing.assert_array_equal(found, (sp.tensor(np.ascontiguousarray(part)) @ sp.tensor(w)).numpy())


@pytest.mark.parametrize("shape", [(1, 2, 1, 4, 5), (2, 1, 4, 5), (3, 1, 1, 5), (2, 1, 2, 1, 3)], ids=str)
def test_a_leading_dimension_of_size_one_says_nothing_about_the_rows(shape):
    """Its stride is arbitrary: rows that are not evenly spaced are no single product."""
    x, w = draw(*shape), draw(shape[-2], 3, seed=1)
    found = (sp.moveaxis(sp.tensor(x), -2, -1) @ sp.tensor(w)).numpy()
    wanted = np.moveaxis(x, -2, -1) @ w
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
