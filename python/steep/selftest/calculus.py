"""Rows 32 to 34, 38, 39, 83 and 102 of docs/notes.md: backpropagation by hand, second order, subgradients, inputs.

Everything is small enough to check by hand.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import steep as sp
from steep._core import Tensor
from steep.selftest.basics import constant
from steep.selftest.check import Check

W1, W2, X = constant([[1, -1], [2, 0]]), constant([1, 1]), constant([1, 2])


def mlp() -> dict[str, Any]:
    """Row 32: z = W1 x, h = relu(z), yhat = W2 h, J = yhat^2, and the gradients g1 to g4 of yhat, h, z, x."""
    x = sp.tensor(np.asarray(X))
    with sp.GradientTape() as tape:
        tape.watch(x)
        z = W1 @ x
        h = sp.relu(z)
        yhat = W2 @ h
        loss = yhat**2
    g1, g2, g3, g4 = tape.gradient(loss, [yhat, h, z, x])
    return {"forward": [*np.asarray(z), *np.asarray(h), yhat, loss], "g1": g1, "g2": g2, "g3": g3, "g4": g4}


def quadratic(v: Tensor) -> Tensor:
    """x^2 + 3 x y."""
    return v[0] ** 2 + 3 * v[0] * v[1]


def derivatives(f: Any, *at: float) -> list[float]:
    """Derivatives of a function of numbers with respect to each of them."""
    return [float(g) for g in sp.grad(f, tuple(range(len(at))))(*(constant(a) for a in at))]


def _ties() -> list[float]:
    return [*derivatives(sp.maximum, 1.0, 1.0), *np.asarray(sp.grad(sp.max)(constant([2.0, 2.0, 1.0])))]


def parameter_and_input() -> list[float]:
    """Rows 38 and 39: the gradients of a parameter, a node and the input of y = sum(tanh(w x))."""
    w, x = sp.tensor(np.float64(0.5)), sp.tensor(np.float64(0.8))
    with sp.GradientTape() as tape:
        tape.watch([w, x])
        node = w * x
        y = sp.tanh(node)
    return [float(g) for g in tape.gradient(y, [w, node, x])]


def _shifted_minus_moved() -> float:
    """dy/dr of y(x + r) minus dy/dx at x + r."""
    w = constant([[0.3, -1.2, 0.5], [0.7, 0.1, -0.4]])
    x, r = constant([0.2, -0.1, 0.4]), constant([0.05, 0.02, -0.03])

    def score(v: Tensor) -> Tensor:
        return sp.sum(sp.tanh(w @ v))

    by_r, by_x = sp.grad(lambda d: score(x + d))(r), sp.grad(score)(x + r)
    return float(np.abs(np.asarray(by_r - by_x)).max())


def _printed() -> list[float]:
    """Row 102: what Dive into Deep Learning prints in 2.4 and 2.5: a quotient, a value and its gradient."""
    quotient = (3 * 1.1**2 - 4 * 1.1 + 1) / 0.1
    value, gradient = sp.value_and_grad(lambda v: 2 * sp.vecdot(v, v))(constant([0, 1, 2, 3]))
    return [round(quotient, 5), float(value), *np.asarray(gradient)]


def _detached() -> Tensor:
    """Row 102: the gradient of u x with u = x^2 detached is u, not 3 x^2."""
    return sp.grad(lambda v: sp.sum((v * v).detach() * v))(constant([0, 1, 2, 3]))  # type: ignore[no-any-return]


def _flow(a: Tensor) -> Tensor:
    """Row 102's function with a loop and a branch, linear in between."""
    b = a * 2
    while float(sp.norm(b.detach())) < 1000:
        b = b * 2
    return b if float(b.detach()) > 0 else 100 * b


def _flow_minus_ratio() -> float:
    points = [constant(a) for a in (0.37, -1.6, 250.0)]
    return max(abs(float(sp.grad(_flow)(a)) - float(_flow(a)) / float(a)) for a in points)


SECH2 = 1 / np.cosh(0.4) ** 2

CHECKS: list[Check] = [
    Check(32, "z, h, yhat, J of the worked MLP", lambda: mlp()["forward"], [-1, 2, 0, 2, 2, 4]),
    Check(32, "g1", lambda: mlp()["g1"], 4),
    Check(32, "g2", lambda: mlp()["g2"], [4, 4]),
    Check(32, "g3", lambda: mlp()["g3"], [0, 4]),
    Check(32, "g4", lambda: mlp()["g4"], [8, 0]),
    Check(33, "Hessian of x^2 + 3xy", lambda: sp.hessian(quadratic)(constant([1, 2])), [[2, 3], [3, 0]]),
    Check(33, "Hessian times (1, -1)", lambda: sp.hvp(quadratic, constant([1, 2]), constant([1, -1])), [-1, 3]),
    Check(
        34,
        "relu'(0), abs'(0), sign'(2)",
        lambda: [*derivatives(sp.relu, 0), *derivatives(sp.abs, 0), *derivatives(sp.sign, 2)],
        [0, 0, 0],
    ),
    Check(34, "ties of maximum and max share equally", _ties, [0.5, 0.5, 0.5, 0.5, 0]),
    Check(38, "of a parameter, a node and the input", parameter_and_input, [0.8 * SECH2, SECH2, 0.5 * SECH2]),
    Check(
        39, "parameter and input in one backward pass", lambda: parameter_and_input()[::2], [0.8 * SECH2, 0.5 * SECH2]
    ),
    Check(102, "as printed: a quotient, 2 x . x, its gradient", _printed, [2.3, 28, 0, 4, 8, 12]),
    Check(102, "of u x with u = x^2 detached", _detached, [0, 1, 4, 9]),
    Check(102, "of a loop and a branch, minus f(a) / a", _flow_minus_ratio, 0, 1e-12),
    Check(83, "dy/dr at x + r minus dy/dx there", _shifted_minus_moved, 0, 1e-12),
]
