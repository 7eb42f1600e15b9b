"""Rows 31 and 40 to 52 of docs/notes.md: the network of two layers, complete.

x0 = (1, .1), y = .5, W0 = [[1, -3], [.2, 1]], W1 = (1, -1), tanh, L = (x3 - y)^2 / 2, eta = -.2. There a gradient with
respect to a matrix is the transpose of steep's (rows 26 and 47).
"""

from __future__ import annotations

from functools import cache, partial
from itertools import pairwise
from typing import Any

import numpy as np

import steep as sp
from steep import optim
from steep._core import Tensor
from steep.selftest.basics import constant
from steep.selftest.check import Check

X0, Y = constant([1, 0.1]), 0.5
W0, W1 = np.array([[1.0, -3.0], [0.2, 1.0]]), np.array([1.0, -1.0])


def forward(weights: list[Tensor]) -> list[Tensor]:
    """x1, x2, x3 and the loss."""
    x1 = weights[0] @ X0
    x2 = sp.tanh(x1)
    x3 = sp.vecdot(weights[1], x2)
    return [x1, x2, x3, 0.5 * (x3 - Y) ** 2]


@cache
def example() -> dict[str, Any]:
    """Every number of the example by name, from one tape."""
    weights = [sp.tensor(W0), sp.tensor(W1)]
    with sp.GradientTape() as tape:
        tape.watch(weights)
        x1, x2, x3, loss = forward(weights)
    gradients = tape.gradient(loss, [x3, x2, x1, *weights])
    names = ["dx3", "dx2", "dx1", "dw0", "dw1"]
    return {"x1": x1, "x2": x2, "x3": x3, "loss": loss, **dict(zip(names, gradients, strict=True))}


@cache
def trained(steps: int, lr: float = 0.2, up: bool = False) -> list[Any]:
    """The weights after ``steps``, and x3 and the loss there."""
    weights = [sp.tensor(W0), sp.tensor(W1)]
    go = optim.maximize if up else optim.minimize
    go(lambda w: forward(w)[-1], weights, partial(optim.SGD, lr=lr), steps)
    return [*weights, *forward(weights)[2:]]


def printed_update() -> list[Any]:
    """Row 31: W + eta (dJ/dW)^T with eta = -.2, the gradient in numerator layout."""
    return [W0 + -0.2 * np.asarray(example()["dw0"].T).T, W1 + -0.2 * np.asarray(example()["dw1"])]


def _printed_minus_sgd() -> float:
    pairs = zip(printed_update(), trained(1), strict=False)
    return max(float(np.abs(ours - np.asarray(theirs)).max()) for ours, theirs in pairs)


def untransposed() -> Any:
    """Row 49 as typed: the update with the matrix that should have been transposed."""
    return W0 - 0.2 * np.asarray(example()["dw0"]).T


def _transposed(name: str) -> Any:
    return example()[name].T


def _losses() -> list[float]:
    return [float(trained(2)[3]) * 1e3, float(trained(10)[3]) * 1e6]


def _monotone() -> float:
    losses = [float(example()["loss"]), *(float(trained(steps)[3]) for steps in range(1, 11))]
    return float(all(after < before for before, after in pairwise(losses)))


NUMERATOR = [[-0.11866129, 0.17108013], [-0.01186613, 0.01710801]]
UNTRANSPOSED = [[1.02373226, -3.03421603], [0.20237323, 0.9965784]]
NEXT_W0 = [[1.02373226, -2.99762677], [0.16578397, 0.9965784]]

CHECKS: list[Check] = [
    Check(31, "W + eta (dJ/dW)^T, eta -.2, minus SGD at lr .2", _printed_minus_sgd, 0, 0),
    Check(40, "x1 = W0 x0", lambda: example()["x1"], [0.7, 0.3], 1e-7),
    Check(41, "x2 = tanh(x1)", lambda: example()["x2"], [0.60436778, 0.29131261], 1e-7),
    Check(42, "x3 = W1 x2", lambda: example()["x3"], 0.31305516, 1e-7),
    Check(43, "L", lambda: example()["loss"], 0.01747419, 1e-7),
    Check(44, "dL/dx3", lambda: example()["dx3"], -0.18694484, 1e-7),
    Check(45, "dL/dx2", lambda: example()["dx2"], [-0.18694484, 0.18694484], 1e-7),
    Check(46, "dL/dx1 (printed -.1186: truncated)", lambda: example()["dx1"], [-0.11866129, 0.17108013], 1e-7),
    Check(47, "dL/dW0, numerator layout", lambda: _transposed("dw0"), NUMERATOR, 1e-7),
    Check(48, "dL/dW1 (factor -.18694, not as printed)", lambda: example()["dw1"], [-0.11298343, -0.05445939], 1e-7),
    Check(49, "as typed: W0 - .2 x the untransposed matrix", untransposed, UNTRANSPOSED, 1e-7),
    Check(50, "W0 after the step", lambda: trained(1)[0], NEXT_W0, 1e-7),
    Check(51, "W1 after the step", lambda: trained(1)[1], [1.02259669, -0.98910812], 1e-7),
    Check(52, "x3 and L after the step", lambda: trained(1)[2:], [0.37680442, 0.00758857], 1e-7),
    Check(52, "L x 1e3 and 1e6 after 2 and 10 steps", _losses, [3.27910377, 3.75153985], 1e-7),
    Check(52, "L x 1e21 after 50 steps, 1 digit", lambda: float(trained(50)[3]) * 1e21, 6.7, 1e-1),
    Check(52, "L falls at every one of ten steps", _monotone, 1, 0),
    Check(52, "L after a step of gradient ascent", lambda: trained(1, up=True)[3], 0.03137503, 1e-7),
]
