"""Rows 53 to 87 of docs/notes.md that have a closed form: ascent, penalties, saliency, inversion, attacks, texts.

Everything is small enough to check on paper; tests cover the same rows on networks.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

import steep as sp
from steep import ascent, attack, nn, optim, pictures, saliency
from steep._core import Tensor
from steep.random import Generator
from steep.selftest.basics import constant
from steep.selftest.check import Check

W = constant([3, 4])
STEP, RAMP = constant([[0, 0, 1, 1]] * 4), constant([[0, 1 / 3, 2 / 3, 1]] * 4)
CORNER = constant([[1, 0], [0, 0]])
X = constant([[1, -1, 5], [2, -5, -7], [-3, 2, 4]])
R = constant([[-2, 3, -1], [6, -3, 1], [2, -1, 3]])
TILE = np.zeros((130, 130, 3), np.uint8)
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
    x = Generator(0).normal((1, 2, 6, 6), dtype=sp.float64)
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
    draw = Generator(2)
    generator, encoder, text = (draw.normal(shape, dtype=sp.float64) for shape in ((20, 6), (5, 20), (5,)))
    start = ascent.latent(lambda z: z @ generator.T, Generator(3).normal((1, 6), dtype=sp.float64))
    score = ascent.similarity(lambda image: image @ encoder.T, text)
    run = ascent.maximize(score, start, 200, partial(optim.Adam, lr=0.1))
    return min(run.history[-1], 0.999)


def _patch() -> list[float]:
    """Row 54: the filter's best patch minus its signs, and its response minus the 1-norm."""
    kernel = Generator(3).normal((1, 1, 3, 3), dtype=sp.float64)
    goal: Any = lambda x: sp.sum(sp.conv2d(x, kernel))  # noqa: E731
    best = ascent.maximize(goal, np.zeros((1, 1, 3, 3)), 50, partial(optim.SGD, lr=10.0), project=ascent.box(-1, 1))
    found = np.asarray(best.image) - np.sign(np.asarray(kernel))
    return [float(np.abs(found).max()), float(goal(best.image) - sp.sum(sp.abs(kernel)))]


def _convolution() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, generator=0, dtype=sp.float64), nn.ReLU())


def _moves(go: Any, start: Any, size: Any) -> list[float]:
    """The shortest and the longest step of a run that is given a callback."""
    seen = [np.asarray(start)]
    go(callback=lambda p: seen.append(np.asarray(p.params).copy()))
    lengths = [float(size(after - before)) for before, after in pairwise(seen)]
    return [min(lengths), max(lengths)]


def _filter_steps() -> list[float]:
    """Row 55: lengths of the steps of Keras's example."""
    start = (Generator(0).uniform((1, 1, 12, 12)) - 0.5) * 0.25
    go = partial(ascent.filters, _convolution(), "0", [0], size=12, channels=1, steps=5, generator=Generator(0))
    return _moves(go, start, np.linalg.norm)


def _dream_steps() -> list[float]:
    """Row 68: mean absolute changes of a pixel by DeepDream's steps, nothing clipped."""
    image = Generator(5).uniform((1, 1, 16, 16), dtype=sp.float64) * 255
    go = partial(ascent.deepdream, _convolution(), "0", image, octaves=1, steps=4, step_size=1.5, bounds=(-1e6, 1e6))
    return _moves(go, image, lambda change: np.abs(change).mean())


def _entry() -> float:
    """Row 56: the gradient of one unit minus its row of the Jacobian."""
    w, x = Generator(0).normal((3, 4), dtype=sp.float64), Generator(1).normal((4,), dtype=sp.float64)
    layer: Any = lambda v: sp.tanh(w @ v)  # noqa: E731
    return float(sp.max(sp.abs(sp.grad(lambda v: layer(v)[1])(x) - sp.jacobian(layer)(x)[1])))


def _both_ways() -> list[float]:
    """Row 57: one optimiser, by which w descends (w - 2)^2 and x ascends -(x - 3)^2."""
    w, x = constant(0.0), constant(0.0)
    one = optim.SGD([w, x], lr=0.25)
    down, up = sp.grad(lambda v: (v - 2) ** 2), sp.grad(lambda v: -((v - 3) ** 2))
    for _ in range(60):
        one.apply_gradients([(down(w), w), (-up(x), x)])
    return [float(w), float(x)]


def _three() -> Any:
    """Row 59: ties are in the order of the examples."""
    return saliency.top_k(np.array([1.0, 3, 3, 2]), lambda x: x, 3).indices


def _nine() -> list[float]:
    """Row 63: the nine examples with the highest activations, less NumPy's."""
    values = np.asarray(Generator(4).normal((40,), dtype=sp.float64))
    return list(saliency.top_k(values, lambda x: x).indices - np.argsort(-values, kind="stable")[:9])


def _farthest(norm: str) -> float:
    """Row 60: the greatest distance from the start at any of 20 steps, within a ball of .3."""
    start, seen = np.array([0.1, 0.2]), list[Any]()
    go = partial(ascent.maximize, lambda x: sp.sum(W * x), start, 20, partial(optim.SGD, lr=1.0))
    go(project=ascent.ball(start, 0.3, norm), callback=lambda p: seen.append(np.asarray(p.params) - start))
    order = {"l1": 1, "l2": 2, "linf": np.inf}[norm]
    return max(float(np.linalg.norm(change, order)) for change in seen)


def _layer_sum() -> float:
    """Row 61: the gradient of the sum of a layer, by its name, minus the sums of the columns of its weights."""
    first = nn.Linear(4, 3, generator=0, dtype=sp.float64)
    goal = ascent.layer(nn.Sequential(first, nn.ReLU()), "0", "sum")
    found = sp.grad(goal)(sp.ones((1, 4), dtype=sp.float64))
    return float(sp.max(sp.abs(found[0] - sp.sum(first.weight.detach(), axis=0))))


def _map() -> Tensor:
    """Row 62: the map of a linear model for its second class."""
    return saliency.gradient(lambda x: x @ constant([[3, -1], [-4, 2]]), constant([[1, 1]]), [1])[0]


def _spellings() -> float:
    """Row 66: guided backpropagation through a module, minus that through a function used twice."""
    first, last = (nn.Linear(*size, generator=0, dtype=sp.float64) for size in ((4, 5), (5, 2)))
    x = Generator(1).normal((2, 4), dtype=sp.float64)
    module = nn.Sequential(first, nn.ReLU(), last, nn.ReLU())
    maps = [saliency.guided_backprop(model, x, 1) for model in (module, lambda v: sp.relu(last(sp.relu(first(v)))))]
    return float(sp.max(sp.abs(maps[0] - maps[1])))


def _chance() -> list[float]:
    """Row 67: the gradients of a logit and of its probability, for logits 3 x + 4 y and 0."""
    model = lambda v: sp.stack([sp.sum(W * v), 0 * v[0]])  # noqa: E731
    at = constant([0.1, -0.2])
    return [*np.asarray(sp.grad(ascent.logit(model, 0))(at)), *np.asarray(sp.grad(ascent.probability(model, 0))(at))]


def _rotated() -> float:
    """Row 76: a quarter turn minus NumPy's."""
    x = Generator(0).uniform((1, 1, 5, 5), dtype=sp.float64)
    return float(np.abs(np.asarray(ascent.rotate([90], Generator(0))(x))[0, 0] - np.rot90(np.asarray(x)[0, 0])).max())


def _statistics() -> list[float]:
    """Row 77: statistics of a layer, of an image against itself."""
    net, x = _convolution(), Generator(1).uniform((1, 1, 6, 6), dtype=sp.float64)
    return [float(ascent.feature_statistics(net, "1", x, kind)(x)) for kind in ("mean_std", "gram")]


def _least_squares() -> float:
    """Row 77: the latent of a linear generator found by ascent, minus that of least squares."""
    made, wanted = (Generator(i).normal(s, dtype=sp.float64) for i, s in enumerate(((6, 3), (6,))))
    start = ascent.latent(lambda z: made @ z, np.zeros(3))
    run = ascent.maximize(lambda image: -sp.sum(sp.square(image - wanted)), start, 40, optim.LBFGS)
    best = np.linalg.lstsq(np.asarray(made), np.asarray(wanted), rcond=None)[0]
    return float(np.abs(np.asarray(run.params) - best).max())


def _prompt() -> float:
    """Row 87: the cosine of an embedding with that of an image, after 200 steps on the embedding."""
    image = Generator(3).normal((5,), dtype=sp.float64)
    goal = lambda t: sp.vecdot(t, image) / sp.norm(t) / sp.norm(image)  # noqa: E731
    start = Generator(4).normal((5,), dtype=sp.float64)
    return min(ascent.maximize(goal, start, 200, partial(optim.Adam, lr=0.1)).history[-1], 0.999)


P = 1 / (1 + np.exp(0.5))  # of the class whose logit is 3 x + 4 y at (.1, -.2), the other's 0

CHECKS: list[Check] = [
    Check(53, "logit - sum of squares, after 10 steps", lambda: _climbed(10), [3 - 3 * 0.9**10, 4 - 4 * 0.9**10]),
    Check(53, "after convergence", lambda: _climbed(300), [3, 4]),
    Check(53, "the highest logit on a circle", lambda: _on_circle(ascent.logit), [np.sqrt(0.5)] * 2, 1e-6),
    Check(53, "the highest probability there", lambda: _on_circle(ascent.probability), [0, 1], 1e-6),
    Check(54, "best patch - signs of the filter; response - 1-norm", _patch, [0, 0], 1e-12),
    Check(55, "length of the steps, shortest and longest", _filter_steps, [10, 10], 1e-5),
    Check(55, "a sheet of 8 by 8 tiles of 130 pixels, 5 apart", lambda: pictures.sheet([TILE] * 64, 8, gap=5).shape,
          [1075, 1075, 3], 0),
    Check(56, "gradient of a unit - its row of the Jacobian", _entry, 0, 1e-12),
    Check(57, "one optimiser: weights down to 2, inputs up to 3", _both_ways, [2, 3]),
    Check(58, "convergence to a at the rate 1 - lr", lambda: _approach(7), [1 - 0.9**7, 2 * 0.9**7 - 2], 1e-12),
    Check(59, "the three highest of 1, 3, 3, 2", _three, [1, 2, 3], 0),
    Check(60, "farthest of 20 steps in balls of .3: l1, l2, linf", lambda: [_farthest(n) for n in ("l1", "l2", "linf")],
          [0.3] * 3, 3e-7),
    Check(61, "gradient of a layer by name - sums of its columns", _layer_sum, 0, 1e-12),
    Check(62, "saliency of a linear model is abs(w)", _map, [1, 2]),
    Check(63, "the nine highest - NumPy's", _nine, [0] * 9, 0),
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
    Check(66, "guided: ReLU as a module - as a function", _spellings, 0, 0),
    Check(67, "gradients of a logit and of its probability", _chance, [3, 4, 3 * P * (1 - P), 4 * P * (1 - P)]),
    Check(68, "mean change of DeepDream's steps, least and most", _dream_steps, [1.5, 1.5]),
    Check(69, "octaves of 224 pixels", lambda: [size for size, _ in ascent.octave_sizes(224, 224, 4, 1.4)],
          [224, 160, 114, 81], 0),
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
    Check(76, "a quarter turn - NumPy's", _rotated, 0, 1e-12),
    Check(77, "statistics of a layer, of an image and itself", _statistics, [0, 0], 1e-20),
    Check(77, "latent of a linear generator - least squares", _least_squares, 0, 1e-6),
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
    Check(87, "embedding of a text for an image: cosine of .999", _prompt, 0.999, 0),
]  # fmt: skip
