"""MLX's side of the workloads on its CPU backend, compiled where that helps. Slow ones are timed a few times only."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
from workloads import ADAM_LR, BETAS, CHAIN_A, CHAIN_OPS, EPS, LR, MOMENTUM, Job, kinds_of

NAME = "mlx"
mx.set_default_device(mx.cpu)


def set_threads(n):
    """MLX offers no setting."""


def _job(f, *args):
    def run():
        out = f(*args)
        mx.eval(out)
        return out

    def arrays():
        out = run()
        return [np.array(g) for g in (out if isinstance(out, list | tuple) else [out])]

    return Job(run, arrays)


def overhead(inputs):
    x, b = mx.array(inputs["x"]), mx.array(inputs["b"])

    def f(x):
        y = x
        for _ in range(CHAIN_OPS):
            y = y * b
        return y.sum()

    return _job(mx.grad(f), x)


def momentum(params, velocity, gradients):
    velocity = [MOMENTUM * v + d for v, d in zip(velocity, gradients, strict=True)]
    return [p - LR * v for p, v in zip(params, velocity, strict=True)], velocity


def adam(params, state, gradients):
    n, (first, second) = len(params), BETAS
    count = state[-1] + 1
    mean = [first * m + (1 - first) * g for m, g in zip(state[:n], gradients, strict=True)]
    square = [second * s + (1 - second) * g * g for s, g in zip(state[n:-1], gradients, strict=True)]
    rate, root = ADAM_LR / (1 - first**count), mx.sqrt(1 - second**count)
    moved = [p - rate * m / (mx.sqrt(s) / root + EPS) for p, m, s in zip(params, mean, square, strict=True)]
    return moved, [*mean, *square, count]


def mlp(inputs):
    params = [mx.array(p) for pair in inputs["weights"] for p in pair]
    x, target = mx.array(inputs["x"]), mx.array(inputs["target"])
    act = mx.tanh if inputs["activation"] == "tanh" else (lambda h: mx.maximum(h, 0))
    real = inputs["target"].dtype == np.float32

    def loss(params):
        h = x
        for i in range(0, len(params) - 2, 2):
            h = act(h @ params[i] + params[i + 1])
        y = h @ params[-2] + params[-1]
        if real:
            return mx.mean(mx.square(y - target))
        picked = mx.take_along_axis(y, target[:, None], axis=1)[:, 0]
        return mx.mean(mx.logsumexp(y, axis=1) - picked)

    gradient = mx.value_and_grad(loss)

    is_adam = inputs["optimizer"] == "adam"
    rule, zeros = adam if is_adam else momentum, [mx.zeros_like(p) for p in params]

    def update(params, state):
        value, gradients = gradient(params)
        return *rule(params, state, gradients), value

    fast = mx.compile(update)
    state = [params, [*zeros, *zeros, mx.array(0.0)] if is_adam else zeros]

    def step():
        *state[:], value = fast(*state)
        mx.eval(state, value)
        return value

    return Job(step, lambda: [np.array(g) for g in gradient(params)[1]])


def chain(inputs):
    def f(x):
        return (mx.maximum(mx.tanh(x * CHAIN_A + 0.5) * 2 - x, 0) * CHAIN_A).sum()

    return _job(mx.compile(mx.grad(f)), mx.array(inputs["x"]))


def matmul(inputs):
    a, b, g = (mx.array(inputs[k]) for k in "abg")

    def f(a, b):
        _, pulled = mx.vjp(lambda a, b: a @ b, (a, b), (g,))
        return pulled

    return _job(f, a, b)


def product(inputs):
    a, b = (mx.array(inputs[k], getattr(mx, inputs[k].dtype.name)) for k in "ab")
    return _job(mx.matmul, a, b)


def softmax(inputs):
    target = mx.array(inputs["target"])

    def f(x):
        return mx.mean(mx.logsumexp(x, axis=1) - mx.take_along_axis(x, target[:, None], axis=1)[:, 0])

    return _job(mx.compile(mx.grad(f)), mx.array(inputs["x"]))


def layernorm(inputs):
    g = mx.array(inputs["g"])

    def f(x, weight, bias):
        return mx.fast.layer_norm(x, weight, bias, 1e-5)

    def gradients(*args):
        return mx.vjp(f, args, (g,))[1]

    return _job(gradients, *(mx.array(inputs[k]) for k in ("x", "weight", "bias")))


KINDS = kinds_of(globals())
