"""The dumbbell and the arm: what always comes along with a class is part of what a network learns.

    python examples/dumbbell.py planted --output planted.png      # a pattern planted beside one class of Fashion-MNIST
    python examples/dumbbell.py anemone --output anemone.png      # clownfish, which live in sea anemones

In "Inceptionism" (Mordvintsev et al. 2015) a network asked for dumbbells drew arms with them. ``planted`` plants a
context and asks how much of it the optimised image of every class shows. ``anemone`` takes a class of ImageNet with a
context of its own: SqueezeNet draws several realisations of a class, made different by a term for ``diversity``, and
another network, EfficientNet, says how much of a sea anemone it sees in them.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import steep as sp
from steep import ascent, data, nn, pictures, zoo
from steep.random import Generator
from steep.training import Recipe, fit

SETS = ("fashion_mnist", "mnist5k")
CLASS = 3  # dresses, or threes
CLOWNFISH, ANEMONE = 393, 108
OTHERS = {"goldfish": 1, "Egyptian cat": 285, "espresso": 967, "jeep": 609, "daisy": 985}


def planted(name: str = SETS[0], count: int = 4000, epochs: int = 6, seed: int = 0) -> tuple[list[float], Any]:
    """For each class the correlation of its optimised image's corner with the pattern; and the images."""
    part = data.load(name).train
    x, y = part.x[:count].copy(), part.y[:count]
    pattern = np.random.default_rng(seed).uniform(0, 1, (7, 7)).astype(np.float32)
    x[y == CLASS, :7, -7:] = pattern
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 32, generator=seed), nn.Tanh(),
                        nn.Linear(32, 10, generator=seed + 1))  # fmt: skip
    fit(net, data.Part(x, y), None, Recipe(epochs=epochs, batch_size=100, shift=0, weight_decay=1e-2, seed=seed))
    climb = partial(ascent.maximize, start=np.zeros((1, 28, 28), np.float32), steps=100, penalty=0.05 * ascent.l2)
    images = [np.asarray(climb(ascent.logit(net, c)).image)[0] for c in range(10)]
    return [float(np.corrcoef(image[:7, -7:].ravel(), pattern.ravel())[0, 1]) for image in images], images


def realisations(model: Any, label: int, count: int = 4, side: int = 128, steps: int = 128, seed: int = 0) -> Any:
    """Images in [0, 1] that SqueezeNet takes for a class, different from one another."""
    way = model.preprocessing
    goal = ascent.logit(model, np.full(count, label)) + 50.0 * ascent.diversity(model, "fire4")
    return ascent.visualize(goal, (count, 3, side, side), steps=steps, preprocess=way.normalize,
                            generator=Generator(seed)).image  # fmt: skip


def correlations(**options: Any) -> tuple[dict[str, float], Any]:
    """How the score for a sea anemone correlates with being an image of each class; and the images."""
    drawer, judge = zoo.load("squeezenet1_1"), zoo.load("efficientnet_lite0")
    images = {name: realisations(drawer, label, **options)
              for name, label in {"clownfish": CLOWNFISH, **OTHERS}.items()}  # fmt: skip
    with sp.no_grad():
        scores = {name: np.asarray(judge(judge.preprocessing.normalize(x)))[:, ANEMONE] for name, x in images.items()}
    every = np.concatenate(list(scores.values()))
    of = np.repeat(np.arange(len(scores)), [len(values) for values in scores.values()])
    return {name: float(np.corrcoef(every, of == i)[0, 1]) for i, name in enumerate(scores)}, images


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("which", choices=["planted", "anemone"])
    words.add_argument("--data", choices=SETS, default=SETS[0], help="for planted: the data set")
    words.add_argument("--output", type=Path, help="a PNG of the optimised images")
    given = words.parse_args()
    if given.which == "planted":
        found, images = planted(given.data)
        print("correlation of each class with the pattern:", " ".join(f"{value:.2f}" for value in found))
        sheet = pictures.sheet([pictures.signed(image, np.abs(image).max()) for image in images], 10, gap=2)
    else:
        by_class, images = correlations()
        print("correlation with the score for a sea anemone:", by_class)
        tiles = [pictures.rgb(image) for rows in images.values() for image in np.asarray(rows)]
        sheet = pictures.sheet(tiles, 4, gap=4)
    if given.output:
        given.output.write_bytes(pictures.png(sheet, 2 if given.which == "planted" else 1))


if __name__ == "__main__":
    main()
