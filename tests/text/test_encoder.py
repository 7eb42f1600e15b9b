"""Sentence encoders: MiniLM's known answers, batches by length, and attributions that add up."""

from __future__ import annotations

import numpy as np
import pytest
import steep as sp
from steep import nn
from steep.text import TextEncoder, Tokenizer
from steep.text.encoder import batches
from steep.zoo.bert import sentence_bert

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "cat", "##s", "red", "!"]


def varied(model, seed=0):
    """The model with other values than those of its making, which are alike in all layers."""
    draw = sp.random.Generator(seed)
    for tensor in model.parameters():
        tensor.detach()[...] = draw.normal(tuple(tensor.shape), std=0.5)
    return model.eval()


@pytest.fixture(scope="module")
def small():
    model = varied(nn.Sequential(sentence_bert(len(WORDS), 16, blocks=2, heads=4, inner=32)))
    return TextEncoder(model, Tokenizer.from_vocabulary({word: i for i, word in enumerate(WORDS)}), length=8)


@pytest.fixture(scope="module")
def minilm():
    try:
        return sp.text.encoder()
    except sp.data.FetchError as error:
        pytest.skip(str(error))


def test_minilm_of_the_documentations_three_sentences(minilm):
    said = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    vectors = np.asarray(minilm(said))
    found = vectors @ vectors.T
    assert found[np.triu_indices(3, 1)] == pytest.approx([0.6660, 0.1046, 0.1411], abs=1e-4)
    assert np.diag(found) == pytest.approx(1, abs=1e-5)
    pooler = 384 * 384 + 384  # which sentences do not use
    assert sum(each.size for each in minilm.model.buffers()) == 22_713_216 - pooler


def test_minilm_attributions_add_up(minilm):
    found = sp.text.attribution(minilm, "a very happy dog", "an animal")
    assert max(found.words(), key=lambda pair: pair[1])[0] == "dog"
    assert found.gap < 1e-4 and sum(found.parts) == pytest.approx(found.score - found.baseline, abs=0.01)


def test_a_vector_does_not_depend_on_the_other_texts(small):
    texts = ["a dog", "cats", "a red dog!", "red", "a dog", "a a a a a a a a a"]
    together, seen = np.asarray(small(texts)), []
    assert together.shape == (6, 16) and np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.allclose(together, np.concatenate([np.asarray(small(text)) for text in texts]), atol=1e-6)
    small(texts, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (6, 6) and len(small.tokens(texts[-1]).ids) == 8


def test_batches_have_one_length_and_a_largest_size():
    ids = [[0] * n for n in (3, 1, 3, 2, 3, 3)]
    assert batches(ids, tokens=6) == [[1], [3], [0, 2], [4, 5]]


def test_texts_without_a_word_are_an_error(small):
    for text in ("", "  \n"):
        with pytest.raises(ValueError, match="has no word"):
            small([text])
    with pytest.raises(ValueError, match="no text to encode"):
        small([])
    with pytest.raises(ValueError, match="600 tokens"):
        small.model(np.ones((1, 600), np.int64))
    with pytest.raises(ValueError, match="the one by name is minilm"):
        sp.text.encoder("bert")


def test_attributions_are_complete_in_a_small_network(small):
    found = sp.text.attribution(small, "a red cats !", "dog")
    assert found.tokens == ["[CLS]", "a", "red", "cat", "##s", "!", "[SEP]"]
    assert found.gap < 1e-3 and found.parts[0] == 0 and found.parts[-1] == 0
    assert [word for word, _ in found.words()] == ["a", "red", "cats", "!"]
    assert found.words()[2][1] == pytest.approx(found.parts[3] + found.parts[4])
    assert "rgba" in found.html() and ">cats</span>" in found.html()
    plain = TextEncoder(nn.Sequential(lambda ids: sp.ones((len(ids), 4))), small.tokenizer)
    with pytest.raises(ValueError, match="no layer `words`"):
        sp.text.attribution(plain, "a dog", "a cat")


def test_the_network_differentiates(small):
    model = small.model.astype(sp.float64) if hasattr(small.model, "astype") else small.model
    x = sp.random.Generator(3).normal((1, 4, 16), dtype=sp.float64)

    def rest(v):
        for layer in list(model)[1:]:
            v = layer(v)
        return v

    sp.check_grads(rest, (x,))


def test_saliency_of_a_text_from_the_command_line(minilm, command, tmp_path):
    code, out, _ = command("saliency", "--text", "a happy dog", "--like", "an animal", "-o", tmp_path / "a.html")
    assert code == 0 and "dog" in out and "parts add up" in out and "rgba" in (tmp_path / "a.html").read_text()
    code, out, _ = command("saliency", "--text", "a dog", "--like", "an animal", "--json")
    assert code == 0 and [row["word"] for row in __import__("json").loads(out)["words"]] == ["a", "dog"]


@pytest.mark.parametrize(
    "words, fix",
    [
        (["--text", "a dog"], "needs --like"),
        ([], "give an image, or --text"),
        (["cat.png", "--text", "a dog"], "give an image, or --text"),
        (["--text", "a dog", "--like", "b", "-o", "a.png"], "written as .html"),
    ],
)
def test_bad_input_of_saliency_of_text_is_one_line(words, fix, command):
    code, out, err = command("saliency", *words)
    assert code == 2 and fix in err and err.count("\n") == 1 and not out
