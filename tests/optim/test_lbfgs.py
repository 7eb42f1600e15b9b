"""L-BFGS ends by its tolerances and says so: on one vector, on rows in a box, and within the attack that uses it."""

from functools import partial

import numpy as np
import pytest
import steep as sp
from steep import attack, optim
from steep.optim import LBFGS, BoxLBFGS

arr = np.asarray
START = np.array([-1.2, 1.0, -0.5, 0.8])


def rosenbrock(v):
    return sp.sum(100 * (v[..., 1:] - v[..., :-1] ** 2) ** 2 + (1 - v[..., :-1]) ** 2, axis=-1)


def run(make, steps=300, start=START, fun=rosenbrock, **options):
    w = sp.tensor(start)
    return w, optim.minimize(fun, w, make, steps, **options)


@pytest.mark.parametrize("search", ["strong_wolfe", "backtracking"])
@pytest.mark.parametrize("gtol", [1e-2, 1e-5, 1e-8])
def test_a_run_ends_once_the_gradient_is_within_its_tolerance(search, gtol):
    w, result = run(partial(LBFGS, gtol=gtol, line_search=search))
    gradients = []
    run(partial(LBFGS, line_search=search), result.steps - 1,
        callback=lambda p: gradients.append(np.abs(arr(sp.grad(rosenbrock)(p.params.detach()))).max()))  # fmt: skip
    assert result.status == "converged" and result.converged and f"gtol {gtol:g}" in result.message
    assert np.abs(arr(sp.grad(rosenbrock)(w))).max() <= gtol
    assert gradients[-1] <= gtol < min(gradients[:-1])  # at the first chance


@pytest.mark.parametrize("ftol", [1e-3, 1e-9])
@pytest.mark.parametrize("shift", [0.0, 50.0])
def test_a_run_ends_once_the_value_falls_by_less_than_its_tolerance(ftol, shift):
    _, result = run(partial(LBFGS, ftol=ftol), fun=lambda v: rosenbrock(v) + shift)
    falls = -np.diff(result.history)
    sizes = np.maximum(result.history[:-1], 1)
    assert result.converged and f"ftol {ftol:g}" in result.message and (falls > ftol * sizes).all()


def test_numbers_of_scipy_give_the_answer_of_scipy():
    optimize = pytest.importorskip("scipy.optimize")
    there = optimize.minimize(optimize.rosen, START, jac=optimize.rosen_der, method="L-BFGS-B")
    w, result = run(partial(LBFGS, gtol=1e-5, ftol=2.2e-9))
    assert result.converged and there.success and np.allclose(arr(w), there.x, atol=1e-3)
    assert result.steps <= 2 * there.nit


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_without_tolerances_a_run_ends_where_rounding_ends_it(dtype):
    w, result = run(LBFGS, start=START.astype(dtype))
    assert result.status == "converged" and result.steps < 300
    assert np.allclose(arr(w), 1, atol=1e-7 if dtype == "f8" else 1e-2)


def test_an_ascent_converges_too_and_one_that_is_cut_short_does_not():
    w = sp.tensor(START)
    result = optim.maximize(lambda v: -rosenbrock(v), w, partial(LBFGS, gtol=1e-6), 200)
    assert result.converged and np.allclose(arr(w), 1, atol=1e-4)
    assert run(partial(LBFGS, gtol=1e-6), 3)[1].status == "finished"
    assert run(partial(optim.SGD, lr=1e-4), 3)[1].status == "finished"
    run_on = sp.ascent.maximize(lambda v: -rosenbrock(v), START, 200, partial(LBFGS, gtol=1e-6))
    assert run_on.status == "converged"


def test_a_step_by_hand_says_when_there_is_nothing_left_and_takes_notice_of_a_new_start():
    w = sp.tensor(np.ones(3), requires_grad=True)
    optimizer = LBFGS([w], gtol=1e-6)

    def closure():
        optimizer.zero_grad()
        loss = sp.sum(w * w)
        loss.backward()
        return loss

    while not optimizer.converged:
        optimizer.step(closure)
    assert np.abs(arr(w)).max() < 1e-6
    with sp.no_grad():
        w[...] = sp.ones(3)
    optimizer.step(closure)
    assert not optimizer.converged


@pytest.mark.parametrize("splits", [[7, 200], [1, 2, 3, 200]])
def test_a_run_that_is_taken_up_again_ends_where_one_without_a_break_does(splits):
    w, whole = run(partial(LBFGS, gtol=1e-7))
    again, state, made = sp.tensor(START), None, 0
    for steps in splits:
        optimizer = LBFGS([again], gtol=1e-7)
        if state is not None:
            optimizer.load_state_dict(state)
        result = optim.minimize(lambda v: rosenbrock(v[0]), [again], optimizer, steps)
        state, made = optimizer.state_dict(), made + result.steps
    assert result.converged and made == whole.steps and np.array_equal(arr(again), arr(w))


# -- rows in a box ----------------------------------------------------------------------------------------------------

ROWS = np.array([[-1.2, 1.0], [0.9, 0.8], [2.0, -1.0]])


def in_a_box(rows, steps=200, low=-3.0, high=3.0, capture=False, **tolerances):
    x, values = sp.tensor(rows), sp.zeros((len(rows),), dtype=sp.float64)

    def total(v):
        each = rosenbrock(v)
        values[...] = each.detach()
        return sp.sum(each)

    make = partial(BoxLBFGS, values=values, low=low, high=high, **tolerances)
    return arr(x), optim.minimize(total, x, make, steps, capture=capture)


@pytest.mark.parametrize("high", [3.0, 0.5])
def test_a_box_of_rows_converges_by_the_projected_gradient(high):
    x, result = in_a_box(np.minimum(ROWS, high), gtol=1e-6, high=high)
    gradient = arr(sp.grad(lambda v: sp.sum(rosenbrock(v)))(sp.tensor(x)))
    assert result.converged and "gtol 1e-06" in result.message and result.steps < 200
    assert np.abs(np.clip(x - gradient, -3, high) - x).max() <= 1e-6
    alone = [in_a_box(row[None], gtol=1e-6, high=high)[0][0] for row in np.minimum(ROWS, high)]
    assert np.array_equal(np.stack(alone), x)  # a row that is done waits for the others, and they for none
    captured, result = in_a_box(np.minimum(ROWS, high), gtol=1e-6, high=high, capture=True)
    assert np.array_equal(captured, x) and result.converged


def test_a_box_of_rows_converges_by_the_value():
    rough, first = in_a_box(ROWS, ftol=1e-4)
    fine, second = in_a_box(ROWS)
    assert first.converged and "ftol 0.0001" in first.message and first.steps < second.steps
    assert np.allclose(fine, 1, atol=1e-6) and np.allclose(rough, 1, atol=0.2)


@pytest.mark.parametrize("wrong", [{"gtol": -1.0}, {"ftol": -1e-9}, {"gtol": float("nan")}])
def test_tolerances_are_not_negative(wrong):
    for make in (lambda: LBFGS([sp.tensor(START)], **wrong), lambda: in_a_box(ROWS, **wrong)):
        with pytest.raises(ValueError, match="tol must not be negative"):
            make()


def test_the_attack_makes_fewer_steps_with_a_tolerance():
    weight = np.random.default_rng(0).normal(size=(4, 3))
    x = np.full((5, 4), 0.5)
    y = np.full(5, int(np.argmax(x[0] @ weight)))
    model = lambda v: v @ sp.asarray(weight)  # noqa: E731
    slow, quick = attack.lbfgs(model, x, y), attack.lbfgs(model, x, y, gtol=1e-3, ftol=1e-4)
    assert quick.success.all() and (quick.steps < slow.steps).all()
    assert quick.distance == pytest.approx(slow.distance, rel=0.02)
