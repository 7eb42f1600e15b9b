"""What the training examples share: a convolutional network, the command line, a progress line, and the result.

``run`` is the whole of it: load, train (or go on from a checkpoint), measure. An example adds its data and recipe.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import steep as sp
from steep import data, nn
from steep.random import Generator
from steep.training import Recipe, Trained, TrainingProgress, fit


def network(seed: int = 0, channels: tuple[int, ...] = (32, 64, 128), hidden: int = 128) -> nn.Sequential:
    """Images (n, 1, 28, 28) to scores (n, 10): conv, batch norm, ReLU, pool, three times; two linear layers."""
    source, layers, inputs = Generator(seed), {}, 1
    for i, outputs in enumerate(channels, 1):
        layers[f"conv{i}"] = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False, generator=source)
        layers[f"norm{i}"] = nn.BatchNorm2d(outputs)
        layers[f"relu{i}"] = nn.ReLU()
        layers[f"pool{i}"] = nn.MaxPool2d(2)
        inputs = outputs
    layers["flatten"] = nn.Flatten()
    layers["fc1"] = nn.Linear(inputs * (28 >> len(channels)) ** 2, hidden, generator=source)
    layers["relu"] = nn.ReLU()
    layers["fc2"] = nn.Linear(hidden, 10, generator=source)
    return nn.Sequential(layers)


def with_channel(part: data.Part) -> data.Part:
    """Images (n, height, width) as (n, 1, height, width)."""
    return data.Part(part.x[:, None], part.y)


def options(what: str, recipe: Recipe) -> argparse.Namespace:
    """The command line of every example."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--epochs", type=int, default=recipe.epochs)
    parser.add_argument("--seed", type=int, default=recipe.seed)
    parser.add_argument("--threads", type=int, help="threads to use; the result does not depend on it")
    parser.add_argument("--checkpoint", type=Path, help="save the run here after each epoch (.safetensors)")
    parser.add_argument("--resume", action="store_true", help="go on from --checkpoint")
    parser.add_argument("--output", type=Path, help="write the trained weights here (.safetensors)")
    given = parser.parse_args()
    if given.resume and given.checkpoint is None:
        parser.error("--resume needs --checkpoint, the file to go on from")
    return given


class Line:
    """A progress line on stderr, rewritten in place: steps, epoch, running loss and accuracy, seconds."""

    def __init__(self, epochs: int) -> None:
        self.epochs, self.began = epochs, time.perf_counter()

    def __call__(self, seen: TrainingProgress) -> None:
        a_twentieth = max(1, seen.steps // self.epochs // 20)
        if seen.step % a_twentieth == 0 or seen.step == seen.steps:
            epoch = -(-seen.step * self.epochs // seen.steps)
            end = "\n" if seen.step * self.epochs % seen.steps < a_twentieth * self.epochs else ""
            text = f"epoch {epoch}/{self.epochs}, step {seen.step}/{seen.steps}, loss {seen.loss:.4f}, "
            text += f"accuracy {seen.accuracy:.2%}, {time.perf_counter() - self.began:.0f} s"
            print(f"\r{text}\x1b[K", end=end, file=sys.stderr, flush=True)


def run(what: str, name: str, recipe: Recipe, make=network) -> tuple[argparse.Namespace, Recipe, Trained]:
    """Train ``make(seed)`` on the data set called ``name`` as the command line says, and print its accuracy."""
    given = options(what, recipe)
    if given.threads:
        sp.set_num_threads(given.threads)
    recipe = replace(recipe, epochs=given.epochs, seed=given.seed)
    train, test = map(with_channel, data.load(name))
    saved = {"checkpoint": given.checkpoint, "resume": given.resume}
    trained = fit(make(recipe.seed), train, test, recipe, Line(recipe.epochs), **saved)
    print(f"{name}: test accuracy {trained.test_accuracy:.2%}, training accuracy {trained.train_accuracy:.2%}")
    return given, recipe, trained
