"""What NumPy answers for the ops of neural networks: references for tests/optable_nn.py.

Plain loops over taps and windows, written from the definitions; they never call steep. Start at conv.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def each(v: int | Sequence[int], n: int) -> tuple[int, ...]:
    """One number for every dimension, or one each."""
    v = np.atleast_1d(np.array(v)).ravel()
    return tuple(int(i) for i in (np.repeat(v, n) if len(v) == 1 else v))


def borders(padding: Any, n: int) -> list[tuple[int, int]]:
    """(before, after) for each of n dimensions."""
    flat = each(padding, n)
    if len(flat) == 2 * n:
        return [(flat[2 * d], flat[2 * d + 1]) for d in range(n)]
    return [(p, p) for p in flat]


def strided(tap: Sequence[int], dilation: Any, stride: Any, out: Sequence[int]) -> tuple[Any, ...]:
    """What one tap of a kernel reads: an index of the spatial dimensions."""
    return tuple(
        slice(t * d, t * d + s * (o - 1) + 1, s) for t, d, s, o in zip(tap, dilation, stride, out, strict=True)
    )


def conv(
    x: Any, w: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> np.ndarray:
    n = w.ndim - 2
    if x.ndim == n + 1:
        return conv(x[None], w, bias, stride, padding, dilation, groups)[0]
    stride, dilation = each(stride, n), each(dilation, n)
    x = np.pad(x, [(0, 0), (0, 0), *borders(padding, n)])
    out = [(x.shape[2 + d] - dilation[d] * (w.shape[2 + d] - 1) - 1) // stride[d] + 1 for d in range(n)]
    y = np.zeros((x.shape[0], w.shape[0], *out), x.dtype)
    rows, channels = w.shape[0] // groups, w.shape[1]
    for tap in np.ndindex(*w.shape[2:]):
        seen = x[(slice(None), slice(None), *strided(tap, dilation, stride, out))]
        for g in range(groups):
            part, kernel = slice(g * rows, (g + 1) * rows), w[(slice(None), slice(None), *tap)]
            y[:, part] += np.einsum("nc...,oc->no...", seen[:, g * channels : (g + 1) * channels], kernel[part])
    return y if bias is None else y + np.reshape(bias, (-1,) + (1,) * n)


def conv_transpose(
    x: Any,
    w: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> np.ndarray:
    n = w.ndim - 2
    if x.ndim == n + 1:
        return conv_transpose(x[None], w, bias, stride, padding, output_padding, groups, dilation)[0]
    stride, dilation = each(stride, n), each(dilation, n)
    padding, extra, here = each(padding, n), each(output_padding, n), x.shape[2:]
    full = [(here[d] - 1) * stride[d] + dilation[d] * (w.shape[2 + d] - 1) + 1 + extra[d] for d in range(n)]
    y = np.zeros((x.shape[0], w.shape[1] * groups, *full), x.dtype)
    rows, channels = w.shape[1], w.shape[0] // groups
    for tap in np.ndindex(*w.shape[2:]):
        at = strided(tap, dilation, stride, here)
        for g in range(groups):
            part, kernel = slice(g * channels, (g + 1) * channels), w[(slice(None), slice(None), *tap)]
            y[(slice(None), slice(g * rows, (g + 1) * rows), *at)] += np.einsum(
                "nc...,co->no...", x[:, part], kernel[part]
            )
    y = y[(slice(None), slice(None), *(slice(p, size - p) for p, size in zip(padding, full, strict=True)))]
    return y if bias is None else y + np.reshape(bias, (-1,) + (1,) * n)


def conv_attrs(
    n: int, groups: int, stride: Any, begin: Any, end: Any, dilation: Any, sizes: Any = ()
) -> dict[str, Any]:
    """The attributes of the hidden rows."""
    lists = {"stride": stride, "begin": begin, "end": end, "dilation": dilation}
    spatial = {key: tuple(map(int, each(v, n))) for key, v in lists.items()}
    return {"groups": groups, "precision": "auto", **spatial, "sizes": tuple(map(int, sizes))}


def conv_row(x: Any, w: Any, *how: Any) -> np.ndarray:
    n, groups, stride, begin, end, dilation = how[:6]
    padding = [(a, b) for a, b in zip(each(begin, n), each(end, n), strict=True)]
    return conv(x, w, None, stride, padding, dilation, groups)


def conv_input_row(g: Any, w: Any, *how: Any) -> np.ndarray:
    """The adjoint by its definition: every output's gradient goes back to all it read."""
    n, groups, stride, begin, end, dilation, sizes = how
    stride, dilation, begin, end = each(stride, n), each(dilation, n), each(begin, n), each(end, n)
    x = np.zeros((g.shape[0], w.shape[1] * groups, *(s + a + b for s, a, b in zip(sizes, begin, end, strict=True))))
    rows, channels = w.shape[0] // groups, w.shape[1]
    for tap in np.ndindex(*w.shape[2:]):
        at = strided(tap, dilation, stride, g.shape[2:])
        for i in range(groups):
            part, kernel = slice(i * rows, (i + 1) * rows), w[(slice(None), slice(None), *tap)]
            to = (slice(None), slice(i * channels, (i + 1) * channels), *at)
            x[to] += np.einsum("no...,oc->nc...", g[:, part], kernel[part])
    return x[(slice(None), slice(None), *(slice(b, b + s) for b, s in zip(begin, sizes, strict=True)))].astype(g.dtype)


def conv_weight_row(x: Any, g: Any, *how: Any) -> np.ndarray:
    n, groups, stride, begin, end, dilation, sizes = how
    stride, dilation = each(stride, n), each(dilation, n)
    x = np.pad(x, [(0, 0), (0, 0), *zip(each(begin, n), each(end, n), strict=True)])
    rows, channels = g.shape[1] // groups, x.shape[1] // groups
    w = np.zeros((g.shape[1], channels, *sizes), x.dtype)
    for tap in np.ndindex(*sizes):
        seen = x[(slice(None), slice(None), *strided(tap, dilation, stride, g.shape[2:]))]
        for i in range(groups):
            part = slice(i * rows, (i + 1) * rows)
            over = (0, *range(2, x.ndim))
            mine = seen[:, i * channels : (i + 1) * channels]
            w[(part, slice(None), *tap)] = np.tensordot(g[:, part], mine, (over, over))
    return w


def windows(shape: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> tuple[Any, ...]:
    """(outputs, window, stride, padding, dilation) of a pool, each a tuple."""
    n = len(shape)
    kernel, padding, dilation = each(kernel, n), each(padding, n), each(dilation, n)
    stride = kernel if stride is None else each(stride, n)
    out = []
    for d in range(n):
        room = shape[d] + 2 * padding[d] - dilation[d] * (kernel[d] - 1) - 1
        o = (-(-room // stride[d]) if ceil_mode else room // stride[d]) + 1
        out.append(o - 1 if ceil_mode and (o - 1) * stride[d] >= shape[d] + padding[d] else o)
    return tuple(out), kernel, stride, padding, dilation


def seen(at: Sequence[int], how: tuple[Any, ...], shape: Any) -> list[tuple[int, ...]]:
    """The inputs inside the window of one output, in order."""
    _, kernel, stride, padding, dilation = how
    places = []
    for tap in np.ndindex(*kernel):
        place = tuple(o * s - p + t * d for o, s, p, t, d in zip(at, stride, padding, tap, dilation, strict=True))
        if all(0 <= i < n for i, n in zip(place, shape, strict=True)):
            places.append(place)
    return places


def max_pool_indices(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> np.ndarray:
    shape = x.shape[2:]
    how = windows(shape, kernel_size, stride, padding, dilation, ceil_mode)
    found = np.zeros((*x.shape[:2], *how[0]), np.int64)
    for at in np.ndindex(*found.shape):
        flat = [int(np.ravel_multi_index(p, shape)) for p in seen(at[2:], how, shape)]
        values = x[at[:2]].ravel()[flat]
        found[at] = flat[int(np.argmax(values))]
    return found


def max_pool(x: Any, *args: Any, **kwargs: Any) -> np.ndarray:
    return take_planes(x, max_pool_indices(x, *args, **kwargs))


def take_planes(x: Any, at: Any) -> np.ndarray:
    y = np.zeros(at.shape, x.dtype)
    for i in np.ndindex(*at.shape):
        y[i] = x[i[:2]].ravel()[at[i]]
    return y


def put_planes(x: Any, at: Any, *sizes: int) -> np.ndarray:
    y = np.zeros((*x.shape[:2], *sizes), x.dtype)
    for i in np.ndindex(*x.shape):
        y[i[:2]].ravel()[at[i]] += x[i]
    return y


def max_unpool2d(
    x: Any, at: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> np.ndarray:
    kernel, padding = each(kernel_size, 2), each(padding, 2)
    stride = kernel if stride is None else each(stride, 2)
    sizes = [(x.shape[2 + d] - 1) * stride[d] - 2 * padding[d] + kernel[d] for d in range(2)]
    return put_planes(x, at, *(sizes if output_size is None else output_size))


def avg_pool(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> np.ndarray:
    shape = x.shape[2:]
    how = windows(shape, kernel_size, stride, padding, 1, ceil_mode)
    y = np.zeros((*x.shape[:2], *how[0]), x.dtype)
    for at in np.ndindex(*how[0]):
        places = seen(at, how, shape)
        count = 1
        for o, k, s, p, n in zip(at, *how[1:4], shape, strict=True):
            count *= min(o * s - p + k, n + p) - (o * s - p)
        total = sum(x[(slice(None), slice(None), *p)] for p in places)
        y[(slice(None), slice(None), *at)] = total / (count if count_include_pad else len(places))
    return y


def adaptive_avg_pool(x: Any, output_size: Any) -> np.ndarray:
    for d, out in enumerate(each(output_size, x.ndim - 2)):
        n = x.shape[2 + d]
        cuts = [slice(i * n // out, -(-(i + 1) * n // out)) for i in range(out)]
        parts = [x[(slice(None),) * (2 + d) + (cut,)].mean(axis=2 + d, keepdims=True) for cut in cuts]
        x = np.concatenate(parts, axis=2 + d)
    return x


def standardized(x: Any, axes: Any, eps: float) -> np.ndarray:
    return (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + eps)


def affine(y: Any, weight: Any, bias: Any) -> np.ndarray:
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def column(values: Any, x: Any) -> Any:
    """One value per channel, along axis 1."""
    return None if values is None else np.reshape(values, (-1,) + (1,) * (x.ndim - 2))


def layer_norm(x: Any, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> np.ndarray:
    n = len(np.atleast_1d(np.array(shape)))
    return affine(standardized(x, tuple(range(x.ndim - n, x.ndim)), eps), weight, bias) if x.size else x


def standardize_last(x: Any) -> np.ndarray:
    return standardized(x, (-1,), 1e-5)


def layer_norm_last(x: Any, weight: Any = None, bias: Any = None) -> np.ndarray:
    return affine(standardized(x, (-1,), 1e-5), weight, bias)


def layer_norm_gradient(g: Any, x: Any, weight: Any = None) -> np.ndarray:
    """Of a scalar product with g, with respect to x."""
    y, d = standardized(x, (-1,), 1e-5), g if weight is None else g * weight
    projected = d - d.mean(axis=-1, keepdims=True) - y * (d * y).mean(axis=-1, keepdims=True)
    return projected / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)


def layer_norm_sums(g: Any, x: Any) -> np.ndarray:
    return np.stack([(g * standardized(x, (-1,), 1e-5)).sum(axis=0), g.sum(axis=0)])


def group_norm(x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> np.ndarray:
    y = standardized(x.reshape(x.shape[0], num_groups, x.shape[1] // num_groups, -1), (2, 3), eps).reshape(x.shape)
    return affine(y, column(weight, x), column(bias, x))


def instance_norm(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> np.ndarray:
    return group_norm(x, x.shape[1], weight, bias, eps)


def group_norm_gradient(g: Any, x: Any, weight: Any) -> np.ndarray:
    """Of two groups: with respect to x, then the sums over planes of g * y and of g, one after the other."""
    rows, planes = (x.shape[0], 2, -1), (*x.shape[:2], -1)
    inverse = 1 / np.sqrt(x.reshape(rows).var(axis=2, keepdims=True) + 1e-5)
    y, d = group_norm(x, 2).reshape(rows), (g * column(weight, x)).reshape(rows)
    by_x = (d - d.mean(2, keepdims=True) - y * (d * y).mean(2, keepdims=True)) * inverse
    sums = [(g.reshape(planes) * y.reshape(planes)).sum(2), g.reshape(planes).sum(2)]
    return np.concatenate([by_x.ravel(), *(each.ravel() for each in sums)])


def batch_norm_moments(x: Any) -> np.ndarray:
    axes = (0, *range(2, x.ndim))
    return np.stack([x.mean(axis=axes), x.var(axis=axes)])


def batch_norm_training(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> np.ndarray:
    return batch_norm(x, *batch_norm_moments(x), weight, bias, eps)


def batch_norm_gradient(g: Any, x: Any, weight: Any, eps: float = 1e-5) -> np.ndarray:
    """With respect to x, weight and bias, one after the other (Ioffe and Szegedy 2015, section 3)."""
    axes = (0, *range(2, x.ndim))
    y, n = batch_norm_training(x, eps=eps), x.size // x.shape[1]
    along, total = (g * y).sum(axis=axes), g.sum(axis=axes)
    scale = column(weight / np.sqrt(batch_norm_moments(x)[1] + eps), x)
    return np.concatenate([((g - column(total, x) / n - y * column(along, x) / n) * scale).ravel(), along, total])


def batch_norm(x: Any, mean: Any, var: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> np.ndarray:
    y = (x - column(mean, x)) / np.sqrt(column(var, x) + eps)
    return affine(y, column(weight, x), column(bias, x))


def attention_blocks(q: Any, k: Any, v: Any, mask: Any = None) -> np.ndarray:
    """With a scale of 0.5."""
    return attention(q, k, v, mask, scale=0.5)


def attention_gradient(g: Any, q: Any, k: Any, v: Any, mask: Any = 0.0) -> np.ndarray:
    """With respect to q, k and v, one after the other, at a scale of 0.5."""
    scores = q @ k.swapaxes(-1, -2) / 2 + mask
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    y = e / e.sum(axis=-1, keepdims=True)
    gy = g @ v.swapaxes(-1, -2) * y
    ds = (gy - gy.sum(axis=-1, keepdims=True) * y) / 2
    return np.concatenate([t.ravel() for t in (ds @ k, ds.swapaxes(-1, -2) @ q, y.swapaxes(-1, -2) @ g)])


def local_response_norm(x: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> np.ndarray:
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        low, high = max(0, c - size // 2), min(x.shape[1], c - size // 2 + size)
        y[:, c] = x[:, c] / (k + alpha * np.sum(x[:, low:high] ** 2, axis=1) / size) ** beta
    return y


def prelu(x: Any, weight: Any) -> np.ndarray:
    w = np.asarray(weight)
    return np.where(x > 0, x, x * (w.reshape(()) if w.size == 1 else column(w, x)))


def attention(q: Any, k: Any, v: Any, mask: Any = None, causal: bool = False, scale: float = 0.0) -> np.ndarray:
    scores = q @ np.swapaxes(k, -1, -2) * (scale or 1 / np.sqrt(q.shape[-1]))
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    if causal:
        scores = np.where(np.tri(q.shape[-2], k.shape[-2], dtype=bool), scores, -np.inf)
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True) @ v


def cubic(t: float) -> float:
    t = abs(t)
    if t <= 1:
        return 1.25 * t**3 - 2.25 * t**2 + 1
    return -0.75 * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0


def interpolate(
    x: Any, size: Any = None, mode: str = "nearest", align_corners: bool = False, scale_factor: float = 0.0
) -> np.ndarray:
    """Every output as the sum over all inputs of a kernel at their distance, one axis after the other."""
    n = x.ndim - 2
    sizes = each(size, n) if size is not None else tuple(int(s * scale_factor) for s in x.shape[2:])
    for d, out in enumerate(sizes):
        here = x.shape[2 + d]
        step = here / out if size is not None else 1 / scale_factor
        matrix = np.zeros((out, here))
        for i in range(out):
            at = i * (here - 1) / max(1, out - 1) if align_corners else (i + 0.5) * step - 0.5
            if mode == "nearest":
                matrix[i, min(here - 1, int(i * step + 1e-9))] = 1
            elif mode == "cubic":
                for j in range(int(np.floor(at)) - 1, int(np.floor(at)) + 3):
                    matrix[i, min(max(j, 0), here - 1)] += cubic(at - j)
            else:
                at = min(max(at, 0), here - 1)
                for j in range(here):
                    matrix[i, j] = max(0.0, 1 - abs(at - j))
        x = np.moveaxis(np.moveaxis(x, 2 + d, -1) @ matrix.T, -1, 2 + d)
    return x


def reflect(v: float, low: float, high: float) -> float:
    while high > low and not low <= v <= high:
        v = 2 * low - v if v < low else 2 * high - v
    return v if high > low else 0.0


def grid_sample(
    x: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool = False
) -> np.ndarray:
    def place(v: float, n: int) -> float:
        at = (v + 1) * (n - 1) / 2 if align_corners else (v + 1) * n / 2 - 0.5
        if padding_mode == "reflection":
            at = reflect(at, 0, n - 1) if align_corners else reflect(at, -0.5, n - 0.5)
        return at if padding_mode == "zeros" else min(max(at, 0), n - 1)

    y = np.zeros((*x.shape[:2], *grid.shape[1:3]), np.float64)
    for n, i, j in np.ndindex(*grid.shape[:3]):
        u, v = place(grid[n, i, j, 1], x.shape[2]), place(grid[n, i, j, 0], x.shape[3])
        if mode == "nearest":
            corners = [(np.round(u), np.round(v), 1.0)]
        else:
            near = [(np.floor(u) + a, np.floor(v) + b) for a in (0, 1) for b in (0, 1)]
            corners = [(r, c, (1 - abs(u - r)) * (1 - abs(v - c))) for r, c in near]
        for r, c, w in corners:
            if 0 <= r < x.shape[2] and 0 <= c < x.shape[3]:
                y[n, :, i, j] += w * x[n, :, int(r), int(c)]
    return y
