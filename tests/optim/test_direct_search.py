"""Random search, Nelder-Mead and CMA-ES, which use values alone, and Newton-CG, which uses Hessian-vector products."""

import math
from functools import partial

import numpy as np
import pytest
import steep as sp
from steep import optim
from steep.optim import CMAES, NelderMead, NewtonCG, RandomSearch, maximize, minimize

arr = np.asarray
START = np.array([-1.2, 1.0])
SEARCHES = {"random": partial(RandomSearch, scale=0.5), "simplex": partial(NelderMead, scale=0.5),
            "adaptive": partial(NelderMead, scale=0.5, adaptive=True), "cma": partial(CMAES, scale=0.5)}  # fmt: skip
ALL = {**SEARCHES, "newton": NewtonCG}
each = pytest.mark.parametrize("make", ALL.values(), ids=ALL)
searches = pytest.mark.parametrize("make", SEARCHES.values(), ids=SEARCHES)


def rosenbrock(v):
    return sp.sum(100 * (v[1:] - v[:-1] ** 2) ** 2 + (1 - v[:-1]) ** 2)


def valley(v):
    return (v[0] - 1) ** 2 + 20 * (v[1] - v[0]) ** 2


def run(make, steps, fun=rosenbrock, start=START, go=minimize, **options):
    x = sp.tensor(start)
    seen = []
    result = go(fun, x, make, steps, callback=lambda p: seen.append(arr(x).copy()), **options)
    return result, np.array(seen)


@each
def test_it_reaches_the_minimum_and_says_so(make):
    fun = valley if make is SEARCHES["random"] else rosenbrock
    make = partial(make, gtol=1e-8) if make is NewtonCG else partial(make, xtol=1e-8)
    result, seen = run(make, 5000, fun)
    assert result.status == "converged" and result.steps == len(seen)
    assert np.allclose(seen[-1], 1, atol=1e-5) and np.all(np.diff(result.history) <= 0)


@each
def test_maximising_is_minimising_the_negative_bit_for_bit(make):
    _, down = run(make, 12)
    _, up = run(make, 12, lambda v: -rosenbrock(v), go=maximize)
    _, option = run(partial(make, maximize=True), 12, lambda v: -rosenbrock(v), go=maximize)
    assert np.array_equal(down, up) and np.array_equal(down, option) and len(np.unique(down)) > 2


@each
def test_captured_steps_have_the_same_bits(make):
    plain, seen = run(make, 25)
    fast, again = run(make, 25, capture=True)
    assert np.array_equal(seen, again) and plain.history == fast.history and fast.eager == ""
    assert (plain.evaluations, plain.products) == (fast.evaluations, fast.products)


@searches
@pytest.mark.parametrize("monotone", [lambda y: y * 2 + 5, lambda y: sp.log(y + 1e-3), lambda y: y**3])
def test_a_search_depends_on_the_order_of_values_alone(make, monotone):
    _, seen = run(make, 30)
    _, other = run(make, 30, lambda v: monotone(rosenbrock(v)))
    assert np.array_equal(seen, other)


@pytest.mark.parametrize("make", [SEARCHES["random"], SEARCHES["cma"]], ids=["random", "cma"])
def test_a_seed_decides_every_bit(make):
    runs = [run(partial(make, generator=seed), 20)[1] for seed in (1, 1, 2)]
    assert np.array_equal(runs[0], runs[1]) and not np.array_equal(runs[0], runs[2])
    with sp.threads(1):
        assert np.array_equal(run(partial(make, generator=1), 20)[1], runs[0])


@each
def test_a_run_resumed_from_its_state_has_the_same_bits(make):
    _, whole = run(make, 20)
    x = sp.tensor(START)
    first = make(x)
    minimize(rosenbrock, x, first, 8)
    state, y = first.state_dict(), sp.tensor(arr(x))
    second = make(y)
    second.load_state_dict(state)
    minimize(rosenbrock, y, second, 12)
    assert np.array_equal(arr(y), whole[-1])


@searches
def test_no_gradient_is_asked_for(make):
    def steps(v):
        assert not sp.is_grad_enabled()
        return sp.tensor(float(np.ceil(abs(float(v[0])) * 8) + np.ceil(abs(float(v[1])) * 8)))

    result, _ = run(make, 200, steps)
    assert result.history[-1] <= 4 < result.history[0] and result.products == 0


@searches
def test_values_that_are_not_finite_are_the_worst(make):
    result, seen = run(make, 150, lambda v: sp.sum(v - sp.log(v)), start=np.array([0.05, 3.0]))
    assert result.status == "finished" and np.isfinite(result.history).all() and np.allclose(seen[-1], 1, atol=0.05)
    there, _ = run(make, 5, lambda v: sp.sum(sp.log(v)), start=np.array([-1.0, 1.0]))
    assert there.status == "diverged" and there.steps == 0


@searches
def test_parameters_moved_from_outside_begin_a_new_search(make):
    _, seen = run(make, 200, lambda v: sp.sum((v - 3) ** 2), project=optim.projections.box(-1, 1))
    assert np.array_equal(seen[-1], [1, 1]) or np.abs(seen[-1]).max() <= 1


@each
def test_trees_of_parameters_in_single_precision(make):
    params = {"a": sp.tensor(np.float32([2.0, -1.0])), "b": [sp.tensor(np.float32(0.5))]}
    result = minimize(lambda p: sp.sum(p["a"] ** 2) + 3 * (p["b"][0] - 1) ** 2, params, make, 300)
    assert result.history[-1] < 1e-4 and params["a"].dtype == sp.float32
    with pytest.raises(TypeError, match="one dtype"):
        make([sp.ones(1), sp.ones(1, dtype="float64")])


@each
def test_what_it_cannot_do_is_refused(make):
    x = sp.tensor(START, requires_grad=True)
    with pytest.raises(TypeError, match="evaluate the loss several times"):
        make(x).apply_gradients([(x, x)])
    with pytest.raises(TypeError, match=r"step\(closure\)"):
        make(x).step()
    with pytest.raises(ValueError, match="not be negative"):
        make(x, **({"gtol": -1} if make is NewtonCG else {"xtol": -1}))
    if make is NewtonCG:
        with pytest.raises(TypeError, match=r"optim\.minimize"):
            make(x).step(lambda: rosenbrock(x))
    else:
        before = float(rosenbrock(x.detach()))
        assert float(make(x).step(lambda: rosenbrock(x.detach()))) == before
        with pytest.raises(ValueError, match="scale must be positive"):
            make(x, scale=0.0)


def test_nelder_mead_makes_the_steps_of_scipy():
    optimize = pytest.importorskip("scipy.optimize")
    for adaptive, start in ((False, START), (True, np.array([-1.2, 1.0, 0.3, -0.5]))):
        simplex = np.concatenate([start[None], start + 0.5 * np.eye(len(start))])
        theirs = []
        there = optimize.minimize(
            optimize.rosen, start, method="Nelder-Mead", callback=lambda x, to=theirs: to.append(x.copy()),
            options={"initial_simplex": simplex, "adaptive": adaptive, "xatol": 0, "fatol": 0, "maxiter": 60},
        )  # fmt: skip
        result, seen = run(partial(NelderMead, scale=0.5, adaptive=adaptive), len(theirs) + 1, start=start)
        assert len(theirs) > 55 and np.allclose(seen[1:], theirs, rtol=1e-9, atol=1e-12)
        assert abs(result.evaluations - there.nfev) <= 4


def test_parameters_of_cma_es_are_those_of_the_tutorial():
    """Hansen 2016, table 1: for n = 10 there are 10 points, of which 5 have weights."""
    cma = CMAES(sp.zeros(10, dtype="float64"))
    assert cma.population == 10 and len(cma.weights) == 5
    raw = np.log(5.5) - np.log(np.arange(1, 6))
    assert np.allclose(cma.weights, raw / raw.sum()) and cma.effective == pytest.approx(3.167, abs=5e-4)
    assert cma.rate_of_deviation == pytest.approx((cma.effective + 2) / (15 + cma.effective))
    assert cma.expected == pytest.approx(math.sqrt(2) * math.gamma(5.5) / math.gamma(5), rel=2e-4)


def test_cma_es_learns_the_shape_of_a_quadratic():
    """Its covariance approaches a multiple of the inverse Hessian, so the condition does not matter in the end."""
    hessian = np.diag([1.0, 100.0, 10_000.0])
    x = sp.zeros(3, dtype="float64")
    cma = CMAES(x, 1.0)
    result = minimize(lambda v: ((v - 1) * (sp.tensor(hessian) @ (v - 1))).sum(), x, cma, 150)
    ratios = np.diag(cma.covariance) * np.diag(hessian)
    assert result.history[-1] < 1e-8 and ratios.max() / ratios.min() < 5


def test_random_search_succeeds_about_once_in_five_points():
    result, _ = run(RandomSearch, 2000, lambda v: sp.sum(v * v), start=np.ones(10))
    share = (np.diff(result.history) < 0).mean()
    assert 0.15 < share < 0.3 and result.evaluations == 2001


def test_newton_cg_takes_few_steps_and_products_are_those_of_hvp():
    n = 8
    rng = np.random.default_rng(0)
    half = rng.normal(size=(n, n))
    a, b = sp.tensor(half @ half.T + np.eye(n)), sp.tensor(rng.normal(size=n))
    result, seen = run(
        partial(NewtonCG, gtol=1e-10), 50, lambda v: (v * (a @ v)).sum() / 2 - (b * v).sum(), np.zeros(n)
    )
    assert result.converged and result.steps <= 8 and np.allclose(seen[-1], np.linalg.solve(arr(a), arr(b)), atol=1e-9)
    x, v = sp.tensor(START), sp.tensor([0.3, -0.7], dtype="float64")
    found = optim.loop._product(rosenbrock, x, NewtonCG(x), 1, [v])[0]
    assert np.allclose(arr(found), arr(sp.hvp(rosenbrock, x, v)), rtol=1e-13)


def test_newton_cg_leaves_a_saddle_and_needs_fewer_steps_than_scipy_twice():
    saddle, seen = run(partial(NewtonCG, gtol=1e-9), 60, lambda v: v[0] ** 2 / 2 + v[1] ** 4 / 4 - v[1] ** 2 / 2,
                       np.array([1.5, 0.01]))  # fmt: skip
    assert saddle.converged and np.allclose(np.abs(seen[-1]), [0, 1], atol=1e-6)
    optimize = pytest.importorskip("scipy.optimize")
    there = optimize.minimize(optimize.rosen, START, jac=optimize.rosen_der, hessp=optimize.rosen_hess_prod,
                              method="Newton-CG", options={"xtol": 1e-10})  # fmt: skip
    result, _ = run(partial(NewtonCG, gtol=1e-8), 300)
    assert result.converged and result.steps <= 2 * there.nit


def test_products_reach_weights_that_the_function_closes_over():
    w = sp.tensor([2.0, -1.0], dtype="float64")
    result = minimize(lambda _: ((w - 1) ** 4).sum() + (w**2).sum(), w, partial(NewtonCG, gtol=1e-9), 50)
    assert result.converged and result.products > 0
    assert np.abs(4 * (arr(w) - 1) ** 3 + 2 * arr(w)).max() <= 1e-9


@pytest.mark.parametrize("population", [3, 0, -1])
def test_cma_es_needs_a_few_points(population):
    with pytest.raises(ValueError, match="at least 4 points"):
        CMAES(sp.zeros(2), population=population)
