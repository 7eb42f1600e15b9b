"""Row 96 of docs/notes.md: why first layers dream strokes and later ones things."""

import pytest
import steep as sp
from steep import data, saliency, zoo

LAYERS = {"relu1": 3, "fire2": 15, "fire3": 23, "fire5": 63}
SIDE = 96


def test_row_96_what_a_unit_sees_grows_with_depth():
    try:
        net = zoo.load("squeezenet1_1")
    except data.FetchError as error:
        pytest.skip(str(error))
    maps = net.activations(sp.zeros((1, 3, SIDE, SIDE)), list(LAYERS))
    for layer, pixels in LAYERS.items():
        middle = (maps[layer].shape[-1] // 2,) * 2
        rows, columns = saliency.receptive_field(net, layer, (3, SIDE, SIDE), middle)
        assert (rows.stop - rows.start, columns.stop - columns.start) == (pixels, pixels), layer
