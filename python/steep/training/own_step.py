"""A training step of one's own: what it is given, what it returns, and how the one loop runs it.

The loop calls an optimiser's ``advance`` once per step; ``OwnStep`` is one whose ``advance`` is the user's function,
compiled where it can be. So divergence, callbacks and checkpoints are those of every run.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from steep import nn
from steep._core import Tensor
from steep.optim import Optimizer
from steep.optim.loop import Part
from steep.optim.optimizer import Evaluate, Gradients, Product
from steep.random import Generator
from steep.tree import Tree

Logs: TypeAlias = Tensor | Mapping[str, Tensor]
TrainStep: TypeAlias = Callable[[Any, Optimizer, Tensor, Tensor], Logs]


class OwnStep(Optimizer):
    """An optimiser that makes a step by calling a function, which updates the parameters by itself.

    Args:
        params: the parameters.
        step: the function, which returns a scalar or a dict of scalars, the loss first.
        capture: whether to compile it.
    """

    def __init__(self, params: Tree, step: Callable[[], Logs], capture: bool) -> None:
        super().__init__(params, 0.0)
        self._part = Part(step, capture)
        self.logs: dict[str, float] = {}

    def advance(
        self,
        evaluate: Evaluate,
        update: Callable[[Gradients], None] | None = None,
        product: Product | None = None,
    ) -> Any:
        """One call of the function.

        Args:
            evaluate: not used.
            update: not used.
            product: not used.

        Returns:
            The loss, or the first scalar that is not finite.
        """
        self.logs = _numbers(self._part())
        self.steps += 1
        return next((v for v in self.logs.values() if not math.isfinite(v)), next(iter(self.logs.values())))


def _numbers(told: Any) -> dict[str, float]:
    logs = {"loss": told} if isinstance(told, Tensor) else told
    if not isinstance(logs, Mapping) or not logs:
        raise TypeError(f"fit: train_step must return a scalar tensor or a dict of them, got {type(told).__name__}")
    for name, value in logs.items():
        if getattr(value, "size", 1) != 1:
            raise ValueError(f"fit: train_step must return scalars, and {name!r} has the shape {value.shape}")
    return {name: float(value) for name, value in logs.items()}


def state_of(train_step: Any) -> Any:
    """What a checkpoint holds of a training step: its ``state_dict()``, or None if it has none and needs none.

    Args:
        train_step: the training step.

    Returns:
        A tree of tensors and plain values, or None.

    Raises:
        ValueError: if it holds an optimiser or a generator and has no ``state_dict``.
    """
    if hasattr(train_step, "state_dict") and hasattr(train_step, "load_state_dict"):
        return train_step.state_dict()
    for held in _held(train_step):
        if isinstance(held, Optimizer | Generator):
            raise ValueError(
                f"fit: train_step holds a {type(held).__name__}, which a checkpoint must hold too: make train_step an "
                f"object with state_dict() and load_state_dict()"
            )
    return None


def _held(step: Any) -> list[Any]:
    """What a function closes over, is bound to, or holds as attributes, in lists and dicts too."""
    found = [cell.cell_contents for cell in getattr(step, "__closure__", None) or ()]
    found += [getattr(step, "__self__", None), *vars(step).values()] if hasattr(step, "__dict__") else []
    if isinstance(step, functools.partial):
        found += [*step.args, *step.keywords.values()]
    bound = getattr(step, "__self__", None)
    found += list(vars(bound).values()) if hasattr(bound, "__dict__") and not isinstance(bound, nn.Module) else []
    for each in list(found):
        found += list(each.values()) if isinstance(each, dict) else list(each) if isinstance(each, list | tuple) else []
    return found
