"""Row 95 of docs/notes.md: boxes from the maps of a network that was trained on classes alone."""

import re
from pathlib import Path

import numpy as np
import pytest
from steep import data, saliency, zoo
from steep.data.boxes import cropped

pytest.importorskip("PIL")
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "saliency.md").read_text()
MAPS = {
    "gradient": lambda net, x, label: saliency.gradient(net, x, label, channels="max"),
    "guided_backprop": lambda net, x, label: saliency.guided_backprop(net, x, label, signed=False, channels="max"),
    "grad_cam": lambda net, x, label: saliency.grad_cam(net, x, "fire9", label),
}


@pytest.fixture(scope="module")
def overlaps():
    """The mean intersection over union by map and method, and that of the whole image."""
    try:
        net, items = zoo.load("squeezenet1_1"), data.boxed_photos()
    except data.FetchError as error:
        pytest.skip(str(error))
    way, found = net.preprocessing, []
    for item in items:
        x, drawn = way.preprocess(item.picture), cropped(item.box, item.picture.shape, way.size, way.margin)
        row = {("whole image", ""): saliency.iou(data.Box(0, 0, way.size, way.size), drawn)}
        for name, method in MAPS.items():
            map = np.asarray(method(net, x, item.label))[0]
            for cut in ("threshold", "graph_cut"):
                row[name, cut] = saliency.iou(saliency.box(map, way.to_image(x), method=cut), drawn)
        found.append(row)
    return {key: float(np.mean([row[key] for row in found])) for key in found[0]}


def test_row_95_a_map_localises_what_it_was_never_trained_to(overlaps):
    stated = re.findall(r"^\| `?([\w ]+)`? \| (\.\d\d) \| (\.\d\d)? ?\|$", PAGE, re.MULTILINE)
    assert {name for name, *_ in stated} == {name for name, _ in overlaps}
    for name, by_threshold, by_graph_cut in stated:
        for cut, value in (("threshold", by_threshold), ("graph_cut", by_graph_cut)):
            measured = overlaps.get((name, cut), overlaps["whole image", ""])
            assert not value or measured == pytest.approx(float(value), abs=0.02), (name, cut)
    assert all(value > overlaps["whole image", ""] for key, value in overlaps.items() if key[0] != "whole image")


def test_row_95_thirteen_boxes_are_inside_of_their_photos(overlaps):
    items = data.boxed_photos()
    assert len(items) == 13
    for item in items:
        assert (
            0 < item.box.area <= item.picture.size // 3
            and data.Box(0, 0, *item.picture.shape[:2]).area >= item.box.area
        )
