"""Networks from rows: each row is a name, a kind and its options; ``KINDS`` defines the layers of each kind.

The input channels of a layer are derived, so that a row gives only its output channels. Start reading at ``build``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from steep import nn
from steep.nn.module import Module

Row = tuple[Any, ...]
Rows = Sequence[Row]
Made = tuple[Module, int]


def build(rows: Rows, channels: int) -> tuple[dict[str, Module], int]:
    """The layers of a network from rows.

    Args:
        rows: rows of (name, kind, options).
        channels: channels of the input.

    Returns:
        Layers by name, and the channels of the output.
    """
    layers: dict[str, Module] = {}
    for name, kind, *options in rows:
        layers[name], channels = KINDS[kind](channels, *options)
    return layers, channels


def _conv(channels: int, out: int, kernel: int, stride: int = 1, padding: Any = 0, bias: bool = True) -> Made:
    return nn.Conv2d(channels, out, kernel, stride, padding, bias=bias, generator=0), out


def _depthwise(channels: int, kernel: int, stride: int = 1, padding: Any = 0, bias: bool = True) -> Made:
    layer = nn.Conv2d(channels, channels, kernel, stride, padding, 1, channels, bias, generator=0)
    return layer, channels


def _transposed(channels: int, out: int, kernel: int, stride: int = 1, padding: Any = 0, bias: bool = True) -> Made:
    return nn.ConvTranspose2d(channels, out, kernel, stride, padding, bias=bias, generator=0), out


def _concat(channels: int, rows: Rows) -> Made:
    branches = [build([row], channels) for row in rows]
    return nn.Concat({name: layer for made, _ in branches for name, layer in made.items()}), sum(n for _, n in branches)


def _sequence(channels: int, rows: Rows) -> Made:
    layers, out = build(rows, channels)
    return nn.Sequential(layers), out


def _residual(channels: int, rows: Rows, shortcut: Row | None = None) -> Made:
    """``shortcut``: the kind and options of the layer that the input goes through."""
    layers, out = build(rows, channels)
    beside = KINDS[shortcut[0]](channels, *shortcut[1:])[0] if shortcut else None
    return nn.Residual(layers, shortcut=beside), out


KINDS: dict[str, Callable[..., Made]] = {
    "conv": _conv,
    "depthwise": _depthwise,
    "conv_transpose": _transposed,
    "linear": lambda c, out: (nn.Linear(c, out, generator=0), out),
    "batch_norm": lambda c, eps=1e-5: (nn.BatchNorm2d(c, eps), c),
    "relu": lambda c: (nn.ReLU(), c),
    "relu6": lambda c: (nn.ReLU6(), c),
    "tanh": lambda c: (nn.Tanh(), c),
    "max_pool": lambda c, kernel, stride, padding=0: (nn.MaxPool2d(kernel, stride, padding), c),
    "global_pool": lambda c: (nn.AdaptiveAvgPool2d(1), c),
    "flatten": lambda c: (nn.Flatten(), c),
    "sequence": _sequence,
    "residual": _residual,
    "concat": _concat,
}
