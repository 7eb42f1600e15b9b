"""Rows 4, 8, 9, 17, 19, 20, 21 and 24 of docs/notes.md: tapes, difference quotients, and small graphs."""

from functools import partial

import numpy as np
import pytest
import steep as sp
from numeric import arr, differences, variable
from steep import _core, nn, tree
from steep.optim import SGD, minimize

BOTH = pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-10), (np.float32, 1e-5)])


def tensor(value, dtype=np.float64):
    return sp.tensor(np.asarray(value, dtype))


@BOTH
def test_row_4_ascent_on_watched_variables(dtype, tolerance):
    variables = [tensor([1, 2], dtype), tensor(3, dtype)]
    with sp.GradientTape() as tape:
        tape.watch(variables)
        value = sp.sum(variables[0] ** 2) + variables[1] ** 2
    gradients = tape.gradient(value, variables)
    moved = tree.map(lambda v, g: v + 0.1 * g, variables, gradients)
    assert np.allclose(arr(moved[0]), [1.2, 2.4], rtol=0, atol=tolerance)
    assert float(moved[1]) == pytest.approx(3.6, abs=tolerance)


def test_row_4_a_constant_that_is_not_watched_has_no_gradient():
    x = tensor([1, 2])
    with sp.GradientTape() as tape:
        value = sp.sum(x * x)
    assert tape.gradient(value, x) is None


def test_row_4_the_printed_line_is_a_type_error_on_python_lists():
    variables, gradients, learning_rate = [1.0, 2.0], [0.5, -0.5], 0.1
    with pytest.raises(TypeError):
        variables += learning_rate * gradients


@pytest.mark.parametrize("name", ["0.weight", "0.bias", "2.weight", "2.bias"])
def test_row_8_one_coefficient_varied_the_others_frozen(name):
    source = sp.random.Generator(3)
    model = nn.Sequential(
        nn.Linear(4, 5, generator=source, dtype=sp.float64),
        nn.Tanh(),
        nn.Linear(5, 3, generator=source, dtype=sp.float64),
    )
    x, y = np.random.default_rng(0).normal(size=(6, 4)), np.arange(6) % 3
    nn.cross_entropy(model(x), y).backward()
    parameter = dict(model.named_parameters())[name]
    expected = differences(lambda: nn.cross_entropy(model(x), y), parameter, 1e-5)
    assert np.abs(arr(parameter.grad) / expected - 1).max() <= 1e-6  # of every coefficient

    def loss(value):
        first, last = model[0], model[2]
        weights = {**dict(model.named_parameters()), name: value}
        hidden = sp.tanh(tensor(x) @ weights["0.weight"].T + weights["0.bias"])
        assert (first.weight.shape, last.weight.shape) == ((5, 4), (3, 5))
        return nn.cross_entropy(hidden @ weights["2.weight"].T + weights["2.bias"], y)

    sp.check_grads(loss, (parameter.detach(),), rtol=1e-6)


def test_row_9_the_tangent_holds_only_close_by():
    x = tensor(0.7)
    value, derivative = sp.value_and_grad(sp.tanh)(x)
    scaled = [abs(float(sp.tanh(x + e)) - float(value) - float(derivative) * e) / e**2 for e in (0.1, 0.01, 0.001)]
    assert np.allclose(scaled, [0.38050, 0.38340, 0.38360], rtol=0, atol=5e-6)
    limit = abs(float(sp.grad(sp.grad(sp.tanh))(x))) / 2
    assert limit == pytest.approx(0.383616, abs=5e-7)
    assert [abs(s - limit) for s in scaled] == sorted((abs(s - limit) for s in scaled), reverse=True)


@BOTH
def test_row_17_a_chain_is_a_product_of_jacobians(dtype, tolerance):
    a, b, c = sp.sin, sp.exp, lambda v: sp.tanh(v @ tensor([[0.3, -0.2], [0.5, 0.1], [0.7, 0.4]], dtype))
    x = tensor([0.3, -0.5, 0.2], dtype)
    whole = sp.jacobian(lambda v: a(b(c(v))))(x)
    parts = sp.jacobian(a)(b(c(x))) @ sp.jacobian(b)(c(x)) @ sp.jacobian(c)(x)
    assert np.allclose(arr(whole), arr(parts), rtol=0, atol=min(tolerance, 1e-12 if dtype == np.float64 else 1))


def test_row_17_of_three_sets_of_weights():
    def loss(w1, w2, w3):
        return sp.tanh(w1 * sp.exp(w2 * sp.sin(w3)))

    w1, w2, w3 = 0.4, -0.3, 0.9
    c = np.sin(w3)
    b = np.exp(w2 * c)
    outer = 1 - np.tanh(w1 * b) ** 2
    found = sp.grad(loss, (0, 1, 2))(*map(tensor, (w1, w2, w3)))
    assert [float(g) for g in found] == pytest.approx(
        [outer * b, outer * w1 * b * c, outer * w1 * b * w2 * np.cos(w3)], abs=1e-12
    )


def graph(x, w, b, y_true=4):
    """x1 = x w, x2 = x1 + b, loss = abs(y_true - x2), with every node."""
    x1 = x * w
    x2 = x1 + b
    return x1, x2, sp.abs(y_true - x2)


def worked(dtype=np.float64):
    x, w, b = (tensor(v, dtype) for v in (2, 3, 1))
    with sp.GradientTape() as tape:
        tape.watch([x, w, b])
        x1, x2, loss = graph(x, w, b)
    return (x1, x2, loss), tape.gradient(loss, {"x2": x2, "x1": x1, "b": b, "w": w, "x": x})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_row_19_the_worked_graph(dtype):
    values, gradients = worked(dtype)
    assert [float(v) for v in values] == [6, 7, 3]
    assert {name: float(g) for name, g in gradients.items()} == {"x2": 1, "x1": 1, "b": 1, "w": 2, "x": 3}


def test_row_19_a_step_lowers_the_loss():
    w, b = tensor(3), tensor(1)
    minimize(lambda p: graph(tensor(2), *p)[-1], [w, b], partial(SGD, lr=0.1), 1)
    assert [float(w), float(b)] == pytest.approx([2.8, 0.9], abs=1e-12)
    assert float(graph(tensor(2), w, b)[-1]) == pytest.approx(2.5, abs=1e-12)


def test_s3_bias_slip():
    """Row 20: the notes print grad(loss_val, b) = 1 * 1 = 2; one times one is one."""
    assert float(worked()[1]["b"]) == 1


def test_row_21_contributions_of_paths_add_up():
    assert float(sp.grad(lambda x: x * x + x)(tensor(3))) == 7
    x = tensor(0.5)
    left, right, top = np.cos(0.5), -np.sin(0.5), lambda v: sp.sin(v) * sp.cos(v)
    assert float(sp.grad(top)(x)) == pytest.approx(left * np.cos(0.5) + right * np.sin(0.5), abs=1e-12)
    w, data = tensor([[0.5, -0.3], [0.2, 0.7]]), tensor([1, 2])
    shared = sp.grad(lambda w: sp.sum(sp.tanh(w @ sp.tanh(w @ data))))(w)
    apart = sp.grad(lambda u, v: sp.sum(sp.tanh(u @ sp.tanh(v @ data))), (0, 1))(w, w)
    assert np.allclose(arr(shared), arr(apart[0]) + arr(apart[1]), rtol=0, atol=1e-12)


def nodes_below(root):
    found, waiting = {}, [root]
    while waiting:
        node = waiting.pop()
        if node is not None and node.sequence not in found:
            found[node.sequence] = node
            waiting += node.inputs
    return list(found.values())


def test_row_24_nodes_come_after_what_they_use():
    x = variable([0.3, 0.7])
    y = sp.sum(sp.sin(x) * sp.exp(x) + x)
    nodes = nodes_below(_core._node_of(y))
    assert {"sum", "sin", "exp", "multiply", "add"} <= {node.name for node in nodes}
    assert all(below.sequence < node.sequence for node in nodes for below in node.inputs if below is not None)


def test_row_24_each_node_is_visited_once():
    x = variable(1.0)
    y, levels = x, 40
    for _ in range(levels):
        y = y + y
    before = _core._rules_run()
    y.backward()
    assert _core._rules_run() - before == 2 * levels  # a product for each operand, not for each of 2^40 paths
    assert float(x.grad) == 2.0**levels


def test_row_24_what_would_make_a_cycle_raises():
    x = variable([1.0, 2.0])
    y = x * 2
    attempts = [lambda: y.__iadd__(y), lambda: y.__setitem__(0, y[1]), lambda: y[:1].__iadd__(1), lambda: x.__iadd__(y)]
    for attempt in attempts:
        with pytest.raises(sp.GradientError, match=r"in place|no_grad"):
            attempt()
    with sp.no_grad(), pytest.raises(sp.GradientError, match="part of a graph"):
        y[...] = sp.sin(y)
    y.sum().backward()
    assert np.array_equal(arr(x.grad), [2, 2])
