"""Draws docs/pictures/flipbook.png: the worked network of docs/backpropagation.md as a flip-book, at one of its steps.

``python tools/flipbook_picture.py`` needs a Chromium. The page is what ``sp.page`` writes, laid out at 1000 pixels.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import steep as sp

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "pictures" / "flipbook.png"
STEP, SIZE = 24, "1000,800"
x0, target = sp.tensor([1.0, 0.1], dtype=sp.float64), 0.5


def forward(weights):
    x1 = weights[0] @ x0
    x2 = sp.tanh(x1)
    x3 = sp.vecdot(weights[1], x2)
    return 0.5 * (x3 - target) ** 2


def main() -> int:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        print("flipbook_picture: there is no Chromium")
        return 1
    weights = [sp.tensor(w, dtype=sp.float64) for w in ([[1.0, -3.0], [0.2, 1.0]], [1.0, -1.0])]
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        sp.page(forward, weights, path=page, title="Two layers")
        flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder}/p")
        draw = (f"--window-size={SIZE}", "--virtual-time-budget=3000", f"--screenshot={TARGET}")
        subprocess.run([browser, *flags, *draw, f"file://{page}#step={STEP}"], check=True, capture_output=True)
    print(f"{TARGET.relative_to(ROOT)} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
