"""A learned decoder against the activations of photographs, where the attacker has other photographs.

    python examples/photo_decoder.py --output decoded.png

The activations of a layer of SqueezeNet are kept of 31 photographs, as in inversion.py. For each half of them a decoder
(Dosovitskiy and Brox 2016, arXiv:1506.02753) is trained on crops of the other half. A photograph is found again if of
all 31 its own is the nearest to the reconstruction, by correlation of the pixels. It takes half an hour and
2 GB. decoder.py does the same for digits. Start reading at ``attacked``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import steep as sp
from adam_step import AdamStep
from inversion import SIDE, found_again, originals, photographs
from steep import data, nn, pictures, zoo
from steep.random import Generator
from steep.training import Recipe, fit

LAYERS = ("fire3", "fire5", "fire7", "fire9", "logits")
SMALLEST = 0.35  # of a photograph's shorter side: crops


class Row(NamedTuple):
    """One layer.

    Attributes:
        layer: its name.
        width: number of activations.
        pixels: error of the pixels, relative to the photographs.
        found: share of the photographs that are found again.
        image: the reconstructions, as the network's input.
    """

    layer: str
    width: int
    pixels: float
    found: float
    image: Any


def crops(photos: list[Any], count: int, way: zoo.Preprocessing, seed: int) -> Any:
    """Random squares of the photographs, half of them mirrored, as the input of a network."""
    draw, found = np.random.default_rng(seed), []
    for i in range(count):
        photo = photos[i % len(photos)]
        high, wide = photo.shape[:2]
        side = int(draw.uniform(SMALLEST, 1.0) * min(high, wide))
        top, left = draw.integers(high - side + 1), draw.integers(wide - side + 1)
        square = photo[top : top + side, left : left + side]
        found.append(way.preprocess(square[:, ::-1] if draw.integers(2) else square))
    return sp.concat(found)


def decoder(shape: tuple[int, ...], side: int, seed: int = 0) -> nn.Sequential:
    """From activations (C, H, W) to the pixels of an image; a vector has H and W of 1."""
    source, middle = Generator(seed), side // 8
    if shape[1:] == (1, 1):
        layers = [nn.ConvTranspose2d(shape[0], 128, middle, generator=source), nn.ReLU()]
    else:
        layers = [nn.Conv2d(shape[0], 128, 1, generator=source), nn.ReLU(), nn.Upsample(size=middle, mode="linear")]
    for inputs, outputs in ((128, 64), (64, 32), (32, 16)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1, generator=source), nn.ReLU(), nn.Upsample(scale_factor=2)]
    return nn.Sequential(*layers, nn.Conv2d(16, 3, 3, padding=1, generator=source))


def loss(model, x, y, draw):
    """The mean squared error of the pixels."""
    return {"loss": ((model(x) - y) ** 2).mean()}


def activations(net: Any, layer: str, x: Any) -> Any:
    """Those of a layer, (n, C, H, W), for some images at a time."""
    with sp.no_grad():
        parts = [np.asarray(net.activations(x[i : i + 64], [layer])[layer]) for i in range(0, len(x), 64)]
    found = np.concatenate(parts)
    return found if found.ndim == 4 else found[:, :, None, None]


def decoded(known: Any, pixels: Any, wanted: Any, epochs: int, seed: int = 0) -> Any:
    """Images of activations ``wanted``, by a decoder trained on ``known`` ones and their images."""
    scale = float(np.abs(known).mean()) + 1e-12
    model = decoder(known.shape[1:], pixels.shape[-1], seed)
    recipe = Recipe(epochs=epochs, batch_size=32, shift=0, seed=seed)
    part = data.Part(known / np.float32(scale), np.asarray(pixels))
    fit(model, part, None, recipe, train_step=AdamStep(model, loss, 1e-3, seed))
    with sp.no_grad():
        return np.asarray(model(sp.asarray(wanted / np.float32(scale))))


def attacked(layer: str, count: int = 31, side: int = SIDE, trained: int = 1500, epochs: int = 12) -> Row:
    """Every photograph from a decoder that has not seen it."""
    net = zoo.load("squeezenet1_1")
    way = replace(net.preprocessing, size=side)
    photos, x = originals()[:count], photographs(way)[:count]
    wanted, image = activations(net, layer, x), np.empty(x.shape, np.float32)
    for half in (0, 1):
        pixels = crops([photo for i, photo in enumerate(photos) if i % 2 != half], trained, way, half)
        image[half::2] = decoded(activations(net, layer, pixels), pixels, wanted[half::2], epochs)
    off = np.linalg.norm(image - np.asarray(x)) / np.linalg.norm(np.asarray(x))
    return Row(layer, wanted[0].size, float(off), found_again(image, x), image)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--layers", default=",".join(LAYERS), help="some layers, between commas")
    words.add_argument("--output", type=Path, help="a PNG: four photographs, and what is decoded from each layer")
    given = words.parse_args()
    way = replace(zoo.load("squeezenet1_1").preprocessing, size=SIDE)
    print("layer, activations, error of the pixels, found again")
    images = [photographs(way)]
    for layer in given.layers.split(","):
        row = attacked(layer)
        print("{:6} {:6} {:.3f} {:4.0%}".format(*row), flush=True)
        images.append(row.image)
    if given.output:
        tiles = [way.to_image(sp.asarray(image[i : i + 1])) for i in range(4) for image in images]
        given.output.write_bytes(pictures.png(pictures.sheet(tiles, len(images), gap=2)))


if __name__ == "__main__":
    main()
