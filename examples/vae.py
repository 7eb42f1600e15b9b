"""A variational autoencoder of Fashion-MNIST.

    python examples/vae.py --output clothes.png

An encoder gives mean and standard deviation of a latent vector, a decoder the pixels of one that is drawn from them
(Kingma and Welling 2014, arXiv:1312.6114). Start reading at ``loss``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import steep as sp
from adam_step import AdamStep, command
from steep import data, nn, pictures
from steep.random import Generator
from steep.training import Recipe, fit

SETS = ("fashion_mnist", "mnist5k")  # the second is downloaded


class VAE(nn.Module):
    """Images (n, 1, 28, 28) in [0, 1] to a latent vector, and back to the logits of their pixels."""

    def __init__(self, hidden: int = 400, latent: int = 20, seed: int = 0) -> None:
        source = Generator(seed)
        self.latent = latent
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, hidden, generator=source), nn.ReLU(),
                                     nn.Linear(hidden, 2 * latent, generator=source))  # fmt: skip
        self.decoder = nn.Sequential(nn.Linear(latent, hidden, generator=source), nn.ReLU(),
                                     nn.Linear(hidden, 784, generator=source))  # fmt: skip

    def encode(self, x):
        """Mean and logarithm of the standard deviation of the latent vectors, each (n, latent)."""
        return sp.split(self.encoder(x), 2, axis=1)

    def decode(self, z):
        """Logits of pixels (n, 1, 28, 28)."""
        return self.decoder(z).reshape((-1, 1, 28, 28))

    def forward(self, z):
        """Images of latent vectors."""
        return sp.sigmoid(self.decode(z))


def loss(model, x, y, draw):
    """The negative evidence lower bound in nats per image: how badly pixels are predicted, plus how far the latent
    distribution is from the standard normal one."""
    mean, log_std = model.encode(x)
    z = mean + sp.exp(log_std) * draw.normal(tuple(mean.shape))  # drawn, and still differentiable
    pixels = nn.bce_with_logits(model.decode(z), x, reduction="sum") / x.shape[0]
    away = 0.5 * sp.sum(mean**2 + sp.exp(2 * log_std) - 1 - 2 * log_std) / x.shape[0]
    return {"loss": pixels + away, "pixels": pixels, "divergence": away}


def train(
    epochs: int,
    hidden: int = 400,
    count: int = 60_000,
    seed: int = 0,
    callback: Any = None,
    name: str = SETS[0],
    **more: Any,
) -> Any:
    """The autoencoder, trained on the first ``count`` images; ``more`` goes to ``fit``."""
    x = data.load(name).train.x[:count, None]
    model = VAE(hidden, seed=seed)
    model.name = name
    recipe = Recipe(epochs=epochs, batch_size=128, shift=0, seed=seed)
    step = AdamStep(model, loss, 1e-3, seed, clip=1e4)
    part = data.Part(x, np.zeros(len(x), np.int64))
    return fit(model, part, None, recipe, callback or (lambda p: None), train_step=step, **more)


def bound(model: VAE, count: int = 10_000) -> float:
    """The negative evidence lower bound of test images, in nats per image."""
    with sp.no_grad():
        return float(loss(model, sp.asarray(data.load(model.name).test.x[:count, None]), None, Generator(0))["loss"])


def samples(model: VAE, count: int = 32, seed: int = 1) -> Any:
    """A sheet of test images, their reconstructions, and images of random latent vectors, as colours."""
    x = data.load(model.name).test.x[:8, None]
    with sp.no_grad():
        again = model(model.encode(sp.asarray(x))[0])
        new = model(Generator(seed).normal((count, model.latent)))
    rows = [x, *(np.asarray(images) for images in (again, new))]
    return pictures.sheet([pictures.grey(image[0]) for images in rows for image in images], 8, gap=2)


def show(model: VAE) -> tuple[str, bytes]:
    """The figure of the run, and a sheet of samples."""
    return f"{bound(model):.1f} nats per test image", pictures.png(samples(model), 2)


if __name__ == "__main__":
    command(__doc__, train, show, epochs=20, sets=SETS)
