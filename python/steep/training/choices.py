"""What a recipe names: losses, optimisers and schedules, as tables; and the loss of a batch, by name or by a function.

A loss is a function (outputs, targets). Those of the table also give the loss of every sample, which weights and exact
means need. Start reading at ``Objective``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from steep import _core, nn, optim, tree
from steep._core import Tensor
from steep.optim import schedules
from steep.scores import one_tensor
from steep.suggest import near
from steep.training.recipe import Recipe

Loss: TypeAlias = Callable[..., Tensor]
LossOf: TypeAlias = "str | Loss | Mapping[str, Any] | tuple[Any, ...]"


def _classes(scores: Any, labels: Tensor, reduction: str = "mean") -> Tensor:
    return nn.cross_entropy(one_tensor(scores), labels, reduction=reduction)


def _numbers(function: Loss) -> Loss:
    """``function`` of numbers, where an axis of length 1 may be missing in one of the two."""

    def loss(outputs: Any, targets: Tensor, reduction: str = "mean") -> Tensor:
        outputs = one_tensor(outputs)
        short = [shape[:-1] if shape[-1:] == (1,) else shape for shape in (tuple(outputs.shape), tuple(targets.shape))]
        if outputs.shape != targets.shape and short[0] == short[1]:
            targets = _core.reshape(targets, tuple(outputs.shape))
        return function(outputs, targets, reduction=reduction)

    return loss


LOSSES: dict[str, Loss] = {
    "cross_entropy": _classes,
    "mse": _numbers(nn.mse_loss),
    "l1": _numbers(nn.l1_loss),
    "bce": _numbers(nn.bce_with_logits),
}
METRICS_OF = {"cross_entropy": ("accuracy",), "bce": ("accuracy",), "mse": ("rmse", "r2"), "l1": ("mae", "r2")}

OPTIMIZERS: dict[str, Callable[[Recipe], Callable[..., optim.Optimizer]]] = {
    "sgd": lambda recipe: partial(optim.SGD, momentum=recipe.momentum),
    "nesterov": lambda recipe: partial(optim.SGD, momentum=recipe.momentum, nesterov=True),
    "adam": lambda recipe: optim.Adam,
    "adamw": lambda recipe: optim.AdamW,
    "adagrad": lambda recipe: optim.AdaGrad,
    "rmsprop": lambda recipe: partial(optim.RMSProp, momentum=recipe.momentum),
    "adadelta": lambda recipe: optim.Adadelta,
    "adamax": lambda recipe: optim.Adamax,
    "nadam": lambda recipe: optim.NAdam,
    "radam": lambda recipe: optim.RAdam,
    "lion": lambda recipe: optim.Lion,
}
SCHEDULES: dict[str, Callable[[float, int], optim.optimizer.Rate]] = {
    "constant": lambda lr, steps: schedules.constant(lr),
    "cosine": schedules.cosine,
    "linear": schedules.polynomial,
    "one_cycle": schedules.one_cycle,
    "plateau": lambda lr, steps: schedules.Plateau(lr),
}


def choose(what: str, name: str, table: Mapping[str, Any]) -> Any:
    """The entry of a table.

    Args:
        what: what the table holds, for the error message.
        name: name of the entry.
        table: the table.

    Returns:
        The entry.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in table:
        raise ValueError(f"there is no {what} {name!r}{near(name, table) or '.'} Known are {', '.join(table)}")
    return table[name]


def make_optimizer(given: Any, params: list[Tensor], recipe: Recipe, steps: int) -> optim.Optimizer:
    """The optimiser of a run.

    Args:
        given: an optimiser of these parameters, a function that makes one from them, or None for the recipe's.
        params: the parameters.
        recipe: the recipe.
        steps: number of steps of the run, which the schedule needs.

    Returns:
        An optimiser.

    Raises:
        TypeError: if it is none.
    """
    if given is None:
        rate = choose("schedule", recipe.schedule, SCHEDULES)(recipe.lr, max(1, steps - recipe.warmup))
        rate = schedules.warmup(rate, recipe.warmup) if recipe.warmup else rate
        make = choose("optimiser", recipe.optimizer, OPTIMIZERS)(recipe)
        made: optim.Optimizer = make(params, rate, weight_decay=recipe.weight_decay)
        return made
    made = given if isinstance(given, optim.Optimizer) else given(params)
    if not isinstance(made, optim.Optimizer):
        raise TypeError(f"fit: optimizer must be an optimiser, or make one from parameters, got {type(made).__name__}")
    return made


class Objective:
    """The loss of a batch: of the outputs and targets, or a function of model and batch.

    Args:
        loss: a name of ``LOSSES``, a function (outputs, targets), or a tuple or dict of these for a model with such
            outputs, whose losses are added.
        function: a function (model, x, y) to use instead, or None.
    """

    def __init__(self, loss: LossOf, function: Callable[[Any, Any, Any], Tensor] | None = None) -> None:
        self.function = function
        self._losses = tree.map(_found, loss)

    def whole(self, model: Any, x: Any, y: Any, weights: Tensor | None) -> tuple[Tensor, Any]:
        """The mean loss of a batch, with the penalties of the model, and the outputs.

        Args:
            model: the model.
            x: inputs.
            y: targets.
            weights: a weight for each sample, or None.

        Returns:
            A scalar tensor and what the model returned, or None with a function of model and batch.
        """
        if self.function is not None:
            return _with_penalties(model, _mean(self.function(model, x, y))), None
        outputs = model(x)
        if weights is None:
            value = self._sum(outputs, y, lambda loss, o, t: _mean(loss(o, t)))
        else:
            value = _core.mean(self.each(outputs, y) * weights)
        return _with_penalties(model, value), outputs

    def each(self, outputs: Any, y: Any) -> Tensor:
        """The loss of every sample, for weights.

        Args:
            outputs: what the model returned.
            y: targets.

        Returns:
            A tensor (n,).

        Raises:
            ValueError: for a loss of one's own that returns a scalar.
        """
        found = self.losses(outputs, y)
        if found.ndim == 0:
            raise ValueError("fit: for weights, a loss of one's own must return the loss of every sample, not the mean")
        return found

    def losses(self, outputs: Any, y: Any) -> Tensor:
        """The loss of every sample, or the mean of a loss of one's own that tells no more.

        Args:
            outputs: what the model returned.
            y: targets.

        Returns:
            A tensor (n,) or a scalar tensor.
        """
        return self._sum(outputs, y, _per_sample)

    def measured(self, model: Any, x: Any, y: Any, outputs: bool) -> tuple[Tensor, Any]:
        """The losses of a batch as they are, without penalties, and the outputs.

        Args:
            model: the model.
            x: inputs.
            y: targets.
            outputs: whether the outputs are needed.

        Returns:
            A tensor (n,) or a scalar tensor, and what the model returned.
        """
        if self.function is not None:
            return _mean(self.function(model, x, y)), model(x) if outputs else None
        found = model(x)
        return self.losses(found, y), found

    def _sum(self, outputs: Any, y: Any, value: Callable[[Loss, Any, Any], Tensor]) -> Tensor:
        if callable(self._losses):
            return value(self._losses, outputs, y)
        names = list(self._losses) if isinstance(self._losses, dict) else range(len(self._losses))
        found = [value(self._losses[name], outputs[name], y[name]) for name in names]
        return sum(found[1:], start=found[0])


def _found(loss: Any) -> Loss:
    if not callable(loss) and not isinstance(loss, str):
        raise TypeError(f"a loss is a name or a function (outputs, targets), got {type(loss).__name__}")
    found: Loss = choose("loss", loss, LOSSES) if isinstance(loss, str) else loss
    return found


def _mean(value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"fit: the loss must return a tensor, got {type(value).__name__}")
    return value if value.ndim == 0 else _core.mean(value)


def _per_sample(loss: Loss, outputs: Any, y: Any) -> Tensor:
    own = loss not in LOSSES.values()
    value = loss(outputs, y) if own else loss(outputs, y, reduction="none")
    return value if value.ndim < 2 else _core.mean(_core.reshape(value, (value.shape[0], -1)), axis=1)


def _with_penalties(model: Any, value: Tensor) -> Tensor:
    return sum(model.losses(), start=value) if isinstance(model, nn.Module) else value
