"""What NumPy answers where it has no function of the same meaning as steep's: references for tests/optable.py.

Written from the definitions, in NumPy and Python's math alone; they never call steep.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def each(f: Callable[[float], float]) -> Callable[[Any], np.ndarray]:
    def over(x: Any) -> np.ndarray:
        x = np.asarray(x, dtype=np.float64)
        return np.array([f(v) for v in x.ravel()], dtype=np.float64).reshape(x.shape)

    return over


def erfc(v: float) -> float:
    return math.erfc(v) if not math.isnan(v) else v


def recurrence(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """y[i] = b[i] + a[i] y[i - 1] along the last axis."""
    y = np.zeros_like(b)
    for i in range(b.shape[-1]):
        y[..., i] = b[..., i] + (a[..., i] * y[..., i - 1] if i else 0)
    return y


def erf(v: float) -> float:
    return math.erf(v) if not math.isnan(v) else v


def logistic(x: Any) -> np.ndarray:
    return np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))


def gelu(x: Any) -> np.ndarray:
    return x * 0.5 * each(lambda v: math.erfc(-v / math.sqrt(2)))(x)  # NaN at -inf, as in PyTorch and JAX


def silu(x: Any) -> np.ndarray:
    return x * logistic(x)  # NaN at -inf, as in PyTorch and JAX


def softmax(x: Any, axis: int = -1) -> np.ndarray:
    if np.ndim(x) == 0:
        return np.exp(x - x)
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def softmax_gradient(g: Any, y: Any, axis: int) -> np.ndarray:
    return g * y - y * (g * y).sum(axis=axis, keepdims=True)


def cross_entropy(x: Any, labels: Any, axis: int = -1) -> np.ndarray:
    picked = np.take_along_axis(log_softmax(x, axis), np.expand_dims(labels, axis), axis)
    return -np.squeeze(picked, axis)


def cross_entropy_gradient(x: Any, labels: Any, g: Any) -> np.ndarray:
    hit = np.arange(np.shape(x)[-1]) == np.asarray(labels)[..., None]
    return np.asarray(g)[..., None] * (softmax(x) - hit)


def log_softmax(x: Any, axis: int = -1) -> np.ndarray:
    if np.ndim(x) == 0:
        return np.asarray(x - x)
    s = x - np.max(x, axis=axis, keepdims=True)
    return s - np.log(np.exp(s).sum(axis=axis, keepdims=True))


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> np.ndarray:
    top = np.max(x, axis=axis, keepdims=True)
    shift = np.where(np.isfinite(top), top, 0)
    y = np.log(np.sum(np.exp(x - shift), axis=axis, keepdims=True)) + shift
    return y if keepdims else np.squeeze(y, axis=axis)


def norm(x: Any, ord: float = 2.0, axis: Any = None, keepdims: bool = False) -> Any:
    size = np.abs(x)
    if ord == 0:
        return np.sum(size != 0, axis=axis, keepdims=keepdims).astype(size.dtype)
    if math.isinf(ord):
        return (np.max if ord > 0 else np.min)(size, axis=axis, keepdims=keepdims)
    return np.sum(size**ord, axis=axis, keepdims=keepdims) ** (1 / ord)


def argsort(x: Any, axis: int = -1, descending: bool = False) -> np.ndarray:
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    rank = np.unique(x, return_inverse=True)[1].reshape(x.shape)
    order = np.where(np.isnan(x), 1, -rank) if x.dtype.kind == "f" else -rank
    return np.argsort(order, axis=axis, kind="stable")


def sort(x: Any, axis: int = -1, descending: bool = False) -> np.ndarray:
    return np.take_along_axis(x, argsort(x, axis, descending), axis)


def topk(x: Any, k: int, axis: int = -1, largest: bool = True) -> tuple[np.ndarray, np.ndarray]:
    at = np.take(argsort(x, axis, largest), range(k), axis=axis)
    return np.take_along_axis(x, at, axis), at


def scatter_add(x: Any, indices: Any, updates: Any, axis: int = 0) -> np.ndarray:
    y, updates = x.copy(), np.broadcast_to(updates, indices.shape)
    for at in np.ndindex(indices.shape):
        y[(*at[:axis], indices[at], *at[axis + 1 :])] += updates[at]
    return y


def one_hot(x: Any, num_classes: int, dtype: Any = None) -> np.ndarray:
    return (np.asarray(x)[..., None] % num_classes == np.arange(num_classes)).astype("float32")


def vecdot(a: Any, b: Any, axis: int = -1) -> np.ndarray:
    products = np.moveaxis(a, axis, -1) * np.moveaxis(b, axis, -1)
    return products.sum(-1, dtype=products.dtype)


def unstack(x: Any, axis: int = 0) -> list[np.ndarray]:
    return list(np.moveaxis(x, axis, 0))


def pad(x: Any, width: Any, mode: str = "constant", constant_values: float = 0.0) -> np.ndarray:
    named = {"constant_values": constant_values} if mode == "constant" else {}
    return np.pad(x, width, mode, **named)


def embed(x: Any, start: Sequence[int], step: Sequence[int], full: Sequence[int]) -> np.ndarray:
    y = np.zeros(full, x.dtype)
    y[tuple(slice(a, a + b * n, b) for a, b, n in zip(start, step, x.shape, strict=True))] = x
    return y


def add_rows(x: Any, index: Any, rows: int) -> np.ndarray:
    y = np.zeros((rows, *x.shape[index.ndim :]), x.dtype)
    np.add.at(y, index, x)
    return y


def philox(key: int, start: int, n: int, per: int) -> np.ndarray:
    """Words of Philox 4x32-10 (Salmon et al. 2011): a row of four for every counter of values start, ..."""
    counters = range(start // per, (start + n + per - 1) // per)
    rows = []
    for counter in counters:
        c, k = [counter & 0xFFFFFFFF, counter >> 32, 0, 0], [key & 0xFFFFFFFF, (key >> 32) & 0xFFFFFFFF]
        for _ in range(10):
            p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [(q >> 32) ^ c[1] ^ k[0], q & 0xFFFFFFFF, (p >> 32) ^ c[3] ^ k[1], p & 0xFFFFFFFF]
            k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
        rows.append(c)
    return np.array(rows, dtype=np.uint64).reshape(-1, 4)


def random_bits(key: int, start: int, shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
    n = math.prod(shape)
    w = philox(key, start, n, 2)
    pairs = np.stack([w[:, 0] << np.uint64(32) | w[:, 1], w[:, 2] << np.uint64(32) | w[:, 3]], 1).ravel()
    return pairs[start % 2 :][:n].reshape(shape).astype(np.int64)


def random_uniform(key: int, start: int, shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
    n = math.prod(shape)
    if dtype == "float64":
        return (random_bits(key, start, shape).astype(np.uint64) >> np.uint64(11)) * 2.0**-53
    words = philox(key, start, n, 4).ravel()[start % 4 :][:n]
    return ((words >> np.uint64(8)) * 2.0**-24).reshape(shape)


def random_normal(key: int, start: int, shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
    """Box-Muller, written after csrc/kernels/random.inl.h; test_random.py checks the distribution."""
    n, per = math.prod(shape), 2 if dtype == "float64" else 4
    w = philox(key, start, n, per)
    if dtype == "float64":
        u = (((w[:, 0] << np.uint64(32) | w[:, 1]) >> np.uint64(12)).astype(float) + 0.5) * 2.0**-52
        angle = (w[:, 2] << np.uint64(32) | w[:, 3]).astype(np.int64) * (2 * math.pi / 2.0**64)
        planes = [(u, angle)]
    else:
        signed = w.astype(np.uint32).astype(np.int32).astype(float)
        planes = [
            ((w[:, p] & np.uint64(0x7FFFFFFF)) * 2.0**-31 + 2.0**-32, signed[:, p + 1] * (2 * math.pi / 2.0**32))
            for p in (0, 2)
        ]
    parts = [np.sqrt(-2 * np.log(u)) * f(angle) for u, angle in planes for f in (np.cos, np.sin)]
    return np.stack(parts, 1).ravel()[start % per :][:n].reshape(shape)
