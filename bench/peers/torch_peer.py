"""PyTorch's side of the workloads, eager."""

from __future__ import annotations

import models
import networks
import numpy as np
import torch
from torch.nn import functional as F
from workloads import (
    ADAM_LR,
    ASCENT_LR,
    BETAS,
    CHAIN_A,
    CHAIN_OPS,
    EPS,
    IG_BATCH,
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
from workloads import VISUALIZE_STEPS as STEPS

NAME = "torch"


def set_threads(n):
    torch.set_num_threads(n)


def leaf(a):
    return torch.tensor(a, requires_grad=True)


def optimiser(name, params):
    if name == "adam":
        return torch.optim.Adam(params, ADAM_LR, BETAS, EPS)
    return torch.optim.SGD(params, lr=LR, momentum=MOMENTUM)


def overhead(inputs):
    x, b = leaf(inputs["x"]), torch.tensor(inputs["b"])

    def step():
        y = x
        for _ in range(CHAIN_OPS):
            y = y * b
        x.grad = None
        y.sum().backward()

    return Job(step, lambda: [step(), x.grad.numpy()][1:])


def mlp(inputs):
    weights = [(leaf(w), leaf(b)) for w, b in inputs["weights"]]
    params = [p for pair in weights for p in pair]
    x, target = torch.tensor(inputs["x"]), torch.tensor(inputs["target"])
    act = torch.tanh if inputs["activation"] == "tanh" else torch.relu

    def loss():
        h = x
        for w, b in weights[:-1]:
            h = act(torch.addmm(b, h, w))
        y = torch.addmm(weights[-1][1], h, weights[-1][0])
        return F.mse_loss(y, target) if target.dtype == torch.float32 else F.cross_entropy(y, target)

    return training(inputs, params, loss)


def training(inputs, params, loss):
    optimizer = optimiser(inputs["optimizer"], params)

    def backward():
        optimizer.zero_grad(set_to_none=True)
        value = loss()
        value.backward()
        return value.detach()

    def step():
        value = backward()
        optimizer.step()
        return value

    return Job(step, lambda: [backward(), *(p.grad.numpy().copy() for p in params)][1:])


def scores_of_cnn(weights, x):
    for w, b in weights[:-1]:
        x = F.max_pool2d(torch.relu(F.conv2d(x, w, b, padding=1)), 2)
    w, b = weights[-1]
    return torch.addmm(b, x.flatten(1), w)


def cnn(inputs):
    weights = [(leaf(w), leaf(b)) for w, b in inputs["weights"]]
    params = [p for pair in weights for p in pair]
    x, target = torch.tensor(inputs["x"]), torch.tensor(inputs["target"])
    return training(inputs, params, lambda: F.cross_entropy(scores_of_cnn(weights, x), target))


def ascent(inputs):
    weights = [(torch.tensor(w), torch.tensor(b)) for w, b in inputs["weights"]]
    x, label = leaf(inputs["x"]), int(inputs["target"][0])

    def backward():
        x.grad = None
        score = scores_of_cnn(weights, x)[0, label]
        score.backward()
        return score.detach()

    def step():
        score = backward()
        with torch.no_grad():
            x.add_(x.grad, alpha=ASCENT_LR)
        return score

    return Job(step, lambda: [backward(), x.grad.numpy().copy()][1:])


class Layers:
    """What networks.run asks for."""

    relu = torch.relu
    pool = F.max_pool2d
    conv = F.conv2d

    def join(*parts):
        return torch.cat(parts, dim=1)

    def linear(x, weight, bias):
        return F.linear(x.flatten(1), weight, bias)

    def mean(x):
        return x.mean(dim=(2, 3))


def train(inputs):
    weights = [(leaf(w), leaf(b)) for w, b in inputs["weights"]]
    params = [p for pair in weights for p in pair]
    x, target = torch.tensor(inputs["x"]), torch.tensor(inputs["target"])

    def loss():
        return F.cross_entropy(networks.run(inputs["network"], Layers, weights, x), target)

    return training(inputs, params, loss)


def forward(inputs):
    weights = [(torch.tensor(w), torch.tensor(b)) for w, b in inputs["weights"]]
    x = torch.tensor(inputs["x"])

    def step():
        with torch.inference_mode():
            return networks.run(inputs["network"], Layers, weights, x)

    return Job(step, lambda: [step().numpy().copy()])


def input_gradient(inputs):
    weights = [(torch.tensor(w), torch.tensor(b)) for w, b in inputs["weights"]]
    x = leaf(inputs["x"])

    def step():
        x.grad = None
        networks.run(inputs["network"], Layers, weights, x).sum().backward()

    return Job(step, lambda: [step(), x.grad.numpy().copy()][1:])


class Ops:
    """What models.py asks for."""

    relu, gelu, exp, softplus = torch.relu, F.gelu, torch.exp, F.softplus
    linear, embed = F.linear, F.embedding
    reshape, permute, mean = torch.reshape, torch.permute, torch.mean

    def layer_norm(x, weight, bias):
        return F.layer_norm(x, x.shape[-1:], weight, bias)

    def batch_norm(x, weight, bias):
        return F.batch_norm(x, None, None, weight, bias, training=True)

    def conv(x, weight, bias, stride, padding, groups):
        return F.conv2d(x, weight, bias, stride, padding, groups=groups)

    def attention(q, k, v, causal):
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)


def scores_of_model(inputs, params, x):
    return models.MODELS[inputs["network"]].run(Ops, iter(params).__next__, x)


def model_train(inputs, wrap=lambda f: f):
    params = [leaf(a) for (a,) in inputs["weights"]]
    x, target = torch.tensor(inputs["x"]), torch.tensor(inputs["target"])

    @wrap
    def loss():
        scores = scores_of_model(inputs, params, x)
        return F.cross_entropy(scores, target) if scores.ndim else scores

    return training(inputs, params, loss)


def model_input_gradient(inputs, wrap=lambda f: f):
    params = [torch.tensor(a) for (a,) in inputs["weights"]]
    x, total = leaf(inputs["x"]), wrap(lambda x: scores_of_model(inputs, params, x).sum())

    def step():
        x.grad = None
        total(x).backward()

    return Job(step, lambda: [step(), x.grad.numpy().copy()][1:])


def classifier(inputs):
    weights = [(torch.tensor(w), torch.tensor(b)) for w, b in inputs["weights"]]
    return lambda x: networks.run(inputs["network"], Layers, weights, x)


def pgd(inputs, wrap=lambda f: f):
    model, x, y = wrap(classifier(inputs)), torch.tensor(inputs["x"]), torch.tensor(inputs["target"])

    def gradient(at):
        at = at.detach().requires_grad_()
        (found,) = torch.autograd.grad(F.cross_entropy(model(at), y, reduction="sum"), at)
        return found

    def attack():
        found = x
        for _ in range(PGD_STEPS):
            stepped = found + PGD_STEP * gradient(found).sign()
            found = (x + (stepped - x).clamp(-PGD_RADIUS, PGD_RADIUS)).clamp(-10.0, 10.0)
        return found

    return Job(attack, lambda: [gradient(x).numpy()])


def integrated(inputs, wrap=lambda f: f):
    """By Gauss and Legendre, as captum's default, some points at a time."""
    model, x, label = wrap(classifier(inputs)), torch.tensor(inputs["x"]), int(inputs["target"][0])
    places, weights = (torch.tensor(a, dtype=x.dtype) for a in np.polynomial.legendre.leggauss(IG_STEPS))

    def attribute():
        total = torch.zeros_like(x)
        for part, share in zip(places.split(IG_BATCH), weights.split(IG_BATCH), strict=True):
            points = ((part[:, None, None, None] + 1) / 2 * x).requires_grad_()
            (found,) = torch.autograd.grad(model(points)[:, label], points, share / 2)
            total += found.sum(0)
        return x * total

    return Job(attribute, lambda: [attribute().numpy()])


def visualize(inputs):
    weights = [(torch.tensor(w), torch.tensor(b)) for w, b in inputs["weights"]]

    def backward(x):
        x.grad = None
        networks.run(inputs["network"], Layers, weights, x)[:, CHANNEL].mean().backward()
        return x.grad

    def climb():
        x = leaf(inputs["x"])
        for _ in range(STEPS):
            gradient = backward(x)
            with torch.no_grad():
                x.add_(gradient / gradient.norm(), alpha=LENGTH)

    return Job(climb, lambda: [backward(leaf(inputs["x"])).numpy()])


def chain(inputs):
    x = leaf(inputs["x"])

    def step():
        x.grad = None
        (torch.relu(torch.tanh(x * CHAIN_A + 0.5) * 2 - x) * CHAIN_A).sum().backward()

    return Job(step, lambda: [step(), x.grad.numpy().copy()][1:])


def matmul(inputs):
    a, b, g = leaf(inputs["a"]), leaf(inputs["b"]), torch.tensor(inputs["g"])

    def step():
        a.grad = b.grad = None
        (a @ b).backward(g)

    return Job(step, lambda: [step(), a.grad.numpy(), b.grad.numpy()][1:])


def product(inputs):
    a, b = torch.tensor(inputs["a"]), torch.tensor(inputs["b"])
    return Job(lambda: a @ b, lambda: [(a @ b).numpy()])


def softmax(inputs):
    x, target = leaf(inputs["x"]), torch.tensor(inputs["target"])

    def step():
        x.grad = None
        F.cross_entropy(x, target).backward()

    return Job(step, lambda: [step(), x.grad.numpy().copy()][1:])


def layernorm(inputs):
    x, weight, bias = (leaf(inputs[k]) for k in ("x", "weight", "bias"))
    g = torch.tensor(inputs["g"])

    def step():
        x.grad = weight.grad = bias.grad = None
        F.layer_norm(x, x.shape[-1:], weight, bias).backward(g)

    return Job(step, lambda: [step(), *(p.grad.numpy().copy() for p in (x, weight, bias))][1:])


KINDS = kinds_of(globals())
