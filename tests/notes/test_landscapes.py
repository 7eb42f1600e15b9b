"""Rows 89 to 93 of docs/notes.md: wells and momentum, verdicts, stability, five rates, methods of order 0, 1 and 2."""

import inspect
import itertools
from functools import partial

import numpy as np
import pytest
import steep as sp
from numeric import variable
from steep import descent, optim, pictures
from steep.optim import SGD, minimize

WELLS = descent.find("double_well")
SHALLOW, DEEP = 0.9456492739, -1.0466805315


def end(rate, momentum, start=1.8, steps=500):
    x = variable([start])
    minimize(WELLS, x, partial(SGD, lr=rate, momentum=momentum), steps)
    return float(x[0])


@pytest.mark.parametrize("rate, steps", [(0.01, 2000), (0.05, 500), (0.2, 500)])
def test_row_89_gradient_descent_stays_in_the_shallow_well(rate, steps):
    assert end(rate, 0.0, steps=steps) == pytest.approx(SHALLOW, abs=1e-6)
    assert WELLS.at([SHALLOW])[0] > WELLS.at([DEEP])[0] + 0.1


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.1])
def test_row_89_momentum_of_nine_tenths_leaves_it(rate):
    assert end(rate, 0.9) == pytest.approx(DEEP, abs=1e-5)


@pytest.mark.parametrize("name", [each.name for each in descent.LANDSCAPES])
def test_row_89_pictures_are_the_same_bytes_for_a_seed(name):
    pytest.importorskip("PIL")
    landscape = descent.find(name)

    def drawn(seed):
        return pictures.png(descent.draw.picture(landscape, descent.descend(landscape, steps=20, seed=seed)))

    first = drawn(0)
    assert first == drawn(0)
    assert (first == drawn(1)) == (name == "step")  # where all of reach is one height, and no draw is better


def test_row_91_and_92_and_93_pictures_are_the_same_bytes():
    pytest.importorskip("PIL")
    ways = [
        lambda: descent.draw.stability(descent.stability(momenta=(0.0, 0.5, 0.9))),
        lambda: descent.draw.rates(runs := descent.five_rates(), [descent.steps_to(rate) for rate, _ in runs]),
        lambda: descent.draw.orders(descent.compare(tolerance=1e-2)),
    ]
    for draw in ways:
        assert pictures.png(draw()) == pictures.png(draw())


def test_row_89_there_is_every_landscape_and_every_optimiser():
    asked = "double_well rosenbrock beale himmelblau saddle plateau cliff ravine ripples ill_conditioned abs step"
    assert set(asked.split()) <= {each.name for each in descent.LANDSCAPES}
    for landscape in descent.LANDSCAPES:
        paths = descent.descend(landscape, steps=5)
        assert [path.method for path in paths] == [method.name for method in descent.METHODS]
        assert not any(path.status == "refused" for path in paths)


# What the verdicts say: whether it is differentiable, the condition at the lowest minimum, the number of minima.
VERDICTS = {
    "double_well": (True, 1, 2),
    "quadratic": (True, 1, 1),
    "abs": (False, None, 1),
    "step": (False, None, 0),
    "ill_conditioned": (True, 100, 1),
    "rosenbrock": (True, 2508.0096, 1),
    "beale": (True, 162.4656, 1),
    "himmelblau": (True, None, 4),
    "saddle": (True, 2, 2),
    "plateau": (True, 1, 1),
    "cliff": (True, None, 1),
    "ravine": (True, None, 1),
    "ripples": (True, 1, None),
}


@pytest.mark.parametrize("name", [each.name for each in descent.LANDSCAPES])
def test_row_90_verdicts_are_computed(name):
    differentiable, condition, count = VERDICTS[name]
    landscape = descent.find(name)
    verdict = descent.judge(landscape, steps=100)
    assert (not verdict.kinks) == differentiable == verdict.differentiable.startswith("differentiable everywhere")
    assert bool(verdict.suspects) != differentiable
    assert count is None or len(verdict.minima) == count
    assert condition is None or verdict.minima[0].condition == pytest.approx(condition, rel=1e-3)
    for stated in landscape.minima:
        assert min(np.abs(np.array(m.point) - stated).max() for m in verdict.minima) < 1e-4
    assert len(verdict.outcomes) == len(descent.METHODS)


def test_row_90_what_is_hard_for_whom():
    def reached(name, steps=200):
        verdict = descent.judge(descent.find(name), steps=steps)
        return {method for method, text in verdict.outcomes if "at the minimum" in text}

    assert {"gradient descent", "momentum", "L-BFGS", "Newton-CG", "Nelder-Mead"} <= reached("quadratic")
    assert "gradient descent" not in reached("rosenbrock") and "L-BFGS" in reached("rosenbrock")
    assert not {"gradient descent", "momentum", "Adam", "L-BFGS", "Newton-CG"} & reached("step")
    assert "gradient descent" not in reached("abs") and "Nelder-Mead" in reached("abs")
    assert "gradient descent" not in reached("ripples")


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.5, 0.9, 0.99])
def test_row_91_the_boundary_is_twice_one_plus_beta(momentum):
    assert descent.boundary(momentum) == pytest.approx(2 * (1 + momentum), abs=1e-3)
    for factor, shrinks in ((0.999, True), (1.001, False)):
        curvature = 2 * (1 + momentum) * factor
        x = variable(1.0)
        run = minimize(lambda w, c=curvature: c * w * w / 2, x, partial(SGD, lr=1.0, momentum=momentum), 20_000)
        assert abs(float(x)) < 1e-3 if shrinks else run.diverged or abs(float(x)) > 1e3


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_row_91_the_lower_boundary_is_zero(momentum):
    found = descent.stability([-1e-3, 0.0, 1e-3], [momentum])
    assert found.stable[0].tolist() == [False, False, True]
    with pytest.raises(ValueError, match="must not be negative"):
        SGD(variable(1.0), -1e-3)


def test_row_91_it_oscillates_where_the_roots_are_complex():
    products, momenta = np.linspace(0.05, 3.95, 40), (0.0, 0.1, 0.5, 0.9)
    found = descent.stability(products, momenta)
    beta = np.array(momenta)[:, None]
    assert np.array_equal(found.oscillates, (1 + beta - products) ** 2 < 4 * beta - 1e-12)
    assert np.array_equal(found.stable, products < 2 * (1 + beta))
    assert np.allclose(
        found.radius[found.oscillates], np.sqrt(np.broadcast_to(beta, found.radius.shape)[found.oscillates])
    )
    for eta, momentum, complex_ in ((0.05, 0.5, False), (0.5, 0.5, True)):
        x, seen = variable(1.0), []
        minimize(lambda w, c=eta: c * w * w / 2, x, partial(SGD, lr=1.0, momentum=momentum), 60,
                 callback=lambda p, to=seen, x=x: to.append(float(x)))  # fmt: skip
        changes = sum(a != b for a, b in itertools.pairwise(np.sign([w for w in seen if w])))
        assert (changes > 5) == complex_ and (complex_ or changes == 0)


def test_row_92_five_rates_in_one_picture():
    pytest.importorskip("PIL")
    runs = descent.five_rates()
    rates = [rate for rate, _ in runs]
    counts = [descent.steps_to(rate) for rate in rates]
    assert rates == [0.01, 0.5, 1.0, 1.9, 2.1] and counts == [653, 10, 1, 63, None]
    assert counts[0] > 10 * counts[1]
    x = variable(1.0, np.float32)
    assert minimize(lambda w: w * w / 2, x, partial(SGD, lr=rates[-1]), 5000).diverged
    picture = descent.draw.rates(runs, counts)
    assert picture.dtype == np.uint8 and picture.shape[0] < picture.shape[1]


def test_row_93_the_more_derivatives_the_fewer_evaluations():
    assert inspect.signature(descent.compare).parameters["tolerance"].default == 1e-8
    costs = descent.compare()
    assert [cost.order for cost in costs] == [0, 0, 0, 1, 1, 2] and all(cost.reached for cost in costs)
    assert all(0 <= cost.value <= 1e-8 for cost in costs)
    totals = [cost.total for cost in costs]
    assert min(totals[:3]) > max(totals[3:5]) and min(totals[3:5]) > totals[5]
    assert totals == sorted(totals, reverse=True)
    assert [cost.products > 0 for cost in costs] == [False] * 5 + [True]


def test_row_93_evaluations_are_counted_where_they_happen():
    calls = []

    def counted(x):
        calls.append(1)
        return descent.valley(x)

    for method in descent.ORDERS:
        calls.clear()
        (cost,) = descent.compare(counted, tolerance=1e-3, methods=[method])
        assert len(calls) == cost.evaluations + cost.products
    assert issubclass(optim.CMAES, optim.Optimizer) and sp.optim.NelderMead.order == 0
