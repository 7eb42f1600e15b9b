"""What the demo computes: a trained network, an input that maximises each class, saliency maps, an adversarial example.

Nothing is drawn or printed here. The same settings give the same numbers, bit for bit, on any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import ascent, attack, data, nn, optim, saliency
from steep.demo.network import network
from steep.display import displayed
from steep.random import Generator
from steep.scores import predicted, probabilities
from steep.training import Recipe, Trained, TrainingProgress, fit

Array = NDArray[Any]

DIGITS = Recipe(noise=0.5)  # with noise, the input of maximal score looks like a digit
LEAST_ACCURACY = 0.93
LEAST_PROBABILITY = 0.99


@dataclass(frozen=True)
class Settings:
    """Everything that determines the result. ``data`` is a data set's name, or "auto": mnist5k, else digits."""

    data: str = "auto"
    hidden: int = 256
    recipe: Recipe = DIGITS
    ascent_steps: int = 200
    ascent_lr: float = 0.05
    blur: float = 0.9
    l2: float = 0.05
    total_variation: float = 0.03
    eps: float = 0.1
    attack_steps: int = 40


@displayed
@dataclass(frozen=True)
class ClassImages:
    """One input for each class: images (classes, height, width), their probabilities (classes,), and snapshots."""

    images: Array
    probabilities: Array
    history: list[float]
    stages: list[tuple[int, Array]]


@displayed
@dataclass(frozen=True)
class Maps:
    """Test digits (n, height, width), the absolute gradients of their scores, true and predicted labels (n,)."""

    digits: Array
    maps: Array
    labels: Array
    predicted: Array


@displayed
@dataclass(frozen=True)
class AdversarialExample:
    """An adversarial example: both images, their labels and probabilities, the norm of the
    change, and the number of successful attacks. ``success`` is False if there was none."""

    original: Array
    attacked: Array
    labels: tuple[int, int]
    probabilities: tuple[float, float]
    distance: float
    hits: int
    tried: int
    success: bool


@displayed
@dataclass(frozen=True)
class Outcome:
    """All results of the demo, with the settings they came from; ``note`` says which data were used and why."""

    settings: Settings
    note: str
    sizes: tuple[int, int]
    trained: Trained[nn.Sequential]
    classes: ClassImages
    maps: Maps
    adversarial: AdversarialExample

    def failures(self) -> list[str]:
        """Descriptions of the demo's checks that failed; empty if all hold."""
        accuracy, lowest = self.trained.test_accuracy, float(self.classes.probabilities.min())
        checks = [
            (accuracy >= LEAST_ACCURACY, f"test accuracy {accuracy:.1%} is below {LEAST_ACCURACY:.0%}"),
            (
                lowest >= LEAST_PROBABILITY,
                f"an optimised input has probability {lowest:.4f}, below {LEAST_PROBABILITY}",
            ),
            (self.adversarial.success, f"no attack succeeded within {self.settings.eps}"),
        ]
        return [message for holds, message in checks if not holds]


def run(
    settings: Settings,
    log: Callable[[str], object] = lambda line: None,
    callback: Callable[[TrainingProgress], object] = lambda progress: None,
) -> Outcome:
    """Runs the demo. ``log`` receives messages, ``callback`` the progress of training.

    Raises FetchError if the data cannot be had, ValueError for an unknown data set.
    """
    splits, note, settings = _digits(settings, log)
    log(note)
    model = network(splits.train, settings.hidden, settings.recipe.seed)
    trained = fit(model, splits.train, splits.test, settings.recipe, callback)
    log("optimising the input: feature visualization of each class")
    classes = maximize_classes(trained.model, splits.test.x.shape[1:], settings)
    digits = splits.test.x[:10], splits.test.y[:10]
    log("saliency maps, and an adversarial example")
    maps, fooled = saliency_maps(trained.model, *digits), attack_digits(trained.model, *digits, settings)
    return Outcome(settings, note, (len(splits.train.y), len(splits.test.y)), trained, classes, maps, fooled)


def _digits(settings: Settings, log: Callable[[str], object]) -> tuple[data.Splits, str, Settings]:
    try:
        name = "mnist5k" if settings.data == "auto" else settings.data
        splits, reason = data.load(name), ""
    except data.FetchError as error:
        if settings.data != "auto":
            raise
        log(str(error))
        name, reason = "digits", " (28x28 digits could not be had)"
        splits = data.load(name)
    height, width = splits.train.x.shape[1:]
    sizes = f"{len(splits.train.y):,} to train on and {len(splits.test.y):,} to test on"
    note = f"real {height}x{width} digits, data set {name}: {sizes}{reason}"
    return splits, note, replace(_scaled(settings, height), data=name)


def _scaled(settings: Settings, height: int) -> Settings:
    """8x8 digits are shifted and blurred less; with fewer pixels, penalties and bounds per pixel are larger."""
    if height >= 28:
        return settings
    recipe, share = replace(settings.recipe, shift=0, noise=settings.recipe.noise / 2), 28 / height
    blur, l2, eps = round(settings.blur / share, 2), round(settings.l2 * share, 2), round(settings.eps * share, 2)
    return replace(settings, recipe=recipe, blur=blur, l2=l2, eps=eps)


def maximize_classes(model: Any, shape: tuple[int, ...], settings: Settings) -> ClassImages:
    """An input that maximises each class, from noise, all classes at once (they are independent).

    The objective is the mean of the class's logit and its log-odds, minus penalties (docs/notes.md, rows 53 to 73).
    """
    count = model.scores.weight.shape[0]
    classes = np.arange(count)
    look = ascent.blur(settings.blur)
    stages: list[tuple[int, Array]] = []
    result = ascent.maximize(
        0.5 * (ascent.logit(model, classes) + ascent.margin(model, classes)),
        ascent.pixels(Generator(settings.recipe.seed).uniform(0.0, 0.2, (count, *shape))).then(look),
        settings.ascent_steps,
        partial(optim.Adam, lr=settings.ascent_lr),
        penalty=settings.l2 * ascent.l2 + settings.total_variation * ascent.total_variation,
        project=ascent.box(0, 1),
        callback=lambda p: _keep(stages, p.step + 1, look(p.params)),
    )
    images = np.asarray(result.image)
    chances = np.asarray(probabilities(model, images))[classes, classes]
    return ClassImages(images, chances, result.history, stages)


def _keep(stages: list[tuple[int, Array]], step: int, seen: Any) -> None:
    """Stores images at steps 1, 5, 10, 20, 50, ... for the report."""
    if str(step).rstrip("0") in ("1", "2", "5") and step != 2:
        stages.append((step, np.asarray(seen.detach()).copy()))


def saliency_maps(model: Any, x: Array, y: Array) -> Maps:
    """The saliency map of each digit, for the predicted class."""
    return Maps(x, np.asarray(saliency.gradient(model, x)), y, predicted(model, x))


def attack_digits(model: Any, x: Array, y: Array, settings: Settings) -> AdversarialExample:
    """Attack the digits in an L-inf ball and keep the first one whose correct classification changes."""
    result = attack.pgd(model, x, y, settings.eps, steps=settings.attack_steps)
    changed = result.success & (predicted(model, x) == y)
    best = int(np.argmax(changed))
    labels = int(y[best]), int(result.label[best])
    attacked = np.asarray(result.x)
    before, after = (np.asarray(probabilities(model, images[best : best + 1])) for images in (x, attacked))
    chances = float(before[0, labels[0]]), float(after[0, labels[1]])
    hits, tried = int(changed.sum()), len(y)
    distance = float(result.distance[best])
    return AdversarialExample(x[best], attacked[best], labels, chances, distance, hits, tried, bool(changed[best]))
