"""Random clicking in the page of ``steep explore``: ``python tests/explore/random_clicks.py MINUTES [MODEL]``.

A tab is clicked, typed and dragged in at random, closed in the middle and opened again. It is an error if the page says
one on its console or asks for anything outside itself, and if the memory of the server's process, in the second half,
is ever more than a tenth above that of the first. Start reading at ``main``.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import steep as sp
from browser import Tab, browser
from steep import explore

TARGETS = "button, select, input, [role=option], [role=tab], .row, summary, canvas"
KEYS = ("ArrowDown", "ArrowRight", "ArrowUp", "ArrowLeft", "Enter", "Escape", "Tab", " ")
EXPECTED = "willReadFrequently"  # Chromium's advice on tests that read canvases


def memory() -> float:
    """Resident megabytes of this process, which serves."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def act(tab: Tab, r: random.Random) -> object:
    """One click, key or slider."""
    if r.random() < 0.15:
        return tab.page.keyboard.press(r.choice(KEYS))
    found = tab.page.locator(TARGETS)
    # The element itself, since what its number means may change; one handle, since each is kept until the tab closes.
    target = found.nth(r.randrange(found.count())).element_handle(timeout=2000)
    if not (target.is_visible() and target.is_enabled()):
        return None
    kind = target.get_attribute("type")
    if kind == "range":
        target.fill(target.get_attribute(r.choice(["min", "max"])) or "0", timeout=2000)
    elif kind in ("text", "number", "search"):
        target.fill(r.choice(["", "1", "x * y", "cat", "-", "é" * 50]), timeout=2000)
    elif target.evaluate("each => each.tagName") == "SELECT":
        if choices := len(target.query_selector_all("option")):
            target.select_option(index=r.randrange(choices), timeout=2000)
    elif kind != "file" and "Open" not in (target.text_content() or ""):  # that opens the system's dialog
        target.click(timeout=2000)
    return target


def main(minutes: float, name: str) -> str:
    def subject() -> explore.Subject:
        model = sp.zoo.load(name)
        return explore.Subject(name, model, model.preprocessing, model.classes)

    r, clicks, tabs, missed = random.Random(0), 0, 0, 0
    sizes: list[tuple[float, float]] = []
    began = time.monotonic()
    with browser() as opened, explore.Server(subject) as server:
        while (now := time.monotonic() - began) < 60 * minutes:
            tab, tabs = Tab(opened, server.url, width=r.choice([390, 1280])), tabs + 1
            for _ in range(r.randrange(5, 80)):
                try:
                    act(tab, r)
                    clicks += 1
                except Exception as e:  # what was chosen has gone, or something is above it
                    if "Timeout" not in type(e).__name__ and "not attached" not in str(e):
                        raise
                    missed += 1
                tab.page.wait_for_timeout(r.choice([0, 20, 200]))
            said = [text for text in tab.said if EXPECTED not in text]
            assert not said, said
            outside = [url for url in tab.asked if not url.startswith((server.url, "data:", "blob:"))]
            assert not outside, outside
            tab.close()
            sizes.append((now, memory()))
    before = max(size for at, size in sizes if at <= 30 * minutes)
    after = max(size for at, size in sizes if at > 30 * minutes)
    assert after < 1.1 * before, f"{before:.0f} MB, then {after:.0f}"
    size = f"{before:.0f} MB, then {after:.0f}"
    return f"{clicks} clicks ({missed} missed) in {tabs} tabs, {minutes:g} minutes: no error; {size}"


if __name__ == "__main__":
    print(main(float(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "digits_cnn"))
