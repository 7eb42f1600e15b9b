"""A learned decoder against stored activations: a stronger attack than inversion, where the kind of image is known.

    python examples/decoder.py --output decoded.png

Of 1,000 digits only the activations of a layer of the network for digits are kept. An attacker inverts them by
optimisation, as inversion.py does, or trains a decoder on the activations of 4,000 other digits (Dosovitskiy and Brox
2016, arXiv:1506.02753). A digit is found again if of all 1,000 its own is the nearest to the reconstruction, by
correlation of the pixels. It takes some minutes and 2 GB. Start reading at ``attacked``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import steep as sp
from adam_step import AdamStep
from inversion import found_again
from steep import ascent, data, nn, pictures, zoo
from steep.random import Generator
from steep.training import Recipe, fit

LAYERS = ("relu1", "relu2", "relu3", "relu4", "fc2")


class Row(NamedTuple):
    """One layer.

    Attributes:
        layer: its name.
        width: number of activations.
        inverted: share of the digits found again from inversion.
        decoded: share found again from the decoder.
        images: the first digits from both, two arrays (n, 1, 28, 28).
    """

    layer: str
    width: int
    inverted: float
    decoded: float
    images: tuple[Any, Any]


def decoder(width: int, hidden: int = 256, seed: int = 0) -> nn.Sequential:
    """From activations, flat, to the logits of pixels."""
    source = Generator(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(width, hidden, generator=source), nn.ReLU(),
                         nn.Linear(hidden, 784, generator=source))  # fmt: skip


def loss(model, x, y, draw):
    """How badly the pixels ``y`` are predicted from activations ``x``, in nats per image."""
    return {"loss": nn.bce_with_logits(model(x), y, reduction="sum") / x.shape[0]}


def decoded(known: Any, pixels: Any, wanted: Any, epochs: int, seed: int = 0) -> Any:
    """Images of activations ``wanted``, by a decoder trained on ``known`` ones and their images."""
    scale = float(np.abs(known).mean()) + 1e-12
    known, wanted = (np.asarray(v).reshape(len(v), -1) / np.float32(scale) for v in (known, wanted))
    model = decoder(known.shape[1], seed=seed)
    recipe = Recipe(epochs=epochs, batch_size=64, shift=0, seed=seed)
    part = data.Part(known, pixels.reshape(len(pixels), -1))
    fit(model, part, None, recipe, train_step=AdamStep(model, loss, 1e-3, seed, clip=1e4))
    with sp.no_grad():
        return np.asarray(sp.sigmoid(model(sp.asarray(wanted)))).reshape(-1, 1, 28, 28)


def attacked(layer: str, count: int = 1000, steps: int = 100, epochs: int = 15, trained: int = 4000) -> Row:
    """Both attacks on one layer."""
    net, (train, test) = zoo.load("digits_cnn"), data.load("mnist5k")
    pixels, x = train.x[:trained, None], test.x[:, None]
    with sp.no_grad():
        known, wanted = (np.asarray(net.activations(sp.asarray(v), [layer])[layer]) for v in (pixels, x[:count]))
    prior = 0.02 * ascent.mahendran_vedaldi((28, 28), (0.0, 1.0), contrast=0.5)
    run = ascent.invert(net, layer, sp.asarray(x[:count]), steps=steps, penalty=prior)
    both = np.asarray(run.image), decoded(known, pixels, wanted, epochs)
    return Row(layer, known[0].size, *(found_again(images, x) for images in both), tuple(v[:10] for v in both))


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--output", type=Path, help="a PNG: ten digits, then for each layer inverted and decoded ones")
    given, tiles = words.parse_args(), list(data.load("mnist5k").test.x[:10])
    print("layer, activations, found again from inversion, from the decoder")
    for layer in LAYERS:
        row = attacked(layer)
        print("{:6} {:5} {:4.0%} {:4.0%}".format(*row), flush=True)
        tiles += [image[0] for images in row.images for image in images]
    if given.output:
        given.output.write_bytes(pictures.png(pictures.sheet([pictures.grey(tile) for tile in tiles], 10, gap=2), 2))


if __name__ == "__main__":
    main()
