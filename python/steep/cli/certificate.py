"""The certificate of every image that the commands make: how it was made, and checks of it.

A finding is a number with a bound; one that exceeds it makes the command exit with 1. Start reading at ``Certificate``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

import steep
from steep import _core
from steep._core import Tensor
from steep.nn.module import Module
from steep.random import Generator

PIXELS = 10
FLAT = 0.1  # steps are sized for values with at least this spread: smaller ones are lost in rounding


class Precision(NamedTuple):
    """How differences are computed: ``steps`` in standard deviations of the input, the ``least`` derivative
    relative to which an error is measured, as a share of the typical one, and the ``bound`` on the error."""

    steps: tuple[float, ...]
    least: float
    bound: float


DOUBLE = Precision((1e-6,), 1e-3, 1e-4)
SINGLE = Precision((1e-3, 3e-3, 1e-2, 3e-2), 0.1, 0.05)


@dataclass(frozen=True)
class Finding:
    """``value`` of ``what`` must be at most ``bound``; None for no bound."""

    what: str
    value: float | str
    bound: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the bound holds; it does not for NaN."""
        return self.bound is None or (not isinstance(self.value, str) and self.value <= self.bound)

    def __str__(self) -> str:
        shown = self.value if isinstance(self.value, str) else f"{self.value:.3g}"
        return shown if self.bound is None else f"{shown} ({'at most' if self.holds else 'NOT at most'} {self.bound:g})"


@dataclass(frozen=True)
class Certificate:
    """The model with the sha256 of its weights, the settings (seed among them), and the findings."""

    model: str
    sha256: str
    settings: dict[str, Any]
    findings: list[Finding] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether every finding holds."""
        return all(finding.holds for finding in self.findings)

    def rows(self) -> list[tuple[str, str]]:
        """Names and values, as text."""
        made = [("model", self.model), ("sha256 of the weights", self.sha256), ("steep", steep.__version__)]
        made += [(name, str(value)) for name, value in self.settings.items() if value not in (None, "")]
        return made + [(finding.what, str(finding)) for finding in self.findings]

    def plain(self) -> dict[str, Any]:
        """The certificate as plain values for JSON."""
        findings = [
            {"what": f.what, "value": f.value, "bound": f.bound, "holds": f.holds} for f in self.findings
        ]  # fmt: skip
        return {"model": self.model, "sha256": self.sha256, "version": steep.__version__, "settings": self.settings,
                "findings": findings, "holds": self.holds}  # fmt: skip


def gradient_finding(
    model: Module, score: Callable[[Module], Callable[[Any], Tensor]], x: Tensor, seed: int
) -> Finding:
    """The gradient of ``score(model)`` at ``x`` against central differences, at random pixels.

    In double precision; an ONNX model that does not run or agree in it, because of its own casts, is tried again in its
    own precision, with several steps, of which the best counts: small ones are lost in rounding, large ones cross
    kinks. A little noise is added to ``x`` first: where values are equal, as in a constant image, maxima have no
    derivative. The value is the median over pixels, relative to the larger of the two.
    """
    if hasattr(model, "initializers"):  # as ONNX models have; importing steep.onnx would be slow
        with suppress(ValueError, TypeError):
            found = _compared(copy.deepcopy(model).astype(_core.float64), score, x.astype(_core.float64), seed, DOUBLE)
            if found.holds:
                return found
        return _compared(model, score, x, seed, SINGLE)
    return _compared(copy.deepcopy(model).astype(_core.float64), score, x.astype(_core.float64), seed, DOUBLE)


def _compared(
    model: Module, score: Callable[[Module], Callable[[Any], Tensor]], x: Tensor, seed: int, how: Precision
) -> Finding:
    draw, spread = Generator(seed), max(float(_core.std(x.detach())), FLAT)
    near = x.detach() + draw.normal(tuple(x.shape), std=0.01 * spread, dtype=x.dtype)
    error = _difference(score(model), near, draw, spread, how)
    return Finding(f"gradient against central differences, {PIXELS} pixels", error, how.bound)


def box_finding(x: Any, low: Any, high: Any) -> Finding:
    """The largest distance of values from their box."""
    values, low, high = (np.asarray(v, np.float64) for v in (x, low, high))
    outside = np.maximum(np.maximum(low - values, values - high), 0).max(initial=0)
    return Finding("values outside of their box", float(outside), 1e-4 * float(np.max(high - low)))


def _difference(f: Callable[[Any], Tensor], x: Tensor, generator: Generator, spread: float, how: Precision) -> float:
    """The median over pixels of the relative error of the gradient, by the step that agrees best."""
    gradient = np.asarray(steep.grad(lambda v: _core.sum(f(v)))(x), np.float64).reshape(-1)
    values, typical = np.array(x, copy=True), float(np.sqrt(np.mean(gradient**2)))

    def error(at: int, step: float) -> float:
        ends = []
        for sign in (1, -1):
            moved = values.copy()
            moved.flat[at] += sign * step
            with _core.no_grad():
                ends.append(float(_core.sum(f(_core.asarray(moved)))))
        estimate = (ends[0] - ends[1]) / (2 * step)
        size = max(abs(estimate), abs(float(gradient[at])), how.least * typical, 1e-30)
        return abs(estimate - float(gradient[at])) / size

    pixels = np.asarray(generator.permutation(values.size))[:PIXELS]
    return min(float(np.median([error(at, spread * step) for at in pixels])) for step in how.steps)
