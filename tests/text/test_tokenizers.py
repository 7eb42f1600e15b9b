"""Tokenizers against Hugging Face's ``tokenizers`` 0.23: its tokens for small vocabularies, recorded here."""

from __future__ import annotations

import json
import string

import numpy as np
import pytest
import steep as sp
from steep.text import BPE, Tokenizer, WordPiece, characters

PIECES = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "un", "cat", "happy", "\u65e5", "!", "'", ".", "\xe9", "\xdf",
    "\u0131", "\U0001f600", "[", "]", *string.ascii_lowercase, *(f"##{c}" for c in string.ascii_lowercase), "##happy",
    "##able",
]  # fmt: skip
BERT = {token: number for number, token in enumerate(dict.fromkeys(PIECES))}
PAIRS = ["c a", "ca t</w>", "t h", "th e</w>"]
PARTS = [*string.ascii_lowercase, *(f"{c}</w>" for c in string.ascii_lowercase), "!</w>", "ca", "cat</w>", "th",
         "the</w>", "'", "1</w>", "2</w>", "<|startoftext|>", "<|endoftext|>"]  # fmt: skip
CLIP = {token: number for number, token in enumerate(PARTS)}

OF_BERT = [
    ("The cats!", "the cat ##s !"),
    ("unhappy", "un ##happy"),
    ("Unhappy CATS.", "un ##happy cat ##s ."),
    ("na\xefve caf\xe9 \xc0\xc9", "n ##a ##i ##v ##e c ##a ##f ##e a ##e"),
    ("\u65e5\u672c cat\u65e5", "\u65e5 [UNK] cat \u65e5"),
    ("\U0001f600 cat", "\U0001f600 cat"),
    ("\x00\x07cat\u200bs\ufffd", "cat ##s"),
    ("a\u0301 b\u0308", "a b"),
    ("", ""),
    ("  \t\n ", ""),
    ("cat's", "cat ' s"),
    ("[MASK] cat[SEP]", "[MASK] cat [SEP]"),
    ("[mask]", "[ m ##a ##s ##k ]"),
    ("\u0130stanbul \xdf \u0131", "i ##s ##t ##a ##n ##b ##u ##l \xdf \u0131"),
    ("don\xa0t\u2028x", "d ##o ##n t x"),
    ("\x1ccat\x85the", "cat ##t ##h ##e"),
    ("q\u1ab0z \u061d \U00016ea1", "q ##z [UNK] [UNK]"),
]
OF_CLIP = [
    ("the cat", "the</w> cat</w>"),
    ("The  CATS!", "the</w> ca t s</w> !</w>"),
    ("cat's 12", "cat</w> ' s</w> 1</w> 2</w>"),
    ("", ""),
    ("thecat \xe9", "th e cat</w> <|endoftext|> <|endoftext|>"),
    ("cat<|endoftext|>the", "cat</w> <|endoftext|> the</w>"),
]


@pytest.fixture
def clip(tmp_path):
    """CLIP's tokenizer with a small vocabulary, from the two files of its releases."""
    (tmp_path / "vocab.json").write_text(json.dumps(CLIP))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(PAIRS) + "\n")
    return Tokenizer.from_file(tmp_path)


@pytest.mark.parametrize("text, wanted", OF_BERT)
def test_word_pieces(text, wanted, tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(BERT) + "\n", "utf-8")
    for tokenizer in (Tokenizer.from_vocabulary(BERT), Tokenizer.from_file(tmp_path)):
        found = tokenizer(text)
        assert found.tokens == ["[CLS]", *wanted.split(), "[SEP]"]
        assert found.ids == [BERT[token] for token in found.tokens] and found.cut == 0


@pytest.mark.parametrize("text, wanted", OF_CLIP)
def test_byte_pairs(text, wanted, clip):
    assert clip(text).tokens == ["<|startoftext|>", *wanted.split(), "<|endoftext|>"]


def test_a_word_of_more_than_a_hundred_characters_is_unknown():
    model = WordPiece(BERT)
    assert model("a" * 101) == ["[UNK]"] and model("a" * 100) == ["a"] + ["##a"] * 99
    with pytest.raises(ValueError, match="unknown"):
        WordPiece({"a": 0})


def test_case_and_accents_are_kept_on_request():
    tokenizer = Tokenizer.from_vocabulary(BERT, lowercase=False)
    assert tokenizer("\xe9 a", special=False).tokens == ["\xe9", "a"] and tokenizer("A").tokens[1] == "[UNK]"


def test_the_end_of_a_long_text_is_left_out_and_counted(clip):
    tokenizer = Tokenizer.from_vocabulary(BERT)
    found = tokenizer("the cat the cat the cat", length=5)
    assert found.tokens == ["[CLS]", "the", "cat", "the", "[SEP]"] and found.cut == 3
    assert tokenizer("cat", length=2).tokens == ["[CLS]", "[SEP]"]
    assert clip("the cat", length=3).tokens[1:-1] == ["the</w>"]
    with pytest.raises(ValueError, match="less than the 2 special tokens"):
        tokenizer("cat", length=1)
    with pytest.raises(TypeError, match="takes a str, got int"):
        tokenizer(3)


def test_merges_are_made_by_rank_and_from_the_left():
    parts = {token: i for i, token in enumerate(["a", "b", "aa", "aab", "ab"])}
    assert BPE(parts, [("a", "a"), ("aa", "b"), ("a", "b")])("aaaab") == ["aa", "aab"]
    assert BPE(parts, [("a", "b"), ("a", "a")])("aaab") == ["aa", "ab"]
    assert BPE(parts, [])("axb") == ["a", "b"] and BPE({**parts, "?": 9}, [], "?")("axb") == ["a", "?", "b"]
    assert BPE({**parts, "?": 9}, [], "?", fuse=True)("axxb") == ["a", "?", "b"]
    assert len(BPE(parts, [("a", "a")])("a" * 20_001)) == 10_001


def test_a_tokenizer_json_and_the_bytes_of_gpt2(tmp_path):
    path = tmp_path / "tokenizer.json"
    model = {
        "type": "BPE",
        "vocab": {"\u0120": 0, "a": 1, "\xc3": 2, "\xa9": 3, "\u0120a": 4, "<s>": 5},
        "merges": [["\u0120", "a"]],
    }
    special = {"id": 5, "content": "<s>", "special": True, "normalized": False, "lstrip": True}
    options = {
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False},
        "model": model,
        "added_tokens": [special],
    }
    path.write_text(json.dumps(options))
    assert Tokenizer.from_file(path)("a a\xe9 <s>a").tokens == ["a", "\u0120a", "\xc3", "\xa9", "<s>", "a"]


def test_a_file_that_needs_more_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"model": {"type": "Unigram", "vocab": []}}))
    with pytest.raises(ValueError, match="the model Unigram, which steep does not: pip install tokenizers"):
        Tokenizer.from_file(path)
    path.write_text("{")
    with pytest.raises(ValueError, match="not a tokenizer that can be read"):
        Tokenizer.from_file(path)
    with pytest.raises(FileNotFoundError, match="holds none of"):
        Tokenizer.from_file(tmp_path / "..")


def test_regular_expressions_of_tokenizer_files():
    words = characters.translated(r"[^\s\p{L}\p{N}]+|\p{N}{1,2}|\p{L}+")
    assert words.findall("ab \u65e5!? 123\xa0\x1c") == ["ab", "\u65e5", "!?", "12", "3", "\x1c"]
    with pytest.raises(NotImplementedError, match="category"):
        characters.translated(r"\p{Greek}")


def test_numbers_back_to_text():
    tokenizer = Tokenizer.from_vocabulary(BERT)
    assert tokenizer.decode(tokenizer("Unhappy cats").ids) == "unhappy cats"
    assert np.array(tokenizer("cat").ids).dtype.kind == "i" and isinstance(sp.text.Encoding([1], ["a"]), tuple)
