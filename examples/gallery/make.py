"""Makes docs/gallery.md and its images from scratch: ``python examples/gallery/make.py [--only NAME]``.

Each file in ``plates/`` is a plate: its docstring is the title and the text, its code makes ``sheet``, an image, and
may set ``note``, a line of figures. Weights and photographs are fetched on demand. The page shows the code that ran.
"""

from __future__ import annotations

import argparse
import ast
import runpy
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent.parent / "docs"
PICTURES = DOCS / "pictures" / "gallery"
INTRODUCTION = """# Gallery

Feature visualization, attribution and adversarial examples on the networks of the zoo, made by `make gallery` on one
CPU. Every plate shows the code that made it; the same code makes the same pixels on any number of threads. SqueezeNet
and VGG16 were trained on ImageNet by others ([zoo.md](zoo.md)); the network for digits ships with steep.
"""


def make(plate: Path) -> str:
    """Runs a plate, writes its image, and gives its part of the page."""
    text = plate.read_text()
    title, _, words = (ast.get_docstring(ast.parse(text)) or "").partition("\n\n")
    began = time.perf_counter()
    made = runpy.run_path(str(plate))
    picture = PICTURES / f"{plate.stem}.jpg"
    Image.fromarray(np.asarray(made["sheet"])).save(picture, quality=90, subsampling=0)
    print(f"{plate.stem}: {time.perf_counter() - began:.1f} s, {picture.stat().st_size / 1e3:.0f} kB", file=sys.stderr)
    note = f"\n{made['note']}\n" if "note" in made else ""
    code = text.split('"""', 2)[2].strip()
    return f"## {title}\n\n{words}\n\n![{title}](pictures/gallery/{picture.name})\n{note}\n```python\n{code}\n```\n"


def title_of(plate: Path) -> str:
    """The first line of a plate's docstring."""
    return (ast.get_docstring(ast.parse(plate.read_text())) or "").partition("\n")[0]


def written(page: str) -> dict[str, str]:
    """The parts of the page as it is, by their titles."""
    return {part.partition("\n")[0]: f"## {part.rstrip()}\n" for part in page.split("\n## ")[1:]}


def main() -> None:
    """All plates in the order of their names; with ``--only``, one, and the parts that the page has of others stay."""
    parser = argparse.ArgumentParser(description="Make the gallery.")
    parser.add_argument("--only", help="the name of one plate, without its ending")
    only = parser.parse_args().only
    PICTURES.mkdir(parents=True, exist_ok=True)
    plates = sorted((HERE / "plates").glob("*.py"))
    if only not in (None, *(plate.stem for plate in plates)):
        raise SystemExit(f"there is no plate {only!r}")
    page = DOCS / "gallery.md"
    made = {title_of(plate): make(plate) for plate in plates if only in (None, plate.stem)}
    # The page is read only now: another plate may have been made meanwhile.
    parts = {**(written(page.read_text()) if only else {}), **made}
    page.write_text("\n".join([INTRODUCTION, *(parts[t] for t in map(title_of, plates) if t in parts)]))


if __name__ == "__main__":
    main()
