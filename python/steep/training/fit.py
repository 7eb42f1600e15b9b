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
from steep.instances import instance
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
    """Trains a model in place, a classifier by default: the same bits for any number of threads and workers.

    The model is left in evaluation mode.

    Args:
        model: a module; for the default loss it maps inputs (n, ...) to scores (n, classes).
        train: a tuple (x, y) or (x, y, weights), such as ``data.Part``, or a data set of such samples
            (``data.folder``, ``data.table``). Inputs and targets may be tuples or dicts of arrays.
        test: data to measure at the end; None to measure nothing.
        recipe: all numbers that determine the run.
        callback: called with a ``TrainingProgress`` after each step; True stops the run. Several are possible.
        checkpoint: path at which the run is saved; with a validation set, the best weights are beside it, in
            "name.best.safetensors".
        every: steps between checkpoints; one epoch if None.
        resume: whether to continue from ``checkpoint``, with the bits of a run that was never interrupted.
        augment: a function ``(x, y, generator) -> x`` applied to each batch last, such as ``attack.adversary``.
        capture: whether to compile the steps; pass False for models with side effects in Python.
        train_step: a function ``(model, optimizer, x, y)`` that makes one step: it computes the loss, updates the
            weights, by ``optimizer.apply_gradients`` or optimisers of its own, and returns the loss, or a dict of
            scalars with the loss first; the run ends as "diverged" if one is not finite. One that holds optimisers or
            generators has ``state_dict()`` and ``load_state_dict(state)``, which checkpoints use.
        validation: data to measure after each epoch: loss and metrics, as "val_loss" and so on.
        loss: in place of the recipe's, a function (outputs, targets) that returns the loss of every sample or their
            mean, or a tuple or dict of names and functions for a model with such outputs, whose losses are added.
        objective: in place of a loss, a function (model, x, y) that returns a scalar.
        optimizer: in place of the recipe's with its rate and decay, an optimiser of the model's parameters, or a
            function that makes one from them.
        metrics: names of ``steep.metrics`` and ``Metric`` objects; those that suit the recipe's loss if None.
        class_weight: factors of the losses by class: an array, a dict, or "balanced".
        log: paths that get a row per epoch: ``.csv``, ``.jsonl``, an ``.html`` page that renews itself while the run
            goes on, or a folder for TensorBoard's event files.
        progress: whether to show a bar; if None, in terminals and notebooks, for runs over a second.
        workers: threads that load batches ahead.

    Returns:
        A ``Trained``.

    Raises:
        TypeError: if the model is no module.
        ValueError: for options that no run can have, a checkpoint of another run, or a ``train_step`` without a state.

    References:
        Chollet, "Customizing what happens in fit()", keras.io/guides; ``examples/own_step.py`` has its examples.

    Example:
        >>> from steep.training import Recipe, fit
        >>> part = sp.data.Part(np.eye(8, dtype=np.float32).reshape(8, 1, 2, 4), np.arange(8) % 2)
        >>> model = sp.nn.Sequential(sp.nn.Flatten(), sp.nn.Linear(8, 2, generator=0))
        >>> fit(model, part, part, Recipe(epochs=2, batch_size=4, shift=0)).status
        'finished'
    """
    given = Options(train, test, validation, loss, objective, optimizer, metrics, class_weight, augment, train_step)
    callbacks = [callback] if callable(callback) else list(callback)
    with _precision(recipe):
        run = Run(instance("fit: model", model, nn.Module).train(), recipe, given, capture, checkpoint, every, workers)
        done: Trained[M] = run.go(callbacks, log, progress, resume)
        return done


def _precision(recipe: Recipe) -> Any:
    from steep import matmul_precision

    return nullcontext() if recipe.precision is None else matmul_precision(recipe.precision)
