"""Verdicts: whether a landscape is differentiable, how well it is conditioned, and what each optimiser does on it.

All of it is computed: kinks by differences and the trace, minima by descents from a grid of starts, conditioning by the
Hessian there, outcomes from the paths. Start reading at ``judge``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import steep
from steep import _core
from steep.descent.cuts import Cut, find_cut
from steep.descent.kinks import Kink, along_segments, described, in_domain, suspects, undefined
from steep.descent.landscapes import Landscape, Points, shown
from steep.descent.paths import Path, Settings, descend, find_methods, follow, outcome
from steep.display import displayed

GRID = 5  # starts per variable
EQUAL = 1e-4  # minima closer than this, beside the size of the domain, are one


@displayed
@dataclass(frozen=True)
class Minimum:
    """A minimum that was found.

    Attributes:
        point: its coordinates.
        value: its value.
        curvatures: eigenvalues of the Hessian there, ascending; empty where there is a kink.
    """

    point: tuple[float, ...]
    value: float
    curvatures: tuple[float, ...]

    @property
    def condition(self) -> float:
        """The ratio of the largest curvature to the smallest; infinite if one is 0, NaN if there is none."""
        if not self.curvatures:
            return float("nan")
        return self.curvatures[-1] / self.curvatures[0] if self.curvatures[0] > 0 else float("inf")


@displayed
@dataclass(frozen=True)
class Verdict:
    """What was found out about a landscape.

    Attributes:
        landscape: the landscape.
        suspects: ops of its trace that may have kinks.
        kinks: points of the domain without a derivative.
        minima: the minima found, the lowest first.
        paths: what each optimiser did.
        cut: where the gradient lacks a part of the derivative, or None.
    """

    landscape: Landscape
    suspects: list[str]
    kinks: list[Kink]
    minima: list[Minimum]
    paths: list[Path]
    cut: Cut | None = None

    @property
    def differentiable(self) -> str:
        """Where it is differentiable, as text."""
        text = described(self.kinks, self.landscape)
        missing = undefined(self.landscape)
        text += f", where it is finite; it is {missing}" if missing else ""
        ops = f"; the trace has {', '.join(self.suspects)}" if self.suspects else ""
        return text + ops

    @property
    def gradient(self) -> str:
        """Where the gradient is cut; through which ops it flows, and where it is flat, as ``steep.explain`` says."""
        point = steep.tensor(np.array(self.landscape.start), requires_grad=True)
        flow = steep.explain(self.landscape(point), point)
        return f"{self.cut}; {flow}" if self.cut else flow

    @property
    def conditioning(self) -> str:
        """The curvatures at the lowest minimum, as text."""
        if not self.minima:
            return "no minimum with a gradient of 0 was found"
        best = self.minima[0]
        where = f"at {shown(best.point)}"
        if not best.curvatures:
            return f"no Hessian {where}: there is a kink"
        curvatures = " and ".join(f"{c:.4g}" for c in best.curvatures)
        ratio = f", condition {best.condition:.4g}" if len(best.curvatures) > 1 else ""
        return f"curvature{'s' * (len(best.curvatures) > 1)} {curvatures} {where}{ratio}"

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        """Each method with what it reached."""
        minima = np.array([m.point for m in self.minima]).reshape(-1, self.landscape.dimensions)
        values = np.array([m.value for m in self.minima])
        return [(path.method, outcome(path, minima, values)) for path in self.paths]

    @property
    def reached(self) -> int:
        """How many methods end at the lowest minimum."""
        return sum("at the minimum" in text for _, text in self.outcomes)


def judge(landscape: Landscape, steps: int = 200, paths: list[Path] | None = None, seed: int = 0) -> Verdict:
    """The verdict on a landscape.

    Args:
        landscape: the landscape.
        steps: number of steps of the paths.
        paths: the paths, if they are there already.
        seed: seed of random methods.

    Returns:
        A ``Verdict``.

    Example:
        >>> verdict = sp.descent.judge(sp.descent.find("ill_conditioned"), steps=20)
        >>> verdict.differentiable, round(verdict.minima[0].condition)
        ('differentiable everywhere in the domain', 100)
    """
    made = descend(landscape, steps=steps, seed=seed) if paths is None else paths
    found = minima_of(landscape)
    tips = [Kink(low.point, False, 0, 0.0) for low in found if not low.curvatures]  # which no line of a grid meets
    cut = find_cut(landscape, np.concatenate([np.array([landscape.start]), _grid(landscape)]))
    return Verdict(landscape, suspects(landscape), in_domain(landscape) or tips, found, made, cut)


def minima_of(landscape: Landscape) -> list[Minimum]:
    """The minima in the domain that descents from a grid of starts find, the lowest first.

    L-BFGS finds smooth ones, Nelder-Mead those at kinks. Points where the value still falls nearby are left out, and
    of a level floor there is none.

    Args:
        landscape: the landscape.

    Returns:
        The minima.
    """
    width, starts = np.array([high - low for low, high in landscape.domain]), _grid(landscape)
    settings = Settings(landscape.rate, scale=float(width.max()) / 20)
    kept: list[Points] = []

    def known(point: Points) -> bool:
        return any(np.abs(point - other).max() <= EQUAL * width.max() for other in kept)

    for method in find_methods(["L-BFGS", "Nelder-Mead"]):
        for start in starts:
            end = follow(landscape, method, start, 300, settings).points[-1]
            if not known(end) and _inside(landscape, end) and _lowest_nearby(landscape, end, width):
                end = _polished(landscape, end, settings)
                kept += [] if known(end) else [end]
    values = landscape.at(np.array(kept).reshape(-1, landscape.dimensions))
    order = sorted(range(len(kept)), key=lambda i: (round(float(values[i]), 9), *kept[i].round(6).tolist()))
    return [
        Minimum(tuple(round(v, 9) + 0.0 for v in kept[i].tolist()), float(values[i]), _curvatures(landscape, kept[i]))
        for i in order
    ]


def _grid(landscape: Landscape) -> Points:
    """Points in the domain, as many in each direction, off the axes."""
    axes = [low + (np.arange(GRID) + 0.47) / GRID * (high - low) for low, high in landscape.domain]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, landscape.dimensions)


def _polished(landscape: Landscape, point: Points, settings: Settings) -> Points:
    """A minimum at a kink, where L-BFGS stops early, found exactly; a smooth one as it is."""
    if _curvatures(landscape, point):
        return point
    (simplex,) = find_methods(["Nelder-Mead"])
    found = follow(landscape, simplex, point, 300, settings)
    return found.points[-1] if found.values[-1] < landscape.at(point)[0] else point


def _inside(landscape: Landscape, point: Points) -> bool:
    return all(low <= v <= high for v, (low, high) in zip(point, landscape.domain, strict=True))


def _lowest_nearby(landscape: Landscape, point: Points, width: Points) -> bool:
    """Whether the value rises in every direction, at some small distance."""
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    ring = np.array([[1.0], [-1.0]]) if len(point) == 1 else np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    here = float(landscape.at(point)[0])
    with np.errstate(all="ignore"):
        rises = landscape.at(point + 1e-3 * width.max() * ring) - here
    return bool(np.isfinite(here) and (rises > 0).all())


def _curvatures(landscape: Landscape, point: Points) -> tuple[float, ...]:
    """Eigenvalues of the Hessian; none where one-sided derivatives differ."""
    size = 1e-3 * max(high - low for low, high in landscape.domain)
    steps = size * np.eye(len(point))
    if along_segments(landscape, point - 0.93 * steps, point + steps):
        return ()
    hessian = np.asarray(steep.hessian(landscape)(_core.tensor(point, dtype=_core.float64)), np.float64)
    return tuple(float(v) for v in np.linalg.eigvalsh(hessian))
