"""A deep convolutional generative adversarial network (DCGAN) on Fashion-MNIST.

    python examples/dcgan.py --output clothes.png

The rules are those of Radford et al. 2016, arXiv:1511.06434: strides in place of pooling, batch normalization, weights
of standard deviation .02, Adam with a rate of 2e-4 and a first moment of .5; with fewer channels, for images of 28
pixels. own_step.py has the GAN of Keras's guide. Start reading at ``DCGAN.__call__``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import steep as sp
from adam_step import command
from own_step import GAN, samples
from steep import data, nn, optim, pictures
from steep.random import Generator
from steep.training import Recipe, fit

SETS = ("fashion_mnist", "mnist5k")  # the second is downloaded


class Networks(nn.Module):
    """Discriminator and generator, as one model for ``fit``."""

    def __init__(self, channels: int, latent: int, seed: int) -> None:
        source, c = Generator(seed), channels
        plain = {"bias": False, "generator": source}
        self.latent = latent
        self.discriminator = nn.Sequential(
            nn.Conv2d(1, c, 4, stride=2, padding=1, generator=source), nn.LeakyReLU(0.2),
            nn.Conv2d(c, 2 * c, 4, stride=2, padding=1, **plain), nn.BatchNorm2d(2 * c), nn.LeakyReLU(0.2),
            nn.Flatten(), nn.Linear(49 * 2 * c, 1, generator=source),
        )  # fmt: skip
        self.generator = nn.Sequential(
            nn.ConvTranspose2d(latent, 2 * c, 7, **plain), nn.BatchNorm2d(2 * c), nn.ReLU(),
            nn.ConvTranspose2d(2 * c, c, 4, stride=2, padding=1, **plain), nn.BatchNorm2d(c), nn.ReLU(),
            nn.ConvTranspose2d(c, 1, 4, stride=2, padding=1, generator=source), nn.Tanh(),
        )  # fmt: skip
        with sp.no_grad():
            for weight in (w for w in self.parameters() if w.ndim > 1):
                weight[...] = source.normal(tuple(weight.shape), std=0.02)

    def forward(self, latent):
        """Images in [0, 1] of latent vectors (n, latent)."""
        return (self.generator(latent[:, :, None, None]) + 1) / 2

    def halves(self):
        """The weights of the discriminator, and those of the generator."""
        return self.discriminator.parameters(), self.generator.parameters()


class DCGAN(GAN):
    """One update of the discriminator, with real and generated images in batches of their own; one of the generator."""

    def __init__(self, model: Networks, seed: int = 0, lr: float = 2e-4) -> None:
        self.draw = Generator(seed)
        self.optimizers = [optim.Adam(weights, lr, betas=(0.5, 0.999)) for weights in model.halves()]

    def __call__(self, model, optimizer, x, y):
        count, (judging, making) = x.shape[0], model.halves()
        real, fake = sp.ones((count, 1)), sp.zeros((count, 1))
        made = model(self.draw.normal((count, model.latent))).detach()
        with sp.GradientTape() as tape:
            right = nn.bce_with_logits(model.discriminator(2 * x - 1), real)
            found = right + nn.bce_with_logits(model.discriminator(2 * made - 1), fake)
        self.optimizers[0].apply_gradients(zip(tape.gradient(found, judging), judging, strict=True))
        latent = self.draw.normal((count, model.latent))
        with sp.GradientTape() as tape:
            fooled = nn.bce_with_logits(model.discriminator(2 * model(latent) - 1), real)
        self.optimizers[1].apply_gradients(zip(tape.gradient(fooled, making), making, strict=True))
        return {"d_loss": found, "g_loss": fooled}


def train(
    epochs: int,
    channels: int = 16,
    latent: int = 64,
    count: int = 20_000,
    seed: int = 0,
    callback: Any = None,
    name: str = SETS[0],
    **more: Any,
) -> Any:
    """The DCGAN, trained on the first ``count`` images; ``more`` goes to ``fit``."""
    x = data.load(name).train.x[:count, None]
    model = Networks(channels, latent, seed)
    model.name = name
    recipe = Recipe(epochs=epochs, batch_size=64, shift=0, seed=seed)
    part = data.Part(x, np.zeros(len(x), np.int64))
    return fit(model, part, None, recipe, callback or (lambda p: None), train_step=DCGAN(model, seed), **more)


def show(model: Networks) -> tuple[str, bytes]:
    """The share of pairs of real and generated images that the discriminator tells apart, and a sheet of samples."""
    x = sp.asarray(data.load(model.name).test.x[:500, None])
    with sp.no_grad():
        made = model(Generator(2).normal((500, model.latent)))
        real, fake = (np.asarray(model.discriminator(2 * images - 1)) for images in (x, made))
    return f"the discriminator prefers the real one of {np.mean(real > fake):.0%} of pairs", pictures.png(
        samples(model), 2)  # fmt: skip


if __name__ == "__main__":
    command(__doc__, train, show, epochs=8, sets=SETS)
