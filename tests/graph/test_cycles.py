"""Reference cycles through gradient rules: Python's garbage collector frees them, and what is still in use stays.

A rule in Python may hold tensors of its own graph: results kept in a list that the rule reads, residuals, layers. Nodes
alive are counted, so the tests are exact; tests/trust measures bytes per step.
"""

from __future__ import annotations

import gc

import numpy as np
import pytest
import steep as sp


def leaf(n: int = 3) -> sp.Tensor:
    x = sp.ones((n,))
    x.requires_grad = True
    return x


def holding(box: list, residual=None):
    """v -> 2v, by a rule that holds ``box``."""

    @sp.custom_vjp
    def double(v):
        return v * 2

    double.defvjp(lambda v: (v * 2, residual(v) if residual else None), lambda r, g: (g * 2 if box is not None else g,))
    return double


def result_of_custom_vjp():
    box: list = []
    box.append(holding(box)(leaf()))


def what_follows_it():
    box: list = []
    y = holding(box)(leaf())
    box.append(sp.exp(y * y) + y)


def a_diamond_of_two():
    box: list = []
    f, x = holding(box), leaf()
    a, b = f(x), f(x)
    box += [a, b, a * b, (a + b).sum()]


def residuals_with_graphs():
    box: list = []
    f, x = holding(box, residual=lambda v: (v, v * 3)), leaf()
    box += [x, f(f(f(x)))]


def many_results():
    box: list = []
    pair = sp.custom_vjp(lambda v: (v, v * 2))
    pair.defvjp(lambda v: ((v, v * 2), box), lambda r, g: (g[0] + g[1] * 2,))
    box.extend(pair(leaf()))


def a_join_of_many():
    box: list = []
    f, x = holding(box), leaf()
    box.append(sp.concat([f(x) for _ in range(6)]))


def result_of_checkpoint():
    box: list = []
    f = sp.checkpoint(lambda v: v * v if box is not None else v)
    box.append(sp.tanh(f(sp.tanh(f(leaf())))))


def checkpoint_of_what_it_captured():
    box: list = []
    w = leaf() * 2
    f = sp.checkpoint(lambda v: (v * w, box)[0])
    box.append(f(leaf()))


def gradient_rule_of_an_op():
    box: list = []
    with sp.gradient_rule("multiply", lambda g, inputs, out: (g, g) if box is not None else None):
        x = leaf()
        box.append(x * x * x + 1)


def rule_on_a_graph_of_rules():
    box: list = []
    y = holding(box)(leaf())
    with sp.gradient_rule("relu", lambda g, inputs, out: g if box is not None else None):
        box.append(sp.relu(y))


def views_and_detached_aliases():
    box: list = []
    y = holding(box)(leaf())
    box += [y[1:], y.reshape((3, 1)), y.detach()]


def a_tape():
    box: list = []
    tape = sp.GradientTape()
    with tape:
        x = sp.ones((3,))
        tape.watch(x)
        y = holding(box)(x)
    box += [tape, y, tape.gradient(y, x)]


def a_transform_inside():
    box: list = []
    f = holding(box)
    box.append(sp.grad(lambda v: (f(v) * f(v)).sum())(leaf()))
    box.append(sp.vjp(f, leaf()))


def after_backward():
    box: list = []
    x = leaf()
    y = holding(box)(x)
    y.sum().backward(retain_graph=True)
    box += [x, x.grad, y]


def an_exception():
    box: list = []
    y = holding(box)(leaf())
    try:
        sp.add(y, sp.ones((7,)))
    except ValueError as error:
        box += [error, y]


def an_array_that_holds_its_tensor():
    class Holder(np.ndarray):
        pass

    a = np.ones(3).view(Holder)
    a.tensor = sp.asarray(a)
    a.node = holding([a])(leaf())


CYCLES = [
    result_of_custom_vjp,
    what_follows_it,
    a_diamond_of_two,
    residuals_with_graphs,
    many_results,
    a_join_of_many,
    result_of_checkpoint,
    checkpoint_of_what_it_captured,
    gradient_rule_of_an_op,
    rule_on_a_graph_of_rules,
    views_and_detached_aliases,
    a_tape,
    a_transform_inside,
    after_backward,
    an_exception,
    an_array_that_holds_its_tensor,
]


def left_after(work) -> tuple[int, int]:
    """Nodes and bytes of tensors left by one call, after one before it for what is kept once."""
    work()
    gc.collect()
    before = sp.live_nodes(), sp.memory_report()["live_bytes"]
    for _ in range(3):
        work()
    gc.collect()
    return sp.live_nodes() - before[0], sp.memory_report()["live_bytes"] - before[1]


@pytest.mark.parametrize("work", CYCLES, ids=lambda f: f.__name__)
def test_a_cycle_is_freed(work):
    assert left_after(work) == (0, 0)


def test_what_is_reachable_stays():
    """The collector looks at every stage of a graph that is in use, and changes nothing."""
    kept, box = [], []
    f = holding(box, residual=lambda v: v)
    x = leaf()
    y = f(x)
    box.append(y)
    kept.append(sp.sin(y * y).sum())
    del y
    expected = 8 * np.cos(4.0) * np.ones(3)
    for _ in range(3):
        gc.collect()
        assert sp.live_nodes() > 0
    kept.pop().backward()
    gc.collect()
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(f(leaf()).numpy(), 2 * np.ones(3))


def test_a_collection_in_the_middle_of_a_rule():
    box: list = []

    @sp.custom_vjp
    def f(v):
        return v * 2

    def backward(residuals, g):
        gc.collect()
        return (g * 2,)

    f.defvjp(lambda v: (v * 2, (v, box)), backward)
    x = leaf()
    y = f(f(x))
    box.append(y)
    y.sum().backward()
    assert x.grad.tolist() == [4.0, 4.0, 4.0]


def test_a_finaliser_that_uses_the_graph():
    """What a finaliser may still reach is whole; if it keeps it, it stays."""
    saved = []

    class Keeper:
        def __del__(self):
            saved.append((self.y * 1, self.x))

    box: list = []
    keeper = Keeper()
    keeper.x = leaf()
    keeper.y = holding(box)(keeper.x)
    box.append(keeper)
    del keeper, box
    gc.collect()
    y, x = saved.pop()
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]


def test_ordinary_tensors_are_not_tracked():
    x = leaf()
    assert not any(gc.is_tracked(t) for t in (x, x * x, (x * x).detach(), sp.ones((2,))))
    assert gc.is_tracked(holding([])(x))


def test_a_collection_at_every_allocation():
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for work in CYCLES:
            work()
    finally:
        gc.set_threshold(*before)
