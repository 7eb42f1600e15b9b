"""A generator of emoji: an auto-decoder, a latent for every picture and one network that draws pictures from latents.

The latents are learnt with the network's weights, starting from principal components. The prior is learnt too: new
latents are near those of pictures, at distances measured by their covariance. Start reading at ``Decoder``.

Bojanowski et al. 2018, "Optimizing the latent space of generative networks", arXiv:1707.05776.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core, io, nn
from steep._core import Tensor
from steep.io.malformed import reading
from steep.nn import functional
from steep.random import Generator
from steep.training import Recipe, fit

SIDE = 64
LATENTS = 128
CHANNELS = (192, 128, 48, 24, 12)  # at 4, 8, 16, 32 and 64 pixels
KIND = "steep generator"
NOISE = 0.1  # of a latent in training, in deviations: near latents shall draw near pictures
SMALL = 16  # pixels a side of which principal components are computed
DRAWN = Recipe(
    epochs=20,
    batch_size=64,
    lr=4e-3,
    optimizer="adam",
    schedule="one_cycle",
    weight_decay=0.0,
    shift=0,
    precision="bf16",  # the same bits everywhere, and half the time where there is AMX
)


class Decoder(nn.Module):
    """Latents (n, 128) to pictures (n, 3, 64, 64) in [0, 1], and the latents of the pictures it was trained on.

    Each stage doubles height and width by repeating pixels and filters the result, which leaves no checkerboard
    (Odena et al. 2016, doi:10.23915/distill.00003).

    Args:
        count: number of pictures.
        seed: seed of the weights.
        channels: channels at 4 pixels a side and after each stage.
    """

    def __init__(self, count: int, seed: int = 0, channels: tuple[int, ...] = CHANNELS) -> None:
        source = Generator(seed)
        self.latents = _core.tensor(np.zeros((count, LATENTS), np.float32), requires_grad=True)
        self.generator = Generator(seed + 1)
        self.first = nn.Linear(LATENTS, channels[0] * 16, generator=source)
        self.corner = channels[0]
        layers: dict[str, Any] = {"bn0": nn.BatchNorm2d(channels[0]), "relu0": nn.LeakyReLU(0.2)}
        for i, (before, after) in enumerate(pairwise(channels), 1):
            layers[f"up{i}"] = nn.Upsample(scale_factor=2)
            layers[f"conv{i}"] = nn.Conv2d(before, after, 3, 1, 1, bias=False, generator=source)
            layers[f"bn{i}"], layers[f"relu{i}"] = nn.BatchNorm2d(after), nn.LeakyReLU(0.2)
        layers["picture"] = nn.Conv2d(channels[-1], 3, 3, 1, 1, generator=source)
        self.stages = nn.Sequential(layers)

    def forward(self, z: Any) -> Tensor:
        """Pictures of latents; differentiable.

        Args:
            z: latents (n, 128).

        Returns:
            Pictures (n, 3, 64, 64) in (0, 1).
        """
        first = self.first(_core.asarray(z))
        return _core.sigmoid(self.stages(_core.reshape(first, (first.shape[0], self.corner, 4, 4))))

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:
        """How badly pictures are drawn, and how far their latents are from 0.

        Args:
            x: pictures (n, 3, 64, 64) from 0 to 255.
            rows: their positions.

        Returns:
            A scalar.
        """
        z = _core.take(self.latents, rows, axis=0)
        drawn = self(z + self.generator.normal(tuple(z.shape), std=NOISE))
        return pyramid_distance(drawn, x * (1 / 255)) + 1e-3 * _core.mean(z * z)


def pyramid_distance(x: Tensor, y: Tensor, levels: int = 4) -> Tensor:
    """The mean absolute difference of two batches of pictures, band by band of a Laplacian pyramid.

    Every band counts alike, so that edges are not given up for surfaces.

    Args:
        x: pictures (n, channels, height, width).
        y: pictures of the same shape.
        levels: number of bands; height and width can be halved as often.

    Returns:
        A scalar.
    """
    rest, bands = x - y, list[Tensor]()
    for _ in range(levels - 1):
        coarse = functional.avg_pool2d(rest, 2)
        bands.append(_core.mean(_core.abs(rest - functional.interpolate(coarse, scale_factor=2.0))))
        rest = coarse
    return sum(bands, _core.mean(_core.abs(rest)))


def principal_components(pictures: NDArray[np.uint8], count: int = LATENTS) -> NDArray[np.float32]:
    """The coefficients of pictures, reduced to 16 pixels, in their first principal components, each of deviation 1.

    Args:
        pictures: uint8 (n, 64, 64, 3).
        count: number of components; those that there are not are 0.

    Returns:
        An array (n, count).
    """
    n, side = len(pictures), pictures.shape[1] // SMALL
    small = pictures.reshape(n, SMALL, side, SMALL, side, 3).mean(axis=(2, 4)).reshape(n, -1) / 255
    small -= small.mean(axis=0)
    directions = np.linalg.eigh(small.T @ small)[1][:, ::-1][:, :count]
    found = small @ (directions * np.where(directions.sum(axis=0) < 0, -1, 1))
    alike: NDArray[np.float32] = (found / np.maximum(found.std(axis=0), 1e-6)).astype(np.float32)
    return np.pad(alike, ((0, 0), (0, count - alike.shape[1])))


def train_decoder(
    pictures: NDArray[np.uint8],
    recipe: Recipe = DRAWN,
    callback: Callable[[int, int, float], object] = lambda step, steps, loss: None,
    checkpoint: Path | None = None,
    resume: bool = False,
    channels: tuple[int, ...] = CHANNELS,
) -> tuple[Decoder, list[float]]:
    """Trains an auto-decoder on pictures.

    Args:
        pictures: uint8 (n, 64, 64, 3).
        recipe: how; see ``training.Recipe``.
        callback: called with the step, their number, and the loss; returning True stops the run.
        checkpoint: a file to which the run is saved after each epoch.
        resume: whether to continue from it, with the bits of a run that was never interrupted.
        channels: channels at 4 pixels a side and after each stage.

    Returns:
        The decoder, in evaluation mode, and the mean loss of each epoch.

    Raises:
        ValueError: if the training diverged.
    """
    decoder = Decoder(len(pictures), recipe.seed, channels)
    decoder.latents = _core.tensor(principal_components(pictures), requires_grad=True)
    planes = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
    done = fit(
        decoder,
        (planes, np.arange(len(pictures), dtype=np.int64)),
        None,
        recipe,
        lambda p: callback(p.step, p.steps, p.loss),
        checkpoint,
        resume=resume,
        objective=lambda model, x, rows: model.loss(x, rows),
        progress=False,
    )
    if done.status == "diverged":
        raise ValueError("the training diverged: choose a smaller learning rate")
    return decoder.eval(), done.losses


def save_decoder(decoder: Decoder, path: Path, about: dict[str, str]) -> None:
    """Writes a decoder, atomically.

    Args:
        decoder: the decoder.
        path: a .safetensors file.
        about: what it was trained on.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    io.save(path, decoder.state_dict(), {"kind": KIND, **about})


def load_decoder(path: Path) -> tuple[Decoder, dict[str, str]]:
    """Reads what ``save_decoder`` wrote.

    Args:
        path: the file.

    Returns:
        The decoder, in evaluation mode, and what it was trained on.

    Raises:
        OSError: if there is no such file.
        ValueError: if the file is no such file.
    """
    about = dict(io.metadata(path))
    with reading(path, "a generator"):
        if about.get("kind") != KIND:
            raise ValueError("it holds no generator of steep")
        found = io.load(path)
        widths = [found[f"stages.conv{i}.weight"].shape for i in range(1, len(CHANNELS))]
        channels = (widths[0][1], *(width[0] for width in widths))
        decoder = Decoder(found["latents"].shape[0], 0, channels)
        decoder.load_state_dict(found)
    return decoder.eval(), about
