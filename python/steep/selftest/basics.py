"""Rows 1 to 12, 17 to 31 and 35 of docs/notes.md: gradients, graphs and layers, small enough to check by hand."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import steep as sp
from steep import _core, nn, optim, tree
from steep._core import Tensor
from steep.random import Generator
from steep.selftest.check import Check


def variable(value: Any, dtype: Any = np.float64) -> Tensor:
    """A leaf that requires a gradient."""
    return sp.tensor(np.asarray(value, dtype), requires_grad=True)


def constant(value: Any) -> Tensor:
    """A float64 tensor."""
    return sp.tensor(np.asarray(value, np.float64))


def _descended(dtype: Any) -> Tensor:
    w = variable(1.0, dtype)
    (w**2).backward()
    assert w.grad is not None
    with sp.no_grad():
        w += -0.1 * w.grad
    return w


def _mlp() -> nn.Sequential:
    source = Generator(4)
    return nn.Sequential(nn.Linear(5, 6, generator=source), nn.ReLU(), nn.Linear(6, 3, generator=source))


def _by_tape(model: nn.Sequential, opt: optim.SGD, x: Any, y: Any) -> None:
    with sp.GradientTape() as tape:
        loss = nn.cross_entropy(model(x), y)
    trainable = model.parameters()
    opt.apply_gradients(zip(tape.gradient(loss, trainable), trainable, strict=True))


def _by_backward(model: nn.Sequential, opt: optim.SGD, x: Any, y: Any) -> None:
    opt.zero_grad()
    nn.cross_entropy(model(x), y).backward()
    opt.step()


def _tape_minus_backward() -> float:
    """The largest difference of any weight after ten steps by each of two ways."""
    x, y = Generator(0).normal((8, 5)), np.arange(8) % 3
    models = _mlp(), _mlp()
    for model, step in zip(models, (_by_tape, _by_backward), strict=True):
        opt = optim.SGD(model.parameters(), 0.1, momentum=0.9)
        for _ in range(10):
            step(model, opt, x, y)
    pairs = zip(*(model.parameters() for model in models), strict=True)
    return max(float(np.abs(np.asarray(a.detach()) - np.asarray(b.detach())).max()) for a, b in pairs)


def _penalty_gradient() -> Tensor:
    layer = nn.Linear(2, 1, bias=False, generator=0, dtype=sp.float64)
    layer.add_penalty(lambda m: 0.5 * sp.sum(m.weight**2))
    (sp.sum(layer(constant([0.0, 0.0]))) + sum(layer.losses())).backward()
    assert layer.weight.grad is not None
    return layer.weight.grad - layer.weight.detach()


def _ascent_of_a_list() -> Any:
    variables = [constant([1.0, 2.0]), constant(3.0)]
    with sp.GradientTape() as tape:
        tape.watch(variables)
        value = sp.sum(variables[0] ** 2) + variables[1] ** 2
    moved = tree.map(lambda v, g: v + 0.1 * g, variables, tape.gradient(value, variables))
    return [*np.asarray(moved[0]), float(moved[1])]


def _up_minus_down() -> float:
    x, y = constant([0.3, -1.2]), constant([0.3, -1.2])
    make = partial(optim.SGD, lr=0.1, momentum=0.9)
    optim.maximize(lambda v: sp.sum(sp.tanh(v) - 0.3 * v * v), x, make, 10)
    optim.minimize(lambda v: -sp.sum(sp.tanh(v) - 0.3 * v * v), y, make, 10)
    return float(np.abs(np.asarray(x) - np.asarray(y)).max())


def _linearisation_errors() -> list[float]:
    """Error / e^2 of y + a e at .7, for three e: the limit is half the second derivative of tanh."""
    x = constant(0.7)
    value, derivative = sp.value_and_grad(sp.tanh)(x)
    return [abs(float(sp.tanh(x + e)) - float(value) - float(derivative) * e) / e**2 for e in (0.1, 0.01, 0.001)]


def _rise_over(factor: float) -> float:
    """Whether w^2/2 increases in one step of ``factor``: its curvature is 1, so it does for steps above 2."""
    w = constant(1.0)
    optim.minimize(lambda v: v * v / 2, w, partial(optim.SGD, lr=factor), 1)
    return float(float(w) ** 2 > 1)


def _batch_minus_mean_of_singles() -> float:
    x, y = Generator(1).normal((6, 3), dtype=sp.float64), Generator(2).normal((6,), dtype=sp.float64)
    gradient = sp.grad(lambda w, rows, goal: sp.mean((rows @ w - goal) ** 2))
    w = constant([0.1, -0.2, 0.3])
    singles = np.mean([np.asarray(gradient(w, x[i : i + 1], y[i : i + 1])) for i in range(6)], axis=0)
    return float(np.abs(singles - np.asarray(gradient(w, x, y))).max())


def _chain_minus_product() -> float:
    a, b, c = sp.sin, sp.exp, sp.tanh
    x = constant([0.3, -0.5])
    whole = sp.jacobian(lambda v: a(b(c(v))))(x)
    parts = sp.jacobian(a)(b(c(x))) @ sp.jacobian(b)(c(x)) @ sp.jacobian(c)(x)
    return float(np.abs(np.asarray(whole - parts)).max())


def _logit_gradient(logits: Any) -> Tensor:
    return _grad_of(lambda z: nn.cross_entropy(z, sp.asarray([0]), reduction="sum"), logits)


def _grad_of(f: Any, x: Any) -> Tensor:
    gradient: Tensor = sp.grad(f)(constant(x))
    return gradient


def _worked_graph() -> list[float]:
    """x2 = x w + b, loss = abs(y - x2): loss and its gradients with respect to b, w and x."""
    loss, (dx, dw, db) = sp.value_and_grad(lambda x, w, b: sp.abs(4 - (x * w + b)), (0, 1, 2))(
        constant(2.0), constant(3.0), constant(1.0)
    )
    return [float(loss), float(db), float(dw), float(dx)]


def _after_the_step() -> list[float]:
    w, b = constant(3.0), constant(1.0)
    optim.minimize(lambda p: sp.abs(4 - (2 * p[0] + p[1])), [w, b], partial(optim.SGD, lr=0.1), 1)
    return [float(w), float(b), float(sp.abs(4 - (2 * w + b)))]


def _sum_over_mean() -> float:
    x, y = constant([[1.0, -2.0], [0.5, 3.0], [0.0, 1.0]]), np.array([0, 1, 1])
    total, mean = (_grad_of(lambda z, r=r: nn.cross_entropy(z, y, reduction=r), x) for r in ("sum", "mean"))
    return float(np.abs(np.asarray(total - 3 * mean)).max())


def _scheduled() -> list[float]:
    w, seen = constant(1.0), [1.0]
    make = partial(optim.SGD, lr=optim.schedules.inverse_time(1.0))
    optim.minimize(lambda v: v * v / 2, w, make, 2, callback=lambda p: seen.append(float(w)))
    return seen


def _rules_run(length: int) -> int:
    """Number of vector-Jacobian products for one gradient of a chain of ``length`` ops."""
    x = variable(0.5)
    y = x
    for _ in range(length):
        y = sp.sin(y)
    before = _core._rules_run()
    y.backward()
    return _core._rules_run() - before


def _fold_minus_sequential() -> float:
    model, x = _mlp(), Generator(3).normal((4, 5))
    out = x
    for layer in model:
        out = layer(out)
    return float(np.abs(np.asarray((out - model(x)).detach())).max())


def _composite() -> tuple[Any, Any, Any]:
    a = Generator(5).normal((2, 4), dtype=sp.float64)
    x = constant([0.1, -0.4, 0.7, 0.2])

    def g(v: Tensor) -> Tensor:
        return sp.tanh(a @ v)

    def f(u: Tensor) -> Tensor:
        return sp.reshape(u[0] * u[1], (1,))

    return sp.jacobian(f)(g(x)), sp.jacobian(g)(x), sp.jacobian(lambda v: f(g(v)))(x)


def _linear_layer() -> list[float]:
    """Shapes and values of the three products of a linear layer, W 3x5, against the engine's pullback."""
    w, x, g = (Generator(i).normal(s, dtype=sp.float64) for i, s in enumerate(((3, 5), (5, 1), (1, 3))))
    _, pullback = sp.vjp(lambda w, x: w @ x, w, x)
    dw, dx = pullback(g.T)
    return [float(np.abs(np.asarray(dx.T - g @ w)).max()), float(np.abs(np.asarray(dw.T - x @ g)).max())]


def _composite_error() -> float:
    outer, inner, whole = _composite()
    return float(np.abs(np.asarray(outer @ inner - whole)).max())


def _central_minus_gradient() -> float:
    """The largest relative difference over all weights of two layers, each varied while the others are fixed."""
    source = Generator(6)
    weights = [source.normal(shape, dtype=sp.float64) for shape in ((3, 2), (2, 3))]
    x, step = constant([0.4, -0.7]), 1e-5

    def loss(first: Any, second: Any) -> Tensor:
        return sp.sum((second @ sp.tanh(first @ x) - 1) ** 2)

    exact, found = sp.grad(loss, (0, 1))(*weights), []
    for k, weight in enumerate(weights):
        for index in np.ndindex(weight.shape):
            ends = []
            for sign in (1, -1):
                moved = [np.asarray(w).copy() for w in weights]
                moved[k][index] += sign * step
                ends.append(float(loss(*map(constant, moved))))
            found.append((ends[0] - ends[1]) / (2 * step) / float(exact[k][index]) - 1)
    return float(np.abs(found).max())


def _shapes() -> list[float]:
    """For a vector, a matrix and a stack of matrices: whether the gradient has their shape."""
    shapes = ((3,), (2, 3), (2, 3, 4))
    return [float(sp.grad(lambda w: sp.sum(sp.sin(w)))(sp.ones(shape)).shape == shape) for shape in shapes]


def _doubled(levels: int) -> list[float]:
    """Products for ``y = y + y`` over and over, and the derivative: nodes are visited once, not on each path."""
    x = variable(1.0)
    y = x
    for _ in range(levels):
        y = y + y
    before = _core._rules_run()
    y.backward()
    return [float(_core._rules_run() - before), float(x.grad)]  # type: ignore[arg-type]


def _by_hand_minus_engine() -> float:
    """Row 29's three steps for two layers of tanh, against one gradient."""
    first, second, x = (Generator(i).normal(s, dtype=sp.float64) for i, s in enumerate(((3, 3), (3, 3), (3,))))
    middle = np.tanh(np.asarray(first) @ np.asarray(x))
    top = np.tanh(np.asarray(second) @ middle)
    inner = 2 * top * (1 - top**2)
    below = (inner @ np.asarray(second)) * (1 - middle**2)
    found = sp.grad(lambda a, b: sp.sum(sp.tanh(b @ sp.tanh(a @ x)) ** 2), (0, 1))(first, second)
    by_hand = np.outer(below, np.asarray(x)), np.outer(inner, middle)
    return max(float(np.abs(np.asarray(g) - h).max()) for g, h in zip(found, by_hand, strict=True))


def _noise_exponent() -> float:
    """The exponent with which the variance of a batch's gradient falls with its size, 1 to 64."""
    source, sizes, gradients = Generator(1), (1, 4, 16, 64), []
    x, noise = source.normal((512,), dtype=sp.float64), source.normal((512,), dtype=sp.float64)
    each = np.asarray(sp.grad(lambda w: sp.sum((w * x - noise) ** 2))(sp.zeros(512, dtype=sp.float64)))
    for size in sizes:
        rows = np.asarray(source.integers(0, 512, (2000, size)))
        gradients.append(each[rows].mean(axis=1).var())
    return float(np.polyfit(np.log(sizes), np.log(gradients), 1)[0])


CHECKS: list[Check] = [
    Check(1, "w += -lr * gradient: w = 1, w^2, lr .1, float64", lambda: _descended(np.float64), 0.8, 0),
    Check(1, "the same in float32", lambda: _descended(np.float32), np.float32(0.8), 0),
    Check(2, "ten steps by tape and by backward(): largest difference", _tape_minus_backward, 0, 0),
    Check(3, "a penalty adds exactly its own gradient", _penalty_gradient, [[0, 0]], 0),
    Check(4, "ascent on a watched list of variables", _ascent_of_a_list, [1.2, 2.4, 3.6]),
    Check(5, "maximising f and minimising -f: largest difference", _up_minus_down, 0, 0),
    Check(6, "relu(W x + b)", lambda: sp.relu(constant([[1, 2], [3, -4]]) @ constant([1, 1]) + 0.5), [3.5, 0]),
    Check(8, "central differences of all weights / gradient - 1", _central_minus_gradient, 0, 1e-6),
    Check(9, "error / e^2 of the tangent of tanh at .7", _linearisation_errors, [0.38050, 0.38340, 0.38360], 5e-6),
    Check(10, "a gradient has the shape of its tensor", _shapes, [1, 1, 1], 0),
    Check(
        11,
        "a step below 2/L lowers the loss, one above raises it",
        lambda: [_rise_over(1.99), _rise_over(2.01)],
        [0, 1],
    ),
    Check(12, "batch gradient - mean of single gradients", _batch_minus_mean_of_singles, 0, 1e-12),
    Check(17, "Jacobian of a chain - product of Jacobians", _chain_minus_product, 0, 1e-12),
    Check(18, "logit gradient is softmax - onehot", lambda: _logit_gradient([[0.0, 0.0]]), [[-0.5, 0.5]]),
    Check(18, "and is finite for logits of 10,000", lambda: _logit_gradient([[-1e4, 1e4]]), [[-1, 1]]),
    Check(19, "worked graph: loss, then gradients with respect to b, w, x", _worked_graph, [3, 1, 2, 3]),
    Check(19, "after a step of .1: w, b, loss", _after_the_step, [2.8, 0.9, 2.5]),
    Check(20, "error of the notes: grad(loss, b) is 1, not 2", lambda: _worked_graph()[1], 1),
    Check(21, "paths add up: x*x + x at 3", lambda: _grad_of(lambda x: x * x + x, 3.0), 7),
    Check(22, "gradient of the sum - N times that of the mean", _sum_over_mean, 0, 1e-12),
    Check(23, "rate 1/(t+1) on w^2/2: w", _scheduled, [1, 0, 0]),
    Check(24, "y + y forty times over: products, derivative", lambda: _doubled(40), [80, 2.0**40], 0),
    Check(25, "Sequential - fold of its layers", _fold_minus_sequential, 0, 0),
    Check(26, "Jacobian of R^4 -> R^2: shape", lambda: list(_composite()[1].shape), [2, 4], 0),
    Check(27, "(1,2) @ (2,4) - Jacobian of the composite", _composite_error, 0, 1e-12),
    Check(28, "vector-Jacobian products for chains of 5 and 50", lambda: [_rules_run(5), _rules_run(50)], [5, 50], 0),
    Check(29, "three steps by hand - gradient, two layers", _by_hand_minus_engine, 0, 1e-12),
    Check(30, "linear layer: g W and x g against the pullback", _linear_layer, [0, 0], 1e-12),
    Check(35, "exponent of the variance over batch sizes 1 to 64", _noise_exponent, -1, 0.1),
]
