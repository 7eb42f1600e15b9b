"""Several towers as one: similarities are means, by every way into them, and drawing takes them as a guide."""

import numpy as np
import pytest
import steep as sp
from small_towers import COLOURS, emoji, made_pairs, towers
from steep import imagine
from steep.imagine import drawing, recipes, scorers
from steep.imagine.any_towers import pixels_of
from steep.imagine.together import Together
from steep.zoo import Preprocessing

pytest.importorskip("PIL")


@pytest.fixture(scope="module")
def members():
    """Two towers that know colours, of inputs of different sizes."""
    made = []
    for seed in (0, 1):
        one = towers(seed)
        one.way = Preprocessing(16 + 8 * seed, (0.5,) * 3, (0.25,) * 3, margin=1.0)
        one.name = f"small {seed}"
        squares = np.stack([np.kron(x, np.ones((2, 2, 1), np.uint8))[:24, :24] for x in made_pairs().pictures])
        pairs = made_pairs() if seed == 0 else imagine.Pairs(squares, made_pairs().groups, made_pairs().texts)
        imagine.train(one, pairs, imagine.Settings(epochs=20, batch=8, lr=0.02, zoom=0.1, seed=seed))
        made.append(one.eval())
    return made


PICTURES = emoji().pictures
PROMPT = "a red thing"


def test_similarities_are_means_by_every_way(members):
    both = imagine.Together(members)
    wanted = both.texts(PROMPT)[0]
    each = [one.texts(PROMPT)[0] for one in members]
    ways = {
        "images": lambda one: one.images(list(PICTURES)),
        "encode": lambda one: np.asarray(one.encode(pixels_of(PICTURES)).detach()),
        "squares": lambda one: one.squares(PICTURES if one is both else one.inputs(list(PICTURES))),
    }
    for name, way in ways.items():
        expected = np.mean([way(one) @ word for one, word in zip(members, each, strict=True)], axis=0)
        np.testing.assert_allclose(way(both) @ wanted, expected, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(np.linalg.norm(way(both), axis=1), 1, atol=1e-5)
    assert both.name == "small 0+small 1" and both.ready() is members[0].ready()
    scales = [float(one.log_scale) for one in members]
    assert abs(float(both.log_scale) - np.mean(scales)) < 1e-6


def test_the_gradient_is_the_mean_of_theirs(members):
    x = np.asarray(pixels_of(PICTURES)[:1])
    found = []
    for one in (imagine.Together(members), *members):
        target = sp.asarray(one.texts(PROMPT)[0])
        found.append(
            np.asarray(sp.grad(lambda v, one=one, target=target: sp.sum(one.encode(v) @ target))(sp.tensor(x)))
        )
    np.testing.assert_allclose(found[0], (found[1] + found[2]) / 2, atol=1e-6)
    assert found[0].any()


def test_drawing_describing_and_searching_take_them(members, monkeypatch):
    from test_draw import flat

    monkeypatch.setattr("steep.imagine.drawing.load", lambda name: emoji())
    both = imagine.Together(members)
    found = imagine.draw(PROMPT, both, flat(), judge=members[0], steps=20, candidates=8, starts=2, views=2)
    red, green, blue = found.picture.mean(axis=(0, 1))
    assert red > green and red > blue and found.standings[0].tower == "small 0+small 1"
    told = imagine.describe(np.full((16, 16, 3), COLOURS["blue"], np.uint8), both, [f"a {c} thing" for c in COLOURS])
    assert told.words[0][0] == "a blue thing"


def test_towers_with_heads_alone_are_seen_by_their_features(members, monkeypatch):
    """As the towers by name, whose features of real pictures are kept."""
    monkeypatch.setattr(drawing, "FROZEN", {one.name: None for one in members})

    def features(one, emoji, say, soft):
        with sp.no_grad():
            x = one.way.normalize(pixels_of(np.stack([np.asarray(p) for p in one.inputs(list(emoji.pictures))])))
            return np.asarray(one.trunk(x)) * (0.5 if soft else 1)

    monkeypatch.setattr(drawing, "picture_features", features)
    both = imagine.Together(members)
    assert drawing.is_frozen(both) and not drawing.is_frozen(imagine.Together([members[0], towers(3)]))
    for soft in (False, True):
        parts = [drawing.real_vectors(one, emoji(), soft=soft) for one in members]
        found = drawing.real_vectors(both, emoji(), soft=soft)
        np.testing.assert_allclose(found, np.concatenate(parts, axis=1) / np.sqrt(2), atol=1e-6)


def test_one_is_not_enough():
    with pytest.raises(ValueError, match="two towers at least, got 1"):
        Together([towers()])


def test_names_with_a_plus_are_several(monkeypatch):
    made = {name: towers(i) for i, name in enumerate(recipes.FROZEN)}
    for name, one in made.items():
        one.name = name
    monkeypatch.setattr(scorers, "frozen_scorer", lambda name, say=None: (made[name], None))
    assert imagine.scorer("emoji+squeezenet").members == (made["emoji"], made["squeezenet"])
    with pytest.raises(ValueError, match=r"no scorer 'emoji\+squeezenets'"):
        imagine.scorer("emoji+squeezenets")


def test_a_trunk_that_ends_in_maps_is_pooled():
    layers = {"conv": sp.nn.Conv2d(3, 4, 3, generator=0), "fire9": sp.nn.ReLU(), "rest": sp.nn.Flatten()}
    trunk = recipes._until(sp.nn.Sequential(layers), recipes.FROZEN["squeezenet"])
    x = sp.asarray(np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype("f4"))
    expected = np.maximum(np.asarray(layers["conv"](x).detach()), 0).mean(axis=(2, 3))
    np.testing.assert_allclose(np.asarray(trunk(x).detach()), expected, atol=1e-6)
