"""Attention and rotary embeddings, as defined from opset 23 on.

``attention`` is composed of matrix products and a softmax, because the operator also returns intermediate values: the
cache of keys and values, and the scores at any of four stages.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.onnx.table import Node, Value, dtype_of, op


def _heads(x: Tensor, heads: int | None, what: str) -> Tensor:
    """(N, L, heads * E) as (N, heads, L, E); four dimensions as they are."""
    if x.ndim == 4:
        return x
    if x.ndim != 3 or not heads or x.shape[2] % heads:
        raise ValueError(f"{what} {x.shape} needs 4 dimensions, or 3 and a number of heads that divides the last")
    return _core.permute_dims(_core.reshape(x, (*x.shape[:2], heads, x.shape[2] // heads)), (0, 2, 1, 3))


def _joined(x: Tensor) -> Tensor:
    y = _core.permute_dims(x, (0, 2, 1, 3))
    return _core.reshape(y, (y.shape[0], y.shape[1], y.shape[2] * y.shape[3]))


def _widened(mask: Tensor, keys: int) -> Tensor:
    """A mask with hidden keys at its end."""
    missing = keys - mask.shape[-1]
    if missing <= 0:
        return mask
    fill = _core.full((*mask.shape[:-1], missing), 0 if mask.dtype == _core.bool else -math.inf, dtype=mask.dtype)
    return _core.concat([mask, fill], -1)


def _ahead(node: Node, queries: int, keys: int, offset: Any) -> Tensor | None:
    """Which keys a query may see by position: (queries, keys), or with a leading (N, 1) if the offset is a tensor.

    Query i has the position i + offset.
    """
    left = -1 if node["left_window_size"] is None else node["left_window_size"]
    right = -1 if node["right_window_size"] is None else node["right_window_size"]
    right = 0 if node["is_causal"] else right
    if left < 0 and right < 0:
        return None
    gap: Any = _core.asarray(np.arange(queries)[:, None] - np.arange(keys)[None, :])
    gap = gap + (_core.reshape(offset, (-1, 1, 1, 1)) if isinstance(offset, Tensor) else offset)
    seen = _core.ones(gap.shape, dtype="bool")
    if right >= 0:
        seen = _core.greater_equal(gap, -right)
    return seen if left < 0 else _core.logical_and(seen, _core.less_equal(gap, left))


def _bias(node: Node, mask: Tensor | None, q: Tensor, keys: int, past: int, lengths: Tensor | None) -> Tensor | None:
    """What is added to the scores: 0 where a key is visible, -inf elsewhere, plus a mask of numbers."""
    queries = q.shape[2]
    offset: Any = past if lengths is None else _core.reshape(lengths, (-1,)) - queries
    seen = _ahead(node, queries, keys, offset)
    if lengths is not None:
        place = _core.asarray(np.arange(keys).reshape(1, 1, 1, -1))
        within = _core.less(place, _core.reshape(lengths, (-1, 1, 1, 1)))
        seen = within if seen is None else _core.logical_and(seen, within)
    bias = None
    if mask is not None and mask.dtype == _core.bool:
        wide = _widened(mask, keys)
        seen = wide if seen is None else _core.logical_and(seen, wide)
    elif mask is not None:
        bias = _widened(mask, keys).astype(q.dtype)
    if seen is None:
        return bias
    base = _core.zeros((), dtype=q.dtype) if bias is None else bias
    return _core.where(seen, base, _core.full((), -math.inf, dtype=q.dtype))


def _probabilities(node: Node, scores: Tensor, bias: Tensor | None, dtype: Any) -> Tensor:
    """softmax of the scores; zeros for a query without visible keys."""
    if node["softmax_precision"]:
        scores = scores.astype(dtype_of(node["softmax_precision"], "softmax_precision of Attention"))
    if bias is None:
        return _core.softmax(scores, -1).astype(dtype)
    blind = _core.equal(_core.max(bias, axis=-1, keepdims=True), -math.inf)
    safe = _core.where(blind, _core.zeros_like(scores), scores)
    return _core.where(blind, _core.zeros((), dtype=dtype), _core.softmax(safe, -1).astype(dtype))


def _with_past(past: Tensor | None, now: Tensor) -> Tensor:
    return now if past is None else _core.concat([past, now], 2)


@op("Attention", since=23)
def attention(
    node: Node,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    past_key: Tensor | None = None,
    past_value: Tensor | None = None,
    lengths: Tensor | None = None,
) -> Value:
    """softmax(Q K^T * scale + mask) V over heads; also the keys and values with the past, and the scores."""
    q = _heads(query, node["q_num_heads"], "Q")
    k = _with_past(past_key, _heads(key, node["kv_num_heads"], "K"))
    v = _with_past(past_value, _heads(value, node["kv_num_heads"], "V"))
    if q.shape[1] % k.shape[1]:
        raise ValueError(f"{q.shape[1]} heads of queries cannot share {k.shape[1]} heads of keys")
    each = q.shape[1] // k.shape[1]
    wide_k, wide_v = (k, v) if each == 1 else (_core.repeat(k, each, 1), _core.repeat(v, each, 1))
    root = math.sqrt(1 / math.sqrt(q.shape[3]) if node["scale"] is None else node["scale"])
    raw = _core.matmul(q * root, _core.swapaxes(wide_k * root, -1, -2))
    cap = node["softcap"] or 0
    capped = cap * _core.tanh(raw / cap) if cap else raw
    past = 0 if past_key is None else past_key.shape[2]
    bias = _bias(node, mask, q, k.shape[2], past, lengths)
    biased = capped if bias is None else capped + bias
    weights = _probabilities(node, biased, bias, q.dtype)
    y = _core.matmul(weights, wide_v)
    stages = _stages(node, raw, capped, biased, weights)
    return (_joined(y) if query.ndim == 3 else y, k, v, stages)[: len(node.outputs)]


def _stages(node: Node, raw: Tensor, capped: Tensor, biased: Tensor, weights: Tensor) -> Tensor:
    """The scores at the stage given by qk_matmul_output_mode."""
    mode = node["qk_matmul_output_mode"] or 0
    if mode not in range(4):
        raise ValueError(f"qk_matmul_output_mode is 0, 1, 2 or 3, got {mode}")
    return (raw, capped, biased, weights)[mode]


@op("RotaryEmbedding")
def rotary_embedding(node: Node, x: Tensor, cos: Tensor, sin: Tensor, positions: Tensor | None = None) -> Tensor:
    """Pairs of features rotated by an angle for their position."""
    heads = _heads(x, node["num_heads"], "X")
    if positions is not None:
        cos, sin = _core.take(cos, positions, 0), _core.take(sin, positions, 0)
    cos, sin = _core.expand_dims(cos, 1), _core.expand_dims(sin, 1)
    rotated = node["rotary_embedding_dim"] or heads.shape[3]
    part, rest = heads[..., :rotated], heads[..., rotated:]
    if node["interleaved"]:
        a, b = part[..., 0::2], part[..., 1::2]
        y = _core.reshape(_core.stack([cos * a - sin * b, sin * a + cos * b], -1), part.shape)
    else:
        a, b = part[..., : rotated // 2], part[..., rotated // 2 :]
        y = _core.concat([cos * a - sin * b, sin * a + cos * b], -1)
    whole = _core.concat([y, rest], -1) if rest.shape[3] else y
    return _joined(whole) if x.ndim == 3 else whole
