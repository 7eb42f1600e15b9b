"""The rules of every page that a command writes: readable on a phone, complete without a network, and in order.

``PAGES`` lists the commands; a new one that writes a page belongs there. Where there is a Chromium, the pages are laid
out by it at 390 pixels and measured.
"""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import steep as sp

pytest.importorskip("typer")
pytest.importorskip("rich")
pytest.importorskip("PIL")

from PIL import Image

MODEL = ("--model", "digits_cnn")
PAGES = {
    "visualize": ("visualize", "--class", "3", "--steps", "4", *MODEL),
    "saliency": ("saliency", "digit.png", *MODEL),
    "saliency with a box": ("saliency", "digit.png", "--box", "threshold", *MODEL),
    "compare": ("compare", "digit.png", "--methods", "gradient, grad_cam", *MODEL),
    "dream": ("dream", "digit.png", "--octaves", "1", "--jitter", "2", *MODEL),
    "invert": ("invert", "digit.png", "--layer", "relu2", "--steps", "4", *MODEL),
    "attack": ("attack", "digit.png", "--method", "ddn", *MODEL),
    "targeted attack": ("attack", "digit.png", "--eps", "0.6", "--target", "3", *MODEL),
    "descend": ("descend", "rosenbrock", "--steps", "5"),
    "report": ("report", "digits_cnn", "--steps", "2"),
}
TITLES = {"train": "A training run", "flip-book": "The graph of"}
LEAST, WIDTH = 11, 390  # pixels of a letter, and of a phone
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Every page, by name."""
    folder = tmp_path_factory.mktemp("pages")
    picture = np.zeros((28, 28), np.uint8)
    picture[4:24, 13:16] = 255
    Image.fromarray(picture).save(folder / "digit.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        made = {name: written(patch, folder, words) for name, words in PAGES.items()}
        made["train"] = written(patch, folder, ("train", "--data", "digits", "--epochs", "2"), "--page")
        made["demo"] = demo(folder)
        made["flip-book"] = str(sp.page(convolved, sp.ones((1, 1, 5, 5)), path=None))
    return made


def convolved(x):
    model = sp.nn.Sequential(sp.nn.Conv2d(1, 2, 3, generator=0), sp.nn.Flatten(), sp.nn.Linear(18, 3, generator=1))
    return sp.nn.cross_entropy(model(x), sp.tensor([0]))


def written(patch, folder, words, option="--output"):
    """The page of a command."""
    from steep.cli.app import run

    patch.setattr("sys.argv", ["steep", *words, option, "page.html"])
    assert run() in (0, 1), words
    return (folder / "page.html").read_text()


def demo(folder):
    from dataclasses import replace

    from steep.demo import Settings, run, write_report

    settings = Settings(data="digits", hidden=4, ascent_steps=2, attack_steps=2)
    settings = replace(settings, recipe=replace(settings.recipe, epochs=1))
    return write_report(run(settings), folder / "demo")[0].read_text()


NAMES = [*PAGES, "train", "demo", "flip-book"]


def sizes(page):
    """The sizes of letters that a page's styles name, in pixels; em is of the text around, at most 16 here."""
    named = re.findall(r"font(?:-size)?:\s*(?:[a-z0-9]+ )*?([\d.]+)(px|rem|em)", page)
    return [float(value) * (1 if unit == "px" else 16) for value, unit in named]


@pytest.mark.parametrize("name", NAMES)
def test_letters_are_large_and_widths_fit_a_phone(name, pages):
    page = pages[name]
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert sizes(page) and min(sizes(page)) >= LEAST
    assert "<text" not in page  # letters inside a drawing shrink with it
    fixed = re.findall(r"(?<!max-)(?<!-)\b(?:min-)?width:\s*([\d.]+)(px|rem)", re.sub(r"@media[^{]*", "", page))
    assert all(float(value) * (1 if unit == "px" else 16) <= WIDTH for value, unit in fixed), fixed


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_complete_and_follows_light_and_dark(name, pages):
    page = pages[name]
    assert "color-scheme: light dark" in page and "prefers-color-scheme: dark" in page
    assert not re.search(r'src="(?!data:)|href=|@import|url\(|fetch\(', page)
    assert all(re.search(r'alt="[^"]+"', tag) for tag in re.findall(r"<img[^>]*>", page))


@pytest.mark.parametrize("name", [*PAGES, "train"])
def test_the_command_that_makes_a_page_is_on_it(name, pages):
    shown = html.unescape(re.search(r'<div class="command"><pre>(.*?)</pre><button', pages[name], re.S)[1])
    words = PAGES.get(name, ("train",))
    assert shown.startswith(f"steep {words[0]}") and shown.endswith("page.html")


def test_a_page_of_the_library_has_no_command(pages):
    assert 'class="command"' not in pages["demo"] and 'class="command"' not in pages["flip-book"]


@pytest.mark.parametrize(
    "name", ["saliency", "saliency with a box", "compare", "dream", "invert", "attack", "targeted attack"]
)
def test_the_original_comes_first(name, pages):
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", pages[name])
    assert captions[0].startswith("original") and len(captions) > 1


def test_maps_have_scales_and_curves_say_what_they_show(pages):
    for name in ("saliency", "saliency with a box", "compare", "attack", "report"):
        assert 'class="scale"' in pages[name], name
    for name, said in {"visualize": "The value of 3", "dream": "The norm of", "invert": "The objective, the squared",
                       "attack": "The cross-entropy of the class"}.items():  # fmt: skip
        assert re.search(rf"<p>{said}.* before each step\.</p>", pages[name]), name


def test_what_was_not_asked_for_is_not_listed(pages):
    assert {name: re.findall(".{30}None.{30}", page) for name, page in pages.items() if "None" in page} == {}
    assert "<td>target</td>" in pages["targeted attack"] and "<td>target</td>" not in pages["attack"]


# -- laid out by a browser --------------------------------------------------------------------------------------------

MEASURE = """
<!DOCTYPE html><meta charset="utf-8"><body><script>
const pages = %s, found = {};
for (const [name, page] of Object.entries(pages)) {
  const frame = document.createElement("iframe");
  frame.style.cssText = "width:390px;height:800px;border:0";
  frame.addEventListener("load", () => setTimeout(() => {
    const root = frame.contentDocument.documentElement;
    const small = [...frame.contentDocument.body.querySelectorAll("*")].filter(e => e.offsetParent &&
      [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) &&
      parseFloat(frame.contentWindow.getComputedStyle(e).fontSize) < 11);
    const wide = [...frame.contentDocument.body.querySelectorAll("*")].filter(e => e.scrollWidth > e.clientWidth + 1 &&
      ["auto", "scroll"].includes(frame.contentWindow.getComputedStyle(e).overflowX));
    found[name] = {hidden: root.scrollWidth - root.clientWidth, small: small.map(e => e.outerHTML.slice(0, 80)),
      wide: wide.map(e => e.className), errors: frame.contentWindow.wrong ?? []};
    if (Object.keys(found).length === Object.keys(pages).length)
      document.body.replaceChildren("MEASURED" + JSON.stringify(found) + "END");
  }, 300));
  frame.srcdoc = page.replace("<title>", '<script>window.wrong = []; window.addEventListener("error", ' +
    'e => window.wrong.push(e.message))</' + 'script><title>');
  document.body.append(frame);
}
</script>
"""


STEP = """
<!DOCTYPE html><meta charset="utf-8"><body><script>
const frame = document.createElement("iframe"), seen = {wrong: []};
frame.style.cssText = "width:390px;height:800px;border:0";
frame.addEventListener("load", () => setTimeout(() => {
  const page = frame.contentDocument, status = () => page.querySelector("output").textContent;
  const press = (key) => page.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
  const click = (label) => page.querySelector(`button[aria-label="${label}"]`).click();
  seen.first = status();
  press("ArrowRight"); seen.right = status();
  press("ArrowLeft"); seen.left = status();
  press("End"); seen.end = status();
  press("ArrowRight"); seen.stays = status();
  click("one step back"); seen.back = status();
  click("first step"); seen.home = status();
  const slider = page.querySelector("input[type=range]");
  slider.value = 5; slider.dispatchEvent(new Event("input")); seen.slider = status();
  click("last step");
  page.querySelectorAll(".fb-node")[1].click(); seen.node = status();
  seen.current = page.querySelectorAll('[aria-current="step"]').length;
  seen.detail = page.querySelector(".fb-detail").textContent;
  seen.nodes = page.querySelectorAll(".fb-node").length;
  seen.edges = page.querySelectorAll("path").length;
  document.body.replaceChildren("MEASURED" + JSON.stringify(seen) + "END");
}, 300));
frame.srcdoc = %s;
document.body.append(frame);
</script>
"""
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium to lay the pages out")


def in_browser(script, stored, folder):
    """What a script in a page finds out."""
    text = json.dumps(stored).replace("</", "<\\/").replace("<!--", "<\\!--")
    (folder / "host.html").write_text(script % text)
    flags = ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}")
    ran = subprocess.run(
        [CHROMIUM, *flags, "--virtual-time-budget=20000", "--dump-dom", f"file://{folder / 'host.html'}"],
        capture_output=True,
        text=True,
        timeout=240,
    )
    found = re.search(r"MEASURED(.*)END", ran.stdout, re.S)
    assert found, ran.stdout[-500:] + ran.stderr[-500:]
    return json.loads(html.unescape(found[1]))


@needs_browser
def test_nothing_scrolls_sideways_at_the_width_of_a_phone(pages, tmp_path):
    measured = in_browser(MEASURE, pages, tmp_path)
    assert measured.keys() == pages.keys()
    for name, seen in measured.items():
        assert seen == {"hidden": 0, "small": [], "wide": [], "errors": []}, (name, seen)


@needs_browser
def test_the_flip_book_steps_by_keys_buttons_slider_and_nodes(tmp_path):
    w = sp.tensor(3.0, requires_grad=True)
    with sp.detect_anomaly():
        loss = sp.square(w)
    line = sp._core._node_of(loss).where.rpartition(":")[2]
    seen = in_browser(STEP, str(sp.page(sp.exp(loss), path=None)), tmp_path)
    assert seen["first"] == seen["left"] == seen["home"] == "Step 1 of 6 (forward, 1 of 3). w is given: 3."
    assert seen["right"] == f"Step 2 of 6 (forward, 2 of 3). square of w gives 9. At test_pages.py:{line}."
    assert seen["end"] == seen["stays"] and seen["end"].startswith("Step 6 of 6 (backward, 3 of 3). The gradient")
    assert seen["back"] == seen["slider"] == seen["node"]
    assert "gradient with respect to loss = square is complete: 8103. By its rule w gets" in seen["node"]
    assert "gradient times local derivative: 8103 * 6 = 4.862e+04" in seen["detail"] and "g * (x * 2)" in seen["detail"]
    assert (seen["current"], seen["nodes"], seen["edges"], seen["wrong"]) == (1, 3, 2, [])
