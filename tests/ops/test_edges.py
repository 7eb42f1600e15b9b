"""Values and derivatives at the edges: flat parts under infinite derivatives, tails, huge and tiny, equal numbers.

Each was a fault once. A derivative is right where the function is constant, whatever stands behind it; and where its
formula would square, cancel or round away what it needs. Start reading at FLAT.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import steep as sp

F = sp.nn.functional
FLOATS = ("float32", "float64")

# Functions that are 0 around v = -1, and what may follow them: each has an infinite derivative at 0.
FLAT = {
    "relu": sp.relu,
    "relu6": lambda v: sp.nn.ReLU6()(v),
    "leaky_relu": lambda v: sp.leaky_relu(v, 0.0),
    "elu": lambda v: sp.elu(v, 0.0),
    "prelu": lambda v: sp.prelu(v, sp.zeros((), dtype=v.dtype)),
    "hardsigmoid": lambda v: sp.hardsigmoid(v - 4),
    "hardswish": lambda v: sp.hardswish(v - 4),
    "maximum": lambda v: sp.maximum(0.0, v),
    "minimum": lambda v: -sp.minimum(-v, 0.0),
    "max": lambda v: sp.max(sp.stack([v, sp.zeros_like(v)]), axis=0),
    "min": lambda v: -sp.min(sp.stack([-v, sp.zeros_like(v)]), axis=0),
    "abs of relu": lambda v: sp.abs(sp.relu(v)),
    "copysign": lambda v: sp.copysign(sp.relu(v), 1.0),
    "remainder": lambda v: sp.remainder(sp.zeros((), dtype=v.dtype), v + 3),
    "power 0": lambda v: v**0.0 - 1,
    "power of 1": lambda v: sp.ones((), dtype=v.dtype) ** v - 1,
    "power of 0": lambda v: sp.zeros((), dtype=v.dtype) ** (v + 3),
    "clip": lambda v: sp.clip(v, 0.0, 6.0),
}
BEHIND = {
    "sqrt": sp.sqrt,
    "log": sp.log,
    "rsqrt": sp.rsqrt,
    "power": lambda u: u**0.25,
    "acosh": lambda u: sp.acosh(u + 1),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("flat", FLAT)
def test_a_flat_part_has_the_derivative_zero(flat, behind, dtype, compiled):
    def f(v):
        return sp.sum(BEHIND[behind](FLAT[flat](v)))

    v = sp.full((19,), -1.0, dtype=dtype)
    once, again = sp.grad(f), sp.grad(lambda u: sp.sum(sp.grad(f)(u)))  # the second goes by the rules written in ops
    if compiled:
        once, again = sp.compile(once), sp.compile(again)
    for g in (once(v), again(v), sp.jvp(f, (v,), (sp.ones_like(v),))[1]):
        np.testing.assert_array_equal(g.numpy(), np.zeros(g.shape))


def test_zero_factors_keep_their_mixed_derivatives():
    """d2/da db of a^b at b = 0 is 1/a, at a = 1 it is 1; of prelu with respect to x and weight it is 1 below 0."""
    mixed = lambda f, a, b: sp.grad(lambda y: sp.grad(f)(a, y))(b).item()  # noqa: E731
    a, zero, one = (sp.tensor(x, dtype="float64") for x in (2.0, 0.0, 1.0))
    assert mixed(sp.pow, a, zero) == 0.5
    assert mixed(sp.pow, one, a) == 1.0
    assert mixed(sp.prelu, -one, zero) == 1.0


# name, its derivative in float64, where
DERIVATIVES = {
    "tanh": (sp.tanh, lambda x: 1 / np.cosh(x) ** 2, [0.1, -3, 4, 4.5, 5, 9, -15, 40]),
    "sigmoid": (sp.sigmoid, lambda x: np.exp(-abs(x)) / (1 + np.exp(-abs(x))) ** 2, [0.1, -9, 7, 20, 60, -80]),
    "expm1": (sp.expm1, np.exp, [0.1, -9, -20, -60]),
    "asinh": (sp.asinh, lambda x: 1 / np.hypot(x, 1), [0.5, 1e5, -1e10, 1.1e10, 1e20, -1e30]),
    "acosh": (sp.acosh, lambda x: 1 / (np.sqrt(x - 1) * np.sqrt(x + 1)), [1.5, 1.0001, 1e10, 1e30]),
    "atan": (sp.atan, lambda x: (1 / x) / (x + 1 / x), [0.5, -1e9, 1e11, 1e18]),
    "asin": (sp.asin, lambda x: 1 / np.sqrt((1 - x) * (1 + x)), [0.5, 0.99999, -0.9999999]),
    "acos": (sp.acos, lambda x: -1 / np.sqrt((1 - x) * (1 + x)), [0.5, 0.99999, -0.9999999]),
    "atanh": (sp.atanh, lambda x: 1 / ((1 - x) * (1 + x)), [0.5, 0.99999, -0.9999999]),
    "erfc": (sp.erfc, lambda x: -2 / np.sqrt(np.pi) * np.exp(-(x**2)), [-1, 0.3, 4, 8]),
    "gelu": (
        sp.gelu,
        lambda x: 0.5 * math.erfc(-x / math.sqrt(2)) + x * np.exp(-(x**2) / 2) / math.sqrt(2 * np.pi),
        [0.5, -3, -5, -8, -11],
    ),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_keep_their_digits_in_the_tails(name, dtype):
    f, derivative, points = DERIVATIVES[name]
    x = np.array(points, dtype)
    exact = np.array([derivative(float(v)) for v in x])
    rtol = 1e-3 if dtype == "float32" else 1e-12  # 1 - y of a y close to 1
    first = sp.grad(lambda t: sp.sum(f(t)))(sp.tensor(x)).numpy()
    recorded = sp.jvp(lambda t: sp.grad(lambda u: sp.sum(f(u)))(t), (sp.tensor(x),), (sp.zeros_like(sp.tensor(x)),))
    np.testing.assert_allclose(first, exact, rtol=rtol)
    np.testing.assert_allclose(recorded[0].numpy(), exact, rtol=rtol)


@pytest.mark.parametrize("scale", [1e-25, 1e-3, 1e25])
def test_the_angle_of_a_tiny_and_of_a_huge_point(scale):
    y, x = (sp.tensor(np.float32(v * scale)) for v in (3, 4))
    by_y, by_x = sp.grad(sp.atan2, (0, 1))(y, x)
    np.testing.assert_allclose([by_y.item() * scale, by_x.item() * scale], [4 / 25, -3 / 25], rtol=1e-5)


def test_gelu_keeps_its_digits_where_erf_is_close_to_minus_one():
    x = np.linspace(-12, 2, 999)
    exact = x * np.array([math.erfc(-v / math.sqrt(2)) / 2 for v in x])
    np.testing.assert_allclose(sp.gelu(sp.tensor(x)).numpy(), exact, rtol=1e-13)
    narrow = x.astype("float32")
    exact = narrow * np.array([math.erfc(-float(v) / math.sqrt(2)) / 2 for v in narrow])
    np.testing.assert_allclose(sp.gelu(sp.tensor(narrow)).numpy(), exact, rtol=6e-7)


CONSTANTS = (0.1, 1.0, 1e3 + 0.1, 1e5 + 0.1, 1e10)
NORMS = {
    "batch": lambda x: F.batch_norm(x, None, None, training=True),
    "layer": lambda x: sp.layer_norm(x, x.shape[1:]),
    "group": lambda x: sp.group_norm(x, 3),
    "instance": lambda x: sp.instance_norm(x),
    "standardised by hand": lambda x: (x - sp.mean(x)) * 0 + sp.std(x),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("value", CONSTANTS)
@pytest.mark.parametrize("name", NORMS)
def test_equal_numbers_have_no_spread(name, value, dtype):
    for shape in ((32, 3), (7, 6, 5), (5, 3, 11, 13)):
        if name == "instance" and len(shape) < 3:
            continue
        x = sp.full(shape, value, dtype=dtype)
        y, tangent = sp.jvp(NORMS[name], (x,), (sp.ones_like(x),))
        np.testing.assert_array_equal(y.numpy(), np.zeros(shape))
        assert np.isfinite(tangent.numpy()).all()


@pytest.mark.parametrize("p", [0.25, 0.5, 1, 1.5, 2, 3, 7, -1, -2, math.inf, -math.inf])
@pytest.mark.parametrize("dtype, scales", [("float32", (1e-38, 1e-30, 1, 1e30)), ("float64", (1e-300, 1, 1e300))])
def test_norms_of_any_scale(p, dtype, scales):
    v = np.array([[3.0, -4.0, 1.0], [0.5, 2.0, -1.0]])
    exact = np.linalg.norm(v, ord=p, axis=1) if p in (2, math.inf, -math.inf) else (abs(v) ** p).sum(1) ** (1 / p)
    for scale in scales:
        y, pull = sp.vjp(lambda t: sp.norm(t, ord=p, axis=1), sp.tensor((v * scale).astype(dtype)))
        rtol = 1e-5 if dtype == "float32" else 1e-12
        np.testing.assert_allclose(y.numpy() / np.dtype(dtype).type(scale), exact, rtol=rtol)
        g = pull(sp.ones_like(y))[0].numpy()
        np.testing.assert_allclose((g * v).sum(1), exact, rtol=1e-4)  # Euler: of degree 1


@pytest.mark.parametrize("p", [0, 0.5, 1, 2, 3, math.inf])
def test_the_norm_of_nothing_is_zero(p):
    assert sp.norm(sp.zeros((0,)), ord=p).item() == 0
    assert sp.norm(sp.zeros((2, 0)), ord=p, axis=1).numpy().tolist() == [0, 0]


def test_negative_norms():
    assert sp.norm(sp.tensor([np.inf, np.inf]), ord=-1).item() == np.inf
    assert sp.norm(sp.tensor([0.0, 5.0]), ord=-2).item() == 0
    with pytest.raises(ValueError, match="no elements"):
        sp.norm(sp.zeros((0,)), ord=-math.inf)


@pytest.mark.parametrize("p", [0.5, 0.9])
def test_norms_below_one_have_the_gradient_zero_at_a_zero(p):
    g = sp.grad(lambda t: sp.norm(t, ord=p))(sp.tensor([0.0, 1.0], dtype="float64")).numpy()
    np.testing.assert_allclose(g, [0, 1])


@pytest.mark.parametrize("dtype", FLOATS)
def test_running_sums_are_as_exact_as_sums(dtype):
    x = np.random.default_rng(0).uniform(0, 1, 300_000).astype(dtype)
    x[::7] *= 1e7
    exact = math.fsum(x)
    assert abs(sp.cumsum(sp.tensor(x))[-1].item() / exact - 1) < (1e-7 if dtype == "float32" else 1e-15)
    y = sp.cumsum(sp.tensor(np.array([1, np.inf, 1, -np.inf, 2], dtype))).numpy()
    np.testing.assert_array_equal(y, [1, np.inf, np.inf, np.nan, np.nan])


def test_the_gradient_of_a_running_product_takes_linear_memory():
    def peak(n):
        x = sp.tensor(np.ones(n), requires_grad=True)
        y = sp.sum(sp.cumprod(x))
        sp.reset_peak_memory()
        before = sp.memory_report()["live_bytes"]
        y.backward()
        return sp.memory_report()["peak_bytes"] - before

    assert peak(40_000) < 15 * peak(4_000)


@pytest.mark.parametrize("zeros", [(), (2,), (1, 3), (0, 4), (0, 1, 2, 3, 4)])
def test_running_products_with_zeros(zeros):
    x = np.array([1.5, -2.0, 0.5, 3.0, -1.0])
    x[list(zeros)] = 0
    sp.check_grads(lambda t: sp.cumprod(t), (sp.tensor(x),), order=2)


# --- losses


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_binary_cross_entropy_keeps_its_digits(label, dtype):
    x = np.linspace(-80, 80, 641).astype(dtype)
    right = x if label else -x
    exact = np.logaddexp(0, -right.astype("float64"))
    got = F.bce_with_logits(sp.tensor(x), sp.full_like(sp.tensor(x), label), reduction="none").numpy()
    np.testing.assert_allclose(got, exact, rtol=1e-6 if dtype == "float32" else 1e-14)


def test_binary_cross_entropy_has_the_gradient_sigmoid_less_label():
    x, y = sp.tensor(np.array([0.0, -1.0, 30.0, 2.0])), sp.tensor(np.array([0.3, 1.0, 1.0, 0.0]))
    g = sp.grad(lambda t: F.bce_with_logits(t, y, reduction="sum"))(x).numpy()
    np.testing.assert_allclose(g, [0.2, 1 / (1 + np.e) - 1, -1 / (1 + np.exp(30)), 1 / (1 + np.exp(-2))], rtol=1e-12)
    by_label = sp.grad(lambda t: F.bce_with_logits(x, t, reduction="sum"))(y).numpy()
    np.testing.assert_allclose(by_label, -x.numpy(), rtol=1e-12)
    sp.check_grads(lambda a, b: F.bce_with_logits(a, b), (x, y), order=2)


@pytest.mark.parametrize("x, y, loss", [(np.inf, 1, 0), (-np.inf, 0, 0), (np.inf, 0, np.inf), (-np.inf, 0.5, np.inf)])
def test_binary_cross_entropy_of_infinite_logits(x, y, loss):
    assert F.bce_with_logits(sp.tensor([x]), sp.tensor([float(y)])).item() == loss


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
def test_a_class_without_probability_may_be_impossible(loss):
    x = sp.tensor([[-np.inf, 0.0, 1.0]], dtype="float64")
    q = sp.tensor([[0.0, 0.25, 0.75]], dtype="float64")
    value, g = sp.value_and_grad(lambda t: loss(t, q))(x)
    assert np.isfinite(value.item()) and np.isfinite(g.numpy()).all()
    assert loss(x, sp.tensor([[0.5, 0.5, 0.0]])).item() == np.inf


PREDICTED = {"int64": [1, 0, 3], "uint8": [1, 0, 3], "bool": [True, False, True], "float32": [0.5, 0.25, 1.0]}


@pytest.mark.parametrize("target", ["float32", "float64"])
@pytest.mark.parametrize("predicted", PREDICTED)
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "bce_with_logits"])
def test_losses_promote_both_operands(name, predicted, target):
    p, t = np.array(PREDICTED[predicted], predicted), np.array([0.1, 0.75, 0.3], target)
    wide = getattr(F, name)(sp.tensor(p.astype("float64")), sp.tensor(t.astype("float64"))).item()
    loss = getattr(F, name)(sp.tensor(p), sp.tensor(t))
    assert loss.dtype == getattr(sp, target)
    assert abs(loss.item() / wide - 1) < (1e-6 if target == "float32" else 1e-14)


# --- random numbers and user-defined rules


@pytest.mark.parametrize("p", [0.5, 1.0])
@pytest.mark.parametrize("bad", [np.inf, np.nan, -1.0])
def test_what_is_dropped_is_zero(bad, p):
    x = sp.full((100,), bad)
    kept = F.dropout(sp.ones(100), p, sp.random.Generator(3)).numpy() != 0
    y, pull = sp.vjp(lambda t: F.dropout(t, p, sp.random.Generator(3)), x)
    assert (y.numpy()[~kept] == 0).all() and not np.signbit(y.numpy()[~kept]).any()
    np.testing.assert_array_equal(pull(sp.ones(100))[0].numpy(), kept / (1 - p) if p < 1 else np.zeros(100))


@pytest.mark.parametrize("compiled", [False, True])
def test_a_checkpointed_block_draws_the_same_numbers_again(compiled):
    def gradient(wrap):
        generator = sp.random.Generator(5)
        block = wrap(lambda t: F.dropout(t * t, 0.5, generator) * generator.normal(t.shape))

        def f(x):
            return sp.sum(block(block(x)))

        found = sp.compile(sp.grad(f)) if compiled else sp.grad(f)
        x = sp.linspace(0.5, 2, 50)
        return [found(x).numpy() for _ in range(3)], generator.position

    (plain, there), (again, here) = gradient(lambda f: f), gradient(sp.checkpoint)
    assert there == here
    for a, b in zip(plain, again, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-6)


def test_a_forward_rule_may_call_the_function_itself():
    @sp.custom_vjp
    def cube(x):
        return x**3

    cube.defvjp(lambda x: (cube(x), x), lambda x, g: (g * 3 * x * x,))
    x = sp.tensor(2.0)
    assert sp.grad(cube)(x).item() == 12
    assert sp.grad(sp.grad(cube))(x).item() == 12
    assert sp.grad(copy.deepcopy(cube))(x).item() == 12


def test_a_custom_rule_does_not_lose_a_gradient_silently():
    w = sp.tensor(2.0, requires_grad=True)

    @sp.custom_vjp
    def f(x):
        return x * w

    f.defvjp(lambda x: (x * w, None), lambda _, g: (g * 2,))
    assert sp.grad(f)(sp.tensor(3.0)).item() == 2  # w is not asked for
    with pytest.raises(sp.GradientError, match=r"custom_vjp f: .*make it an argument"):
        f(sp.tensor(3.0, requires_grad=True)).backward()
