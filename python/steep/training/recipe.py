"""A recipe: everything that decides a training run besides the network and the data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """SGD with momentum, the rate falling as half a cosine over all ``epochs``.

    Each picture of a batch is moved by up to ``shift`` pixels each way, mirrored half of the time if ``flip``, and
    overlaid with normal noise of standard deviation ``noise``, so that the network heeds strokes rather than pixels:
    good for digits, at .5 say, and bad for pictures whose classes differ in little, so there is none by default.
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
