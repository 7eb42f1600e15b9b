"""Convolutional networks as data: rows that every peer runs with functions of its own, through ``run``.

Shapes are those of the papers: LeNet-5 (LeCun et al. 1998) with ReLU and max pooling, SqueezeNet 1.1 (Iandola et al.
2016), the convolutions of VGG16 (Simonyan and Zisserman 2014). Weights are random. Start reading at ``NETWORKS``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple


class Conv(NamedTuple):
    """A convolution with bias, then ReLU."""

    outputs: int
    kernel: int
    stride: int = 1
    padding: int = 0


class Pool(NamedTuple):
    """Max pooling with windows of ``size``; incomplete windows are left out."""

    size: int
    stride: int


class Fire(NamedTuple):
    """A 1x1 convolution to few channels, then 1x1 and 3x3 convolutions in parallel, concatenated."""

    squeeze: int
    expand: int


class Linear(NamedTuple):
    """A linear layer of the flattened input; ReLU if it is not the last."""

    outputs: int
    last: bool = False


class Mean(NamedTuple):
    """Of each channel."""


def _vgg(*stages: tuple[int, int]) -> list[Any]:
    return [row for count, width in stages for row in [*[Conv(width, 3, padding=1)] * count, Pool(2, 2)]]


_SQUEEZENET = [
    *(Conv(64, 3, 2), Pool(3, 2), *[Fire(16, 64)] * 2, Pool(3, 2), *[Fire(32, 128)] * 2, Pool(3, 2)),
    *(*[Fire(48, 192)] * 2, *[Fire(64, 256)] * 2, Conv(1000, 1), Mean()),
]
NETWORKS = {
    "LeNet": [Conv(6, 5, padding=2), Pool(2, 2), Conv(16, 5), Pool(2, 2), Linear(120), Linear(84), Linear(10, True)],
    "SqueezeNet 1.1": _SQUEEZENET,
    "SqueezeNet 1.1 to fire7": _SQUEEZENET[:10],
    "VGG16 trunk": _vgg((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)),
}


def _convolutions(row: Any, channels: int) -> list[tuple[int, int, Conv]]:
    """(inputs, place in the row's result, convolution) of every convolution in a row."""
    if isinstance(row, Conv):
        return [(channels, 0, row)]
    return [
        (channels, 0, Conv(row.squeeze, 1)),
        (row.squeeze, 0, Conv(row.expand, 1)),
        (row.squeeze, row.expand, Conv(row.expand, 3, padding=1)),
    ]


def weights_of(name: str, image: tuple[int, int, int]) -> Iterator[tuple[tuple[int, ...], int]]:
    """The shape of every weight, in order, and how often it is used for one image. A bias has its first size."""
    channels, side, _ = image
    for row in NETWORKS[name]:
        if isinstance(row, Conv | Fire):
            for inputs, place, conv in _convolutions(row, channels):
                side = (side + 2 * conv.padding - conv.kernel) // conv.stride + 1
                channels = place + conv.outputs
                yield (conv.outputs, inputs, conv.kernel, conv.kernel), side * side
        elif isinstance(row, Pool):
            side = (side - row.size) // row.stride + 1
        elif isinstance(row, Linear):
            yield (row.outputs, channels * side * side), 1
            channels, side = row.outputs, 1


def run(name: str, peer: Any, weights: list[Any], x: Any) -> Any:
    """The network's result. ``peer`` has conv, relu, pool, join, linear and mean; ``weights`` are (weight, bias)."""
    left = iter(weights)

    def conv(x: Any, row: Conv) -> Any:
        return peer.relu(peer.conv(x, *next(left), row.stride, row.padding))

    for row in NETWORKS[name]:
        if isinstance(row, Conv):
            x = conv(x, row)
        elif isinstance(row, Fire):
            x = conv(x, Conv(row.squeeze, 1))
            x = peer.join(conv(x, Conv(row.expand, 1)), conv(x, Conv(row.expand, 3, padding=1)))
        elif isinstance(row, Pool):
            x = peer.pool(x, row.size, row.stride)
        elif isinstance(row, Linear):
            x = peer.linear(x, *next(left))
            x = x if row.last else peer.relu(x)
        else:
            x = peer.mean(x)
    return x
