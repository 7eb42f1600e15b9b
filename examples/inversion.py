"""What each layer of a network keeps of 31 photographs, down to the logits: errors, and who is found again.

    python examples/inversion.py squeezenet1_1 --output layers.png

Every layer is inverted from its activations alone, as by ``steep invert``. The error of the activations is relative to
the mean distance between those of two photographs, as in the table of Mahendran and Vedaldi 2015 (arXiv:1412.0035); a
reconstruction is found again if of all 31 photographs its own is the nearest, by correlation of the pixels.
photo_decoder.py is another attack. Start reading at ``inverted``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import steep as sp
from steep import ascent, data, optim, pictures, zoo
from steep.random import Generator

SIDE = 96
LAYERS = {
    "squeezenet1_1": ["relu1", "fire2", "fire3", "fire4", "fire5", "fire7", "fire9", "logits"],
    "efficientnet_lite0": ["relu_stem", "block1", "block3", "block8", "block15", "relu_head", "logits"],
    "alexnet_features": ["conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "relu3", "relu4", "relu5"],
}  # fmt: skip


class Row(NamedTuple):
    """One layer.

    Attributes:
        layer: its name.
        features: error of the activations, relative to the distance of two photographs' activations.
        pixels: error of the pixels, relative to the photographs.
        found: share of the photographs that are found again.
        image: the reconstructions, as the network's input.
    """

    layer: str
    features: float
    pixels: float
    found: float
    image: Any


def originals() -> list[Any]:
    """31 photographs, uint8 arrays (H, W, 3)."""
    photos = [data.photo(name) for name in ("chelsea", "coffee", "astronaut", "rocket")]
    return [*photos, *(entry.picture for kind in ("imagenet", "cifar10") for entry in data.photos(kind))][:31]


def photographs(way: zoo.Preprocessing) -> Any:
    """The same as the input of a network."""
    return sp.concat([way.preprocess(photo) for photo in originals()])


def found_again(images: Any, photos: Any) -> float:
    """The share of images whose nearest photograph, by correlation of the pixels, is their own."""
    found, known = (_directions(values) for values in (images, photos))
    return float(((found @ known.T).argmax(axis=1) == np.arange(len(found))).mean())


def _directions(values: Any) -> Any:
    flat = np.asarray(values).reshape(len(values), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def distance(features: Any) -> float:
    """The mean distance between two rows."""
    flat = np.asarray(features, np.float64).reshape(len(features), -1)
    squares = (flat**2).sum(axis=1)
    pairs = np.maximum(squares[:, None] + squares - 2 * flat @ flat.T, 0)
    return float(np.sqrt(pairs)[~np.eye(len(flat), dtype=bool)].mean())


def inverted(net: Any, layer: str, x: Any, way: zoo.Preprocessing, steps: int) -> Row:
    """One layer of all photographs, from noise, parameterised by its spectrum."""
    start = ascent.fft(tuple(x.shape), Generator(0)).then(sp.sigmoid, way.normalize)
    run = ascent.invert(net, layer, x, steps=steps, start=start, optimizer=partial(optim.Adam, lr=0.05))
    with sp.no_grad():
        wanted, got = (np.asarray(net.activations(v, [layer])[layer]) for v in (x, run.image))
    off = np.linalg.norm((got - wanted).reshape(len(x), -1), axis=1).mean()
    return Row(layer, float(off / distance(wanted)), run.input_error, found_again(run.image, x), run.image)


def measure(name: str, steps: int = 100, layers: list[str] | None = None, count: int = 31, side: int = SIDE) -> Any:
    """All layers of a network, each line printed as it is known: the rows, the photographs and the preprocessing."""
    net = zoo.load(name)
    way = replace(net.preprocessing, size=side)
    x, rows = photographs(way)[:count], []
    print(f"{name}: layer, error of the activations, of the pixels, found again")
    for layer in layers or LAYERS[name]:
        rows.append(inverted(net, layer, x, way, steps))
        print("{:10} {:.3f} {:.3f} {:4.0%}".format(*rows[-1]), flush=True)
    return rows, x, way


def sheet(rows: list[Row], x: Any, way: zoo.Preprocessing, count: int = 4) -> Any:
    """Some photographs, below each its reconstructions by layer, as colours."""
    images = [x, *(row.image for row in rows)]
    return pictures.sheet(
        [way.to_image(image[i : i + 1]) for i in range(count) for image in images], len(images), gap=2
    )


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("network", choices=list(LAYERS))
    words.add_argument("--steps", type=int, default=100)
    words.add_argument("--layers", help="some layers, between commas")
    words.add_argument("--output", type=Path, help="a PNG: photographs, and their reconstructions from each layer")
    given = words.parse_args()
    rows, x, way = measure(given.network, given.steps, given.layers.split(",") if given.layers else None)
    if given.output:
        given.output.write_bytes(pictures.png(sheet(rows, x, way)))


if __name__ == "__main__":
    main()
