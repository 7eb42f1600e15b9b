"""Rows 80 and 81 of docs/notes.md, on AlexNet's features: what a layer's activations preserve of a photograph.

The images are small (96 pixels), so that this takes seconds. Layers are counted as in Mahendran and Vedaldi 2015:
conv1, relu1, pool1, conv2, relu2 is the fifth. How far re-identification goes beyond it is in docs/notes.md.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import steep as sp
from steep import ascent, data, optim, zoo
from steep.random import Generator

pytest.importorskip("PIL")
SIDE = 96


@pytest.fixture(scope="module")
def trunk():
    """The network, its preprocessing for small images, and 31 photographs as its input."""
    try:
        net = zoo.load("alexnet_features")
        photos = [data.photo(name) for name in ("chelsea", "coffee", "astronaut", "rocket")]
        photos += [entry.picture for kind in ("imagenet", "cifar10") for entry in data.photos(kind)]
    except data.FetchError as error:
        pytest.skip(str(error))
    way = replace(net.preprocessing, size=SIDE)
    return net, way, sp.concat([way.preprocess(photo) for photo in photos[:31]])


def ranks(values):
    return np.argsort(np.argsort(values))


def test_row_80_the_deeper_the_layer_the_worse_the_picture(trunk):
    net, way, x = trunk
    box = (way.low, way.high)
    prior = 0.01 * ascent.mahendran_vedaldi((SIDE, SIDE), box)
    layers = ["relu1", "relu2", "relu3", "relu4", "relu5"]
    for photo in (x[0:1], x[1:2]):
        runs = [ascent.invert(net, layer, photo, steps=120, penalty=prior, bounds=box) for layer in layers]
        errors = [run.input_error for run in runs]
        assert np.corrcoef(ranks(errors), np.arange(5))[0, 1] >= 0.8 and errors[0] < 0.5 < errors[-1]
        assert all(0 < run.feature_error < 0.6 for run in runs)


def test_row_80_down_to_the_logits_of_a_network_with_a_head():
    """The notes' layers 6 and 7 are fully connected: the error keeps rising through such layers."""
    net, layers = zoo.load("digits_cnn"), ["relu1", "relu2", "relu3", "relu4", "fc2"]
    try:
        digits = data.load("mnist5k").test.x[:8, None]
    except data.FetchError as error:
        pytest.skip(str(error))
    errors = [ascent.invert(net, layer, digits, steps=150).input_error for layer in layers]
    assert np.corrcoef(ranks(errors), np.arange(len(layers)))[0, 1] >= 0.8
    assert errors[0] < 0.1 < 0.6 < errors[-1]


# The first five layers, and how many steps find them.
FIVE = {"conv1": 8, "relu1": 8, "pool1": 12, "conv2": 30, "relu2": 35}


@pytest.mark.parametrize("layer", FIVE)
def test_row_81_activations_are_no_disguise(trunk, layer):
    net, way, x = trunk
    start = ascent.fft((len(x), 3, SIDE, SIDE), Generator(0)).then(sp.sigmoid, way.normalize)
    run = ascent.invert(net, layer, x, steps=FIVE[layer], start=start, optimizer=partial(optim.Adam, lr=0.05))
    found, photos = (_directions(v) for v in (run.image, x))
    nearest = (found @ photos.T).argmax(axis=1)
    assert (nearest == np.arange(31)).mean() > 0.9


def _directions(pictures):
    flat = np.asarray(pictures).reshape(len(pictures), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)
