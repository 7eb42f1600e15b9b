"""A recipe: everything that determines a training run besides the network and the data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Options of a training run by SGD with momentum and cosine decay of the learning rate.

    Noise and shifts make a network rely on strokes rather than single pixels. That helps for digits, with noise of .5
    say, and harms where classes differ in details, so there is no noise by default.

    Args:
        epochs: passes over the training data.
        batch_size: samples per step.
        lr: initial learning rate.
        momentum: momentum of SGD.
        weight_decay: weight decay.
        noise: standard deviation of normal noise added to each batch.
        shift: maximum random shift of each image in pixels.
        flip: whether to mirror images left to right with probability one half.
        seed: determines the order of samples and the augmentation.

    Example:
        >>> from steep.training import Recipe
        >>> Recipe(epochs=3).lr
        0.05
    """

    epochs: int = 40
    batch_size: int = 50
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 1e-3
    noise: float = 0.0
    shift: int = 1
    flip: bool = False
    seed: int = 0
