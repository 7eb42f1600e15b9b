"""NumPy's side of the workloads, the gradients written by hand: what a careful person gets without a library."""

from __future__ import annotations

import numpy as np
from workloads import ADAM_LR, BETAS, CHAIN_A, CHAIN_OPS, EPS, LR, MOMENTUM, Job, kinds_of

NAME = "numpy"


def set_threads(n):
    """OpenBLAS is told by the environment before it is loaded (bench/versus.py)."""


def overhead(inputs):
    x, b = inputs["x"], inputs["b"]

    def step():
        y = x
        for _ in range(CHAIN_OPS):
            y = y * b
        y.sum()
        g = np.ones_like(x)
        for _ in range(CHAIN_OPS):
            g = g * b
        return g

    return Job(step, lambda: [step()])


def momentum(params):
    velocity = [np.zeros_like(p) for p in params]

    def update(gradients):
        for p, v, g in zip(params, velocity, gradients, strict=True):
            v *= MOMENTUM
            v += g
            p -= LR * v

    return update


def adam(params):
    means, squares = ([np.zeros_like(p) for p in params] for _ in range(2))
    count, (first, second) = [0], BETAS

    def update(gradients):
        count[0] += 1
        rate, root = ADAM_LR / (1 - first ** count[0]), (1 - second ** count[0]) ** 0.5
        for p, m, s, g in zip(params, means, squares, gradients, strict=True):
            m *= first
            m += (1 - first) * g
            s *= second
            s += (1 - second) * g * g
            p -= rate * m / (np.sqrt(s) / root + EPS)

    return update


def mlp(inputs):
    weights = [[w.copy(), b.copy()] for w, b in inputs["weights"]]
    update = {"adam": adam, "sgd": momentum}[inputs["optimizer"]]([p for pair in weights for p in pair])
    x, target, tanh = inputs["x"], inputs["target"], inputs["activation"] == "tanh"
    rows = np.arange(len(x))

    def loss_and_gradient(y):
        if target.dtype == np.float32:
            error = y - target
            return (error * error).mean(), (2 / y.size) * error
        y = y - y.max(axis=1, keepdims=True)
        e = np.exp(y)
        s = e.sum(axis=1, keepdims=True)
        loss = (np.log(s[:, 0]) - y[rows, target]).mean()
        p = e / s
        p[rows, target] -= 1
        return loss, p / len(x)

    def backward():
        hs = [x]
        for w, b in weights[:-1]:
            z = hs[-1] @ w + b
            hs.append(np.tanh(z) if tanh else np.maximum(z, 0))
        loss, g = loss_and_gradient(hs[-1] @ weights[-1][0] + weights[-1][1])
        g = g.astype(np.float32)
        found = []
        for i in range(len(weights) - 1, -1, -1):
            found[:0] = [hs[i].T @ g, g.sum(axis=0)]
            if i:
                g = g @ weights[i][0].T
                g *= 1 - hs[i] ** 2 if tanh else hs[i] > 0
        return loss, found

    def step():
        loss, gradients = backward()
        update(gradients)
        return loss

    return Job(step, lambda: backward()[1])


def chain(inputs):
    x, a = inputs["x"], np.float32(CHAIN_A)

    def step():
        t = np.tanh(x * a + np.float32(0.5))
        r = t * 2 - x
        np.maximum(r, 0).sum()
        return (r > 0) * a * ((1 - t * t) * (2 * a) - 1)

    return Job(step, lambda: [step()])


def matmul(inputs):
    a, b, g = inputs["a"], inputs["b"], inputs["g"]

    def gradients():
        return [g @ b.swapaxes(-1, -2), a.swapaxes(-1, -2) @ g]

    return Job(lambda: (a @ b, *gradients()), gradients)


def product(inputs):
    a, b = inputs["a"], inputs["b"]
    return Job(lambda: a @ b, lambda: [a @ b])


def softmax(inputs):
    x, target = inputs["x"], inputs["target"]
    rows = np.arange(len(x))

    def step():
        e = np.exp(x - x.max(axis=1, keepdims=True))
        s = e.sum(axis=1, keepdims=True)
        np.log(s).mean()
        p = e / s
        p[rows, target] -= 1
        return p / len(x)

    return Job(step, lambda: [step()])


def layernorm(inputs):
    x, weight, bias, g = (inputs[k] for k in ("x", "weight", "bias", "g"))

    def step():
        centred = x - x.mean(axis=-1, keepdims=True)
        inverse = 1 / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(1e-5))
        y = centred * inverse
        y * weight + bias
        d = g * weight
        gradient = (d - d.mean(axis=-1, keepdims=True) - y * (d * y).mean(axis=-1, keepdims=True)) * inverse
        return gradient, (g * y).sum(axis=0), g.sum(axis=0)

    return Job(step, lambda: list(step()))


KINDS = kinds_of(globals())
