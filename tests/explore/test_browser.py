"""The page in Chromium: open, drop an image, click a unit, climb, attack, flip; the keyboard; no errors."""

from __future__ import annotations

import time

import pytest
import steep as sp
from browser import Tab, needed
from explore_client import digit, digits, page
from steep import explore

pytest.importorskip("PIL")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("digits")
    for index in range(2):
        (made / f"{index}.png").write_bytes(digit(index))
    return made


@pytest.fixture(scope="module")
def client(folder):
    needed()
    with page(folder=folder) as found:
        yield found


@pytest.fixture
def tab(opened, client):
    found = Tab(opened, client.server.url)
    yield found
    assert found.said == []
    assert all(url.startswith((client.origin, "blob:", "data:")) for url in found.asked)
    found.close()


def idle(client):
    return client.server.load == 0


def test_open_drop_click_climb_attack_and_flip(tab, client):
    tab.drop(digit(1), "bar.png")
    tab.until(lambda: tab.count("#top li") == 5 and tab.text("#top li .name") == "1")
    tab.page.click("text=relu2")
    tab.until(lambda: tab.count(".units [role=option]") == 32 and tab.painted(".units .grid canvas"))
    tab.page.click(".units [role=option] >> nth=3")
    tab.until(lambda: "Unit 3" in tab.text(".unit h2"))
    tab.until(lambda: "→" in tab.text(".unit figure:nth-of-type(2) figcaption") and idle(client))
    for number in (1, 2):
        tab.until(lambda n=number: tab.painted(f".unit .two figure:nth-of-type({n}) canvas"))
    tab.until(lambda: (tab.count(".parts figure"), tab.count(".nine button"), tab.count(".field:visible")) == (3, 2, 2))
    tab.page.click("#tab-attack")
    tab.until(lambda: tab.text(".verdict.large") and idle(client))
    tab.page.fill(".slider:has-text('Radius') input", "0.98")
    tab.page.dispatch_event(".slider:has-text('Radius') input", "change")
    tab.until(lambda: tab.text(".verdict.large").startswith("Broken: 1 became"))
    tab.page.click("#tab-saliency")
    tab.until(lambda: tab.count(".maps .verdict.good") + tab.count(".maps .verdict.bad") == 8)
    tab.page.click("#tab-flip")
    tab.until(lambda: tab.count(".fb-node") > 5)
    tab.page.click(".fb-controls button[title='one step on']")
    tab.until(lambda: "Step 2 of" in tab.text(".fb-controls output"))
    tab.page.select_option("#panel-flip select", "expression")
    tab.until(lambda: "sin" in tab.text(".fb-graph"))
    assert not tab.page.is_visible("#problem")


def test_a_drawing_flows_through_every_unit(tab, client):
    tab.page.click("#tab-every")
    tab.page.click("#draw")
    box = tab.page.locator("#seen").bounding_box()
    x, top, bottom = box["x"] + box["width"] / 2, box["y"] + 0.2 * box["height"], box["y"] + 0.8 * box["height"]
    tab.page.mouse.move(x, top)
    tab.page.mouse.down()
    tab.page.mouse.move(x, bottom, steps=8)
    tab.page.mouse.up()
    tab.until(lambda: tab.count("#top li") == 5 and tab.text("#top li .name") == "1")
    tab.until(lambda: tab.count(".stripe") == 12 and tab.painted(".stripe canvas"))
    tab.page.click(".stripe:last-of-type [role=option] >> nth=1")
    tab.until(lambda: "Unit 1" in tab.text(".unit h2") and idle(client))


def test_a_drawing_that_begins_before_the_last_one_is_kept_goes_on(tab):
    """The answer that keeps a drawing comes late, and does not end the one that was begun meanwhile."""
    answers = []
    tab.page.route("**/square?*", lambda route: answers.append(route))
    tab.page.click("#draw")
    tab.page.click("#draw")  # keeps it
    assert tab.page.get_attribute("#draw", "aria-pressed") == "false"
    tab.page.click("#draw")
    tab.until(lambda: answers)
    answers.pop().continue_()
    tab.page.unroute("**/square?*")
    tab.page.wait_for_timeout(500)
    assert tab.page.get_attribute("#draw", "aria-pressed") == "true"
    assert "drawing" in tab.text("#about-image") and not tab.page.is_visible("#problem")


def test_a_camera_that_answers_late_does_not_end_a_drawing(tab):
    slow = """() => {
        const get = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wanted) => {
          await new Promise((done) => setTimeout(done, 500));
          window.late = await get(wanted);
          return window.late;
        };
      }"""
    tab.page.evaluate(slow)
    tab.page.click("#camera")
    tab.page.click("#draw")
    ended = "() => !!window.late?.getTracks().every((track) => track.readyState === 'ended')"
    tab.until(lambda: tab.page.evaluate(ended), 20)
    assert tab.page.get_attribute("#draw", "aria-pressed") == "true"
    assert tab.page.get_attribute("#camera", "aria-pressed") == "false" and not tab.page.is_visible("#problem")


def test_the_camera_flows_and_a_frame_can_be_kept(tab):
    tab.page.click("#camera")
    tab.until(lambda: "frames a second" in tab.text("#status"))
    tab.page.click("#camera")
    tab.until(lambda: "camera · 28 × 28" in tab.text("#about-image"))


def test_it_works_by_the_keyboard_and_is_named_for_screen_readers(tab, client):
    tab.drop(digit(), "ring.png")
    tab.page.focus("#map .map")
    for key in ("Home", "ArrowDown", "ArrowRight"):
        tab.page.keyboard.press(key)
    tab.until(lambda: tab.text(".units h2") == "pool1" and tab.count(".units [role=option]") == 16)
    tab.page.focus(".units [role=listbox]")
    for key in ("ArrowRight", "ArrowRight", "Enter"):
        tab.page.keyboard.press(key)
    tab.until(lambda: "Unit 2" in tab.text(".unit h2") and idle(client))
    tab.until(lambda: tab.page.get_attribute(".units [role=option] >> nth=2", "aria-selected") == "true")
    tab.page.focus("#tab-layer")
    tab.page.keyboard.press("End")
    tab.until(lambda: tab.page.get_attribute("#tab-flip", "aria-selected") == "true")
    unnamed = tab.page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, canvas[role], [role=listbox], [role=option]")]
          .filter((each) => !(each.getAttribute("aria-label") || each.textContent.trim() || each.title
            || each.labels?.length || each.type === "file")).map((each) => each.outerHTML.slice(0, 120))"""
    )
    assert unnamed == []


def test_a_unit_without_an_image_says_that_nothing_is_computed(tab):
    """Its map has a name from the start: a screen reader may come before the first frame does."""
    tab.page.click("text=relu1")
    tab.until(lambda: tab.count(".units [role=option]") == 16 or tab.page.is_visible("#problem"))
    assert tab.page.evaluate(
        """async () => {
          const { Unit } = await import("./unit.js");
          const source = { ready: false }, about = { code: "", folder: [] };
          const app = { about, source, names: () => null, work() {}, cancel() {} };
          const unit = new Unit(app, () => {});
          unit.frame({ h: 1, w: 2, lo: 0, hi: 1, mean: 0.5 }, new Float32Array([0, 1]));
          unit.show({ name: "relu1" }, 3);
          const map = unit.element.querySelector("canvas[role=img]");
          const data = map.getContext("2d").getImageData(0, 0, map.width, map.height).data;
          return [map.getAttribute("aria-label"), unit.values.textContent, data.some((each) => each > 0)];
        }"""
    ) == ["Activation of unit 3: not computed yet", "", False]


def test_a_place_of_the_image_sorts_the_units(tab):
    tab.drop(digit(1), "bar.png")
    tab.page.click("text=relu1")
    tab.until(lambda: tab.count(".units [role=option]") == 16)
    first = tab.page.get_attribute(".units [role=option]", "title")
    tab.page.click("#seen", position={"x": 80, "y": 60})
    tab.until(lambda: tab.page.is_visible("#mark"))
    tab.until(lambda: tab.page.input_value(".units select") == "place")
    tab.until(lambda: tab.page.get_attribute(".units [role=option]", "title") != first)
    tab.page.click("#unmark")
    tab.until(lambda: tab.page.get_attribute(".units [role=option]", "title") == first)


def test_what_is_no_image_is_said_and_the_page_goes_on(tab):
    tab.drop(b"no image", "notes.png")
    assert tab.text("#problem") == "the image is not an image that Pillow can read"
    tab.said.clear()  # the browser itself reports the status 400
    tab.drop(digit(), "ring.png")
    tab.until(lambda: not tab.page.is_visible("#problem") and tab.count("#top li") == 5)


def test_a_tab_that_is_closed_in_the_middle_of_a_climb_cancels_it(opened, client):
    other = Tab(opened, client.server.url)
    other.page.click("text=relu2")
    other.until(lambda: other.count(".units [role=option]") == 32)
    other.page.evaluate("() => { const steps = document.querySelector('.sliders input'); steps.value = 10; }")
    other.page.click(".units [role=option] >> nth=3")
    other.until(lambda: client.server.load == 1)
    other.close()
    end = time.monotonic() + 60
    while not idle(client) and time.monotonic() < end:
        time.sleep(0.05)
    assert idle(client)


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_scrolls_sideways(opened, client, width, scheme):
    found = Tab(opened, client.server.url, width=width, scheme=scheme)
    found.page.click(".units [role=option] >> nth=1")
    found.until(lambda: idle(client) and found.count(".nine button") == 2)
    sideways = {}
    for view in ("layer", "every", "attack", "flip"):
        found.page.click(f"#tab-{view}")
        found.until(lambda: idle(client))
        sideways[view] = found.sideways
    assert sideways == dict.fromkeys(sideways, 0)
    found.close()


def test_a_model_without_layers_and_one_that_fails_say_so(opened):
    class Bare(sp.nn.Module):
        def forward(self, x):
            return sp.concat([x.mean(axis=(2, 3)), x.max(axis=(2, 3))], axis=1)

    class Broken(sp.nn.Module):
        def forward(self, x):
            raise RuntimeError("no weights")

    way = digits().preprocessing
    with page(lambda: explore.Subject("bare", Bare(), way)) as client:
        tab = Tab(opened, client.server.url)
        tab.drop(digit(), "ring.png")
        tab.until(lambda: tab.count("#top li") == 2)
        tab.until(lambda: "the model" in tab.text("#map"))
        tab.close()
    with page(lambda: explore.Subject("broken", Broken(), way)) as client:
        tab = Tab(opened, client.server.url)
        tab.until(lambda: tab.text("#problem") == "the model cannot be run: RuntimeError: no weights")
        tab.close()
