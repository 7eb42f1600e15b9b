"""steep's side of the workloads, written as a user would write it; eager.

Every step is made by a function of the inputs and of ``wrap``, which captured_peer.py sets to ``sp.compile``: the two
columns of steep run the same lines. What a step leaves behind is read after its second run, which is the first replay.
"""

from __future__ import annotations

import functools

import models
import networks
import steep as sp
from steep.nn import functional as F
from workloads import (
    ADAM_LR,
    ASCENT_LR,
    BETAS,
    CHAIN_A,
    CHAIN_OPS,
    EPS,
    IG_STEPS,
    LR,
    MOMENTUM,
    PGD_RADIUS,
    PGD_STEP,
    PGD_STEPS,
    Job,
    kinds_of,
)
from workloads import VISUALIZE_CHANNEL as CHANNEL
from workloads import VISUALIZE_LENGTH as LENGTH
from workloads import VISUALIZE_STEPS as STEPS_OF_ASCENT

NAME = "steep"


def set_threads(n):
    sp.set_num_threads(n)


def leaf(a):
    return sp.tensor(a, requires_grad=True)


def optimiser(name, params):
    if name == "adam":
        return sp.optim.Adam(params, ADAM_LR, BETAS, EPS)
    return sp.optim.SGD(params, LR, momentum=MOMENTUM)


def gradient_job(step, *leaves):
    """A job whose step sets the .grad of these leaves and changes nothing else."""
    return Job(step, lambda: [step(), step(), *(x.grad.numpy().copy() for x in leaves)][2:])


def overhead(inputs, wrap):
    x, b = leaf(inputs["x"]), sp.tensor(inputs["b"])

    @wrap
    def step():
        y = x
        for _ in range(CHAIN_OPS):
            y = y * b
        x.grad = None
        y.sum().backward()

    return gradient_job(step, x)


def mlp(inputs, wrap):
    weights = [(leaf(w), leaf(b)) for w, b in inputs["weights"]]
    params = [p for pair in weights for p in pair]
    x, target = sp.tensor(inputs["x"]), sp.tensor(inputs["target"])
    act = sp.tanh if inputs["activation"] == "tanh" else sp.relu

    def loss(x, target):
        h = x
        for w, b in weights[:-1]:
            h = act(h @ w + b)
        w, b = weights[-1]
        y = h @ w + b
        return F.mse_loss(y, target) if target.dtype == sp.float32 else F.cross_entropy(y, target)

    return training(inputs, wrap, params, loss, x, target)


def training(inputs, wrap, params, loss, x, target):
    """The usual step; its gradients are those at the first parameters, which are put back before the second run."""
    optimizer = optimiser(inputs["optimizer"], params)

    @wrap
    def train(x, target):
        optimizer.zero_grad()
        value = loss(x, target)
        value.backward()
        optimizer.step()
        return value.detach()

    def gradients():
        train(x, target)
        with sp.no_grad():
            for p, first in zip(params, [a for pair in inputs["weights"] for a in pair], strict=True):
                p[...] = first
        train(x, target)
        return [p.grad.numpy().copy() for p in params]

    return Job(lambda: train(x, target), gradients)


def scores_of_cnn(weights, x):
    for w, b in weights[:-1]:
        x = sp.max_pool2d(sp.relu(sp.conv2d(x, w, b, padding=1)), 2)
    w, b = weights[-1]
    return x.reshape((x.shape[0], -1)) @ w + b


def cnn(inputs, wrap):
    weights = [(leaf(w), leaf(b)) for w, b in inputs["weights"]]
    params = [p for pair in weights for p in pair]
    x, target = sp.tensor(inputs["x"]), sp.tensor(inputs["target"])
    return training(inputs, wrap, params, lambda x, t: F.cross_entropy(scores_of_cnn(weights, x), t), x, target)


def ascent(inputs, wrap):
    weights = [(sp.tensor(w), sp.tensor(b)) for w, b in inputs["weights"]]
    x, label = leaf(inputs["x"]), int(inputs["target"][0])

    @wrap
    def climb():
        x.grad = None
        score = scores_of_cnn(weights, x)[0, label]
        score.backward()
        with sp.no_grad():
            x[...] = x + x.grad * ASCENT_LR
        return score.detach()

    def gradients():
        climb()
        with sp.no_grad():
            x[...] = inputs["x"]
        climb()
        return [x.grad.numpy().copy()]

    return Job(climb, gradients)


class Layers:
    """What networks.run asks for."""

    relu = sp.relu
    pool = sp.max_pool2d

    def conv(x, weight, bias, stride, padding):
        return sp.conv2d(x, weight, bias, stride, padding)

    def join(*parts):
        return sp.concat(parts, axis=1)

    def linear(x, weight, bias):
        return x.reshape((x.shape[0], -1)) @ weight.mT + bias

    def mean(x):
        return x.mean(axis=(2, 3))


def train(inputs, wrap):
    weights = [(leaf(w), leaf(b)) for w, b in inputs["weights"]]
    params = [p for pair in weights for p in pair]
    x, target = sp.tensor(inputs["x"]), sp.tensor(inputs["target"])

    def loss(x, target):
        return F.cross_entropy(networks.run(inputs["network"], Layers, weights, x), target)

    return training(inputs, wrap, params, loss, x, target)


def forward(inputs, wrap):
    weights = [(sp.tensor(w), sp.tensor(b)) for w, b in inputs["weights"]]
    x = sp.tensor(inputs["x"])
    evaluate = wrap(lambda x: networks.run(inputs["network"], Layers, weights, x))
    return Job(lambda: evaluate(x), lambda: [evaluate(x), evaluate(x).numpy().copy()][1:])


def zoo_forward(inputs, wrap):
    model = sp.zoo.load(inputs["network"])
    x = sp.tensor(inputs["x"])
    evaluate = wrap(lambda x: model(x))
    return Job(lambda: evaluate(x), lambda: [evaluate(x), evaluate(x).numpy().copy()][1:])


def input_gradient(inputs, wrap):
    weights = [(sp.tensor(w), sp.tensor(b)) for w, b in inputs["weights"]]
    x = leaf(inputs["x"])

    @wrap
    def step():
        x.grad = None
        networks.run(inputs["network"], Layers, weights, x).sum().backward()

    return gradient_job(step, x)


class Ops:
    """What models.py asks for."""

    relu, gelu, exp, softplus = sp.relu, sp.gelu, sp.exp, sp.softplus
    linear, embed = F.linear, F.embedding
    reshape, permute, mean = sp.reshape, sp.permute_dims, sp.mean

    def layer_norm(x, weight, bias):
        return F.layer_norm(x, x.shape[-1:], weight, bias)

    def batch_norm(x, weight, bias):
        return F.batch_norm(x, None, None, weight, bias, training=True)

    def conv(x, weight, bias, stride, padding, groups):
        return sp.conv2d(x, weight, bias, stride, padding, groups=groups)

    def attention(q, k, v, causal):
        return sp.attention(q, k, v, causal=causal)


def scores_of_model(inputs, params, x):
    return models.MODELS[inputs["network"]].run(Ops, iter(params).__next__, x)


def model_train(inputs, wrap):
    params = [leaf(a) for (a,) in inputs["weights"]]
    x, target = sp.tensor(inputs["x"]), sp.tensor(inputs["target"])

    def loss(x, target):
        scores = scores_of_model(inputs, params, x)
        return F.cross_entropy(scores, target) if scores.ndim else scores

    return training(inputs, wrap, params, loss, x, target)


def model_input_gradient(inputs, wrap):
    params = [sp.tensor(a) for (a,) in inputs["weights"]]
    x = leaf(inputs["x"])

    @wrap
    def step():
        x.grad = None
        scores_of_model(inputs, params, x).sum().backward()

    return gradient_job(step, x)


def classifier(inputs):
    weights = [(sp.tensor(w), sp.tensor(b)) for w, b in inputs["weights"]]
    return lambda x: networks.run(inputs["network"], Layers, weights, x)


def pgd(inputs, wrap):
    """The library's own attack, from the image itself; it compiles its steps, unless asked not to."""
    model, x, y = classifier(inputs), sp.tensor(inputs["x"]), sp.tensor(inputs["target"])

    def attack(x=x):
        return sp.attack.pgd(model, x, y, PGD_RADIUS, steps=PGD_STEPS, step_size=PGD_STEP, bounds=(-10.0, 10.0),
                             capture=wrap is sp.compile)  # fmt: skip

    def gradients():
        return [sp.grad(lambda x: F.cross_entropy(model(x), y, reduction="sum"))(x).numpy()]

    return Job(attack, gradients)


def integrated(inputs, wrap):
    """The library's own attribution."""
    model, x, label = classifier(inputs), sp.tensor(inputs["x"]), int(inputs["target"][0])

    def attribute():
        return sp.saliency.integrated_gradients(model, x, label, steps=IG_STEPS)

    return Job(attribute, lambda: [attribute().numpy()])


def visualize(inputs, wrap):
    """The library's own loop: it compiles its steps, unless asked not to."""
    weights = [(sp.tensor(w), sp.tensor(b)) for w, b in inputs["weights"]]

    def objective(x):
        return networks.run(inputs["network"], Layers, weights, x)[:, CHANNEL].mean()

    def climb():
        return sp.ascent.maximize(objective, inputs["x"], STEPS_OF_ASCENT, functools.partial(sp.optim.SGD, lr=LENGTH),
                                  normalize="l2", capture=wrap is sp.compile)  # fmt: skip

    return Job(climb, lambda: [sp.grad(objective)(sp.tensor(inputs["x"])).numpy()])


def chain(inputs, wrap):
    x = leaf(inputs["x"])

    @wrap
    def step():
        x.grad = None
        (sp.relu(sp.tanh(x * CHAIN_A + 0.5) * 2 - x) * CHAIN_A).sum().backward()

    return gradient_job(step, x)


def matmul(inputs, wrap):
    a, b, g = leaf(inputs["a"]), leaf(inputs["b"]), sp.tensor(inputs["g"])

    @wrap
    def step():
        a.grad = b.grad = None
        y = a @ b
        y.backward(g)
        return y.detach()

    return gradient_job(step, a, b)


def product(inputs, wrap):
    a, b = sp.tensor(inputs["a"]), sp.tensor(inputs["b"])
    multiply = wrap(lambda a, b: a @ b)
    return Job(lambda: multiply(a, b), lambda: [multiply(a, b), multiply(a, b).numpy().copy()][1:])


def softmax(inputs, wrap):
    x, target = leaf(inputs["x"]), sp.tensor(inputs["target"])

    @wrap
    def step():
        x.grad = None
        F.cross_entropy(x, target).backward()

    return gradient_job(step, x)


def layernorm(inputs, wrap):
    x, weight, bias = (leaf(inputs[k]) for k in ("x", "weight", "bias"))
    g = sp.tensor(inputs["g"])

    @wrap
    def step():
        x.grad = weight.grad = bias.grad = None
        y = F.layer_norm(x, x.shape[-1:], weight, bias)
        y.backward(g)
        return y.detach()

    return gradient_job(step, x, weight, bias)


STEPS = kinds_of(globals())
KINDS = {kind: functools.partial(make, wrap=lambda f: f) for kind, make in STEPS.items()}
