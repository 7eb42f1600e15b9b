"""Networks from rows: each row is a name, a kind and its options; ``KINDS`` says what a kind becomes.

The channels are counted along the way, so that a row says only how many come out. Start reading at ``build``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from steep import nn
from steep.nn.module import Module

Row = tuple[Any, ...]
Rows = Sequence[Row]
Made = tuple[Module, int]


def build(rows: Rows, channels: int, dtype: Any = None) -> tuple[dict[str, Module], int]:
    """The layers of ``rows`` by name, for an input of ``channels``, and the channels that come out."""
    layers: dict[str, Module] = {}
    for name, kind, *options in rows:
        layers[name], channels = KINDS[kind](channels, dtype, *options)
    return layers, channels


def _conv(
    channels: int, dtype: Any, out: int, kernel: int, stride: int = 1, padding: Any = 0, bias: bool = True
) -> Made:
    return nn.Conv2d(channels, out, kernel, stride, padding, bias=bias, generator=0, dtype=dtype), out


def _depthwise(channels: int, dtype: Any, kernel: int, stride: int = 1, padding: Any = 0, bias: bool = True) -> Made:
    layer = nn.Conv2d(channels, channels, kernel, stride, padding, 1, channels, bias, generator=0, dtype=dtype)
    return layer, channels


def _concat(channels: int, dtype: Any, rows: Rows) -> Made:
    branches = [build([row], channels, dtype) for row in rows]
    return nn.Concat({name: layer for made, _ in branches for name, layer in made.items()}), sum(n for _, n in branches)


def _container(kind: type[nn.Sequential] | type[nn.Residual]) -> Callable[..., Made]:
    def make(channels: int, dtype: Any, rows: Rows) -> Made:
        layers, out = build(rows, channels, dtype)
        return kind(layers), out

    return make


KINDS: dict[str, Callable[..., Made]] = {
    "conv": _conv,
    "depthwise": _depthwise,
    "linear": lambda c, dtype, out: (nn.Linear(c, out, generator=0, dtype=dtype), out),
    "batch_norm": lambda c, dtype, eps=1e-5: (nn.BatchNorm2d(c, eps, dtype=dtype), c),
    "relu": lambda c, _: (nn.ReLU(), c),
    "relu6": lambda c, _: (nn.ReLU6(), c),
    "max_pool": lambda c, _, kernel, stride: (nn.MaxPool2d(kernel, stride), c),
    "global_pool": lambda c, _: (nn.AdaptiveAvgPool2d(1), c),
    "flatten": lambda c, _: (nn.Flatten(), c),
    "sequence": _container(nn.Sequential),
    "residual": _container(nn.Residual),
    "concat": _concat,
}
