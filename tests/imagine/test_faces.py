"""Faces: guided by a network of expressions, judged by another, and ranked among random faces of the same generator."""

import json
from dataclasses import replace

import numpy as np
import pytest
import steep as sp
from small_towers import COLOURS, encoder
from steep import imagine, nn, zoo
from steep.data.fetch import cache_folder
from steep.imagine import generators
from steep.imagine.conse import CONSE

pytest.importorskip("PIL")


class Colours(nn.Module):
    """A classifier of the mean colour: red, green or blue."""

    preprocessing = zoo.Preprocessing(8, margin=1.0)
    classes = ("red", "green", "blue")

    def __init__(self, factor):
        self.factor = factor

    def forward(self, x):
        return x.mean(axis=(2, 3)) * self.factor


def expressions(name, factor=30.0):
    words = encoder()
    return imagine.Photos(Colours(factor), words, np.asarray(words(list(Colours.classes))), name)


def squares(count=12):
    """A generator of "faces": squares of one colour, from latents (n, 3)."""
    made = generators.of_normal_latents(
        "squares", lambda z: sp.sigmoid(z.reshape((-1, 3, 1, 1)) * 2) * sp.ones((1, 1, 16, 16)), (3,), 0.2, 1.0
    )
    return generators.of_faces(made, count, "its weights")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setattr("steep.imagine.kept.cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr("steep.imagine.drawing.load", lambda name: pytest.fail("emoji are not needed"))
    named = {"faces": expressions("faces"), "faces_judge": expressions("faces_judge", 20.0)}
    monkeypatch.setattr("steep.imagine.drawing.scorer", lambda name, say: named[name])
    return tmp_path / "cache"


def test_a_face_is_guided_and_judged_by_the_networks_of_its_generator(home):
    found = imagine.draw("blue", None, squares(), steps=20, views=2, candidates=4, starts=2)
    guide, judge = found.standings
    assert (guide.tower, judge.tower) == ("faces", "faces_judge") and guide.among == judge.among == "random faces"
    assert judge.count == 12 and judge.seen.startswith("blue") and 1 <= judge.rank <= judge.start_rank <= 13
    assert found.settings["scorer"] == "faces" and found.nearest.shape == (16, 16, 3)
    assert found.nearest_name.endswith("of 12 random faces")
    assert [path.name for path in home.iterdir()] == ["squares_12.safetensors"]
    again = imagine.draw("blue", "faces", squares(), judge="faces_judge", steps=20, views=2, candidates=4, starts=2)
    assert again.standings == found.standings and again.picture.tobytes() == found.picture.tobytes()


def test_random_faces_do_not_depend_on_batches_and_are_small():
    made, large = squares(), replace(squares(), batch=5)
    first = generators.random_pictures(made, 12)
    assert np.array_equal(first, generators.random_pictures(large, 12)) and first.dtype == np.uint8
    said = []
    generators.random_pictures(large, 12, lambda what, done, total: said.append((done, total)))
    assert said == [(5, 12), (10, 12), (12, 12)] and len({each.tobytes() for each in first}) == 12
    big = generators.of_normal_latents("big", lambda z: sp.ones((len(z), 3, 200, 200)) * 0.5, (3,))
    assert generators.random_pictures(big, 2).shape == (2, generators.OTHERS, generators.OTHERS, 3)


def test_the_objective_is_a_cross_entropy_with_the_classes_near_the_text():
    towers = expressions("faces", 3.0)
    pixels = np.random.default_rng(0).uniform(size=(2, 3, 8, 8))
    value = towers.objective(towers.texts("blue")[0])
    chances = sp.softmax(towers.model(pixels), axis=-1).numpy()
    near = np.exp(20.0 * (towers.texts(list(Colours.classes)) @ towers.texts("blue")[0]))
    assert np.allclose(value(pixels).numpy(), np.log(chances) @ (near / near.sum()), atol=1e-5)
    sp.check_grads(value, (sp.asarray(pixels),))


def test_the_objective_still_grows_where_another_class_is_certain():
    towers = expressions("faces", 100.0)
    red = np.zeros((1, 3, 8, 8))
    red[:, 0] = 1
    gradient = sp.grad(lambda x: sp.sum(towers.objective(towers.texts("blue")[0])(x)))(sp.asarray(red)).numpy()
    assert gradient[:, 2].min() > 0.1 and gradient[:, 0].max() < -0.1


def test_what_a_network_sees_is_told():
    towers = expressions("faces")
    assert towers.seen(np.full((1, 3, 8, 8), 0.5)) == "red 0.33"
    assert towers.seen(np.reshape(COLOURS["green"], (1, 3, 1, 1)) / 255 * np.ones((1, 1, 8, 8))).startswith("green ")
    assert imagine.AnyTowers().seen(np.zeros((1, 3, 8, 8))) == ""


def test_the_middle_of_a_portrait_is_looked_at():
    towers, words = expressions("faces"), encoder()
    middle = imagine.Photos(Colours(30.0), words, np.asarray(words(list(Colours.classes))), "faces", 0.5)
    framed = np.zeros((1, 3, 16, 16), np.float32)
    framed[:, 0], framed[:, :, 4:12, 4:12] = 1, np.reshape([0, 0, 1], (3, 1, 1))
    assert towers.seen(framed).startswith("red") and middle.seen(framed).startswith("blue 1.00")
    assert np.allclose(middle.encode(framed).numpy(), towers.encode(framed[:, :, 4:12, 4:12]).numpy())
    assert np.allclose(middle.logits(framed).numpy(), towers.logits(framed[:, :, 4:12, 4:12]).numpy())


def test_towers_of_faces_are_named():
    assert {name: row.model for name, row in CONSE.items()} == {
        "photos": "efficientnet_lite0",
        "faces": "face_expressions",
        "faces_judge": "mini_xception",
    }
    with pytest.raises(ValueError, match=r"no scorer 'face'; did you mean .*faces"):
        imagine.scorer("face")


def test_the_command_line_tells_what_the_judge_sees(command, monkeypatch):
    monkeypatch.setattr("steep.imagine.drawing.generator", lambda name, say: squares())
    code, out, err = command("imagine", "blue", "--generator", "dcgan_faces", "--steps", 3, "-o", "blue.html")
    assert code == 0 and "12 random faces" in out and "which sees: " in out, err
    code, out, _ = command("imagine", "blue", "--generator", "dcgan_faces", "--steps", 3, "--json")
    told = json.loads(out)["standings"]
    assert code == 0 and [each["tower"] for each in told] == ["faces", "faces_judge"] and told[1]["seen"]


# -- the real ones, where they are there ------------------------------------------------------------------------------

KEPT = [f"{name}.safetensors" for name in ("minilm", "dcgan_faces", "face_expressions", "mini_xception")]


@pytest.mark.skipif(not all((cache_folder() / name).is_file() for name in KEPT), reason="it would fetch 140 MB")
def test_a_face_smiles(monkeypatch):
    """Twenty steps, on one thread and on two: the same bytes."""
    monkeypatch.setattr("steep.imagine.drawing.scorer", imagine.scorer)
    threads, found = sp.get_num_threads(), []
    for count in (1, 2):
        sp.set_num_threads(count)
        found.append(imagine.draw("a smiling face", None, "dcgan_faces", steps=20))
    sp.set_num_threads(threads)
    assert found[0].picture.tobytes() == found[1].picture.tobytes() and found[0].standings == found[1].standings
    guide, judge = found[0].standings
    assert guide.seen.startswith("happy") and guide.count == judge.count == 256
