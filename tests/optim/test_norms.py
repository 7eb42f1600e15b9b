"""Norms and what is made of them: projections, steepest and Polyak's steps, and L-BFGS inside a box."""

from functools import partial

import numpy as np
import pytest
import steep as sp
from steep.optim import BoxLBFGS, Polyak, Steepest, minimize
from steep.optim.norms import NORMS
from steep.optim.projections import ball, simplex
from steep.random import Generator

ORDERS = {"linf": np.inf, "l2": 2, "l1": 1}


def arr(x):
    return np.asarray(x.detach()).copy()


def rows(shape, seed=0):
    return Generator(seed).normal(shape, dtype=sp.float64)


@pytest.mark.parametrize("name", NORMS)
def test_lengths_are_those_of_numpy(name):
    x = rows((5, 7))
    assert np.allclose(arr(NORMS[name].length(x))[:, 0], np.linalg.norm(arr(x), ORDERS[name], axis=1), rtol=1e-14)


@pytest.mark.parametrize("name", NORMS)
def test_a_projection_is_the_nearest_point_of_the_ball(name):
    x = rows((40, 6))
    near = arr(NORMS[name].project(x, 1.5))
    lengths = np.linalg.norm(near, ORDERS[name], axis=1)
    assert lengths.max() <= 1.5 * (1 + 1e-12)
    inside = np.linalg.norm(arr(x), ORDERS[name], axis=1) <= 1.5
    assert np.array_equal(near[inside], arr(x)[inside])
    points = arr(NORMS[name].sample((2000, 6), Generator(1), sp.float64)) * 1.5
    for row, point in zip(arr(x), near, strict=True):  # no point of the ball lies beyond the tangent plane
        assert ((points - point) @ (row - point)).max() <= 1e-9


@pytest.mark.parametrize("name", NORMS)
def test_samples_fill_the_ball(name):
    x = arr(NORMS[name].sample((4000, 3), Generator(0), sp.float64))
    lengths = np.linalg.norm(x, ORDERS[name], axis=1)
    assert lengths.max() <= 1 and np.abs(x.mean(0)).max() < 0.05
    assert np.mean(lengths < 0.5) == pytest.approx(1 / 8, abs=0.02)  # volume grows with the cube of the radius


@pytest.mark.parametrize("name", NORMS)
def test_a_direction_has_length_one_and_rises_most(name):
    g = rows((30, 5))
    d = NORMS[name].direction(g)
    assert np.allclose(arr(NORMS[name].length(d)), 1)
    others = arr(NORMS[name].sample((2000, 5), Generator(2), sp.float64))
    assert np.all(np.sum(arr(d) * arr(g), axis=1) >= (arr(g) @ others.T).max(1))
    assert np.array_equal(arr(NORMS[name].direction(sp.zeros((2, 5)))), np.zeros((2, 5)))


def test_an_l1_step_is_spread_over_a_hundredth_of_the_elements():
    d = arr(NORMS["l1"].direction(rows((4, 500))))
    assert (np.count_nonzero(d, axis=1) == 5).all() and set(np.abs(d[d != 0])) == {0.2}
    few = np.zeros((1, 500))
    few[0, 7] = -3.0
    assert np.array_equal(arr(NORMS["l1"].direction(sp.tensor(few))), np.sign(few))


def test_an_l1_ball_around_a_point():
    x = arr(ball(np.ones((2, 2)), 1.0, "l1", batched=True)(sp.tensor([[4.0, 2.0], [1.25, 0.5]])))
    assert np.allclose(x, [[2, 1], [1.25, 0.5]], atol=1e-7)


def test_the_simplex_holds_weights():
    x = arr(simplex()(rows((50, 4))))
    assert x.min() >= 0 and np.allclose(x.sum(1), 1, rtol=0, atol=1e-12)
    assert np.allclose(arr(simplex(2.0)(sp.tensor([0.5, 1.5]))), [0.5, 1.5], atol=1e-7)
    two = arr(simplex()(sp.tensor([[2.0, 0.0, -1.0], [0.3, 0.3, 0.3]])))
    assert np.allclose(two, [[1, 0, 0], [1 / 3] * 3], atol=1e-6)
    points = np.random.default_rng(0).dirichlet(np.ones(4), 500)
    far = arr(rows((20, 4)))
    for row, point in zip(far, arr(simplex()(sp.tensor(far))), strict=True):
        assert ((points - point) @ (row - point)).max() <= 1e-9
    with pytest.raises(ValueError, match="total"):
        simplex(0)


def test_elements_that_a_bound_holds_take_no_part():
    x = sp.tensor([[0.0, 0.5, 1.0]])
    step = partial(Steepest, lr=0.1, norm="l1", batched=True, bounds=(0.0, 1.0))
    minimize(lambda v: sp.sum(v * sp.tensor([[9.0, 2.0, -5.0]])), x, step, 1)
    assert np.allclose(arr(x), [[0, 0.4, 1]])


@pytest.mark.parametrize("norm", NORMS)
def test_a_polyak_step_solves_a_linear_row(norm):
    w, x = rows((3, 4)), rows((3, 4), 1)
    values = sp.zeros((3,), dtype=sp.float64)

    def value(v):
        each = sp.sum(v * w, axis=-1)
        values[...] = sp.where(sp.arange(3) < 2, each.detach(), 0.0)
        return sp.sum(each)

    before = arr(x)
    minimize(value, x, partial(Polyak, values=values, norm=norm), 1)
    left = np.sum(arr(x) * arr(w), axis=1)
    assert np.abs(left[:2]).max() < 1e-12 and np.array_equal(arr(x)[2], before[2])


def box_problem(fun, start, low, high, steps, **options):
    x = sp.tensor(start)
    values = sp.zeros((len(start),), dtype=sp.float64)

    def total(v):
        each = fun(v)
        values[...] = each.detach()
        return sp.sum(each)

    result = minimize(total, x, partial(BoxLBFGS, values=values, low=low, high=high), steps, **options)
    return arr(x), result


def rosenbrock(v):
    return 100 * (v[:, 1] - v[:, 0] ** 2) ** 2 + (1 - v[:, 0]) ** 2


def test_box_lbfgs_finds_the_bottom_of_each_row():
    start = np.array([[-1.2, 1.0], [0.0, 0.0], [2.0, -1.0]])
    x, result = box_problem(rosenbrock, start, -3.0, 3.0, 60)
    assert np.allclose(x, 1, atol=1e-5) and result.history[-1] < 1e-9
    alone = [box_problem(rosenbrock, row[None], -3.0, 3.0, 60)[0][0] for row in start]
    assert np.array_equal(np.stack(alone), x)  # rows do not touch one another
    captured, result = box_problem(rosenbrock, start, -3.0, 3.0, 60, capture=True)
    assert np.array_equal(captured, x) and result.eager == ""


def test_box_lbfgs_stays_in_the_box_and_agrees_with_scipy():
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(0)
    a = rng.normal(size=(8, 8))
    a, b = a @ a.T + np.eye(8), rng.normal(size=(5, 8)) * 4

    def quadratic(v):
        return sp.sum((v @ sp.tensor(a)) * v, axis=-1) / 2 - sp.sum(v * sp.tensor(b), axis=-1)

    x, _ = box_problem(quadratic, np.full((5, 8), 0.25), 0.0, 0.5, 60)
    assert x.min() >= 0 and x.max() <= 0.5 and ((x == 0) | (x == 0.5)).any()
    for row, target in zip(x, b, strict=True):
        there = optimize.minimize(
            lambda v, t=target: v @ a @ v / 2 - v @ t, np.full(8, 0.25), jac=lambda v, t=target: a @ v - t,
            method="L-BFGS-B", bounds=[(0, 0.5)] * 8, options={"ftol": 1e-15, "gtol": 1e-10},
        )  # fmt: skip
        assert np.allclose(row, there.x, atol=1e-6)


def test_box_lbfgs_goes_on_from_its_state():
    def run(splits):
        x, state = sp.tensor(np.array([[-1.2, 1.0], [2.0, -1.0]])), None
        values = sp.zeros((2,), dtype=sp.float64)

        def total(v):
            each = rosenbrock(v)
            values[...] = each.detach()
            return sp.sum(each)

        for steps in splits:
            optimizer = BoxLBFGS([x], values, -3.0, 3.0)
            if state is not None:
                optimizer.load_state_dict(state)
            minimize(lambda p: total(p[0]), [x], optimizer, steps)
            state = optimizer.state_dict()
        return arr(x)

    assert np.array_equal(run([12]), run([5, 7])) and not np.array_equal(run([12]), run([5]))


def test_box_lbfgs_refuses():
    x, y = sp.tensor([[1.0]]), sp.tensor([[1.0]])
    for params, low in (([x, y], 0.0), ([x], 2.0)):
        with pytest.raises(ValueError, match="BoxLBFGS"):
            BoxLBFGS(params, sp.zeros((1,)), low, 1.0)
    with pytest.raises(TypeError, match="minimize"):
        BoxLBFGS([x], sp.zeros((1,))).apply_gradients([(x, x)])
