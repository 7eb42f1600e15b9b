"""Rows 53 to 86 of docs/notes.md that have a closed form: ascent, penalties, saliency, inversion, attacks, texts.

Everything is small enough to check on paper; tests cover the same rows on networks.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import steep as sp
from steep import ascent, attack, nn, optim, saliency
from steep._core import Tensor
from steep.selftest.basics import constant
from steep.selftest.check import Check

W = constant([3, 4])
STEP, RAMP = constant([[0, 0, 1, 1]] * 4), constant([[0, 1 / 3, 2 / 3, 1]] * 4)
CORNER = constant([[1, 0], [0, 0]])
X = constant([[1, -1, 5], [2, -5, -7], [-3, 2, 4]])
R = constant([[-2, 3, -1], [6, -3, 1], [2, -1, 3]])
descend = partial(optim.SGD, lr=0.1)


def _climbed(steps: int, sign: float = -1.0) -> Tensor:
    """Row 53 and 70: w . x minus half the sum of squares, or plus, as the notes print it."""
    run = ascent.maximize(lambda x: sp.sum(W * x) + sign * 0.5 * ascent.l2(x), np.zeros(2), steps, descend)
    return run.image


def _on_circle(objective: Any) -> Tensor:
    circle = lambda x: x / sp.norm(x)  # noqa: E731
    make = partial(optim.SGD, lr=0.5)
    return ascent.maximize(objective(_two_classes, 0), np.array([0.6, 0.8]), 300, make, project=circle).image


def _two_classes(x: Any) -> Tensor:
    return sp.matmul(constant([[1, 1], [1, -0.2]]), x)


def _rules() -> list[Any]:
    score = lambda v: sp.sum(sp.relu(v) * R)  # noqa: E731
    rules = (partial(saliency.gradient, signed=True), saliency.deconvnet, saliency.guided_backprop)
    return [rule(None, X, score) for rule in rules]


def _unpooled() -> float:
    """Row 64: the gradient of max pooling minus unpooling by the switches, for an image of noise."""
    x = sp.random.Generator(0).normal((1, 2, 6, 6), dtype=sp.float64)
    one = np.zeros((1, 2, 3, 3))
    one[0, 1, 2, 0] = 1
    back = sp.grad(lambda v: sp.sum(sp.max_pool2d(v, 2) * one))(x)
    indices = sp.max_pool_indices(x, 2)
    return float(sp.max(sp.abs(back - sp.max_unpool2d(constant(one), indices, 2))))


def _approach(steps: int) -> Tensor:
    a = constant([1, -2])
    return ascent.maximize(lambda x: -0.5 * sp.sum(sp.square(x - a)), np.zeros(2), steps, descend).image


def _ridge(weight: float) -> Tensor:
    """Row 79: the input whose image by W is that of (1, -1), with a penalty on its squares."""
    w, wanted, x = constant([[2, 0], [1, 3]]), constant([2, -2]), sp.zeros(2, dtype=sp.float64)
    optim.minimize(lambda v: sp.sum(sp.square(w @ v - wanted)) + weight * ascent.l2(v), x, optim.LBFGS, 30)
    return x


def _haar() -> list[Any]:
    approximation, [details] = ascent.haar(CORNER)
    return [float(value[0, 0]) for value in (approximation, *details)]


def _signed(x: Any) -> Tensor:
    """Row 84: two classes, separated by the sign of 3 x + 4 y."""
    s = sp.asarray(x) @ W
    return sp.stack([-s / 2, s / 2], axis=-1)


def _nearest(norm: str) -> list[Any]:
    """The change by which DeepFool crosses the boundary from (1, 1), its length, and the number of steps."""
    far = (-10.0, 10.0)
    found = attack.deepfool(_signed, constant([[1, 1]]), [1], norm=norm, overshoot=1e-9, bounds=far)
    return [*(np.asarray(found.x)[0] - 1), found.distance[0], found.steps[0]]


def _shift(eps: float) -> float:
    """By how much FGSM lowers the score."""
    found = attack.fgsm(_signed, constant([[1, 1]]), [1], eps, bounds=(-10.0, 10.0))
    return float(7 - np.asarray(found.x)[0] @ np.asarray(W))


def _matched(pairs: Tensor) -> Tensor:
    return nn.info_nce(pairs, pairs, temperature=1.0)


def _found_by_latent() -> float:
    """Row 86: the cosine of a text with the embedding of what a linear generator makes, after 200 steps."""
    draw = sp.random.Generator(2)
    generator, encoder, text = (draw.normal(shape, dtype=sp.float64) for shape in ((20, 6), (5, 20), (5,)))
    start = ascent.latent(lambda z: z @ generator.T, sp.random.Generator(3).normal((1, 6), dtype=sp.float64))
    score = ascent.similarity(lambda image: image @ encoder.T, text)
    run = ascent.maximize(score, start, 200, partial(optim.Adam, lr=0.1))
    return min(run.history[-1], 0.999)


CHECKS: list[Check] = [
    Check(53, "logit - sum of squares, after 10 steps", lambda: _climbed(10), [3 - 3 * 0.9**10, 4 - 4 * 0.9**10]),
    Check(53, "after convergence", lambda: _climbed(300), [3, 4]),
    Check(53, "the highest logit on a circle", lambda: _on_circle(ascent.logit), [np.sqrt(0.5)] * 2, 1e-6),
    Check(53, "the highest probability there", lambda: _on_circle(ascent.probability), [0, 1], 1e-6),
    Check(58, "convergence to a at the rate 1 - lr", lambda: _approach(7), [1 - 0.9**7, 2 * 0.9**7 - 2], 1e-12),
    Check(64, "gradient of max pooling by its switches", _unpooled, 0, 0),
    Check(
        65,
        "ReLU backwards: gradient, deconvnet, guided",
        _rules,
        [
            [[-2, 0, -1], [6, 0, 0], [0, -1, 3]],
            [[0, 3, 0], [6, 0, 1], [2, 0, 3]],
            [[0, 0, 0], [6, 0, 0], [0, 0, 3]],
        ],
        0,
    ),
    Check(70, "the penalty's sign as printed: the norm grows", lambda: sp.norm(_climbed(100, 1.0)), 5 * (1.1**100 - 1)),
    Check(71, "squares of a step and a ramp", lambda: [ascent.l2(STEP), ascent.l2(RAMP)], [8, 56 / 9]),
    Check(
        72,
        "total variation of both, beta 1 and 2",
        lambda: [ascent.total_variation(v, beta=b) for b in (1, 2) for v in (STEP, RAMP)],
        [4, 4, 4, 4 / 3],
    ),
    Check(73, "a low-pass filter keeps a constant", lambda: ascent.gaussian(2.0)(sp.ones((3, 3), dtype=sp.float64)),
          np.ones((3, 3))),
    Check(74, "the median keeps an edge", lambda: ascent.median(3)(STEP), STEP, 0),
    Check(75, "Haar of a corner", _haar, [0.5, 0.5, 0.5, 0.5]),
    Check(75, "its absolute details", lambda: ascent.haar_wavelet(CORNER), 1.5),
    Check(79, "inverting a linear map", lambda: _ridge(0.0), [1, -1], 1e-7),
    Check(79, "with a penalty of .1", lambda: _ridge(0.1), [0.9676557072, -0.9783480349], 1e-8),
    Check(84, "nearest boundary in l2: change, length, steps", lambda: _nearest("l2"), [-0.84, -1.12, 1.4, 1], 1e-8),
    Check(84, "in linf", lambda: _nearest("linf"), [-1, -1, 1, 1], 1e-8),
    Check(84, "in l1", lambda: _nearest("l1"), [0, -1.75, 1.75, 1], 1e-8),
    Check(84, "FGSM changes the score by eps times the 1-norm", lambda: _shift(0.3), 2.1),
    Check(85, "InfoNCE of the identity", lambda: _matched(sp.eye(4, dtype=sp.float64)),
          np.log(1 + 3 / np.e)),
    Check(85, "InfoNCE of equals", lambda: _matched(sp.ones((4, 3), dtype=sp.float64)),
          np.log(4)),
    Check(86, "latent of a text: cosine of .999", _found_by_latent, 0.999, 0),
]  # fmt: skip
