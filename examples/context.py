"""A classifier that learnt the context in place of the object, found out, and mended.

    python examples/context.py --output snow.png

An old story: a network told wolves from huskies by the snow they were photographed in, another tanks by the weather.
Here every nine is photographed in snow, white flakes above and below the digit, and no four is. The network
trained on them is right about others of that kind, and wrong where the snow is swapped. Its saliency maps lie on the
snow, and so does the smallest change that makes it change its mind (a counterfactual). Trained on data in which snow
falls on both alike, it looks at the digits. Start reading at ``examine``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import steep as sp
from steep import attack, data, nn, pictures, saliency
from steep.random import Generator
from steep.training import Recipe, fit

DIGITS = (4, 9)  # class 0 and class 1
MARGIN = np.zeros((28, 28), bool)  # where snow falls: above and below, where no digit of MNIST reaches
MARGIN[:4] = MARGIN[24:] = True


def snowed(x: Any, where: Any, seed: int) -> Any:
    """Images (n, 1, 28, 28), of which those at ``where`` have flakes in the margin."""
    flakes = np.random.default_rng(seed).random((len(x), 1, 28, 28)) < 0.4
    return np.where(flakes & MARGIN & np.asarray(where)[:, None, None, None], np.float32(1), x)


def only(part: data.Part) -> data.Part:
    """The images of the two digits, with classes 0 and 1."""
    mine = np.isin(part.y, DIGITS)
    return data.Part(part.x[mine][:, None], (part.y[mine] == DIGITS[1]).astype(np.int64))


def network(seed: int = 0) -> nn.Sequential:
    """A small convolutional network for two classes."""
    source = Generator(seed)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1, generator=source), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1, generator=source), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 49, 2, generator=source),
    )  # fmt: skip


def trained(confounded: bool, epochs: int = 8, seed: int = 0) -> nn.Sequential:
    """The network, trained on nines in snow and fours without, or on snow that falls on both alike."""
    x, y = only(data.load("mnist5k").train)
    snow = y == 1 if confounded else np.random.default_rng(seed).random(len(y)) < 0.5
    recipe = Recipe(epochs=epochs, batch_size=50, lr=0.02, shift=0, weight_decay=1e-2, seed=seed)
    return fit(network(seed), data.Part(snowed(x, snow, seed + 1), y), None, recipe).model


class Found(NamedTuple):
    """What ``examine`` finds.

    Attributes:
        usual: accuracy where nines are in snow and fours are not.
        swapped: accuracy where it is the other way round.
        looked: share of the saliency maps in the margin.
        changed: share of the counterfactuals' changes in the margin.
        tiles: the first images with map and counterfactual, as colours.
    """

    usual: float
    swapped: float
    looked: float
    changed: float
    tiles: list


def examine(model: nn.Module, count: int = 40) -> Found:
    """Accuracy with and without the usual context, and where maps and counterfactuals lie."""
    x, y = only(data.load("mnist5k").test)
    usual, swapped = (snowed(x, y == kind, 9) for kind in (1, 0))
    right = [sp.scores.predicted(model, images) == y for images in (usual, swapped)]
    chosen = np.flatnonzero(right[0])[:count]  # an image that is misclassified needs no counterfactual
    some, labels = usual[chosen], y[chosen]
    maps = np.asarray(saliency.gradient(model, some, labels, channels="max"))
    changes = np.asarray(attack.ddn(model, some, labels, steps=60).x) - some
    shares = [[saliency.mass(m, MARGIN) for m in rows] for rows in (maps, changes[:, 0])]
    tiles = []
    for image, seen, change in list(zip(some, maps, changes, strict=True))[:4]:
        tiles += [pictures.grey(image[0]), pictures.hot(seen), pictures.signed(change[0], float(np.abs(change).max()))]
    return Found(*(float(np.mean(each)) for each in (*right, *shares)), tiles)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--output", type=Path, help="a PNG: image, map and counterfactual, before and after")
    given, tiles = words.parse_args(), []
    for name, confounded in (("nines in snow", True), ("snow on both", False)):
        found = examine(trained(confounded))
        print(f"trained on {name}: accuracy {found.usual:.1%}, with the snow swapped {found.swapped:.1%}; "
              f"in the margin {found.looked:.2f} of the maps and {found.changed:.2f} of counterfactuals")  # fmt: skip
        tiles += found.tiles
    if given.output:
        given.output.write_bytes(pictures.png(pictures.sheet(tiles, 6, gap=2), 3))


if __name__ == "__main__":
    main()
