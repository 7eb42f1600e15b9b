"""Rows 13 to 16, 36 and 37 of docs/notes.md: what optimisers do on f = w^2/2 from w = 1, step by step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

import steep as sp
from steep import optim
from steep._core import Tensor
from steep.optim.loop import Make
from steep.selftest.check import Check


def half_square(w: Tensor) -> Tensor:
    """w^2/2."""
    return w * w / 2


def iterates(make: Make, steps: int) -> list[float]:
    """w after each step, the start first."""
    w, seen = sp.tensor(np.float64(1.0)), [1.0]
    optim.minimize(half_square, w, make, steps, callback=lambda p: seen.append(float(w)))
    return seen


def steps_until(make: Make, target: float) -> int:
    """Steps until the loss is at most ``target``."""
    w = sp.tensor(np.float64(1.0))
    return optim.minimize(half_square, w, make, 10_000, callback=lambda p: float(half_square(w)) <= target).steps


def looped(move: Callable[[float, float], tuple[float, float]], steps: int) -> list[float]:
    """w and a memory updated by a line of the notes as printed: ``move(gradient, memory)`` gives change and memory."""
    w, memory, seen = sp.tensor(np.float64(1.0)), 0.0, [1.0]
    for _ in range(steps):
        change, memory = move(float(sp.grad(half_square)(w)), memory)
        w = w + change
        seen.append(float(w))
    return seen


def literal(momentum: float, steps: int, lr: float = 0.1) -> list[float]:
    """The momentum code as printed (row 14): its velocity has the wrong sign."""

    def move(gradient: float, past: float) -> tuple[float, float]:
        velocity = past * momentum + lr * gradient
        return momentum * velocity - lr * gradient, velocity

    return looped(move, steps)


def brake(steps: int) -> list[float]:
    """Row 36 with m the previous update itself: it brakes."""

    def move(gradient: float, update: float) -> tuple[float, float]:
        update = -0.1 * gradient - 0.9 * update
        return update, update

    return looped(move, steps)


def _literal_steps() -> int:
    return next(i for i, w in enumerate(literal(0.1, 100)) if w * w / 2 <= 0.01)


def _diverges() -> float:
    w = sp.tensor(1.0)
    return float(optim.minimize(half_square, w, partial(optim.SGD, lr=2.1), 5000).diverged)


def _radius() -> list[float]:
    """abs of the eigenvalues of one step of heavy ball on (w, velocity), alpha .02, beta .99."""
    columns = []
    for start, velocity in ((1.0, 0.0), (0.0, 1.0)):
        w = sp.tensor(np.float64(start))
        opt = optim.SGD(w, 0.02, momentum=0.99)
        state = opt.state_dict()
        state["slots"][0]["velocity"][...] = velocity
        opt.load_state_dict(state)
        optim.minimize(half_square, w, opt, 1)
        columns.append([float(w), float(opt.state_dict()["slots"][0]["velocity"])])
    return [float(value) for value in np.abs(np.linalg.eigvals(np.array(columns).T))]


SGD, PLAIN = optim.SGD, partial(optim.SGD, lr=0.1)
KERAS = partial(SGD, lr=0.1, nesterov=True, formulation="keras")
TENTH, NINE_TENTHS = partial(KERAS, momentum=0.1), partial(KERAS, momentum=0.9)
ADAGRAD = (partial(optim.AdaGrad, lr=0.1), partial(optim.AdaGrad, lr=0.1, formulation="keras"))
RMSPROP = (partial(optim.RMSProp, lr=0.01), partial(optim.RMSProp, lr=0.001, formulation="keras"))
COUNTS = (PLAIN, partial(SGD, lr=0.1, momentum=0.1, nesterov=True), partial(SGD, lr=0.1, momentum=0.1))
RATIO = (partial(SGD, lr=0.01), partial(SGD, lr=0.5))
BALL, SLOW = partial(SGD, lr=0.1, momentum=0.9), partial(SGD, lr=0.02, momentum=0.99)

CHECKS: list[Check] = [
    Check(13, "lr .01 takes over ten times the steps of .5", lambda: float(_ratio() > 10), 1, 0),
    Check(13, "lr 2.1 diverges and is reported", _diverges, 1, 0),
    Check(14, "literal momentum .1", lambda: literal(0.1, 5), [1, 0.91, 0.8291, 0.755491, 0.688427, 0.627317], 5e-7),
    Check(14, "its steps to a loss of .01", _literal_steps, 22, 0),
    Check(14, "plain, Nesterov, heavy ball", lambda: [steps_until(m, 0.01) for m in COUNTS], [19, 17, 17], 0),
    Check(14, "literal momentum .9", lambda: literal(0.9, 3), [1, 0.99, 1.0611, 1.20358], 5e-6),
    Check(14, "it diverges: w_100", lambda: literal(0.9, 100)[-1], 7.30e8, 1e-3),
    Check(15, "Nesterov .1", lambda: iterates(TENTH, 5), [1, 0.89, 0.7911, 0.703089, 0.624859, 0.555333], 5e-7),
    Check(15, "Nesterov .9", lambda: iterates(NINE_TENTHS, 5), [1, 0.81, 0.5751, 0.327321, 0.093888, -0.104582], 5e-7),
    Check(16, "AdaGrad", lambda: iterates(ADAGRAD[0], 5)[1:], [0.9, 0.833104, 0.780456, 0.736223, 0.697715], 5e-7),
    Check(16, "AdaGrad, Keras", lambda: iterates(ADAGRAD[1], 4)[1:], [0.904654, 0.839339, 0.787513, 0.743783], 5e-7),
    Check(16, "RMSProp", lambda: iterates(RMSPROP[0], 4)[1:], [0.9, 0.832918, 0.779982, 0.735389], 5e-7),
    Check(16, "RMSProp, Keras", lambda: iterates(RMSPROP[1], 3)[1:], [0.996838, 0.994547, 0.992631], 5e-7),
    Check(36, "heavy ball: m = -(previous update)", lambda: iterates(BALL, 4), [1, 0.9, 0.72, 0.486, 0.2268]),
    Check(36, "a brake: m = +(previous update)", lambda: brake(5), [1, 0.9, 0.9, 0.81, 0.81, 0.729]),
    Check(37, "spectral radius, alpha .02, beta .99", _radius, [0.9949874371, 0.9949874371], 1e-7),
    Check(37, "w(2000)", lambda: iterates(SLOW, 2000)[-1] * 1e5, 2.665, 5e-4),
]


def _ratio() -> float:
    slow, fast = (steps_until(make, 1e-6) for make in RATIO)
    return slow / fast
