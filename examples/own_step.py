"""The two examples of Keras's guide "Customizing what happens in fit()": a training step of one's own, and a GAN by it.

    python examples/own_step.py regression
    python examples/own_step.py gan --epochs 10 --output digits.png

The guide: https://keras.io/guides/custom_train_step_in_tensorflow. The network of the GAN is the guide's with fewer
channels. Start reading at ``step`` and ``GAN``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import steep as sp
from steep import data, nn, optim, pictures
from steep.random import Generator
from steep.training import Recipe, fit


def step(model, optimizer, x, y):
    """The guide's first example: forward, loss, gradients, update, and what is to be logged."""
    with sp.GradientTape() as tape:
        predicted = model(x)
        loss = nn.mse_loss(predicted, y)
    weights = model.parameters()
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
    return {"loss": loss, "mae": nn.l1_loss(predicted, y)}


def regression(epochs: int = 3, seed: int = 0, callback: Any = lambda progress: None) -> Any:
    """A linear layer on random numbers, as in the guide: the loss approaches their variance, 1/12."""
    rng = np.random.default_rng(seed)
    part = data.Part(rng.random((1000, 32), np.float32), rng.random((1000, 1), np.float32))
    model = nn.Sequential(nn.Linear(32, 1, generator=seed))
    recipe = Recipe(epochs=epochs, batch_size=32, lr=0.01, shift=0, weight_decay=0.0, seed=seed)
    return fit(model, part, None, recipe, callback, train_step=step)


class Networks(nn.Module):
    """Discriminator and generator, as one model for ``fit``."""

    def __init__(self, channels: int, latent: int, seed: int) -> None:
        source, c = Generator(seed), channels
        self.latent = latent
        self.discriminator = nn.Sequential(
            nn.Conv2d(1, c, 3, stride=2, padding=1, generator=source), nn.LeakyReLU(0.2),
            nn.Conv2d(c, 2 * c, 3, stride=2, padding=1, generator=source), nn.LeakyReLU(0.2),
            nn.MaxPool2d(7), nn.Flatten(), nn.Linear(2 * c, 1, generator=source),
        )  # fmt: skip
        self.first = nn.Sequential(nn.Linear(latent, 49 * 2 * c, generator=source), nn.LeakyReLU(0.2))
        self.rest = nn.Sequential(
            nn.ConvTranspose2d(2 * c, 2 * c, 4, stride=2, padding=1, generator=source), nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(2 * c, 2 * c, 4, stride=2, padding=1, generator=source), nn.LeakyReLU(0.2),
            nn.Conv2d(2 * c, 1, 7, padding=3, generator=source), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, latent):
        """Images of latent vectors (n, latent)."""
        return self.rest(self.first(latent).reshape((latent.shape[0], -1, 7, 7)))

    def halves(self):
        """The weights of the discriminator, and those of the generator."""
        return self.discriminator.parameters(), [*self.first.parameters(), *self.rest.parameters()]


class GAN:
    """The guide's second example as a training step: one update of the discriminator, then one of the generator.

    It has two optimisers and a generator of random numbers, so it has a state, which checkpoints hold.
    """

    def __init__(self, model: Networks, seed: int = 0, lr: float = 3e-4) -> None:
        self.draw = Generator(seed)
        self.optimizers = [optim.Adam(weights, lr) for weights in model.halves()]

    def __call__(self, model, optimizer, x, y):
        """Generated images are labelled 1 and real ones 0, with a little noise, as in the guide."""
        count, both = x.shape[0], model.halves()
        images = sp.concat([model(self.draw.normal((count, model.latent))).detach(), x])
        labels = sp.concat([sp.ones((count, 1)), sp.zeros((count, 1))]) + 0.05 * self.draw.uniform((2 * count, 1))
        with sp.GradientTape() as tape:
            found = nn.bce_with_logits(model.discriminator(images), labels)
        self.optimizers[0].apply_gradients(zip(tape.gradient(found, both[0]), both[0], strict=True))
        latent = self.draw.normal((count, model.latent))
        with sp.GradientTape() as tape:
            fooled = nn.bce_with_logits(model.discriminator(model(latent)), sp.zeros((count, 1)))
        self.optimizers[1].apply_gradients(zip(tape.gradient(fooled, both[1]), both[1], strict=True))
        return {"d_loss": found, "g_loss": fooled}

    def state_dict(self):
        """The optimisers and the generator."""
        return {"optimizers": [o.state_dict() for o in self.optimizers], "draw": self.draw.state()}

    def load_state_dict(self, state):
        """Restores what ``state_dict`` returned."""
        for mine, saved in zip(self.optimizers, state["optimizers"], strict=True):
            mine.load_state_dict(saved)
        self.draw.set_state(state["draw"])


def gan(
    epochs: int,
    channels: int = 16,
    latent: int = 64,
    count: int = 4000,
    seed: int = 0,
    callback: Any = None,
    **more: Any,
) -> Any:
    """The GAN, trained on digits; ``more`` goes to ``fit``."""
    x = data.load("mnist5k").train.x[:count, None]
    model = Networks(channels, latent, seed)
    recipe = Recipe(epochs=epochs, batch_size=64, shift=0, seed=seed)
    part = data.Part(x, np.zeros(len(x), np.int64))
    return fit(model, part, None, recipe, callback or (lambda p: None), train_step=GAN(model, seed), **more)


def samples(model: Networks, count: int = 64, seed: int = 1) -> Any:
    """A sheet of generated images, as colours."""
    with sp.no_grad():
        images = np.asarray(model(Generator(seed).normal((count, model.latent))))
    return pictures.sheet([pictures.grey(image[0]) for image in images], 8, gap=2)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("example", choices=["regression", "gan"])
    words.add_argument("--epochs", type=int, default=0)
    words.add_argument("--output", type=Path, help="for the GAN: a PNG of generated images")
    given, began = words.parse_args(), time.perf_counter()

    def told(progress):
        if progress.step % 62 == 0 or progress.step == progress.steps:
            shown = "  ".join(f"{name} {value:.4f}" for name, value in progress.logs.items())
            print(f"step {progress.step}/{progress.steps}  {shown}")

    trained = regression(given.epochs or 3, callback=told) if given.example == "regression" else gan(
        given.epochs or 25, callback=told)  # fmt: skip
    print(f"{trained.status}, {time.perf_counter() - began:.0f} s")
    if given.output and given.example == "gan":
        given.output.write_bytes(pictures.png(samples(trained.model), 3))


if __name__ == "__main__":
    main()
