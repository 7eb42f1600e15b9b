"""Batch normalization fused into the convolutions before it, for networks that are only evaluated.

Evaluation scales and shifts every channel by constants, which the convolution's weights can hold as well.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

from steep import _core
from steep.instances import instance
from steep.nn.containers import Residual, Sequential
from steep.nn.convolution import Conv1d, Conv2d, Conv3d
from steep.nn.module import Module
from steep.nn.normalization import BatchNorm1d, BatchNorm2d, BatchNorm3d

PAIRS = {Conv1d: BatchNorm1d, Conv2d: BatchNorm2d, Conv3d: BatchNorm3d}


def fuse_batch_norm(module: Module) -> Module:
    """A copy with fewer layers: each convolution does what the batch normalization after it did.

    Found are neighbours in a ``Sequential`` or a ``Residual``, at any depth. The copy is for evaluation alone.

    Args:
        module: a network in evaluation mode.

    Returns:
        The copy; outputs differ by rounding.

    Raises:
        TypeError: for anything but a module.
        ValueError: in training mode, in which batches are normalized by their own statistics.

    Example:
        >>> net = sp.nn.Sequential(sp.nn.Conv2d(3, 4, 3, generator=0), sp.nn.BatchNorm2d(4), sp.nn.ReLU()).eval()
        >>> len(sp.nn.fuse_batch_norm(net))
        2
    """
    if instance("fuse_batch_norm: module", module, Module).training:
        raise ValueError("fuse_batch_norm: the network is in training mode; call eval() before")
    fused = copy.deepcopy(module)
    for each in fused.modules():
        if isinstance(each, Sequential | Residual) and type(each).forward in (Sequential.forward, Residual.forward):
            _fuse_neighbours(each)
    return fused


def _fuse_neighbours(container: Sequential | Residual) -> None:
    layers: list[tuple[str, Any]] = list(container.named_layers())
    for (name, conv), (after, norm) in pairwise(layers):
        if type(norm) is PAIRS.get(type(conv)) and not norm.training and norm.running_mean is not None:
            setattr(container, name, _fused(conv, norm))
            delattr(container, after)
            container._order = tuple(each for each in container._order if each != after)


def _fused(conv: Any, norm: Any) -> Any:
    """The convolution with what the normalization does to each channel of its output."""
    with _core.no_grad():
        factor = _core.rsqrt(norm.running_var + norm.eps) * (1.0 if norm.weight is None else norm.weight)
        shift = (0.0 if conv.bias is None else conv.bias) - norm.running_mean
        made = copy.copy(conv)
        made.weight = conv.weight * factor.reshape((-1, *[1] * (conv.weight.ndim - 1)))
        made.bias = shift * factor + (0.0 if norm.bias is None else norm.bias)
    return made
