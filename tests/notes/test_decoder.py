"""Row 98 of docs/notes.md at a reduced size: inversion down to the logits, and a decoder as the stronger attack."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from steep import data, zoo

pytest.importorskip("PIL")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def example(monkeypatch):
    """An example as a module, by name."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield importlib.import_module
    for name in ("adam_step", "inversion", "decoder", "photo_decoder"):
        sys.modules.pop(name, None)


def fetched(call, *given, **options):
    try:
        return call(*given, **options)
    except data.FetchError as error:
        pytest.skip(str(error))


def test_row_98_from_the_first_layer_to_the_logits(example):
    inversion = example("inversion")
    options = {"steps": 12, "layers": ["relu1", "fire5", "logits"], "count": 8, "side": 64}
    rows, x, way = fetched(inversion.measure, "squeezenet1_1", **options)
    assert rows[0].found > 0.9 and rows[0].found > rows[-1].found
    assert rows[0].pixels < rows[1].pixels and rows[0].pixels < rows[-1].pixels
    assert inversion.sheet(rows, x, way, count=2).shape == (2 * 66 - 2, 4 * 66 - 2, 3)


def test_row_98_every_layer_that_is_named_is_there(example):
    for name, layers in example("inversion").LAYERS.items():
        assert set(layers) <= {layer for layer, _ in fetched(zoo.load, name).named_layers()}, name


def test_row_98_the_distance_of_photographs_and_who_is_found(example):
    inversion = example("inversion")
    rows = np.random.default_rng(0).normal(size=(5, 3, 4))
    flat = rows.reshape(5, -1)
    pairs = [np.linalg.norm(flat[i] - flat[j]) for i in range(5) for j in range(5) if i != j]
    assert inversion.distance(rows) == pytest.approx(np.mean(pairs))
    assert inversion.found_again(2 * rows[:2] + 1, rows) == 1 and inversion.found_again(rows[[1, 0]], rows) == 0


def test_row_98_a_decoder_of_the_right_kind_of_image_finds_more(example):
    decoder = example("decoder")
    row = fetched(decoder.attacked, "relu3", count=40, steps=20, epochs=6, trained=2000)
    assert row.width == 432 and row.decoded > row.inverted and row.decoded > 0.5  # by chance .001
    assert row.images[1].shape == (10, 1, 28, 28)


def test_row_98_a_decoder_finds_photographs_that_it_has_not_seen(example):
    row = fetched(example("photo_decoder").attacked, "relu1", count=8, side=64, trained=96, epochs=8)
    assert row.width == 64 * 31 * 31 and row.image.shape == (8, 3, 64, 64)
    assert row.found >= 0.5 and row.pixels < 0.9  # by chance .125; of grey images 1


def test_row_98_crops_are_squares_of_the_photographs_given(example):
    module = example("photo_decoder")
    grey = [np.full((50, 70, 3), value, np.uint8) for value in (0, 255)]
    way = zoo.Preprocessing(size=24, mean=(0, 0, 0), std=(1, 1, 1))
    found = np.asarray(module.crops(grey, 6, way, 0))
    assert found.shape == (6, 3, 24, 24)
    np.testing.assert_array_equal(found, np.broadcast_to([[[[0.0]]], [[[1.0]]]] * 3, found.shape))
