"""The stages before the model: normalizers (text to text) and pre-tokenizers (pieces to smaller pieces), as tables.

Each row is a type of a tokenizer.json, made from its options. A type that is missing raises NotImplementedError, upon
which ``tokenizer.py`` turns to the package ``tokenizers``. Start reading at ``NORMALIZERS``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from typing import Any

from steep.text import characters

Normalizer = Callable[[str], str]
Splitter = Callable[[str], Iterable[str]]
Options = dict[str, Any]

BYTE_LEVEL = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def bert_text(text: str, clean: bool, cjk: bool, accents: bool, lowercase: bool) -> str:
    """BERT's normalisation: control characters dropped, ideographs apart, accents and case removed."""
    if clean:
        kept = (c for c in text if c not in "\0\ufffd" and not characters.is_control(c))
        text = "".join(" " if c in characters.SPACES else c for c in kept)
    if cjk:
        text = "".join(f" {c} " if characters.is_cjk(c) else c for c in text)
    if accents:
        text = "".join(c for c in unicodedata.normalize("NFD", text) if not characters.is_mark(c))
    return characters.lower(text) if lowercase else text


def bert_pieces(text: str) -> Iterator[str]:
    """BERT's words: split at white space, each sign of punctuation by itself."""
    word = ""
    for c in text:
        alone = characters.is_punctuation(c)
        if alone or c in characters.SPACES:
            if word:
                yield word
            word = ""
            if alone:
                yield c
        else:
            word += c
    if word:
        yield word


@cache
def byte_names() -> dict[int, str]:
    """GPT-2's visible character for each byte."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    names = {byte: chr(byte) for byte in seen}
    for byte in range(256):
        names.setdefault(byte, chr(256 + len(names) - len(seen)))
    return names


def byte_pieces(text: str, prefix: bool, split: bool) -> Iterator[str]:
    """Words of GPT-2 as characters that stand for bytes."""
    names = byte_names()
    if prefix and text and not text.startswith(" "):
        text = " " + text
    for piece in characters.translated(BYTE_LEVEL).findall(text) if split else [text]:
        yield "".join(names[byte] for byte in piece.encode("utf-8", "replace"))


def split_pieces(text: str, pattern: re.Pattern[str], behaviour: str, invert: bool) -> Iterator[str]:
    """Pieces between the matches of a pattern, with the matches or without; the other way round if ``invert``."""
    parts: list[tuple[str, bool]] = []
    at = 0
    for found in pattern.finditer(text):
        if found.end() > found.start():
            parts += [(text[at : found.start()], invert), (found[0], not invert)]
            at = found.end()
    for piece, matched in [*parts, (text[at:], invert)]:
        if piece and not (matched and behaviour == "Removed"):
            yield piece


def _bert_normalizer(options: Options) -> Normalizer:
    lowercase = options.get("lowercase", True)
    accents = options.get("strip_accents")
    return partial(
        bert_text,
        clean=options.get("clean_text", True),
        cjk=options.get("handle_chinese_chars", True),
        accents=lowercase if accents is None else accents,
        lowercase=lowercase,
    )


def _pattern(options: Options) -> re.Pattern[str]:
    given = options["pattern"]
    if "String" in given:
        return re.compile(re.escape(given["String"]))
    return characters.translated(given["Regex"])


def _replace(options: Options) -> Normalizer:
    pattern, content = _pattern(options), options["content"]
    return lambda text: pattern.sub(lambda _: content, text)


def _normalizers(options: Options) -> Normalizer:
    stages = [normalizer(each) for each in options["normalizers"]]

    def run(text: str) -> str:
        for stage in stages:
            text = stage(text)
        return text

    return run


def _split(options: Options) -> Splitter:
    if options["behavior"] not in ("Removed", "Isolated"):
        raise NotImplementedError(f"a Split of behaviour {options['behavior']}")
    pattern = _pattern(options)
    return lambda text: split_pieces(text, pattern, options["behavior"], options.get("invert", False))


def _byte_level(options: Options) -> Splitter:
    return partial(byte_pieces, prefix=options.get("add_prefix_space", True), split=options.get("use_regex", True))


def _splitters(options: Options) -> Splitter:
    stages = [splitter(each) for each in options["pretokenizers"]]

    def run(text: str) -> Iterable[str]:
        pieces: Iterable[str] = [text]
        for stage in stages:
            pieces = [small for piece in pieces for small in stage(piece)]
        return pieces

    return run


def _whitespace(pattern: str) -> Callable[[Options], Splitter]:
    return lambda _: characters.translated(pattern).findall


def _form(name: Any) -> Callable[[Options], Normalizer]:
    return lambda _: partial(unicodedata.normalize, name)


NORMALIZERS: dict[str, Callable[[Options], Normalizer]] = {
    "BertNormalizer": _bert_normalizer,
    "Lowercase": lambda _: characters.lower,
    "StripAccents": lambda _: lambda text: "".join(c for c in text if not characters.is_mark(c)),
    "Replace": _replace,
    "Sequence": _normalizers,
    **{form: _form(form) for form in ("NFC", "NFD", "NFKC", "NFKD")},
}
SPLITTERS: dict[str, Callable[[Options], Splitter]] = {
    "BertPreTokenizer": lambda _: bert_pieces,
    "ByteLevel": _byte_level,
    "Split": _split,
    "WhitespaceSplit": _whitespace(r"\S+"),
    "Sequence": _splitters,
}


def normalizer(options: Options | None) -> Normalizer:
    """The normalizer of a tokenizer.json; None leaves text as it is."""
    return _of(NORMALIZERS, "normalizer", options) if options else lambda text: text


def splitter(options: Options | None) -> Splitter:
    """The pre-tokenizer of a tokenizer.json; None leaves text in one piece."""
    return _of(SPLITTERS, "pre-tokenizer", options) if options else lambda text: [text]


def _of(table: dict[str, Callable[[Options], Any]], what: str, options: Options) -> Any:
    if options.get("type") not in table:
        raise NotImplementedError(f"the {what} {options.get('type')}")
    return table[options["type"]](options)
