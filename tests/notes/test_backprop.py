"""Rows 26 to 34, 38, 39 and 83 of docs/notes.md: layouts, chain rule, second order, subgradients, inputs."""

from pathlib import Path

import numpy as np
import pytest
import steep as sp
from numeric import arr, differences, variable
from steep import _core
from steep.optim import SGD

RNG = np.random.default_rng(11)
SUBGRADIENT_PAGE = (Path(__file__).resolve().parents[2] / "docs" / "ops.md").read_text().split("## Subgradients")[1]
BOTH = pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-10), (np.float32, 1e-5)])


def tensor(value, dtype=np.float64):
    return sp.tensor(np.asarray(value, dtype))


def test_row_26_numerator_layout():
    a, x = tensor(RNG.normal(size=(2, 4))), tensor(RNG.normal(size=4))
    jacobian = sp.jacobian(lambda v: sp.tanh(a @ v))(x)
    assert jacobian.shape == (2, 4)
    assert np.allclose(arr(jacobian), (1 - np.tanh(arr(a) @ arr(x)) ** 2)[:, None] * arr(a), rtol=0, atol=1e-12)
    matrix = tensor(RNG.normal(size=(3, 5)))
    gradient = sp.grad(lambda m: sp.sum(sp.sin(m)))(matrix)
    assert gradient.shape == matrix.shape and gradient.T.shape == (5, 3)
    assert np.allclose(arr(gradient.T), np.cos(arr(matrix)).T, rtol=0, atol=1e-12)
    assert sp.grad(lambda v: sp.sum(v))(x).shape == x.shape
    assert "numerator layout" in sp.jacobian.__doc__


@BOTH
def test_row_27_one_by_two_times_two_by_four(dtype, tolerance):
    a, x = tensor(RNG.normal(size=(2, 4)), dtype), tensor(RNG.normal(size=4), dtype)

    def g(v):
        return sp.tanh(a @ v)

    def f(u):
        return (u[0] * sp.exp(u[1])).reshape(1)

    outer, inner, whole = sp.jacobian(f)(g(x)), sp.jacobian(g)(x), sp.jacobian(lambda v: f(g(v)))(x)
    assert (outer.shape, inner.shape, whole.shape) == ((1, 2), (2, 4), (1, 4))
    assert np.allclose(arr(outer @ inner), arr(whole), rtol=0, atol=tolerance)


def products(out):
    """Vector-Jacobian products (one for each op and input) that the backward pass from ``out`` takes."""
    before = _core._rules_run()
    out.backward()
    return _core._rules_run() - before


@pytest.mark.parametrize("length", [1, 5, 40])
def test_row_28_a_chain_takes_one_product_for_each_layer(length):
    out = variable(0.5)
    for _ in range(length):
        out = sp.sin(out)
    assert products(out) == length


@pytest.mark.parametrize("length", [1, 5, 40])
def test_row_28_layers_with_parameters_share_what_is_above_them(length):
    """One product for each layer's input and one for its parameter: 2 L, not L (L + 1) / 2."""
    thetas = [variable(1 + 0.01 * i) for i in range(length)]
    x = variable(0.5)
    out = x
    for theta in thetas:
        out = out * theta
    assert products(out) == 2 * length
    total = 0.5 * np.prod([float(t) for t in thetas])
    assert [float(t.grad) for t in thetas] == pytest.approx([total / float(t) for t in thetas], rel=1e-12)


LAYERS = {
    "linear": (lambda x, w: w @ x, [(5,), (3, 5)]),
    "bias": (lambda x, b: x + b, [(4,), (4,)]),
    "tanh": (sp.tanh, [(4,)]),
    "relu": (sp.relu, [(4,)]),
    "softmax": (sp.softmax, [(4,)]),
    "squared error": (lambda x, y: sp.sum((x - y) ** 2), [(4,), (4,)]),
}


@pytest.mark.parametrize("name", LAYERS)
def test_row_29_each_layer_alone_forward_and_both_pullbacks(name):
    layer, shapes = LAYERS[name]
    inputs = [tensor(RNG.normal(size=shape)) for shape in shapes]
    out, pullback = sp.vjp(layer, *inputs)
    assert np.array_equal(arr(out), arr(layer(*inputs)))
    g_out = tensor(RNG.normal(size=out.shape))
    for x, g in zip(inputs, pullback(g_out), strict=True):
        expected = differences(lambda: sp.sum(layer(*inputs) * g_out), x)
        assert g.shape == x.shape
        assert np.allclose(arr(g), expected, rtol=1e-6, atol=1e-8)


def test_row_29_three_steps_by_hand_are_what_the_engine_does():
    thetas, x, y = [RNG.normal(size=(4, 4)) for _ in range(3)], RNG.normal(size=4), RNG.normal(size=4)

    def loss(weights):
        v = tensor(x)
        for w in weights:
            v = sp.tanh(w @ v)
        return sp.sum((v - y) ** 2)

    values = [x]
    for theta in thetas:
        values.append(np.tanh(theta @ values[-1]))
    g, by_hand = 2 * (values[-1] - y), []
    for theta, below, above in zip(thetas[::-1], values[-2::-1], values[::-1], strict=False):
        inner = g * (1 - above**2)
        by_hand.append(np.outer(inner, below))
        g = inner @ theta
    found = sp.grad(loss)([tensor(t) for t in thetas])
    assert all(np.allclose(arr(a), b, rtol=0, atol=1e-10) for a, b in zip(found, by_hand[::-1], strict=True))


@BOTH
def test_row_30_the_linear_layer(dtype, tolerance):
    w, x_in, g_out = (tensor(RNG.normal(size=s), dtype) for s in ((3, 5), (5, 1), (1, 3)))
    _, pullback = sp.vjp(lambda w, x: w @ x, w, x_in)
    dw, dx = pullback(g_out.T)
    g_in, product = g_out @ w, x_in @ g_out
    assert g_in.shape == (1, 5) and product.shape == (5, 3)
    assert np.allclose(arr(dx.T), arr(g_in), rtol=0, atol=tolerance)
    assert np.allclose(arr(dw.T), arr(product), rtol=0, atol=tolerance)
    by_x = sp.jacobian(lambda x: w @ x)(x_in).reshape(3, 5)
    assert np.array_equal(arr(by_x), arr(w))
    by_w = arr(sp.jacobian(lambda w: (w @ x_in).reshape(3))(w))
    assert np.allclose(by_w, np.einsum("ik,j->ikj", np.eye(3), arr(x_in)[:, 0]), rtol=0, atol=tolerance)


def test_row_31_plus_eta_with_a_negative_eta_is_sgd():
    start, data = RNG.normal(size=(2, 3)), RNG.normal(size=3)
    w = variable(start)
    (0.5 * sp.sum(sp.tanh(w @ tensor(data)) ** 2)).backward()
    numerator, eta = arr(w.grad).T, -0.2
    printed = start + eta * numerator.T
    SGD(w, lr=0.2).step()
    assert np.array_equal(arr(w), printed)
    with pytest.raises(ValueError, match="maximize"):
        SGD(w, lr=-0.2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_row_32_the_worked_mlp(dtype):
    w1, w2, x = tensor([[1, -1], [2, 0]], dtype), tensor([1, 1], dtype), tensor([1, 2], dtype)
    with sp.GradientTape() as tape:
        tape.watch(x)
        z = w1 @ x
        h = sp.relu(z)
        yhat = w2 @ h
        loss = sp.sum((yhat - 0) ** 2)
    g1, g2, g3, g4 = (arr(g).tolist() for g in tape.gradient(loss, [yhat, h, z, x]))
    assert (arr(z).tolist(), arr(h).tolist(), float(yhat), float(loss)) == ([-1, 2], [0, 2], 2, 4)
    assert (g1, g2, g3, g4) == (4, [4, 4], [0, 4], [8, 0])


def test_row_33_zeroth_first_and_second_order():
    def f(v):
        return v[0] ** 2 + 3 * v[0] * v[1]

    v = tensor([1, 2])
    value, gradient = sp.value_and_grad(f)(v)
    assert float(value) == 7 and arr(gradient).tolist() == [8, 3]
    assert arr(sp.hessian(f)(v)).tolist() == [[2, 3], [3, 0]]


def test_row_33_hessian_vector_product_against_differences_of_the_gradient():
    a = tensor(RNG.normal(size=(4, 6)))
    x, d = RNG.normal(size=6), RNG.normal(size=6)

    def f(v):
        return sp.logsumexp(sp.tanh(a @ v))

    step = 1e-5
    up, down = (arr(sp.grad(f)(tensor(x + s * step * d))) for s in (1, -1))
    product = arr(sp.hvp(f, tensor(x), tensor(d)))
    assert np.allclose(product, (up - down) / (2 * step), rtol=1e-5, atol=1e-8)
    assert np.allclose(product, arr(sp.hessian(f)(tensor(x))) @ d, rtol=0, atol=1e-10)


def derivatives(f, *at):
    found = sp.grad(lambda *args: sp.sum(f(*args)), tuple(range(len(at))))(*(tensor(a) for a in at))
    return [arr(g).tolist() for g in found]


SUBGRADIENTS = {
    "relu": (sp.relu, [0.0], [0]),
    "abs": (sp.abs, [0.0], [0]),
    "sign": (sp.sign, [[2.0, 0.0, -1.0]], [[0, 0, 0]]),
    "floor": (sp.floor, [0.5], [0]),
    "leaky_relu": (sp.leaky_relu, [0.0], [0.01]),
    "clip": (lambda x: sp.clip(x, 0, 1), [0.0], [1]),
    "maximum": (sp.maximum, [1.0, 1.0], [0.5, 0.5]),
    "minimum": (sp.minimum, [1.0, 1.0], [0.5, 0.5]),
    "max": (sp.max, [[2.0, 2.0, 1.0]], [[0.5, 0.5, 0]]),
    "min": (sp.min, [[2.0, 1.0, 1.0]], [[0, 0.5, 0.5]]),
    "norm": (sp.norm, [[0.0, 0.0]], [[0, 0]]),
    "std": (sp.std, [[3.0, 3.0]], [[0, 0]]),
}


@pytest.mark.parametrize("name", SUBGRADIENTS)
def test_row_34_subgradients_are_what_the_table_says(name):
    f, at, expected = SUBGRADIENTS[name]
    assert derivatives(f, *at) == expected
    written = {row["name"]: row["subgradient"] for row in _core._op_table()}[name]
    assert written and f"| `{name}` | {written} |" in SUBGRADIENT_PAGE


def program(w, x):
    """A hidden node and an output that depends on it."""
    hidden = w @ x
    return hidden, sp.sum(sp.tanh(hidden) ** 2)


def test_row_38_any_node_or_edge_of_one_program():
    w, x = tensor(RNG.normal(size=(3, 2))), tensor(RNG.normal(size=2))
    with sp.GradientTape() as tape:
        tape.watch([w, x])
        hidden, out = program(w, x)
    by_w, by_hidden, by_x = tape.gradient(out, [w, hidden, x])
    node = tensor(arr(hidden))
    for found, variable_, fun in (
        (by_w, w, lambda: program(w, x)[1]),
        (by_x, x, lambda: program(w, x)[1]),
        (by_hidden, node, lambda: sp.sum(sp.tanh(node) ** 2)),
    ):
        assert np.allclose(arr(found), differences(fun, variable_), rtol=1e-6, atol=1e-9)


def test_row_39_parameters_and_input_from_one_backward_walk():
    w, x = variable(RNG.normal(size=(3, 2))), variable(RNG.normal(size=2))
    counts = []
    for wanted in ([w], [x], [w, x]):
        with sp.GradientTape() as tape:
            out = program(w, x)[1]
        before = _core._rules_run()
        found = tape.gradient(out, wanted)
        counts.append(_core._rules_run() - before)
    by_w, by_x, both = counts
    assert both == by_x + 1 < by_w + by_x  # all but the one product for w is shared with the way to x
    assert np.allclose(arr(found[1]), arr(sp.grad(lambda v: program(w, v)[1])(x)), rtol=0, atol=1e-12)


def test_row_83_the_adversarial_signal_is_the_input_gradient_at_the_shifted_point():
    w1, w2 = tensor(RNG.normal(size=(6, 4))), tensor(RNG.normal(size=(3, 6)))
    x, r = tensor(RNG.normal(size=4)), tensor(0.1 * RNG.normal(size=4))
    for j in range(3):

        def score(v, j=j):
            return (w2 @ sp.relu(w1 @ v))[j]

        by_r, by_x = sp.grad(lambda d: score(x + d))(r), sp.grad(score)(x + r)
        assert np.allclose(arr(by_r), arr(by_x), rtol=0, atol=1e-12)
        assert np.abs(arr(by_x)).max() > 0
