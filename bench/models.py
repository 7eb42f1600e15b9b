"""Models as people write them, once for all peers: linear layers with (out, in) weights, attention, batch norm.

A peer hands over its functions (``Ops`` in bench/peers/), and a model takes its parameters from a list in order. Shapes
are those of the papers: GPT-2's block (Radford et al. 2019), ViT-Tiny (Touvron et al. 2021), ResNet-20 (He et al.
2015), MobileNet (Howard et al. 2017). Weights are random. Start reading at ``MODELS``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

Shape = tuple[int, ...]
Parameter = tuple[Shape, float]  # and what it is near: 1 for the scale of a norm


class Model(NamedTuple):
    """``run(ops, take, x)`` gives scores, or without classes the loss; ``take()`` is the next parameter.

    ``input`` is the shape of one input. One of integers has ``vocabulary`` of them, and a label for every element.
    """

    run: Callable[[Any, Callable[[], Any], Any], Any]
    shapes: Callable[[], Iterator[Parameter]]
    input: Shape
    classes: int
    vocabulary: int = 0


def _linear(out: int, inputs: int) -> list[Parameter]:
    return [((out, inputs), 0.0), ((out,), 0.0)]


def _norm(width: int) -> list[Parameter]:
    return [((width,), 1.0), ((width,), 0.0)]


# ---- layers of nn.Linear


def dense(*sizes: int) -> Model:
    """Linear layers with ReLU between them."""

    def run(ops: Any, take: Any, x: Any) -> Any:
        for _ in sizes[2:]:
            x = ops.relu(ops.linear(x, take(), take()))
        return ops.linear(x, take(), take())

    def shapes() -> Iterator[Parameter]:
        for inputs, out in itertools.pairwise(sizes):
            yield from _linear(out, inputs)

    return Model(run, shapes, (sizes[0],), sizes[-1])


# ---- transformers


def _block_shapes(width: int) -> list[Parameter]:
    return [*_norm(width), *_linear(3 * width, width), *_linear(width, width),
            *_norm(width), *_linear(4 * width, width), *_linear(width, 4 * width)]  # fmt: skip


def _block(ops: Any, take: Any, x: Any, heads: int, causal: bool) -> Any:
    batch, tokens, width = x.shape
    qkv = ops.linear(ops.layer_norm(x, take(), take()), take(), take())
    split = ops.permute(ops.reshape(qkv, (batch, tokens, 3, heads, width // heads)), (2, 0, 3, 1, 4))
    mixed = ops.permute(ops.attention(split[0], split[1], split[2], causal), (0, 2, 1, 3))
    x = x + ops.linear(ops.reshape(mixed, (batch, tokens, width)), take(), take())
    hidden = ops.gelu(ops.linear(ops.layer_norm(x, take(), take()), take(), take()))
    return x + ops.linear(hidden, take(), take())


def gpt(layers: int, width: int, heads: int, tokens: int, vocabulary: int) -> Model:
    """Scores of the next token at every position, (batch * tokens, vocabulary)."""

    def run(ops: Any, take: Any, x: Any) -> Any:
        h = ops.embed(x, take()) + take()
        for _ in range(layers):
            h = _block(ops, take, h, heads, True)
        return ops.linear(ops.reshape(ops.layer_norm(h, take(), take()), (-1, width)), take(), take())

    def shapes() -> Iterator[Parameter]:
        yield from [((vocabulary, width), 0.0), ((tokens, width), 0.0)]
        for _ in range(layers):
            yield from _block_shapes(width)
        yield from [*_norm(width), *_linear(vocabulary, width)]

    return Model(run, shapes, (tokens,), vocabulary, vocabulary)


def vit(layers: int, width: int, heads: int, side: int, patch: int, classes: int) -> Model:
    """The mean over patches gives the scores."""
    tokens = (side // patch) ** 2

    def run(ops: Any, take: Any, x: Any) -> Any:
        h = ops.conv(x, take(), take(), patch, 0, 1)
        h = ops.permute(ops.reshape(h, (x.shape[0], width, tokens)), (0, 2, 1)) + take()
        for _ in range(layers):
            h = _block(ops, take, h, heads, False)
        return ops.linear(ops.mean(ops.layer_norm(h, take(), take()), (1,)), take(), take())

    def shapes() -> Iterator[Parameter]:
        yield from [((width, 3, patch, patch), 0.0), ((width,), 0.0), ((tokens, width), 0.0)]
        for _ in range(layers):
            yield from _block_shapes(width)
        yield from [*_norm(width), *_linear(classes, width)]

    return Model(run, shapes, (3, side, side), classes)


# ---- convolutions with batch norm


def _conv_norm(out: int, inputs: int, size: int) -> list[Parameter]:
    return [((out, inputs, size, size), 0.0), *_norm(out)]


def _convolved(ops: Any, take: Any, x: Any, stride: int, padding: int, groups: int = 1) -> Any:
    return ops.batch_norm(ops.conv(x, take(), None, stride, padding, groups), take(), take())


RESNET = [(16, 1)] * 3 + [(32, 2)] + [(32, 1)] * 2 + [(64, 2)] + [(64, 1)] * 2  # width and stride of each block


def resnet20() -> Model:
    """For images of 32 pixels a side; shortcuts between widths are convolutions of one tap."""

    def run(ops: Any, take: Any, x: Any) -> Any:
        x = ops.relu(_convolved(ops, take, x, 1, 1))
        for _, stride in RESNET:
            y = ops.relu(_convolved(ops, take, x, stride, 1))
            y = _convolved(ops, take, y, 1, 1)
            x = ops.relu(y + (x if stride == 1 else _convolved(ops, take, x, stride, 0)))
        return ops.linear(ops.mean(x, (2, 3)), take(), take())

    def shapes() -> Iterator[Parameter]:
        yield from _conv_norm(16, 3, 3)
        width = 16
        for out, stride in RESNET:
            yield from [*_conv_norm(out, width, 3), *_conv_norm(out, out, 3)]
            yield from _conv_norm(out, width, 1) if stride > 1 else []
            width = out
        yield from _linear(10, 64)

    return Model(run, shapes, (3, 32, 32), 10)


MOBILENET = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]


def mobilenet(side: int) -> Model:
    """Version 1: a depthwise convolution and one of one tap in each block."""

    def run(ops: Any, take: Any, x: Any) -> Any:
        x = ops.relu(_convolved(ops, take, x, 2, 1))
        for _, stride in MOBILENET:
            x = ops.relu(_convolved(ops, take, x, stride, 1, x.shape[1]))
            x = ops.relu(_convolved(ops, take, x, 1, 0))
        return ops.linear(ops.mean(x, (2, 3)), take(), take())

    def shapes() -> Iterator[Parameter]:
        yield from _conv_norm(32, 3, 3)
        width = 32
        for out, _ in MOBILENET:
            yield from [*_conv_norm(width, 1, 3), *_conv_norm(out, width, 1)]
            width = out
        yield from _linear(1000, 1024)

    return Model(run, shapes, (3, side, side), 1000)


# ---- a variational autoencoder: the loss itself


def vae(inputs: int, hidden: int, latent: int) -> Model:
    """(batch, 2 * inputs): pixels and, beside them, the noise. It gives the loss (Kingma and Welling 2014)."""

    def run(ops: Any, take: Any, x: Any) -> Any:
        pixels, noise = x[:, :inputs], x[:, inputs : inputs + latent]
        h = ops.relu(ops.linear(pixels, take(), take()))
        mean, log_variance = ops.linear(h, take(), take()), ops.linear(h, take(), take())
        z = mean + ops.exp(0.5 * log_variance) * noise
        scores = ops.linear(ops.relu(ops.linear(z, take(), take())), take(), take())
        divergence = ops.exp(log_variance) + mean * mean - 1 - log_variance
        # Per pixel: the sum's gradients would grow beyond all bounds at the benchmark's learning rate.
        return ((ops.softplus(scores) - pixels * scores).sum() + 0.5 * divergence.sum()) * (1 / (x.shape[0] * inputs))

    def shapes() -> Iterator[Parameter]:
        for out, wide in ((hidden, inputs), (latent, hidden), (latent, hidden), (hidden, latent), (inputs, hidden)):
            yield from _linear(out, wide)

    return Model(run, shapes, (2 * inputs,), 0)


MODELS = {
    "nn.Linear 1024-1024-10": dense(1024, 1024, 10),
    "nn.Linear 512-512-10": dense(512, 512, 10),
    "GPT, 4 layers of 256, 4 heads, 128 tokens": gpt(4, 256, 4, 128, 1000),
    "ViT-Tiny at 224x224": vit(12, 192, 3, 224, 16, 1000),
    "ResNet-20 with batch norm": resnet20(),
    "MobileNet at 128x128": mobilenet(128),
    "VAE 784-400-20": vae(784, 400, 20),
}


def parameters_of(model: Model, rng: np.random.Generator) -> list[np.ndarray]:
    """Weights by He et al. 2015; vectors near what they are near."""
    found = []
    for shape, near in model.shapes():
        spread = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.1
        found.append((near + spread * rng.normal(size=shape)).astype("float32"))
    return found
