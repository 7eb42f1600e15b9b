"""PyTorch's side of the workloads, eager."""

from __future__ import annotations

import networks
import torch
from torch.nn import functional as F
from workloads import ADAM_LR, ASCENT_LR, BETAS, CHAIN_A, CHAIN_OPS, EPS, LR, MOMENTUM, Job, kinds_of
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
