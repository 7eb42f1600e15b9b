"""Two towers: the masked loss, retrieval, training that resumes bit for bit, search and zero-shot classes."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import steep as sp
from small_towers import COLOURS, SETTINGS, encoder, made_pairs, towers
from steep import imagine, nn
from steep.imagine.train import augmented, one_cycle
from steep.zoo import Preprocessing

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def pairs():
    return made_pairs()


@pytest.fixture(scope="module")
def trained(pairs):
    made = towers()
    losses = imagine.train(made, pairs, replace(SETTINGS, epochs=20))
    return made, losses


@pytest.fixture
def folder(tmp_path):
    for name, colour in COLOURS.items():
        path = tmp_path / "pictures" / ("deep" if name == "blue" else "") / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), colour).save(path)
    (tmp_path / "pictures" / "broken.png").write_bytes(b"no picture")
    return tmp_path / "pictures"


# -- the loss and the measure -----------------------------------------------------------------------------------------


def unit(shape, seed):
    x = np.random.default_rng(seed).normal(size=shape)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_without_groups_it_is_info_nce():
    x, y = unit((6, 5), 0), unit((6, 5), 1)
    wanted = float(nn.info_nce(x, y, temperature=0.1))
    assert float(imagine.contrastive_loss(x, y, 10.0)) == pytest.approx(wanted, rel=1e-9)
    assert float(imagine.contrastive_loss(x, y, 10.0, np.arange(6))) == pytest.approx(wanted, rel=1e-9)


def test_pairs_of_one_group_are_no_negatives():
    x, y, groups = unit((5, 4), 2), unit((5, 4), 3), np.array([0, 1, 0, 2, 1])
    s = 7 * x @ y.T
    losses = []
    for i in range(5):
        kept = (groups != groups[i]) | (np.arange(5) == i)
        losses += [np.log(np.exp(s[i, kept]).sum()) - s[i, i], np.log(np.exp(s[kept, i]).sum()) - s[i, i]]
    assert float(imagine.contrastive_loss(x, y, 7.0, groups)) == pytest.approx(np.mean(losses), rel=1e-9)
    sp.check_grads(lambda a, b, t: imagine.contrastive_loss(a, b, sp.exp(t), groups), (x, y, np.float64(1.5)))
    with pytest.raises(ValueError, match=r"\(5, 4\) and texts \(4, 4\)"):
        imagine.contrastive_loss(x, y[:4], 1.0)


def test_ranks_count_ties_against_the_text():
    images, texts = np.eye(3), np.array([[1.0, 1, 0], [0, 0, 1], [0.2, 0.5, 0.9]])
    assert imagine.contrast.ranks(images, texts, [0, 2, 0]).tolist() == [1, 0, 2]
    assert imagine.contrast.ranks(images, texts, [[0, 1], [2, 2], [0, 1]]).tolist() == [0, 0, 1]
    assert imagine.retrieval(images, texts, [0, 2, 0], at=(1, 2, 3)) == {1: 1 / 3, 2: 2 / 3, 3: 1.0}


# -- training ---------------------------------------------------------------------------------------------------------


def test_towers_learn_colours_and_their_temperature(trained, pairs):
    made, losses = trained
    assert losses[-1] < losses[0] / 2 and float(made.log_scale) != pytest.approx(np.log(10), abs=1e-3)
    vectors, words = made.images(list(pairs.pictures)), made.texts([f"a {name} thing" for name in COLOURS])
    assert (np.argmax(vectors @ words.T, axis=1) == pairs.groups).mean() > 0.9
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_an_interrupted_training_continues_with_the_same_bits(pairs, tmp_path):
    path = tmp_path / "run.safetensors"
    whole, parts = towers(), towers()
    losses = imagine.train(whole, pairs, SETTINGS)
    half = len(losses) // 3 * 2
    imagine.train(parts, pairs, SETTINGS, lambda step, steps, loss: step == half, path)
    again = towers(seed=5)
    assert imagine.train(again, pairs, SETTINGS, checkpoint=path, resume=True) == losses
    for key, value in whole.state_dict().items():
        assert np.array_equal(np.asarray(value), np.asarray(again.state_dict()[key])), key
    with pytest.raises(ValueError, match="another run"):
        imagine.train(towers(), pairs, replace(SETTINGS, lr=0.5), checkpoint=path, resume=True)


def test_threads_do_not_change_a_bit(pairs):
    found, threads = [], sp.get_num_threads()
    for count in (1, 2):
        sp.set_num_threads(count)
        found.append(imagine.train(towers(), pairs, SETTINGS))
    sp.set_num_threads(threads)
    assert found[0] == found[1]


def test_features_of_a_frozen_trunk_are_trained_on_alike(pairs):
    made = imagine.Towers(nn.Flatten(), Preprocessing(4, margin=1.0), 48, True, encoder(), 16)
    features = np.asarray(pairs.pictures[:, ::4, ::4].reshape(24, -1) / 255, np.float32)
    losses = imagine.train(made, replace(pairs, pictures=features), replace(SETTINGS, epochs=12, zoom=0.0))
    assert losses[-1] < losses[0]


def test_augmentation_moves_pictures_a_little_and_each_by_itself():
    x = sp.asarray(np.tile(np.linspace(0, 1, 16, dtype=np.float32), (2, 3, 16, 1)))
    y = np.asarray(augmented(x, imagine.Settings(), sp.random.Generator(0)))
    assert y.shape == x.shape and not np.allclose(y[0], y[1], atol=1e-3) and np.abs(y - np.asarray(x)).mean() < 0.3
    still = np.asarray(augmented(x, imagine.Settings(zoom=0, rotate=0, brighten=0), sp.random.Generator(0)))
    assert np.corrcoef(still.ravel(), np.asarray(x).ravel())[0, 1] > 0.95
    rates = [one_cycle(1.0, 100)(t) for t in range(100)]
    assert max(rates) == pytest.approx(1, abs=0.1) and rates[0] < 0.2 and rates[-1] < 0.01


def test_towers_are_written_and_read(trained, tmp_path):
    made, path = trained[0], tmp_path / "towers.safetensors"
    made.save(path, {"trained": "here"})
    again = towers(seed=9)
    assert again.restore(path)["trained"] == "here"
    picture = np.full((20, 30, 3), 200, np.uint8)
    assert np.array_equal(again.eval().images([picture]), made.images([picture]))
    sp.io.save(path, {"a": sp.ones(2)})
    with pytest.raises(ValueError, match="holds no towers"):
        again.restore(path)


# -- use --------------------------------------------------------------------------------------------------------------


def test_search_ranks_a_folder_and_names_what_it_left_out(trained, folder):
    skipped = []
    found = imagine.search(trained[0], "a blue thing", folder, skipped=lambda path, why: skipped.append(path.name))
    assert found[0].path.name == "blue.png" and len(found) == 4 and skipped == ["broken.png"]
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    (folder / "empty").mkdir()
    for bad, error in ((folder / "none", FileNotFoundError), (folder / "empty", ValueError)):
        with pytest.raises(error, match="folder"):
            imagine.search(trained[0], "red", bad)
    with pytest.raises(ValueError, match="no word"):
        imagine.search(trained[0], " ", folder)


def test_classes_in_words(trained):
    picture = np.full((20, 30, 3), COLOURS["green"], np.uint8)
    chances = imagine.zero_shot(trained[0], picture, list(COLOURS), "a {} thing")
    assert sum(chances) == pytest.approx(1) and list(COLOURS)[int(np.argmax(chances))] == "green"
    with pytest.raises(ValueError, match="two labels"):
        imagine.zero_shot(trained[0], picture, ["red"])


def test_the_command_line_searches_and_classifies(trained, folder, command, monkeypatch):
    monkeypatch.setattr("steep.imagine.scorer", lambda name, say: trained[0])
    code, out, err = command("search", "a red thing", folder, "--top", 2, "--json")
    told = json.loads(out)
    assert code == 0 and told["top"][0]["file"].endswith("red.png") and told["pictures"] == 4 and "broken" in err
    code, out, _ = command("search", "a red thing", folder)
    assert code == 0 and "red.png" in out.splitlines()[1]
    code, out, _ = command("classify", folder / "green.png", "--labels", "red, green", "--json")
    assert code == 0 and json.loads(out)["top"][0]["name"] == "green"


def test_bad_input_of_the_command_line_is_one_line(folder, command, tmp_path):
    (tmp_path / "other.safetensors").write_bytes(b"12345678")
    for words, part in (
        (["search", "red", folder, "--scorer", "emojis"], "no scorer 'emojis'"),
        (["search", "red", folder, "--scorer", tmp_path / "other.safetensors"], "other.safetensors"),
        (["search", "red", folder, "--scorer", tmp_path / "none.safetensors"], "none.safetensors"),
        (["imagine", "--train", "gan"], "there are clip and emoji and generator"),
        (["imagine", "--train", "clip", "-o", "clip.onnx"], "is written as .safetensors"),
        (["imagine", "--train", "clip", "--resume"], "there is no clip.state.safetensors"),
    ):
        code, out, err = command(*words)
        assert code == 2 and part in err and err.count("\n") == 1 and not out, (words, err)
