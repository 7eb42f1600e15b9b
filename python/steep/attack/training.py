"""Adversarial training: batches that are attacked before the step sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from steep import _core, nn
from steep._core import Tensor
from steep.attack.bounded import pgd
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
    """A function ``(x, y, generator) -> x'`` that attacks a batch x (n, ...) of labels y (n,) by ``pgd``.

    Give it to ``training.fit(augment=...)``, or call it in a loop of your own before each step. The start is random;
    inputs outside ``bounds`` are clipped first. While it attacks, the model is in evaluation mode, so that running
    statistics stay those of training. Raises ValueError for a negative eps. Source: Madry et al. 2018,
    arXiv:1706.06083.
    """
    checked_eps(eps)

    def attacked(x: Tensor, y: Tensor, generator: Generator) -> Tensor:
        inside = np.clip(np.asarray(x), *bounds)
        options: dict[str, Any] = {"norm": norm, "steps": steps, "step_size": step_size, "bounds": bounds}
        return _core.asarray(pgd(model, inside, y, eps, generator=generator, capture=False, **options).x)

    return attacked
