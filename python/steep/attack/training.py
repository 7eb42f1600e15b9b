"""Adversarial training: batches that are attacked before the step sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from steep import _core, nn
from steep._core import Tensor
from steep.attack.pgd import pgd
from steep.attack.problem import Box, checked_eps
from steep.random import Generator

Adversary = Callable[[Tensor, Tensor, Generator], Tensor]


def adversary(
    model: nn.Module,
    eps: float,
    *,
    norm: str = "linf",
    steps: int = 7,
    step_size: float | None = None,
    bounds: Box = (0.0, 1.0),
) -> Adversary:
    """Adversarial training: a function ``(x, y, generator) -> x'`` that attacks a batch by PGD from a random start.

    Pass it to ``training.fit(augment=...)``, or call it in your own loop before each step. Inputs outside ``bounds``
    are clipped first. The model is in evaluation mode during the attack, so that its running statistics are unchanged.

    Args:
        model: the module that is trained.
        eps: radius of the ball.
        norm: "linf", "l2" or "l1".
        steps: number of steps.
        step_size: length of a step; 2.5 eps / steps if None.
        bounds: lowest and highest allowed value of inputs, two numbers.

    Returns:
        A function from inputs (n, ...), labels (n,) and a generator to changed inputs.

    Raises:
        ValueError: for a negative eps.

    References:
        Madry et al. 2018, "Towards deep learning models resistant to adversarial attacks", arXiv:1706.06083.

    Example:
        >>> model = sp.nn.Linear(2, 2, generator=0)
        >>> attack = sp.attack.adversary(model, 0.1)
        >>> attacked = attack(sp.ones((4, 2)), sp.zeros(4, dtype="int64"), sp.random.Generator(0))
        >>> attacked.shape
        (4, 2)
    """
    checked_eps(eps)

    def attacked(x: Tensor, y: Tensor, generator: Generator) -> Tensor:
        inside = np.clip(np.asarray(x), *bounds)
        options: dict[str, Any] = {"norm": norm, "steps": steps, "step_size": step_size, "bounds": bounds}
        return _core.asarray(pgd(model, inside, y, eps, generator=generator, capture=False, **options).x)

    return attacked
