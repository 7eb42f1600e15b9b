"""BERT as an encoder of sentences: numbers of tokens (n, length) to vectors of length 1 (n, 384).

All texts of a batch have the same length, so nothing is padded and nothing masked. ``words`` is a layer by itself: the
layers after it map vectors of tokens, which can be attributed and optimised, to the sentence's. Sources: Devlin et al.
2019, arXiv:1810.04805; Wang et al. 2020, "MiniLM", arXiv:2002.10957; Reimers and Gurevych 2019, arXiv:1908.10084.
"""

from __future__ import annotations

from typing import Any

from steep import _core, nn
from steep._core import Tensor
from steep.nn.containers import Layer

EPS = 1e-12
LENGTH = 512  # the most tokens that positions are known for


class Embeddings(nn.Module):
    """Vectors of tokens (n, length, size) with those of their positions, normalised.

    Args:
        size: length of the vectors.
        length: the largest number of tokens.
    """

    def __init__(self, size: int, length: int = LENGTH) -> None:
        self.positions = nn.Embedding(length, size, generator=0)
        self.kinds = nn.Embedding(2, size, generator=0)
        self.norm = nn.LayerNorm(size, EPS)

    def forward(self, x: Any) -> Tensor:
        """Adds positions.

        Args:
            x: vectors of tokens (n, length, size).

        Returns:
            A tensor of the same shape.

        Raises:
            ValueError: for more tokens than there are positions.
        """
        longest = self.positions.weight.shape[0]
        if x.shape[1] > longest:
            raise ValueError(f"a text of {x.shape[1]} tokens; this encoder knows {longest} positions: shorten it")
        normalized: Tensor = self.norm(x + self.positions.weight[: x.shape[1]] + self.kinds.weight[0])
        return normalized


class Attention(nn.Module):
    """Self-attention with a residual connection and layer normalization after it.

    Args:
        size: length of the vectors.
        heads: number of heads.
    """

    def __init__(self, size: int, heads: int) -> None:
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(size, size, generator=0) for _ in range(4))
        self.norm = nn.LayerNorm(size, EPS)

    def forward(self, x: Any) -> Tensor:
        """Attends.

        Args:
            x: a tensor (n, length, size).

        Returns:
            A tensor of the same shape.
        """
        q, k, v = (self._split(layer(x)) for layer in (self.query, self.key, self.value))
        y = _core.permute_dims(_core.attention(q, k, v), (0, 2, 1, 3))
        normalized: Tensor = self.norm(x + self.output(_core.reshape(y, x.shape)))
        return normalized

    def _split(self, x: Tensor) -> Tensor:
        return _core.permute_dims(_core.reshape(x, (*x.shape[:2], self.heads, -1)), (0, 2, 1, 3))


class Block(nn.Module):
    """A layer of BERT: attention, then two linear layers with GELU between them.

    Args:
        size: length of the vectors.
        heads: number of heads.
        inner: length between the two linear layers.
    """

    def __init__(self, size: int, heads: int, inner: int) -> None:
        self.attention = Attention(size, heads)
        self.expand, self.act = nn.Linear(size, inner, generator=0), nn.GELU()
        self.project, self.norm = nn.Linear(inner, size, generator=0), nn.LayerNorm(size, EPS)

    def forward(self, x: Any) -> Tensor:
        """Applies the layer.

        Args:
            x: a tensor (n, length, size).

        Returns:
            A tensor of the same shape.
        """
        attended = self.attention(x)
        normalized: Tensor = self.norm(attended + self.project(self.act(self.expand(attended))))
        return normalized


class MeanPool(nn.Module):
    """The mean over tokens."""

    def forward(self, x: Any) -> Tensor:
        """The mean.

        Args:
            x: a tensor (n, length, size).

        Returns:
            A tensor (n, size).
        """
        return _core.mean(x, axis=1)


class Direction(nn.Module):
    """Vectors divided by their length."""

    def forward(self, x: Any) -> Tensor:
        """Normalises.

        Args:
            x: a tensor (n, size).

        Returns:
            A tensor of the same shape.
        """
        squared = _core.sum(x * x, axis=-1, keepdims=True)
        return _core.asarray(x) / _core.sqrt(_core.maximum(squared, EPS))


def sentence_bert(entries: int, size: int, blocks: int, heads: int, inner: int) -> dict[str, Layer]:
    """The layers of an encoder of sentences.

    Args:
        entries: number of tokens in the vocabulary.
        size: length of the vectors.
        blocks: number of layers of attention.
        heads: number of heads of each.
        inner: length between the linear layers of each.

    Returns:
        Layers by name.
    """
    middle = {f"block{i + 1}": Block(size, heads, inner) for i in range(blocks)}
    words = nn.Embedding(entries, size, generator=0)
    return {"words": words, "embeddings": Embeddings(size), **middle, "pool": MeanPool(), "direction": Direction()}


def bert_name(name: str, _: int) -> str:
    """The file's name of a layer: "block1.attention.query" is "encoder.layer.0.attention.self.query".

    Args:
        name: name of the layer.
        _: unused.

    Returns:
        The file's name.
    """
    parts = {
        "words": "embeddings.word_embeddings", "embeddings.positions": "embeddings.position_embeddings",
        "embeddings.kinds": "embeddings.token_type_embeddings", "embeddings.norm": "embeddings.LayerNorm",
        "attention.query": "attention.self.query", "attention.key": "attention.self.key",
        "attention.value": "attention.self.value", "attention.output": "attention.output.dense",
        "attention.norm": "attention.output.LayerNorm", "expand": "intermediate.dense", "project": "output.dense",
        "norm": "output.LayerNorm",
    }  # fmt: skip
    if name in parts and not name.startswith("attention"):
        return parts[name]
    block, _dot, layer = name.partition(".")
    return f"encoder.layer.{int(block.removeprefix('block')) - 1}.{parts[layer]}"
