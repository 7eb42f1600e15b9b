"""``fit``: trains a model by the one loop, with validation, checkpoints and exact resumption.

Batches come from ``batches.py``, losses and optimisers from ``choices.py``; the step is ``optim.minimize``'s, shard by
shard in ``stepper.py`` where a recipe asks for it, or one's own (``own_step.py``). Epochs end in ``epochs.py``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any, TypeVar

from steep import nn
from steep.training.batches import Augment
from steep.training.choices import LossOf
from steep.training.logs import Target
from steep.training.own_step import TrainStep
from steep.training.recipe import Recipe
from steep.training.run import Options, Run, Trained, TrainingProgress

M = TypeVar("M", bound=nn.Module)
Path = str | os.PathLike[str]
Callback = Callable[[TrainingProgress], object]


def fit(
    model: M,
    train: Any,
    test: Any = None,
    recipe: Recipe = Recipe(),
    callback: Callback | Iterable[Callback] = (),
    checkpoint: Path | None = None,
    every: int | None = None,
    resume: bool = False,
    augment: Augment | None = None,
    capture: bool = True,
    train_step: TrainStep | None = None,
    *,
    validation: Any = None,
    loss: LossOf | None = None,
    objective: Callable[[Any, Any, Any], Any] | None = None,
    optimizer: Any = None,
    metrics: Iterable[Any] | None = None,
    class_weight: Any = None,
    log: Target | Iterable[Target] | None = None,
    progress: bool | None = None,
    workers: int = 0,
) -> Trained[M]:
    """Trains a model in place: a classifier, by default, or one of any loss, or by a training step of one's own.

    The same model, data and recipe give the same weights, bit for bit, on any number of threads and workers. The model
    is left in evaluation mode.

    Args:
        model: a module; for the default loss it maps inputs (n, ...) to scores (n, classes).
        train: the training data: a tuple (x, y) or (x, y, weights) of arrays, such as ``data.Part``, or a data set of
            such samples (``data.folder``, ``data.table``). Inputs and targets may be tuples or dicts of arrays.
        test: data to measure at the end; None to measure nothing.
        recipe: all numbers that determine the run.
        callback: a function, or several, called with a ``TrainingProgress`` after each step; one that returns True
            stops the run.
        checkpoint: path at which the run is saved. With a validation set, the weights of the best epoch are saved
            beside it, in "name.best.safetensors" for "name.safetensors".
        every: steps between checkpoints; one epoch if None.
        resume: whether to continue from ``checkpoint``, with the bits of a run that was never interrupted.
        augment: a function ``(x, y, generator) -> x`` applied to each batch last, such as ``attack.adversary``.
        capture: whether to compile the steps; pass False for models with side effects in Python.
        train_step: a function ``(model, optimizer, x, y)`` that makes one step from a batch: it computes the loss,
            updates the weights, by ``optimizer.apply_gradients`` or by optimisers of its own, and returns the loss, or
            a dict of scalars with the loss first. One that holds optimisers or generators is an object with
            ``state_dict()`` and ``load_state_dict(state)``, which checkpoints use. If a scalar is not finite, the run
            ends as "diverged", after that step.
        validation: data to measure after each epoch: loss and metrics, as "val_loss" and so on.
        loss: in place of the recipe's, a function (outputs, targets) that returns the loss of every sample or their
            mean, or a tuple or dict of names and functions for a model with such outputs, whose losses are added.
        objective: in place of a loss, a function (model, x, y) that returns a scalar.
        optimizer: in place of the recipe's, an optimiser of the model's parameters or a function that makes one from
            them; learning rate, schedule and weight decay are then its own.
        metrics: names of ``steep.metrics`` and ``Metric`` objects for test and validation set; those that suit the
            recipe's loss if None.
        class_weight: a weight for each class that multiplies the loss of its samples: an array, a dict, or "balanced".
        log: one or several paths that get a row per epoch: ``.csv``, ``.jsonl``, an ``.html`` page that renews itself
            while the run goes on, or a folder for TensorBoard's event files.
        progress: whether to show a progress bar; if None, in terminals and notebooks, for runs over a second.
        workers: threads that load batches ahead.

    Returns:
        A ``Trained``.

    Raises:
        ValueError: for invalid options of the recipe, fewer than 1 step between checkpoints, or a checkpoint of another
            recipe or model; for a ``train_step`` whose state a checkpoint would lack.

    References:
        Chollet, "Customizing what happens in fit()", keras.io/guides; ``examples/own_step.py`` has its two examples.

    Example:
        >>> from steep.training import Recipe, fit
        >>> part = sp.data.Part(np.eye(8, dtype=np.float32).reshape(8, 1, 2, 4), np.arange(8) % 2)
        >>> model = sp.nn.Sequential(sp.nn.Flatten(), sp.nn.Linear(8, 2, generator=0))
        >>> fit(model, part, part, Recipe(epochs=2, batch_size=4, shift=0)).status
        'finished'
        >>> x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
        >>> line = sp.nn.Linear(1, 1, generator=0)
        >>> done = fit(line, (x, 3 * x[:, 0]), (x, 3 * x[:, 0]), Recipe(loss="mse"))
        >>> done.test["rmse"] < 0.1
        True
    """
    given = Options(train, test, validation, loss, objective, optimizer, metrics, class_weight, augment, train_step)
    callbacks = [callback] if callable(callback) else list(callback)
    with _precision(recipe):
        run = Run(model.train(), recipe, given, capture, checkpoint, every, workers)
        if resume:
            run.load()
        done: Trained[M] = run.go(callbacks, log, progress)
        return done


def _precision(recipe: Recipe) -> Any:
    from steep import matmul_precision

    return nullcontext() if recipe.precision is None else matmul_precision(recipe.precision)
