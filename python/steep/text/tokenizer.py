"""``Tokenizer``: text to numbers of a vocabulary, from a tokenizer.json, a vocab.txt, or a vocab.json with merges.txt.

Special tokens are cut out first; the rest is normalised, split into words (``stages.py``) and into parts of words
(``models.py``). What a file asks for and steep lacks is left to the package ``tokenizers``, if it is installed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from steep.io.malformed import reading
from steep.text.characters import SPACE
from steep.text.models import BPE, WordPiece, model
from steep.text.stages import normalizer, splitter

BERT_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CLIP_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class Encoding(NamedTuple):
    """Tokens of a text.

    Attributes:
        ids: their numbers.
        tokens: the tokens themselves.
        cut: how many tokens were left out because the text was too long.
    """

    ids: list[int]
    tokens: list[str]
    cut: int = 0


class _Special(NamedTuple):
    """A token that is found in the text as it stands."""

    content: str
    left: bool
    right: bool
    alone: bool


class Tokenizer:
    """A tokenizer; ``from_file`` opens one.

    Args:
        options: the contents of a tokenizer.json.

    Raises:
        TypeError: for options that are no mapping.
        NotImplementedError: naming a part that steep does not have.

    Example:
        >>> words = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4, "cat": 5, "##s": 6}
        >>> sp.text.Tokenizer.from_vocabulary(words)("A cats!").tokens
        ['[CLS]', 'a', 'cat', '##s', '[UNK]', '[SEP]']
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        if not isinstance(options, Mapping):
            raise TypeError(
                f"Tokenizer: options must be a mapping, and got {type(options).__name__}; from_file opens a file"
            )
        self._normalize = normalizer(options.get("normalizer"))
        self._split = splitter(options.get("pre_tokenizer"))
        self._model: WordPiece | BPE = model(options["model"])
        self.vocabulary: dict[str, int] = dict(self._model.vocabulary)
        added = options.get("added_tokens") or []
        self.vocabulary.update((each["content"], each["id"]) for each in added)
        self.specials = {each["content"] for each in added if each.get("special")}
        self._raw = _finder([each for each in added if not each.get("normalized")], lambda text: text)
        self._normalized = _finder([each for each in added if each.get("normalized")], self._normalize)
        self._before, self._after = _around(options.get("post_processor"))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Tokenizer:
        """Opens a tokenizer.json, a vocab.txt (one token a line, BERT), or a vocab.json beside its merges.txt.

        Args:
            path: the file, or a folder that holds one of these.

        Returns:
            A ``Tokenizer``.

        Raises:
            OSError: if the file cannot be read.
            ValueError: if it is no tokenizer, or needs the package ``tokenizers``, which is not installed.
        """
        file = _file_of(Path(path))
        text = file.read_text("utf-8")
        with reading(file, "a tokenizer"):
            options = _options(file, text)
            try:
                return cls(options)
            except NotImplementedError as error:
                return _Foreign(text, file, str(error))

    @classmethod
    def from_vocabulary(cls, vocabulary: Mapping[str, int], lowercase: bool = True) -> Tokenizer:
        """A WordPiece tokenizer as BERT's.

        Args:
            vocabulary: token to number, [CLS], [SEP] and [UNK] among them.
            lowercase: whether case and accents are removed.

        Returns:
            A ``Tokenizer``.
        """
        return cls(_bert(vocabulary, lowercase))

    def __call__(self, text: str, length: int | None = None, special: bool = True) -> Encoding:
        """The tokens of a text.

        Args:
            text: any text.
            length: the largest number of tokens, special ones included; the end of a longer text is left out.
            special: whether the tokens at the beginning and the end of each text are added.

        Returns:
            An ``Encoding``.

        Raises:
            TypeError: for what is no text.
            ValueError: for a length that leaves no room.
        """
        if not isinstance(text, str):
            raise TypeError(f"a tokenizer takes a str, got {type(text).__name__}")
        tokens = list(self._tokens(text))
        before, after = (self._before, self._after) if special else ([], [])
        room = len(tokens) if length is None else length - len(before) - len(after)
        if room < 0:
            raise ValueError(f"a length of {length} is less than the {len(before) + len(after)} special tokens")
        cut = max(0, len(tokens) - room)
        kept = [*before, *tokens[:room], *after]
        return Encoding([self.vocabulary[token] for token in kept], kept, cut)

    def _tokens(self, text: str) -> Iterator[str]:
        for piece, found in _cut(self._raw, text):
            if found:
                yield piece
                continue
            for part, known in _cut(self._normalized, self._normalize(piece)):
                yield from [known] if known else self._words(part)

    def _words(self, text: str) -> Iterator[str]:
        for word in self._split(text):
            yield from self._model(word)

    def decode(self, ids: Iterable[int]) -> str:
        """The tokens of numbers, with the parts of WordPiece joined to words.

        Args:
            ids: numbers of tokens.

        Returns:
            A text.
        """
        names = {number: token for token, number in self.vocabulary.items()}
        words = [names[number] for number in ids if names[number] not in self.specials]
        return " ".join(words).replace(" ##", "")


class _Foreign(Tokenizer):
    """A tokenizer of the package ``tokenizers``, for files that need more than steep has."""

    def __init__(self, text: str, file: Path, why: str) -> None:
        try:
            from tokenizers import Tokenizer as Theirs  # type: ignore[import-not-found, unused-ignore]
        except ImportError:
            raise ValueError(
                f"{file} has {why}, which steep does not: pip install tokenizers, and it is used"
            ) from None
        self._theirs: Any = Theirs.from_str(text)
        self._theirs.no_padding()
        self._theirs.no_truncation()
        self.vocabulary = self._theirs.get_vocab()
        added = json.loads(text).get("added_tokens") or []
        self.specials = {each["content"] for each in added if each.get("special")}

    def __call__(self, text: str, length: int | None = None, special: bool = True) -> Encoding:
        """The tokens of a text, as of ``Tokenizer``."""
        if not isinstance(text, str):
            raise TypeError(f"a tokenizer takes a str, got {type(text).__name__}")
        whole = len(self._theirs.encode(text, add_special_tokens=special).ids)
        if length is not None:
            self._theirs.enable_truncation(length)
        found = self._theirs.encode(text, add_special_tokens=special)
        self._theirs.no_truncation()
        return Encoding(found.ids, found.tokens, whole - len(found.ids))


def _finder(added: list[dict[str, Any]], form: Callable[[str], str]) -> tuple[re.Pattern[str], dict[str, str]] | None:
    """A pattern of special tokens, the longest first, and the token that each match means."""
    if not added:
        return None
    rows = sorted(added, key=lambda each: -len(form(each["content"])))
    patterns = []
    for each in rows:
        middle = re.escape(form(each["content"]))
        middle = rf"(?<!\w){middle}(?!\w)" if each.get("single_word") else middle
        left = f"[{SPACE}]*" if each.get("lstrip") else ""
        patterns.append(left + middle + (f"[{SPACE}]*" if each.get("rstrip") else ""))
    names = {form(each["content"]): each["content"] for each in rows}
    return re.compile("|".join(f"({pattern})" for pattern in patterns)), names


def _cut(finder: tuple[re.Pattern[str], dict[str, str]] | None, text: str) -> Iterator[tuple[str, str]]:
    """Pieces of a text, each with "" or the special token that it is."""
    at = 0
    for found in finder[0].finditer(text) if finder else ():
        if found.start() > at:
            yield text[at : found.start()], ""
        name = finder[1].get(found[0]) or finder[1][found[0].strip()] if finder else ""
        yield name, name
        at = found.end()
    if at < len(text):
        yield text[at:], ""


def _around(options: Mapping[str, Any] | None) -> tuple[list[str], list[str]]:
    """The special tokens before and after a single text."""
    if not options or options["type"] == "ByteLevel":
        return [], []
    if options["type"] in ("BertProcessing", "RobertaProcessing"):
        return [options["cls"][0]], [options["sep"][0]]
    if options["type"] == "Sequence":
        pairs = [_around(each) for each in options["processors"]]
        return [token for pair in reversed(pairs) for token in pair[0]], [token for pair in pairs for token in pair[1]]
    if options["type"] != "TemplateProcessing":
        raise NotImplementedError(f"the post-processor {options['type']}")
    at = next(i for i, each in enumerate(options["single"]) if "Sequence" in each)
    names = [
        [token for each in part for token in options["special_tokens"][each["SpecialToken"]["id"]]["tokens"]]
        for part in (options["single"][:at], options["single"][at + 1 :])
    ]
    return names[0], names[1]


def _file_of(path: Path) -> Path:
    if not path.is_dir():
        return path
    names = ("tokenizer.json", "vocab.json", "vocab.txt")
    found = next((path / name for name in names if (path / name).is_file()), None)
    if found is None:
        raise FileNotFoundError(f"the folder {path} holds none of {', '.join(names)}")
    return found


def _options(file: Path, text: str) -> Mapping[str, Any]:
    """The contents of a tokenizer.json; of other files, those that say the same."""
    if file.suffix == ".txt":
        lines = text.splitlines() if "\r" in text else text.removesuffix("\n").split("\n")
        return _bert({line: number for number, line in enumerate(lines)}, True)
    options: Mapping[str, Any] = json.loads(text)
    if "model" in options:
        return options
    merges = file.with_name("merges.txt").read_text("utf-8").split("\n")
    pairs = [line for line in merges if line and not line.startswith("#version")]
    return _clip(options, pairs) if any(token.endswith("</w>") for token in options) else _gpt2(options, pairs)


def _added(vocabulary: Mapping[str, int], names: Iterable[str]) -> list[dict[str, Any]]:
    return [{"id": vocabulary[name], "content": name, "special": True} for name in names if name in vocabulary]


def _bert(vocabulary: Mapping[str, int], lowercase: bool) -> Mapping[str, Any]:
    return {
        "added_tokens": _added(vocabulary, BERT_SPECIALS),
        "normalizer": {"type": "BertNormalizer", "lowercase": lowercase},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "cls": ["[CLS]"], "sep": ["[SEP]"]},
        "model": {"type": "WordPiece", "vocab": vocabulary},
    }


def _clip(vocabulary: Mapping[str, int], merges: list[str]) -> Mapping[str, Any]:
    ends = ("<|startoftext|>", "<|endoftext|>")
    spaces = {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}
    words = {"type": "Split", "pattern": {"Regex": CLIP_SPLIT}, "behavior": "Removed", "invert": True}
    parts = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
    return {
        "added_tokens": _added(vocabulary, ends),
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, spaces, {"type": "Lowercase"}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [words, parts]},
        "post_processor": {"type": "RobertaProcessing", "cls": [ends[0]], "sep": [ends[1]]},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges, "unk_token": ends[1],
                  "end_of_word_suffix": "</w>"},
    }  # fmt: skip


def _gpt2(vocabulary: Mapping[str, int], merges: list[str]) -> Mapping[str, Any]:
    return {
        "added_tokens": _added(vocabulary, ("<|endoftext|>", "<s>", "</s>", "<pad>", "<unk>", "<mask>")),
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges},
    }
