"""Debian's Chromium, driven by Playwright, for the tests of the page and for its pictures.

With ``STEEP_BROWSER=required``, as continuous integration sets it, a missing browser is a failure; otherwise the tests
are skipped, and say why.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import contextmanager

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FAKE_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


def needed():
    """Skips, or fails where the browser is required."""
    missing = "" if CHROMIUM else "there is no chromium: apt-get install chromium"
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        missing = missing or "playwright is not installed"
    if missing and os.environ.get("STEEP_BROWSER") == "required":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)


@contextmanager
def browser():
    """The browser, with a camera that shows a test picture."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", *FAKE_CAMERA])
        try:
            yield opened
        finally:
            opened.close()


class Tab:
    """A tab on the page: what it said on the console, and waiting without evaluating text as code in the page.

    A tab has a profile of its own, unless it is opened ``beside`` another one.
    """

    def __init__(self, opened, url, width=1280, height=900, scheme="light", scale=1, beside=None):
        self.context = beside.context if beside else opened.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=scale,
            permissions=["camera"])  # fmt: skip
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda m: self.said.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(url)
        self.page.wait_for_selector("body[data-ready]", timeout=120_000)

    def until(self, true, seconds=120):
        end = time.monotonic() + seconds
        while not (found := true()):
            assert time.monotonic() < end, (self.text("#problem"), self.text("#status"), self.said)
            self.page.wait_for_timeout(50)
        return found

    def text(self, selector):
        return self.page.text_content(selector) or ""

    def count(self, selector):
        return self.page.locator(selector).count()

    def drop(self, data, name, kind="image/png"):
        """Drop a file on the page, as from a file manager."""
        import base64

        transfer = self.page.evaluate_handle(
            """([data, name, type]) => {
              const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
              const transfer = new DataTransfer();
              transfer.items.add(new File([bytes], name, { type }));
              return transfer;
            }""",
            [base64.b64encode(data).decode(), name, kind],
        )
        self.page.dispatch_event("body", "drop", {"dataTransfer": transfer})
        self.until(lambda: name in self.text("#about-image") or self.page.is_visible("#problem"))

    def painted(self, selector):
        """Whether a canvas shows more than one colour."""
        return self.page.evaluate(
            """(selector) => {
              const canvas = document.querySelector(selector);
              if (!canvas || !canvas.width) return false;
              const { width, height } = canvas;
              const data = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, width, height).data.buffer);
              return data.some((pixel) => pixel !== data[0]);
            }""",
            selector,
        )

    @property
    def sideways(self):
        """How many pixels the page may be scrolled sideways."""
        return self.page.evaluate("document.documentElement.scrollWidth - innerWidth")

    def close(self):
        self.context.close()
