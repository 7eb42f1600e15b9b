"""The demo's page: one HTML file with embedded images, and the same images as PNG files.

The page is self-contained, follows the reader's light or dark setting, and does not depend on time or machine, so that
the same run writes the same bytes.
"""

from __future__ import annotations

from dataclasses import asdict
from html import escape
from pathlib import Path

import numpy as np

from steep import pictures
from steep.demo import text
from steep.demo.run import Outcome
from steep.io.atomic import atomic_write
from steep.report import html as page
from steep.training import Recipe

Files = dict[str, bytes]
SCALE = 8


def write_report(outcome: Outcome, folder: Path) -> list[Path]:
    """Write ``report.html`` and the PNGs into ``folder``, made if need be; gives their paths, the page first.

    Each file is written whole or not at all. Raises OSError from the disk.
    """
    files = draw(outcome)
    content = {"report.html": html(outcome, files).encode(), **files}
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in content.items():
        with atomic_write(folder / name) as file:
            file.write(data)
    return [folder / name for name in content]


def _png(colours: pictures.Colours) -> bytes:
    return pictures.png(colours, SCALE)


def draw(outcome: Outcome) -> Files:
    """Every image of the demo as PNG bytes, by file name."""
    classes = [pictures.grey(image) for image in outcome.classes.images]
    digits = [pictures.grey(image) for image in outcome.maps.digits]
    maps = [pictures.hot(image) for image in outcome.maps.maps]
    stages = [pictures.grey(images[_SHOWN]) for _, images in outcome.classes.stages]
    fooled = outcome.adversarial
    change = fooled.attacked.astype(np.float64) - fooled.original
    trio = [
        pictures.grey(fooled.original),
        pictures.signed(change, outcome.settings.eps),
        pictures.grey(fooled.attacked),
    ]
    files = {"classes.png": _png(pictures.sheet(classes, 5))}
    files["saliency.png"] = _png(pictures.sheet(digits + maps, len(digits)))
    files["adversarial.png"] = _png(pictures.sheet(trio, 3))
    named = {"classes": classes, "digit": digits, "saliency": maps, "stage": stages, "attack": trio}
    for kind, tiles in named.items():
        files |= {f"{kind}-{i}.png": _png(tile) for i, tile in enumerate(tiles)}
    return files


_SHOWN = 3  # the class whose optimisation is shown


def html(outcome: Outcome, files: Files) -> str:
    """The page, with the images of ``files`` embedded."""
    body = [
        page.header(text.TITLE, text.LEAD, _numbers(outcome)),
        page.section("1. Training", text.TRAINING.format(**_facts(outcome)), page.curve(outcome.trained.losses)),
        page.section(
            "2. Feature visualization of each class", text.CLASSES.format(**_facts(outcome)), _classes(outcome, files)
        ),
        page.section("From noise to a three", text.STAGES, _stages(outcome, files)),
        page.section("3. Saliency maps", text.SALIENCY, _saliency(outcome, files)),
        page.section("4. An adversarial example", text.ATTACK.format(**_facts(outcome)), _attack(outcome, files)),
        page.section("Settings", text.SETTINGS.format(**_facts(outcome)), _settings(outcome)),
    ]
    return page.document(text.TITLE, "\n".join(body))


def _image(files: Files, name: str, description: str) -> tuple[str, str]:
    return page.embedded(files[name]), description


def _numbers(outcome: Outcome) -> list[tuple[str, str]]:
    fooled = outcome.adversarial
    return [
        (f"{outcome.trained.test_accuracy:.1%}", f"of {outcome.sizes[1]:,} test digits are correctly classified"),
        (f"{outcome.classes.probabilities.min():.3f}", "lowest probability of an optimised input"),
        (f"{fooled.hits} of {fooled.tried}", f"digits misclassified after changes of at most {outcome.settings.eps:g}"),
    ]


def _facts(outcome: Outcome) -> dict[str, str]:
    settings, recipe, fooled = outcome.settings, outcome.settings.recipe, outcome.adversarial
    pixels, classes = outcome.classes.images[0].size, len(outcome.classes.images)
    facts = {name: f"{value:g}" for name, value in asdict(settings).items() if isinstance(value, int | float)}
    named = {name: value for name, value in asdict(recipe).items() if value is not None}
    facts |= {name: value if isinstance(value, str) else f"{value:g}" for name, value in named.items()}
    facts |= {
        "note": escape(outcome.note[0].upper() + outcome.note[1:]),
        "layers": f"{pixels}-{settings.hidden}-{classes}",
        "train_accuracy": f"{outcome.trained.train_accuracy:.1%}",
        "test_accuracy": f"{outcome.trained.test_accuracy:.1%}",
        "hits": str(fooled.hits),
        "tried": str(fooled.tried),
        "augmentation": _augmented(recipe),
    }
    return facts


def _augmented(recipe: Recipe) -> str:
    moved = f"shifted by up to {recipe.shift} pixel{'s' * (recipe.shift != 1)} and " if recipe.shift else ""
    return f"{moved}perturbed by noise of standard deviation {recipe.noise:g}"


def _classes(outcome: Outcome, files: Files) -> str:
    return page.grid(
        5,
        (
            page.figure(
                f"<b>{i}</b> p = {p:.4f}", _image(files, f"classes-{i}.png", f"an input that maximises class {i}")
            )
            for i, p in enumerate(outcome.classes.probabilities)
        ),
    )


def _stages(outcome: Outcome, files: Files) -> str:
    steps = [step for step, _ in outcome.classes.stages]
    figures = (page.figure(f"step {n}", _image(files, f"stage-{i}.png", f"step {n}")) for i, n in enumerate(steps))
    return page.grid(max(5, len(steps)), figures)


def _saliency(outcome: Outcome, files: Files) -> str:
    pairs = []
    for i, (label, guess) in enumerate(zip(outcome.maps.labels, outcome.maps.predicted, strict=True)):
        verdict = f"classified as <b>{guess}</b>" + ("" if guess == label else f" (it is a {label})")
        digit = _image(files, f"digit-{i}.png", f"a test digit {label}")
        pairs.append(page.figure(verdict, digit, _image(files, f"saliency-{i}.png", f"its saliency map for {guess}")))
    return page.grid(5, pairs)


def _attack(outcome: Outcome, files: Files) -> str:
    fooled = outcome.adversarial
    (true, wrong), (before, after) = fooled.labels, fooled.probabilities
    captions = [
        (f"classified as <b>{true}</b>, p = {before:.3f}", "the original"),
        (f"the change, at most {fooled.distance:.3f}", "the change: blue darker, red brighter"),
        (f"classified as <b>{wrong}</b>, p = {after:.3f}", "the adversarial example"),
    ]
    figures = (page.figure(words, _image(files, f"attack-{i}.png", what)) for i, (words, what) in enumerate(captions))
    return page.grid(5, figures)


def _settings(outcome: Outcome) -> str:
    settings = asdict(outcome.settings)
    recipe = settings.pop("recipe")
    return page.table([(name, str(value)) for name, value in {**settings, **recipe}.items() if value is not None])
