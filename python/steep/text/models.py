"""The two models that split a word into parts of a vocabulary: WordPiece (BERT) and byte-pair encoding (GPT-2, CLIP).

Both are functions of a word, and remember the words that they have seen.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MOST_SEEN = 100_000  # words that a model remembers


class WordPiece:
    """Parts of a word by the longest match from the left; a word that does not fit is one unknown token.

    Args:
        vocabulary: token to number.
        unknown: the token of what does not fit.
        prefix: what a part after the first begins with.
        longest: number of characters above which a word is unknown.

    References:
        Schuster and Nakajima 2012, "Japanese and Korean voice search"; Devlin et al. 2019, arXiv:1810.04805.

    Example:
        >>> sp.text.WordPiece({"[UNK]": 0, "un": 1, "##able": 2})("unable")
        ['un', '##able']
    """

    def __init__(
        self, vocabulary: Mapping[str, int], unknown: str = "[UNK]", prefix: str = "##", longest: int = 100
    ) -> None:
        self.vocabulary, self.unknown, self.prefix, self.longest = vocabulary, unknown, prefix, longest
        if unknown not in vocabulary:
            raise ValueError(f"WordPiece: the vocabulary has no {unknown!r}, the token of unknown words")

    def __call__(self, word: str) -> list[str]:
        """The parts of a word.

        Args:
            word: a word, without white space.

        Returns:
            Tokens of the vocabulary.
        """
        if len(word) > self.longest:
            return [self.unknown]
        found: list[str] = []
        at = 0
        while at < len(word):
            part, at = self._longest(word, at)
            if not part:
                return [self.unknown]
            found.append(part)
        return found

    def _longest(self, word: str, at: int) -> tuple[str, int]:
        for end in range(len(word), at, -1):
            part = (self.prefix if at else "") + word[at:end]
            if part in self.vocabulary:
                return part, end
        return "", at


class BPE:
    """Byte-pair encoding: characters are merged in the order in which the pairs were learnt.

    Args:
        vocabulary: token to number.
        merges: pairs of tokens, the first learnt first.
        unknown: the token of characters that the vocabulary lacks; they are left out if None.
        suffix: appended to the last character of a word.
        prefix: what a part after the first begins with.
        fuse: whether unknown characters in a row are one token.

    References:
        Sennrich et al. 2016, "Neural machine translation of rare words with subword units", arXiv:1508.07909.

    Example:
        >>> sp.text.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")])("abb")
        ['ab', 'b']
    """

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        merges: Sequence[tuple[str, str]],
        unknown: str | None = None,
        suffix: str = "",
        prefix: str = "",
        fuse: bool = False,
    ) -> None:
        self.vocabulary, self.unknown, self.suffix, self.prefix, self.fuse = vocabulary, unknown, suffix, prefix, fuse
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._seen: dict[str, list[str]] = {}

    def __call__(self, word: str) -> list[str]:
        """The parts of a word.

        Args:
            word: a word.

        Returns:
            Tokens of the vocabulary.
        """
        found = self._seen.get(word)
        if found is None:
            found = self._merged(self._characters(word))
            if len(self._seen) < MOST_SEEN:
                self._seen[word] = found
        return list(found)

    def _characters(self, word: str) -> list[str]:
        parts: list[str] = []
        for i, character in enumerate(word):
            part = (self.prefix if i else "") + character + (self.suffix if i == len(word) - 1 else "")
            if part in self.vocabulary:
                parts.append(part)
            elif self.unknown is not None and not (self.fuse and parts and parts[-1] == self.unknown):
                parts.append(self.unknown)
        return parts

    def _merged(self, parts: list[str]) -> list[str]:
        """The pair of the lowest rank is merged, the leftmost first, until there is none."""
        after = [*range(1, len(parts)), -1]
        before = [-1, *range(len(parts) - 1)]
        alive: list[str | None] = list(parts)
        queue = [entry for i in range(len(parts) - 1) if (entry := self._entry(alive, i, i + 1))]
        heapq.heapify(queue)
        while queue:
            _, left, pair = heapq.heappop(queue)
            right = after[left]
            if right < 0 or (alive[left], alive[right]) != pair:
                continue
            alive[left], alive[right] = pair[0] + pair[1].removeprefix(self.prefix), None
            after[left] = after[right]
            if after[left] >= 0:
                before[after[left]] = left
            for a, b in ((before[left], left), (left, after[left])):
                if a >= 0 and b >= 0 and (entry := self._entry(alive, a, b)):
                    heapq.heappush(queue, entry)
        return [part for part in alive if part is not None]

    def _entry(self, parts: list[str | None], left: int, right: int) -> tuple[int, int, tuple[str, str]] | None:
        pair = parts[left] or "", parts[right] or ""
        rank = self.ranks.get(pair)
        return None if rank is None else (rank, left, pair)


def _word_piece(options: dict[str, Any]) -> WordPiece:
    return WordPiece(
        options["vocab"],
        options.get("unk_token", "[UNK]"),
        options.get("continuing_subword_prefix", "##"),
        options.get("max_input_chars_per_word", 100),
    )


def _pair(merge: str | list[str]) -> tuple[str, str]:
    left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
    return left, right


def _bpe(options: dict[str, Any]) -> BPE:
    for name in ("dropout", "byte_fallback", "ignore_merges"):
        if options.get(name):
            raise NotImplementedError(f"a BPE model with {name}")
    pairs = [_pair(each) for each in options["merges"]]
    return BPE(options["vocab"], pairs, options.get("unk_token"), options.get("end_of_word_suffix") or "",
               options.get("continuing_subword_prefix") or "", options.get("fuse_unk", False))  # fmt: skip


MODELS: dict[str, Callable[[dict[str, Any]], WordPiece | BPE]] = {"WordPiece": _word_piece, "BPE": _bpe}


def model(options: dict[str, Any]) -> WordPiece | BPE:
    """The model of a tokenizer.json, whose type is missing in old files."""
    kind = options.get("type") or ("BPE" if "merges" in options else "WordPiece")
    if kind not in MODELS:
        raise NotImplementedError(f"the model {kind}")
    return MODELS[kind](options)
