"""steep's side of the workloads, eager, written as a user would write it."""

from __future__ import annotations

import numpy as np
import steep as sp
from workloads import CHAIN_A, CHAIN_OPS, LR, MOMENTUM, Job

NAME = "steep"


def set_threads(n):
    sp.set_num_threads(n)


def overhead(inputs):
    x, b = sp.tensor(inputs["x"], requires_grad=True), sp.tensor(inputs["b"])

    def step():
        y = x
        for _ in range(CHAIN_OPS):
            y = y * b
        x.grad = None
        y.sum().backward()

    return Job(step, lambda: [step(), x.grad.numpy()][1:])


def mlp(inputs):
    weights = [(sp.tensor(w, requires_grad=True), sp.tensor(b, requires_grad=True)) for w, b in inputs["weights"]]
    params = [p for pair in weights for p in pair]
    velocity = [sp.zeros_like(p.detach()) for p in params]
    x, target = sp.tensor(inputs["x"]), sp.tensor(inputs["target"])
    act = sp.tanh if inputs["activation"] == "tanh" else sp.relu
    rows = sp.arange(x.shape[0])

    def loss():
        h = x
        for w, b in weights[:-1]:
            h = act(h @ w + b)
        w, b = weights[-1]
        y = h @ w + b
        if target.dtype == sp.float32:
            return sp.mean(sp.square(y - target))
        return -sp.log_softmax(y)[rows, target].mean()

    def backward():
        for p in params:
            p.grad = None
        loss().backward()

    def step():
        backward()
        with sp.no_grad():
            for p, v in zip(params, velocity, strict=True):
                v *= MOMENTUM
                v += p.grad
                p -= v * LR

    return Job(step, lambda: [backward(), *(p.grad.numpy().copy() for p in params)][1:])


def chain(inputs):
    x = sp.tensor(inputs["x"], requires_grad=True)

    def step():
        x.grad = None
        (sp.relu(sp.tanh(x * CHAIN_A + 0.5) * 2 - x) * CHAIN_A).sum().backward()

    return Job(step, lambda: [step(), x.grad.numpy().copy()][1:])


def matmul(inputs):
    a, b = (sp.tensor(inputs[k], requires_grad=True) for k in "ab")
    g = sp.tensor(inputs["g"])

    def step():
        a.grad = b.grad = None
        (a @ b).backward(g)

    return Job(step, lambda: [step(), a.grad.numpy(), b.grad.numpy()][1:])


def product(inputs):
    a, b = sp.tensor(inputs["a"]), sp.tensor(inputs["b"])
    return Job(lambda: a @ b, lambda: [(a @ b).numpy()])


def softmax(inputs):
    x, target = sp.tensor(inputs["x"], requires_grad=True), sp.tensor(inputs["target"])
    rows = sp.tensor(np.arange(len(inputs["target"])))

    def step():
        x.grad = None
        (-sp.log_softmax(x)[rows, target].mean()).backward()

    return Job(step, lambda: [step(), x.grad.numpy().copy()][1:])


KINDS = {
    "overhead": overhead,
    "mlp": mlp,
    "chain": chain,
    "matmul": matmul,
    "product": product,
    "softmax": softmax,
}
