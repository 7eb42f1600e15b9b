"""NumPy's side of the workloads, the gradients written by hand: what a careful person gets without a library."""

from __future__ import annotations

import numpy as np
from workloads import CHAIN_A, LR, MOMENTUM, Job

NAME = "numpy"


def set_threads(n):
    """OpenBLAS is told by the environment before it is loaded (bench/versus.py)."""


def mlp(inputs):
    weights = [[w.copy(), b.copy()] for w, b in inputs["weights"]]
    velocity = [[np.zeros_like(w), np.zeros_like(b)] for w, b in weights]
    x, target, tanh = inputs["x"], inputs["target"], inputs["activation"] == "tanh"
    rows = np.arange(len(x))

    def delta(y):
        if target.dtype == np.float32:
            return (2 / y.size) * (y - target)
        e = np.exp(y - y.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        p[rows, target] -= 1
        return p / len(x)

    def gradients():
        hs = [x]
        for w, b in weights[:-1]:
            z = hs[-1] @ w + b
            hs.append(np.tanh(z) if tanh else np.maximum(z, 0))
        g = delta(hs[-1] @ weights[-1][0] + weights[-1][1]).astype(np.float32)
        found = []
        for i in range(len(weights) - 1, -1, -1):
            found[:0] = [hs[i].T @ g, g.sum(axis=0)]
            if i:
                g = g @ weights[i][0].T
                g *= 1 - hs[i] ** 2 if tanh else hs[i] > 0
        return found

    def step():
        found = gradients()
        for i, pair in enumerate(weights):
            for j in (0, 1):
                v = velocity[i][j]
                v *= MOMENTUM
                v += found[2 * i + j]
                pair[j] -= LR * v

    return Job(step, gradients)


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
    return Job(lambda: (a @ b, g @ b.T, a.T @ g), lambda: [g @ b.T, a.T @ g])


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


KINDS = {"mlp": mlp, "chain": chain, "matmul": matmul, "product": product, "softmax": softmax}
