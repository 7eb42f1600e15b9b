"""JAX's side of the workloads, under jit; each step waits for its result. Threads follow the process's affinity."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from workloads import CHAIN_A, LR, MOMENTUM, Job

NAME = "jax"


def set_threads(n):
    """XLA takes its threads from the processors the process may run on."""


def mlp(inputs):
    weights = [tuple(map(jnp.asarray, pair)) for pair in inputs["weights"]]
    x, target = jnp.asarray(inputs["x"]), jnp.asarray(inputs["target"])
    act = jnp.tanh if inputs["activation"] == "tanh" else jax.nn.relu
    real = inputs["target"].dtype == np.float32

    def loss(weights):
        h = x
        for w, b in weights[:-1]:
            h = act(h @ w + b)
        y = h @ weights[-1][0] + weights[-1][1]
        return ((y - target) ** 2).mean() if real else -jax.nn.log_softmax(y)[jnp.arange(len(target)), target].mean()

    gradient = jax.jit(jax.grad(loss))

    @jax.jit
    def update(weights, velocity):
        g = jax.grad(loss)(weights)
        velocity = jax.tree.map(lambda v, d: MOMENTUM * v + d, velocity, g)
        return jax.tree.map(lambda w, v: w - LR * v, weights, velocity), velocity

    state = [weights, jax.tree.map(jnp.zeros_like, weights)]

    def step():
        state[:] = jax.block_until_ready(update(*state))

    return Job(step, lambda: [np.asarray(g) for pair in gradient(weights) for g in pair])


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
    def f(a, b, g):
        _, pull = jax.vjp(jnp.matmul, a, b)
        return pull(g)

    def with_forward(a, b, g):
        y, pull = jax.vjp(jnp.matmul, a, b)
        return (*pull(g), y)

    arrays = [jnp.asarray(inputs[k]) for k in "abg"]
    timed = _job(with_forward, *arrays)
    return Job(timed.step, _job(f, *arrays).gradients)


def product(inputs):
    return _job(jnp.matmul, jnp.asarray(inputs["a"]), jnp.asarray(inputs["b"]))


def softmax(inputs):
    target = jnp.asarray(inputs["target"])

    def f(x):
        return -jax.nn.log_softmax(x)[jnp.arange(len(target)), target].mean()

    return _job(jax.grad(f), jnp.asarray(inputs["x"]))


KINDS = {"mlp": mlp, "chain": chain, "matmul": matmul, "product": product, "softmax": softmax}
