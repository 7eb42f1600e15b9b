"""The pictures of docs/explore.md: a person's first minutes with ``steep explore``, as a browser shows them.

Needs Debian's chromium, Playwright, and the weights of squeezenet1_1. Start reading at ``main``.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

import steep as sp
from PIL import Image
from steep import explore

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "explore"))
from browser import Tab, browser  # noqa: E402  the tests' own way to drive Chromium

TO = ROOT / "docs" / "pictures" / "explore"
SOURCE = "import steep as sp\nmodel = sp.zoo.load('squeezenet1_1')\nway = model.preprocessing"


def subject() -> explore.Subject:
    model = sp.zoo.load("squeezenet1_1")
    return explore.Subject("squeezenet1_1", model, model.preprocessing, model.classes, SOURCE)


def photos(folder: Path) -> None:
    """Photographs to choose from: four well-known ones, and twenty of ImageNet's."""
    for name in ("chelsea", "coffee", "astronaut", "rocket"):
        (folder / f"{name}.png").write_bytes(sp.pictures.png(sp.data.photo(name)))
    for index, each in enumerate(sp.data.photos("imagenet")):
        (folder / f"photo{index:02}.png").write_bytes(sp.pictures.png(each.picture))


def keep(tab: Tab, name: str) -> None:
    """The window as a small picture."""
    image = Image.open(io.BytesIO(tab.page.screenshot())).convert("RGB")
    image.save(TO / f"{name}.jpg", quality=72, optimize=True)
    print(name, file=sys.stderr)


def walk(tab: Tab, server: explore.Server, folder: Path) -> None:
    def idle() -> bool:
        return server.load == 0

    tab.drop((folder / "chelsea.png").read_bytes(), "chelsea.png")
    tab.until(lambda: tab.painted(".units .grid canvas"))
    keep(tab, "open")
    tab.page.click(".row[title*='fire5']:has-text('relu') >> nth=-1")
    box = tab.page.locator("#seen").bounding_box()
    assert box
    tab.page.mouse.click(box["x"] + 0.29 * box["width"], box["y"] + 0.37 * box["height"])
    tab.page.wait_for_timeout(1500)
    tab.page.click(".units [role=option] >> nth=0")
    tab.until(lambda: tab.count(".field:visible") == 9 and idle(), 240)
    keep(tab, "unit")
    tab.page.click("#tab-saliency")
    tab.until(lambda: tab.count(".maps .verdict.good") + tab.count(".maps .verdict.bad") == 8, 240)
    keep(tab, "saliency")
    tab.page.click("#tab-attack")
    tab.until(lambda: bool(tab.text(".verdict.large")) and idle(), 240)
    keep(tab, "attack")
    tab.page.click("#tab-flip")
    tab.until(lambda: tab.count(".fb-node") > 5)
    for _ in range(tab.count(".fb-node") + 2):
        tab.page.click(".fb-controls button[title='one step on']")
    keep(tab, "flipbook")


def main() -> None:
    TO.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place, browser() as opened:
        folder = Path(place)
        photos(folder)
        with explore.Server(subject, folder) as server:
            tab = Tab(opened, server.url, scheme="light")
            walk(tab, server, folder)
            tab.close()
            tab = Tab(opened, server.url, width=390, height=844, scheme="dark")
            tab.page.locator(".units .grid").scroll_into_view_if_needed()  # what is out of sight is not painted
            tab.until(lambda: tab.painted(".units .grid canvas"))
            keep(tab, "phone")
            tab.close()


if __name__ == "__main__":
    main()
