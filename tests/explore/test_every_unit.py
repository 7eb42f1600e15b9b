"""Row 99 of docs/notes.md: digits are drawn by the mouse, and every unit of every layer answers, in Chromium.

What the page paints is compared with what the network computes for the very pixels that were drawn.
"""

from __future__ import annotations

import numpy as np
import pytest
import steep as sp
from browser import Tab, browser, needed
from explore_client import page
from steep.scores import predicted

# Strokes over the square, as fractions (x, y): what a mouse does.
STROKES = {
    1: [[(0.5, 0.18), (0.5, 0.82)]],
    7: [[(0.3, 0.22), (0.7, 0.22), (0.45, 0.82)]],
    0: [[(0.5 + 0.17 * np.sin(t), 0.5 - 0.28 * np.cos(t)) for t in np.linspace(0, 2 * np.pi, 24)]],
}

# The tiles of a stripe, a number for the pixels of each unit, in the order of the units.
TILES = """async (at) => {
  const stripe = document.querySelectorAll(".stripe")[at];
  stripe.scrollIntoView({ block: "center" });
  await new Promise((done) => setTimeout(done, 150));
  const canvas = stripe.querySelector("canvas"), frame = canvas.getBoundingClientRect();
  const dpr = canvas.width / frame.width, copy = document.createElement("canvas");
  [copy.width, copy.height] = [canvas.width, canvas.height];
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  return [...stripe.querySelectorAll("[role=option]")].map((option) => {
    const box = option.getBoundingClientRect();
    const [x, y] = [box.left - frame.left, box.top - frame.top].map((side) => Math.round(side * dpr));
    const { data } = context.getImageData(x, y, Math.floor(box.width * dpr), Math.floor(box.height * dpr));
    return data.reduce((hash, value) => (hash * 31 + value) | 0, 7);
  });
}"""


@pytest.fixture(scope="module")
def tab():
    needed()
    with page() as client, browser() as opened:
        found = Tab(opened, client.server.url, width=1500, height=1100)
        found.drawn = None
        found.page.on("request", lambda request: keep(found, request))
        found.page.click("#tab-every")
        yield found
        assert found.said == []
        found.close()


def keep(tab, request):
    """The bytes of the square that the page has sent last."""
    if "/live?" in request.url and request.post_data_buffer:
        tab.drawn = request.post_data_buffer


def draw(tab, digit):
    """A new drawing, and the image of it that the network saw."""
    if tab.page.get_attribute("#draw", "aria-pressed") == "true":
        tab.page.click("#draw")
    tab.page.click("#draw")
    tab.page.locator("#seen").scroll_into_view_if_needed()
    box = tab.page.locator("#seen").bounding_box()
    for stroke in STROKES[digit]:
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        tab.page.mouse.move(*places[0])
        tab.page.mouse.down()
        for place in places[1:]:
            tab.page.mouse.move(*place, steps=8)
        tab.page.mouse.up()
    tab.until(lambda: tab.count("#top li") == 5 and tab.text("#top li .name") == str(digit))
    tab.page.wait_for_timeout(300)  # until the last frame is painted
    return np.frombuffer(tab.drawn, np.uint8).reshape(28, 28, 4)[..., :3]


def painted(tab):
    """For each stripe, a number for the pixels of each of its units."""
    return [tab.page.evaluate(TILES, at) for at in range(tab.count(".stripe"))]


def activations(net, pixels):
    """Layers by name: the maps (units, ...) of the drawing, and what the network takes it for."""
    x = net.preprocessing.preprocess(pixels)
    names = [name for name, _ in net.named_layers()]
    with sp.no_grad():
        maps = net.activations(x, names)
    return {name: np.asarray(maps[name])[0] for name in names}, int(predicted(net, x)[0])


def test_row_99_a_digit_that_is_drawn_is_named_and_every_unit_of_every_layer_answers(tab):
    net, maps, tiles = sp.zoo.load("digits_cnn"), {}, {}
    for digit in STROKES:
        maps[digit], label = activations(net, draw(tab, digit))
        assert label == digit
        tiles[digit] = painted(tab)
    titles = tab.page.locator(".stripe h3").all_text_contents()
    assert [title.split()[0] for title in titles] == list(maps[1])  # every layer
    assert tab.text(".every p").startswith("All units of each layer")
    for at, name in enumerate(maps[1]):
        of = np.array([maps[digit][name].reshape(len(maps[digit][name]), -1) for digit in STROKES])
        assert {len(tiles[digit][at]) for digit in STROKES} == {of.shape[1]}, name  # every unit
        shown = np.array([tiles[digit][at] for digit in STROKES])
        of = of / np.abs(of).max(axis=(1, 2), keepdims=True)  # colours are relative to the layer's largest value
        small = 0.02  # a ReLU that stays at 0 has nothing to show, and a colour has 256 steps
        for i, j in ((0, 1), (0, 2), (1, 2)):
            moved = np.abs(of[i] - of[j]).max(axis=1) > small
            assert moved.any() and (shown[i] != shown[j])[moved].all(), name
        active = np.abs(of).max(axis=(0, 2)) > small
        changed = (shown[0] != shown[1]) | (shown[0] != shown[2])
        assert changed[active].all() and active.mean() > 0.4, name
