"""JAX's side of the workloads, under jit; each step waits for its result. Threads follow the process's affinity."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import models
import networks
import numpy as np
from workloads import (
    ADAM_LR,
    ASCENT_LR,
    BETAS,
    CHAIN_A,
    CHAIN_OPS,
    EPS,
    LR,
    MOMENTUM,
    PGD_RADIUS,
    PGD_STEP,
    PGD_STEPS,
    Job,
    kinds_of,
)

NAME = "jax"
jax.config.update("jax_enable_x64", True)  # for the rows in float64; float32 stays float32


def set_threads(n):
    """XLA takes its threads from the processors the process may run on."""


def labels(inputs):
    real = inputs["target"].dtype.kind == "f"
    return jnp.asarray(inputs["target"]) if real else jnp.asarray(inputs["target"], jnp.int32)


def overhead(inputs):
    b = jnp.asarray(inputs["b"])

    def f(x):
        for _ in range(CHAIN_OPS):
            x = x * b
        return x.sum()

    return _job(jax.grad(f), jnp.asarray(inputs["x"]))


def momentum(params, state, gradients):
    velocity = jax.tree.map(lambda v, d: MOMENTUM * v + d, state, gradients)
    return jax.tree.map(lambda w, v: w - LR * v, params, velocity), velocity


def adam(params, state, gradients):
    mean, square, count = state
    first, second = BETAS
    count = count + 1
    mean = jax.tree.map(lambda m, g: first * m + (1 - first) * g, mean, gradients)
    square = jax.tree.map(lambda s, g: second * s + (1 - second) * g * g, square, gradients)
    rate, root = ADAM_LR / (1 - first**count), jnp.sqrt(1 - second**count)
    params = jax.tree.map(lambda p, m, s: p - rate * m / (jnp.sqrt(s) / root + EPS), params, mean, square)
    return params, (mean, square, count)


def mlp(inputs):
    weights = [tuple(map(jnp.asarray, pair)) for pair in inputs["weights"]]
    x, target = jnp.asarray(inputs["x"]), labels(inputs)
    act = jnp.tanh if inputs["activation"] == "tanh" else jax.nn.relu
    real = inputs["target"].dtype == np.float32

    def loss(weights):
        h = x
        for w, b in weights[:-1]:
            h = act(h @ w + b)
        y = h @ weights[-1][0] + weights[-1][1]
        return ((y - target) ** 2).mean() if real else -jax.nn.log_softmax(y)[jnp.arange(len(target)), target].mean()

    return training(inputs, weights, loss)


def training(inputs, weights, loss):
    gradient = jax.jit(jax.grad(loss))
    zeros = jax.tree.map(jnp.zeros_like, weights)
    is_adam = inputs["optimizer"] == "adam"
    rule = adam if is_adam else momentum

    @jax.jit
    def update(weights, state):
        value, gradients = jax.value_and_grad(loss)(weights)
        return *rule(weights, state, gradients), value

    state = [weights, (zeros, zeros, jnp.float32(0)) if is_adam else zeros]

    def step():
        *state[:], value = jax.block_until_ready(update(*state))
        return value

    return Job(step, lambda: [np.asarray(g) for pair in gradient(weights) for g in pair])


def scores_of_cnn(weights, x):
    for w, b in weights[:-1]:
        x = jax.nn.relu(jax.lax.conv(x, w, (1, 1), "SAME") + b[:, None, None])
        x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    w, b = weights[-1]
    return x.reshape(len(x), -1) @ w + b


def cnn(inputs):
    x, target = jnp.asarray(inputs["x"]), labels(inputs)

    def loss(weights):
        return cross_entropy(scores_of_cnn(weights, x), target)

    return training(inputs, [tuple(map(jnp.asarray, pair)) for pair in inputs["weights"]], loss)


def ascent(inputs):
    weights = [tuple(map(jnp.asarray, pair)) for pair in inputs["weights"]]
    label, state = int(inputs["target"][0]), [jnp.asarray(inputs["x"])]

    def score(x):
        return scores_of_cnn(weights, x)[0, label]

    @jax.jit
    def climb(x):
        value, gradient = jax.value_and_grad(score)(x)
        return x + ASCENT_LR * gradient, value

    def step():
        state[0], value = jax.block_until_ready(climb(state[0]))
        return value

    return Job(step, lambda: [np.asarray(jax.grad(score)(state[0]))])


class Layers:
    """What networks.run asks for."""

    relu = jax.nn.relu

    def conv(x, weight, bias, stride, padding):
        return jax.lax.conv(x, weight, (stride, stride), [(padding, padding)] * 2) + bias[:, None, None]

    def pool(x, size, stride):
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, size, size), (1, 1, stride, stride), "VALID")

    def join(*parts):
        return jnp.concatenate(parts, axis=1)

    def linear(x, weight, bias):
        return x.reshape(len(x), -1) @ weight.T + bias

    def mean(x):
        return x.mean(axis=(2, 3))


def train(inputs):
    x, target = jnp.asarray(inputs["x"]), labels(inputs)

    def loss(weights):
        return cross_entropy(networks.run(inputs["network"], Layers, weights, x), target)

    return training(inputs, [tuple(map(jnp.asarray, pair)) for pair in inputs["weights"]], loss)


def evaluation(inputs):
    """The network as a function of its weights and images, which XLA is not to fold into the program."""
    weights = [tuple(map(jnp.asarray, pair)) for pair in inputs["weights"]]
    return lambda weights, x: networks.run(inputs["network"], Layers, weights, x), weights, jnp.asarray(inputs["x"])


def forward(inputs):
    return _job(*evaluation(inputs))


def input_gradient(inputs):
    f, weights, x = evaluation(inputs)

    def total(x, weights):
        return f(weights, x).sum()

    return _job(jax.grad(total), x, weights)


class Ops:
    """What models.py asks for."""

    relu, exp, softplus = jax.nn.relu, jnp.exp, jax.nn.softplus
    reshape, permute, mean = jnp.reshape, jnp.transpose, jnp.mean

    def gelu(x):
        return jax.nn.gelu(x, approximate=False)

    def linear(x, weight, bias):
        return x @ weight.T + bias

    def embed(indices, weight):
        return weight[indices]

    def layer_norm(x, weight, bias):
        return normalised(x, -1) * weight + bias

    def batch_norm(x, weight, bias):
        return normalised(x, (0, 2, 3)) * weight[:, None, None] + bias[:, None, None]

    def conv(x, weight, bias, stride, padding, groups):
        y = jax.lax.conv_general_dilated(x, weight, (stride, stride), [(padding, padding)] * 2,
                                         feature_group_count=groups)  # fmt: skip
        return y if bias is None else y + bias[:, None, None]

    def attention(q, k, v, causal):
        scores = q @ jnp.swapaxes(k, -1, -2) / q.shape[-1] ** 0.5
        seen = jnp.tril(jnp.ones(scores.shape[-2:], bool)) if causal else True
        return jax.nn.softmax(jnp.where(seen, scores, -jnp.inf)) @ v


def normalised(x, axes):
    centred = x - x.mean(axis=axes, keepdims=True)
    return centred * jax.lax.rsqrt((centred * centred).mean(axis=axes, keepdims=True) + 1e-5)


def scores_of_model(inputs, weights, x):
    return models.MODELS[inputs["network"]].run(Ops, iter([w for (w,) in weights]).__next__, x)


def cross_entropy(scores, target):
    return -jax.nn.log_softmax(scores)[jnp.arange(len(target)), target].mean()


def model_train(inputs):
    x, target = jnp.asarray(inputs["x"]), labels(inputs)

    def loss(weights):
        scores = scores_of_model(inputs, weights, x)
        return cross_entropy(scores, target) if scores.ndim else scores

    return training(inputs, [tuple(map(jnp.asarray, pair)) for pair in inputs["weights"]], loss)


def model_input_gradient(inputs):
    weights = [tuple(map(jnp.asarray, pair)) for pair in inputs["weights"]]
    gradient = jax.grad(lambda x, weights: scores_of_model(inputs, weights, x).sum())
    return _job(gradient, jnp.asarray(inputs["x"]), weights)


def pgd(inputs):
    f, weights, x = evaluation(inputs)
    target = labels(inputs)
    gradient = jax.grad(lambda at, weights: cross_entropy(f(weights, at), target) * len(target))

    def attack(x, weights):
        def step(_, found):
            stepped = found + PGD_STEP * jnp.sign(gradient(found, weights))
            return jnp.clip(x + jnp.clip(stepped - x, -PGD_RADIUS, PGD_RADIUS), -10.0, 10.0)

        return jax.lax.fori_loop(0, PGD_STEPS, step, x)

    return Job(_job(attack, x, weights).step, lambda: [np.asarray(gradient(x, weights))])


def _job(f, *args):
    fast = jax.jit(f)
    return Job(
        lambda: jax.block_until_ready(fast(*args)), lambda: [np.asarray(g) for g in jax.tree.leaves(fast(*args))]
    )


def chain(inputs):
    def f(x):
        return (jax.nn.relu(jnp.tanh(x * CHAIN_A + 0.5) * 2 - x) * CHAIN_A).sum()

    return _job(jax.grad(f), jnp.asarray(inputs["x"]))


def matmul(inputs):
    return _pulled(jnp.matmul, *(jnp.asarray(inputs[k]) for k in "gab"))


def _pulled(f, g, *args):
    """The result and the gradients of it along g; only the gradients are compared."""

    def step(*args):
        y, pull = jax.vjp(f, *args)
        return (*pull(g), y)

    job = _job(step, *args)
    return Job(job.step, lambda: job.gradients()[:-1])


def product(inputs):
    return _job(jnp.matmul, jnp.asarray(inputs["a"]), jnp.asarray(inputs["b"]))


def softmax(inputs):
    target = labels(inputs)

    def f(x):
        return -jax.nn.log_softmax(x)[jnp.arange(len(target)), target].mean()

    return _job(jax.grad(f), jnp.asarray(inputs["x"]))


def layernorm(inputs):
    return _pulled(Ops.layer_norm, *(jnp.asarray(inputs[k]) for k in ("g", "x", "weight", "bias")))


KINDS = kinds_of(globals())
