"""Gradients through compiled functions: at every call, with respect to arguments and captured leaves, to second order.

Start at ``agree``, which compares with the plain function.
"""

import numpy as np
import pytest
import steep as sp
from test_compile import bits

rng = np.random.default_rng(17)


def normal(*shape, grad=False):
    return sp.tensor(rng.standard_normal(shape).astype("f4"), requires_grad=grad)


def agree(transform, f, make, calls=4):
    """``transform`` of the compiled function against ``transform`` of the plain one, on fresh arguments.

    To rounding: a pullback of its own adds up in another order.
    """
    fast = sp.compile(f)
    through, plain = transform(fast), transform(f)
    for _ in range(calls):
        args = make()
        same(through(*args), plain(*args))
    return fast


def same(got, wanted):
    for a, b in zip(sp.tree.leaves(got), sp.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5, atol=1e-6)


def two(x, y):
    return (sp.tanh(x) * y * x).sum()


TRANSFORMS = {
    "grad": lambda f: sp.grad(lambda x, y: f(x, y) * 2),
    "both": lambda f: sp.value_and_grad(f, (0, 1)),
    "second": lambda f: sp.grad(lambda x, y: (sp.grad(f)(x, y) ** 2).sum()),
    "hvp": lambda f: lambda x, y: sp.hvp(lambda z: f(z, y), (x,), (y,)),
    "jvp": lambda f: lambda x, y: sp.jvp(f, (x, y), (y, x)),
    "vjp": lambda f: lambda x, y: sp.vjp(f, x, y)[1](sp.tensor(2.0)),
    "hessian": lambda f: lambda x, y: sp.hessian(lambda z: f(z, y))(x),
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_transforms_of_compiled_functions(transform):
    agree(transform, two, lambda: (normal(4), normal(4)))


def leaf_gradients(f, *leaves):
    def run(*args):
        for leaf in leaves:
            leaf.grad = None
        y = f(*args)
        y.backward()
        return y.detach(), [leaf.grad for leaf in leaves]

    return run


def test_backward_reaches_captured_leaves_at_every_call():
    w, b = normal(5, 3, grad=True), normal(3, grad=True)
    agree(lambda f: leaf_gradients(f, w, b), lambda x: sp.relu(x @ w + b).sum(), lambda: (normal(2, 5),))


def test_backward_reaches_a_module_and_an_argument():
    model = sp.nn.Sequential(sp.nn.Linear(4, 8), sp.nn.Tanh(), sp.nn.Linear(8, 1))
    x = normal(3, 4, grad=True)
    fast = sp.compile(model)

    def run(f):
        def loss():
            return (f(x) ** 2).sum()

        return leaf_gradients(loss, x, *model.parameters())()

    for _ in range(3):
        assert bits(run(fast)) == bits(run(model))


def test_training_with_a_compiled_forward_pass():
    def train(wrap):
        rng = np.random.default_rng(0)
        w = sp.tensor(rng.standard_normal((4, 2)).astype("f4"), requires_grad=True)
        optimizer = sp.optim.Adam([w], 0.05)
        forward = wrap(lambda x: sp.tanh(x @ w))
        for _ in range(30):
            optimizer.zero_grad()
            (forward(sp.tensor(rng.standard_normal((3, 4)).astype("f4"))) ** 2).mean().backward()
            optimizer.step()
        return bits(w)

    assert train(sp.compile) == train(lambda f: f)


def test_second_order_by_a_captured_leaf():
    w = normal(3, grad=True)

    def transform(f):
        def run(x):
            w.grad = None
            with sp.GradientTape() as outer:
                with sp.GradientTape() as inner:
                    y = f(x)
                grad = inner.gradient(y, w)
                total = (grad * grad).sum()
            return y.detach(), outer.gradient(total, w)

        return run

    agree(transform, lambda x: (sp.exp(w * x) * w).sum(), lambda: (normal(3),))


def test_several_results_of_which_some_have_graphs():
    w = normal(3, grad=True)

    def f(x):
        y = w * x
        return {"y": y, "rest": [y.detach() * 2, x, w, x[1:], None, (y * y).sum()]}

    def transform(f):
        def run(x):
            w.grad = None
            out = f(x)
            (out["y"].sum() + out["rest"][5] * 2 + out["rest"][2].sum()).backward()
            return out, w.grad

        return run

    agree(transform, f, lambda: (normal(3),))


def test_a_view_of_an_argument_and_a_plain_argument():
    agree(lambda f: sp.grad(lambda x: (f(x, 2) ** 2).sum()), lambda x, k: x[k:], lambda: (normal(5),))


def test_a_compiled_function_of_a_compiled_gradient():
    w = normal(3, grad=True)
    inner = sp.compile(lambda x: (w * x * x).sum())
    outer = sp.compile(sp.grad(inner))
    for _ in range(3):
        x = normal(3)
        same(outer(x), sp.grad(lambda x: (w * x * x).sum())(x))


def test_an_update_between_call_and_backward_is_refused():
    w, x = normal(3, grad=True), normal(3)
    fast = sp.compile(lambda x: (w * w * x).sum())
    for _ in range(3):
        y = fast(x)
    with sp.no_grad():
        w += 1
    with pytest.raises(sp.GradientError, match="written in place"):
        y.backward()
    y, keep = fast(x), x.copy()
    x += 1
    with pytest.raises(sp.GradientError, match="place"):
        y.backward()
    fast(keep).backward()


def test_a_step_with_effects_has_no_graph_and_says_so():
    w = normal(3, grad=True)
    optimizer = sp.optim.SGD([w], 0.1)

    def step(x):
        optimizer.zero_grad()
        loss = (w * x).sum()
        loss.backward()
        optimizer.step()
        return loss, w

    fast = sp.compile(step)
    for _ in range(3):
        loss, same = fast(normal(3))
        assert same is w or bits(same) == bits(w)
        assert not loss.requires_grad
        with pytest.raises(sp.GradientError, match="compiled function that updates tensors in place"):
            loss.backward()
        assert "compiled function" in sp.explain(loss, w)


def test_a_loop_that_ignores_gradients_keeps_nothing():
    w = normal(50, grad=True)
    fast = sp.compile(lambda x: sp.tanh(x * w))
    x = normal(50)
    for _ in range(5):
        fast(x)
    nodes, before = sp._core.live_nodes(), sp.memory_report()["allocations"]
    for _ in range(100):
        fast(x)
    assert sp._core.live_nodes() <= nodes
    assert sp.memory_report()["allocations"] == before


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_a_gradient_lies_in_memory_as_it_does_eagerly(order):
    """Sums over an axis add in memory's order: gradients that lie differently have sums of other bits."""
    x = normal(17, 40)
    parts = [
        lambda w: sp.square(w).sum(),
        lambda w: sp.tanh(x @ (w.T * 2)).sum(),
        lambda w: sp.tanh(x @ (w.T * 3)).sum(),
    ]

    def f(w):
        g = sp.grad(lambda w: sum(parts[i](w) for i in order))(w)
        return g, g.mean(axis=-1), g.sum(axis=0)

    w = normal(30, 40)
    fast = sp.compile(f)
    for _ in range(3):
        assert bits(fast(w)) == bits(f(w))
