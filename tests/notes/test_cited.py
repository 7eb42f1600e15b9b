"""Rows 82 and 88 of docs/notes.md: a class's neuron, and what the lectures cite, at a reduced size."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import steep as sp
from steep import ascent, data, zoo
from steep.random import Generator

pytest.importorskip("PIL")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CHAMELEON = 40


def test_row_82_a_chameleon_neuron_and_how_much_its_score_changes():
    try:
        net = zoo.load("squeezenet1_1")
    except data.FetchError as error:
        pytest.skip(str(error))
    way, goal = net.preprocessing, ascent.logit(net, CHAMELEON)
    run = ascent.visualize(goal, (1, 3, 96, 96), steps=64, preprocess=way.normalize, generator=Generator(0))
    x = way.normalize(run.image)
    assert CHAMELEON in np.asarray(net(x).detach())[0].argsort()[-5:]
    gradient = np.asarray(sp.grad(goal)(x))
    nudge = 1e-2 * gradient / np.linalg.norm(gradient)
    change = float(goal(x + nudge)) - float(goal(x - nudge))
    assert change == pytest.approx(2 * float((gradient * nudge).sum()), rel=0.05)


@pytest.fixture
def cited(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    try:
        data.load("mnist5k")
    except data.FetchError as error:
        pytest.skip(str(error))
    yield importlib.import_module("cited")
    sys.modules.pop("cited", None)


def test_row_88_a_patch_does_more_than_noise_of_its_size(cited):
    stuck, by_noise, images = cited.patch(steps=40, batch=16)
    assert stuck > by_noise and images.shape == (10, 28, 28)


def test_row_88_spectacles_change_their_pixels_alone(cited):
    fooled, worn = cited.spectacles(steps=20)
    clean = data.load("mnist5k").test.x[:10]
    assert fooled > 0.9 and np.array_equal(worn[:, cited.frame() == 0], clean[:, cited.frame() == 0])


def test_row_88_an_untrained_network_shows_an_image_before_its_noise(cited):
    noisy, best, images = cited.prior(steps=60)
    assert best < 0.75 * noisy and images.shape == (3, 28, 28)


def test_row_88_neighbours_in_the_plane_are_of_one_class(cited):
    share, places, classes = cited.neighbours(count=100, steps=150)
    assert share > 0.7 and places.shape == (100, 2) and cited.plane(places, classes).shape == (298, 298, 3)
    p = cited.affinities(np.random.default_rng(0).normal(size=(40, 3)))
    assert p.sum() == pytest.approx(1) and np.array_equal(p, p.T) and not p.diagonal().any()
