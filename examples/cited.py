"""What the lectures cite and do not teach, on the network for digits: a patch, spectacles, a network as a prior, t-SNE.

    python examples/cited.py --output cited.png

- ``patch`` (Brown et al. 2017): one small square that, pasted anywhere on any digit, makes it a chosen class.
- ``spectacles`` (Sharif et al. 2016): an attack that may change the pixels of a frame alone.
- ``prior`` (Ulyanov et al. 2018): an untrained network, fitted to a noisy image, shows it clean before it is noisy.
- ``neighbours`` (van der Maaten and Hinton 2008): t-SNE of activations, by the one loop; who is nearest to whom.

Each returns figures and images; it takes about a minute. The toolbox that is cited with them is ``steep explore``.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import steep as sp
from steep import data, nn, optim, pictures, zoo
from steep.random import Generator
from steep.scores import predicted

TARGET, SIDE = 3, 12  # of the patch: the class it should give, and its side


def pasted(images: Any, square: Any, rows: Any, columns: Any) -> Any:
    """Images with the square at a place of their own each."""
    frames = []
    for row, column in zip(rows, columns, strict=True):
        sides = (row, 28 - SIDE - row), (column, 28 - SIDE - column)
        frames.append(sp.pad(square, sides))
    mask = np.zeros((len(rows), 28, 28), np.float32)
    for i, (row, column) in enumerate(zip(rows, columns, strict=True)):
        mask[i, row : row + SIDE, column : column + SIDE] = 1
    return images * (1 - mask[:, None]) + sp.expand_dims(sp.stack(frames), 1)


def patch(steps: int = 150, batch: int = 32) -> tuple[float, float, Any]:
    """Shares of other digits that become the target: with the patch, and with a square of noise; and some images."""
    net, (train, test) = zoo.load("digits_cnn"), data.load("mnist5k")
    draw = np.random.default_rng(0)
    square = sp.tensor(np.full((SIDE, SIDE), 0.5, np.float32))

    def score(v: Any) -> Any:
        chosen = draw.integers(0, len(train.x), batch)
        places = draw.integers(0, 29 - SIDE, (2, batch))
        seen = net(pasted(train.x[chosen, None], sp.clip(v, 0, 1), *places))
        return -nn.cross_entropy(seen, np.full(batch, TARGET))

    optim.maximize(score, square, partial(optim.Adam, lr=0.05), steps)
    others = test.x[test.y != TARGET][:300, None]
    places = draw.integers(0, 29 - SIDE, (2, len(others)))
    noise = Generator(0).uniform((SIDE, SIDE))
    made = [pasted(others, np.clip(np.asarray(s), 0, 1), *places) for s in (square, noise)]
    shares = [float(np.mean(predicted(net, x) == TARGET)) for x in made]
    return shares[0], shares[1], np.asarray(made[0])[:10, 0]


def frame() -> Any:
    """Two rings and a bridge, 28 by 28."""
    rows, columns = np.mgrid[:28, :28]
    rings = [np.abs(np.hypot(rows - 12, columns - middle) - 4.5) < 1.2 for middle in (7.5, 19.5)]
    return (rings[0] | rings[1] | ((np.abs(rows - 11) < 1) & (np.abs(columns - 13.5) < 2))).astype(np.float32)


def spectacles(steps: int = 40) -> tuple[float, Any]:
    """The share of digits whose class changes when the pixels of the frame alone are changed; and some images."""
    net, test = zoo.load("digits_cnn"), data.load("mnist5k").test
    x, y, mask = test.x[:100, None], test.y[:100], frame()
    worn = sp.tensor(np.full(x.shape, 0.5, np.float32))
    wear = lambda v: x * (1 - mask) + sp.clip(v, 0, 1) * mask  # noqa: E731
    optim.maximize(lambda v: nn.cross_entropy(net(wear(v)), y), worn, partial(optim.Adam, lr=0.1), steps)
    return float(np.mean(predicted(net, wear(worn)) != y)), np.asarray(wear(worn))[:10, 0]


def prior(steps: int = 300, seed: int = 0) -> tuple[float, float, Any]:
    """Errors (root mean square) of a noisy image and of the best of what a network shows of it; clean, noisy, best."""
    from steep.nn import BatchNorm2d, Conv2d, LeakyReLU, Sequential, Sigmoid, Upsample

    clean = data.load("mnist5k").test.x[3]
    noisy = (clean + 0.25 * np.random.default_rng(seed).normal(size=clean.shape)).astype(np.float32)
    source = Generator(seed)
    conv = partial(Conv2d, kernel_size=3, padding=1, generator=source)
    net = Sequential(
        conv(8, 32), BatchNorm2d(32), LeakyReLU(), Upsample(scale_factor=2.0),
        conv(32, 32), BatchNorm2d(32), LeakyReLU(), Upsample(scale_factor=2.0),
        conv(32, 16), BatchNorm2d(16), LeakyReLU(), conv(16, 1), Sigmoid(),
    )  # fmt: skip
    z, best = source.uniform((1, 8, 7, 7)), (np.inf, noisy)

    def seen(progress: Any) -> None:
        nonlocal best
        with sp.no_grad():
            shown = np.asarray(net(z))[0, 0]
        best = min(best, (float(np.sqrt(np.mean((shown - clean) ** 2))), shown), key=lambda pair: pair[0])

    make = partial(optim.Adam, lr=0.01)
    optim.minimize(lambda _: nn.mse_loss(net(z)[0, 0], noisy), net.parameters(), make, steps, callback=seen)
    return float(np.sqrt(np.mean((noisy - clean) ** 2))), best[0], np.stack([clean, noisy, best[1]])


def affinities(codes: Any, neighbours: float = 15.0) -> Any:
    """The symmetric similarities of t-SNE: Gaussians whose widths give every row the same perplexity."""
    squares = ((codes[:, None] - codes) ** 2).sum(axis=-1)
    np.fill_diagonal(squares, np.inf)
    low, high = np.zeros(len(codes)), np.full(len(codes), 100.0 / np.median(squares))
    for _ in range(60):
        width = (low + high) / 2
        p = np.exp(-width[:, None] * (squares - squares.min(axis=1, keepdims=True)))
        p /= p.sum(axis=1, keepdims=True)
        spread = np.exp(-(p * np.log(np.maximum(p, 1e-300))).sum(axis=1))
        low, high = np.where(spread > neighbours, width, low), np.where(spread > neighbours, high, width)
    return (p + p.T) / (2 * len(codes))


def neighbours(count: int = 300, steps: int = 250) -> tuple[float, Any, Any]:
    """The share of digits whose nearest in the plane is of their class; the places, and the classes."""
    net, test = zoo.load("digits_cnn"), data.load("mnist5k").test
    with sp.no_grad():
        codes = np.asarray(net.activations(sp.asarray(test.x[:count, None]), "fc1")["fc1"], np.float64)
    p, apart = affinities(codes), 1 - np.eye(count)
    y = sp.tensor(0.01 * np.random.default_rng(0).normal(size=(count, 2)))

    def divergence(v: Any) -> Any:
        kernel = apart / (1 + sp.sum((sp.expand_dims(v, 1) - v) ** 2, axis=-1))
        return -sp.sum(p * sp.log(kernel + np.eye(count))) + sp.log(sp.sum(kernel))

    optim.minimize(divergence, y, partial(optim.Adam, lr=0.5), steps, capture=True)
    places = np.asarray(y)
    far = ((places[:, None] - places) ** 2).sum(axis=-1) + 1e9 * np.eye(count)
    return float(np.mean(test.y[far.argmin(axis=1)] == test.y[:count])), places, test.y[:count]


def plane(places: Any, classes: Any, side: int = 298) -> Any:
    """The places as dots, a colour for each class."""
    low, high = places.min(axis=0), places.max(axis=0)
    at = ((places - low) / (high - low) * (side - 7)).astype(int)
    image = np.full((side, side, 3), 255, np.uint8)
    for (column, row), label in zip(at, classes, strict=True):
        image[row : row + 6, column : column + 6] = pictures.hot(np.linspace(0, 0.9, 10)[None])[0, label]
    return image


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--output", type=Path, help="a PNG: patched and bespectacled digits, the prior, and the plane")
    given = words.parse_args()
    stuck, by_noise, patched = patch()
    print(f"patch: {stuck:.0%} of other digits become a {TARGET}, {by_noise:.0%} by noise of the same size")
    fooled, worn = spectacles()
    print(f"spectacles: {fooled:.0%} of 100 digits change their class")
    noisy, best, shown = prior()
    print(f"prior: error of the noisy image {noisy:.3f}, of the network's best {best:.3f}")
    share, places, classes = neighbours()
    print(f"neighbours: {share:.0%} of 300 digits are nearest to one of their class", flush=True)
    if given.output:
        tiles = [pictures.grey(np.clip(image, 0, 1)) for image in [*patched, *worn, *shown, *patched[:0]]]
        top = pictures.sheet([*tiles, *[np.zeros_like(tiles[0])] * 7], 10, gap=2)
        dots = plane(places, classes, top.shape[1])
        given.output.write_bytes(pictures.png(np.concatenate([top, dots]), 2))


if __name__ == "__main__":
    main()
