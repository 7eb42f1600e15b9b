"""Optimisers against their formulas written out in NumPy, schedules, line searches, state, and the one loop."""

import math
from functools import partial

import numpy as np
import pytest
import steep as sp
from steep import nn, optim
from steep.optim import LBFGS, SGD, AdaGrad, Adam, AdamW, RMSProp, maximize, minimize, schedules
from steep.optim.projections import box
from steep.random import Generator

START = np.array([1.0, -2.0, 0.5])
SCALE = np.array([1.0, 3.0, 0.2])


def arr(tensor):
    return tensor.detach().numpy().copy()


def bowl(w):
    return (sp.asarray(SCALE) * w * w).sum() / 2


def variable(value=START):
    return sp.tensor(np.asarray(value), requires_grad=True)


def iterates(make, steps=6, fun=bowl, start=START):
    w = variable(start)
    seen = []
    optim.minimize(fun, w, make, steps, callback=lambda progress: seen.append(arr(w)))
    return np.array(seen)


def formula(update, steps=6):
    """What ``update(w, g, state, t)`` gives on the bowl, in NumPy."""
    w, state, seen = START.copy(), {}, []
    for t in range(1, steps + 1):
        w = update(w, SCALE * w, state, t)
        seen.append(w)
    return np.array(seen)


def torch_sgd(w, g, s, t, mu=0.9, lr=0.1, nesterov=False):
    s["v"] = mu * s.get("v", 0) + g
    return w - lr * (g + mu * s["v"] if nesterov else s["v"])


def adam(w, g, s, t, decay=0.0, coupled=0.0):
    g = g + coupled * w
    s["m"], s["a"] = 0.9 * s.get("m", 0) + 0.1 * g, 0.999 * s.get("a", 0) + 0.001 * g * g
    step = s["m"] / (1 - 0.9**t) / (np.sqrt(s["a"] / (1 - 0.999**t)) + 1e-8)
    return w * (1 - 0.1 * decay) - 0.1 * step


def adagrad(w, g, s, t):
    s["a"] = s.get("a", 0) + g * g
    return w - 0.1 * g / (np.sqrt(s["a"]) + 1e-10)


def rmsprop(w, g, s, t):
    s["a"] = 0.99 * s.get("a", 0) + 0.01 * g * g
    return w - 0.1 * g / (np.sqrt(s["a"]) + 1e-8)


FORMULAS = [
    (partial(SGD, lr=0.1), lambda w, g, s, t: w - 0.1 * g),
    (partial(SGD, lr=0.1, weight_decay=0.5), lambda w, g, s, t: w - 0.1 * (g + 0.5 * w)),
    (partial(SGD, lr=0.1, momentum=0.9), torch_sgd),
    (partial(SGD, lr=0.1, momentum=0.9, nesterov=True), partial(torch_sgd, nesterov=True)),
    (partial(AdaGrad, lr=0.1), adagrad),
    (partial(RMSProp, lr=0.1), rmsprop),
    (partial(Adam, lr=0.1), adam),
    (partial(Adam, lr=0.1, weight_decay=0.3), partial(adam, coupled=0.3)),
    (partial(AdamW, lr=0.1, weight_decay=0.3), partial(adam, decay=0.3)),
]
EVERY = [make for make, _ in FORMULAS] + [
    partial(SGD, lr=0.1, momentum=0.9, formulation="keras"),
    partial(AdaGrad, lr=0.1, formulation="keras"),
    partial(RMSProp, lr=0.1, formulation="keras"),
    partial(LBFGS),
    partial(LBFGS, line_search="backtracking"),
]


@pytest.mark.parametrize("make, update", FORMULAS)
def test_iterates_follow_the_formula(make, update):
    assert np.allclose(iterates(make), formula(update), rtol=0, atol=1e-13)


@pytest.mark.parametrize("make", [SGD, Adam, LBFGS, lambda p, **k: SGD([{"params": p}], lr=0.1)])
def test_what_was_computed_from_parameters_is_not_a_parameter(make):
    w = sp.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match=r"must be leaves, got float32\(2,\) computed .*detach"):
        make([w * 2], lr=0.1)
    make([(w * 2).detach(), w], lr=0.1)


def test_the_two_formulations_of_sgd_agree_until_the_rate_changes():
    for nesterov in (False, True):
        make = partial(SGD, momentum=0.9, nesterov=nesterov)
        torch, keras = (iterates(partial(make, lr=0.1, formulation=f)) for f in ("torch", "keras"))
        assert np.allclose(torch, keras, rtol=0, atol=1e-14)
        rate = schedules.step(0.1, every=3)
        torch, keras = (iterates(partial(make, lr=rate, formulation=f)) for f in ("torch", "keras"))
        assert np.allclose(torch[:3], keras[:3], rtol=0, atol=1e-14)
        assert np.abs(torch[3] - keras[3]).max() > 1e-2


def test_default_rates_are_pytorchs():
    w = [variable()]
    assert [make(w).rate() for make in (AdaGrad, RMSProp, Adam, AdamW, LBFGS)] == [1e-2, 1e-2, 1e-3, 1e-3, 1]
    assert AdamW(w).weight_decay == 1e-2 and SGD(w, 1).momentum == 0


@pytest.mark.parametrize("make", EVERY)
def test_float32_parameters_stay_float32(make):
    w = variable(START.astype(np.float32))
    optim.minimize(lambda w: (w * w).sum(), w, make, 3)
    assert arr(w).dtype == np.float32 and np.isfinite(arr(w)).all()


def test_step_and_apply_gradients_are_one_path():
    a, b = variable(), variable()
    one, two = Adam([a], 0.1), Adam([b], 0.1)
    for _ in range(4):
        one.zero_grad()
        bowl(a).backward()
        one.step()
        with sp.GradientTape() as tape:
            loss = bowl(b)
        two.apply_gradients(zip(tape.gradient(loss, [b]), [b], strict=True))
    assert np.array_equal(arr(a), arr(b)) and one.steps == two.steps == 4


def test_a_parameter_without_a_gradient_stays_and_keeps_its_count():
    a, b = variable(), variable()
    optimizer = Adam([a, b], 0.1)
    for i in range(3):
        optimizer.zero_grad()
        (bowl(a) + bowl(b) if i == 2 else bowl(a)).backward()
        optimizer.step()
    assert np.allclose(arr(b), iterates(partial(Adam, lr=0.1), 1)[0], atol=1e-14)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: SGD([variable()], -0.1), ValueError, "must not be negative, got -0.1; to ascend, pass maximize=True"),
        (lambda: SGD([variable()], math.nan), ValueError, "finite"),
        (lambda: SGD([], 0.1), ValueError, "at least one parameter"),
        (lambda: SGD([1.0], 0.1), TypeError, "must be tensors, got float"),
        (lambda: SGD([variable()], 0.1, formulation="jax"), ValueError, "formulation must be one of"),
        (lambda: SGD([variable()], 0.1, nesterov=True), ValueError, "nesterov needs a momentum"),
        (lambda: SGD([variable()], 0.1, weight_decay=-1.0), ValueError, "weight_decay must not be negative"),
        (lambda: Adam([variable()], 0.1, betas=(1.0, 0.9)), ValueError, r"betas\[0\] must lie in"),
        (lambda: RMSProp([variable()], 0.1, rho=2.0), ValueError, "rho must lie in"),
        (lambda: SGD([variable()], 0.1).step(), ValueError, "call backward"),
        (lambda: SGD([variable()], 0.1).apply_gradients([(START, variable())]), ValueError, "not one of its param"),
        (lambda: LBFGS([variable()]).step(), TypeError, r"call step\(closure\)"),
        (lambda: LBFGS([variable()]).apply_gradients([]), TypeError, r"call step\(closure\)"),
        (lambda: LBFGS([variable()], line_search="none"), ValueError, "line_search must be one of"),
        (lambda: LBFGS([variable()]).step(lambda: None), TypeError, "must return the loss"),
        (lambda: LBFGS([variable(), variable(np.float32([1.0]))]), TypeError, "one dtype"),
    ],
)
def test_misuse_is_refused_with_a_reason(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_schedule_that_becomes_negative_is_refused():
    w = variable()
    optimizer = SGD(w, lambda t: 0.1 - t)
    with pytest.raises(ValueError, match="maximize=True"):
        optim.minimize(bowl, w, optimizer, 2)


def test_a_gradient_is_cast_to_the_type_of_its_parameter():
    w = variable(START.astype(np.float32))
    optimizer = SGD([w], 0.5, momentum=0.9)
    optimizer.apply_gradients([(np.array([2.0, 4.0, 6.0]), w)])
    assert np.array_equal(arr(w), np.float32([0.0, -4.0, -2.5])) and arr(w).dtype == np.float32


def test_a_wrong_gradient_moves_nothing():
    a, b = variable(), variable()
    optimizer = SGD([a, b], 0.1)
    with pytest.raises(ValueError, match=r"shape \(2,\) does not fit a parameter of shape \(3,\)"):
        optimizer.apply_gradients([(START, a), (np.zeros(2), b)])
    assert np.array_equal(arr(a), START) and optimizer.steps == 0


# -- state --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", EVERY)
def test_a_loaded_state_goes_on_bit_for_bit(make):
    def rosen(w):
        return (1 - w[0]) ** 2 + (w[1] - w[0] * w[0]) ** 2 / 5 + w[2] ** 2

    w = variable()
    first = make([w])
    optim.minimize(lambda ws: rosen(ws[0]), [w], first, 5)
    again = variable(arr(w))
    second = make([again])
    second.load_state_dict(first.state_dict())
    optim.minimize(lambda ws: rosen(ws[0]), [w], first, 5)
    optim.minimize(lambda ws: rosen(ws[0]), [again], second, 5)
    assert np.array_equal(arr(w), arr(again)) and second.steps == first.steps == 10


def test_a_state_is_a_copy_and_belongs_to_its_kind_and_shapes():
    w = variable()
    optimizer = SGD([w], 0.1, momentum=0.9)
    state = optimizer.state_dict()
    optim.minimize(lambda ws: bowl(ws[0]), [w], optimizer, 1)
    assert not arr(state["slots"][0]["velocity"]).any()
    with pytest.raises(ValueError, match="state of SGD cannot be loaded into Adam"):
        Adam([w]).load_state_dict(state)
    with pytest.raises(ValueError, match="slots"):
        SGD([variable([1.0])], 0.1, momentum=0.9).load_state_dict(state)
    with pytest.raises(ValueError, match="slots"):
        SGD([w], 0.1).load_state_dict(state)


# -- schedules ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "schedule, expected",
    [
        (schedules.constant(0.5), [0.5] * 6),
        (schedules.step(1.0, every=2, factor=0.5), [1, 1, 0.5, 0.5, 0.25, 0.25]),
        (schedules.exponential(1.0, 0.5), [1, 0.5, 0.25, 0.125, 0.0625, 0.03125]),
        (schedules.inverse_time(1.0), [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 6]),
        (schedules.cosine(1.0, 4), [1, (2 + math.sqrt(2)) / 4, 0.5, (2 - math.sqrt(2)) / 4, 0, 0]),
        (schedules.cosine(1.0, 2, final=0.5), [1, 0.75, 0.5, 0.5, 0.5, 0.5]),
        (schedules.warmup(schedules.exponential(1.0, 0.5), 3), [0.25, 0.5, 0.75, 1, 0.5, 0.25]),
        (schedules.warmup(0.8, 1), [0.4, 0.8, 0.8, 0.8, 0.8, 0.8]),
    ],
)
def test_schedules(schedule, expected):
    assert np.allclose([schedule(t) for t in range(6)], expected, rtol=0, atol=1e-15)


def test_an_optimiser_asks_its_schedule_once_a_step():
    asked = []
    w = variable()
    optim.minimize(bowl, w, SGD(w, lambda t: asked.append(t) or 0.1), 3)
    assert asked == [0, 1, 2]


# -- L-BFGS -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("search", ["strong_wolfe", "backtracking"])
def test_lbfgs_solves_rosenbrock_in_ten_dimensions(search):
    def rosen(w):
        return (100 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2).sum()

    w = variable(np.full(10, 0.2))
    result = optim.minimize(rosen, w, partial(LBFGS, line_search=search), 100)
    assert result.history[-1] < 1e-16 and np.allclose(arr(w), 1, atol=1e-7)


def test_lbfgs_needs_few_steps_on_a_quadratic_and_stays_at_its_minimum():
    w = variable(np.ones(20))
    scale = sp.asarray(np.linspace(1, 100, 20))
    result = optim.minimize(lambda w: (scale * w * w).sum(), w, partial(LBFGS, history=20), 40)
    assert result.history[30] < 1e-12
    bottom = variable(np.zeros(3))
    optim.minimize(bowl, bottom, LBFGS, 3)
    assert not arr(bottom).any()


def test_lbfgs_steps_with_a_closure_over_several_parameters():
    a, b = variable([3.0]), variable(np.ones((2, 2)))
    optimizer = LBFGS([a, b])

    def closure():
        optimizer.zero_grad()
        loss = ((a - 1) ** 2).sum() + ((b + a) ** 2).sum()
        loss.backward()
        return loss

    losses = [float(optimizer.step(closure)) for _ in range(20)]
    assert losses[0] == 4 + 4 * 16 and losses[-1] < 1e-12
    assert np.allclose(arr(a), 1) and np.allclose(arr(b), -1) and b.shape == (2, 2)


def test_strong_wolfe_points_satisfy_both_conditions():
    from steep.optim.line_search import Point, strong_wolfe

    def phi(x):  # falls to its minimum at 8 and rises steeply after
        return Point(x, (x - 8) ** 2 + math.sin(3 * x), 2 * (x - 8) + 3 * math.cos(3 * x), None)

    for length in (1e-3, 1.0, 100.0):
        start = phi(0.0)
        best = strong_wolfe(phi, start, length)
        assert best.value <= start.value + 1e-4 * best.length * start.slope
        assert abs(best.slope) <= 0.9 * abs(start.slope)


def test_the_cubic_of_a_line_search_finds_the_minimum_of_a_cubic():
    from steep.optim.line_search import Point, _cubic_minimum

    def cubic(x):  # its minimum is at 2
        return Point(x, x**3 - 12 * x, 3 * x * x - 12, None)

    for ends in ((0.0, 3.0), (3.0, 0.0), (1.0, 1.5), (2.5, 4.0)):
        assert _cubic_minimum(*map(cubic, ends)) == pytest.approx(2, abs=1e-12)
    assert math.isnan(_cubic_minimum(cubic(1.0), cubic(1.0)))


# -- the loop -----------------------------------------------------------------------------------------------------


def test_the_loop_moves_trees_in_place_and_records_the_values():
    params = {"w": variable(), "rest": [variable([2.0]), None]}
    tensor = params["w"]
    result = optim.minimize(lambda p: bowl(p["w"]) + (p["rest"][0] ** 2).sum(), params, partial(SGD, lr=0.1), 3)
    assert result.params["w"] is tensor and np.allclose(arr(tensor), START * (1 - 0.1 * SCALE) ** 3)
    assert len(result.history) == result.steps == 3 and result.status == "finished" and not result.diverged
    assert result.history[0] == pytest.approx(float(bowl(variable())) + 4) and result.history[2] < result.history[1]


def test_the_loop_leaves_other_tensors_gradients_alone():
    model = nn.Linear(3, 1, generator=0, dtype=sp.float64)
    x = variable()
    optim.maximize(lambda x: model(x).sum() - (x * x).sum(), x, partial(SGD, lr=0.1), 200)
    assert np.allclose(arr(x), arr(model.weight)[0] / 2, atol=1e-9)
    assert all(p.grad is None for p in model.parameters())


def test_the_loop_trains_a_model_through_its_own_parameters():
    model = nn.Linear(3, 1, generator=0, dtype=sp.float64)
    x = np.random.default_rng(0).normal(size=(50, 3))
    y = x @ np.array([[1.0], [2.0], [3.0]]) + 4
    result = optim.minimize(lambda p: nn.mse_loss(model(x), y), model.parameters(), partial(SGD, lr=0.3), 200)
    assert result.history[-1] < 1e-20 and np.allclose(arr(model.weight), [[1, 2, 3]])


def test_the_loop_moves_tensors_that_require_no_gradient_too():
    w, frozen = sp.tensor(START), variable()
    optim.minimize(lambda p: bowl(p[0]) + bowl(p[1]), [w, frozen], partial(SGD, lr=0.1), 2)
    assert np.array_equal(arr(w), arr(frozen)) and np.allclose(arr(w), START * (1 - 0.1 * SCALE) ** 2)
    assert not w.requires_grad


def test_project_in_place_or_by_value():
    def clipped(x):
        return np.clip(arr(x), -0.25, 0.25)

    def in_place(x):
        x[...] = clipped(x)

    for project in (clipped, in_place):
        w = variable()
        seen = []
        optim.maximize(bowl, w, partial(SGD, lr=0.1), 4, project, lambda progress, w=w, s=seen: s.append(arr(w)))
        assert np.abs(seen).max() == 0.25 and len(seen) == 4


def test_a_callback_may_stop_the_loop():
    w = variable()
    result = optim.minimize(bowl, w, partial(SGD, lr=0.1), 100, callback=lambda p: p.value < 1)
    assert result.status == "stopped" and result.history[-1] < 1 <= result.history[-2]


def test_divergence_is_reported_before_a_step_is_made_from_it():
    w = variable([2.0])
    result = optim.minimize(lambda w: sp.log(w).sum(), w, partial(SGD, lr=1.5), 10)
    assert result.diverged and "at step" in result.message
    assert len(result.history) == result.steps + 1 and np.isfinite(arr(w)).all()


def test_the_loop_refuses_what_it_cannot_do():
    w = variable()
    with pytest.raises(ValueError, match="must return a scalar tensor, got shape"):
        optim.minimize(lambda w: w * 2, w, partial(SGD, lr=0.1), 1)
    with pytest.raises(ValueError, match="must return a scalar tensor, got float"):
        optim.minimize(lambda w: 1.0, w, partial(SGD, lr=0.1), 1)
    with pytest.raises(ValueError, match="other tensors"):
        optim.minimize(bowl, w, SGD(variable(), 0.1), 1)
    with pytest.raises(ValueError, match="call maximize"):
        optim.minimize(bowl, w, SGD(w, 0.1, maximize=True), 1)
    with pytest.raises(ValueError, match="no parameter has a gradient"):
        optim.minimize(lambda _: bowl(variable()), w, partial(SGD, lr=0.1), 1)


# -- the one loop, captured -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalize", [None, "l2", "mean_abs", "std", "sign"])
@pytest.mark.parametrize("make", [partial(SGD, lr=0.1, momentum=0.9), partial(Adam, lr=lambda k: 0.1 / (k + 1)), LBFGS])
def test_a_captured_run_has_the_same_bits(make, normalize):
    def run(capture):
        x, draws = Generator(1).normal((3, 5)), Generator(2)
        f = lambda v: sp.sum(sp.tanh(v + 0.1 * draws.normal((5,))) ** 2)  # noqa: E731
        return maximize(f, x, make, 30, project=box(-0.9, 0.8), normalize=normalize, capture=capture)

    fast, plain = run(True), run(False)
    assert fast.eager == plain.eager == "" and fast.history == plain.history
    assert np.array_equal(np.asarray(fast.params), np.asarray(plain.params))


def test_what_cannot_be_captured_runs_as_it_is_and_says_why():
    f = lambda v: sp.sum(v * v) if float(v.sum()) > 0 else -sp.sum(v)  # noqa: E731
    runs = [minimize(f, sp.ones(3), partial(SGD, lr=0.1), 5, capture=capture) for capture in (True, False)]
    assert runs[0].history == runs[1].history and "value of" in runs[0].eager and runs[1].eager == ""
    clip = lambda v: sp.asarray(np.clip(v.numpy(), 0, 1))  # noqa: E731
    go = partial(minimize, lambda v: sp.sum(v), optimizer=partial(SGD, lr=0.4), steps=5, project=clip)
    clipped = [go(params=sp.ones(3), capture=capture) for capture in (True, False)]
    assert clipped[0].history == clipped[1].history and clipped[0].eager


class Watchful(SGD):
    """An update that looks at a value after it has moved the parameter."""

    def update(self, param, grad, slots, lr, count):
        super().update(param, grad, slots, lr, count)
        self.largest = float(sp.max(sp.abs(param)))


def test_a_part_that_was_refused_halfway_has_the_same_bits():
    """A refused recording has drawn and moved already; the eager run must not find it done."""

    def run(capture):
        draws, x = Generator(2), sp.ones(5)

        def f(v):
            value = sp.sum(sp.square(v + draws.normal((5,))))
            return value if float(value) > 0 else -value

        result = minimize(f, x, partial(Watchful, lr=0.1, momentum=0.9), 4, capture=capture)
        return result.history, np.asarray(x).tobytes(), draws.position

    assert run(True) == run(False)


def test_a_number_that_the_objective_closes_over_may_change_during_a_captured_run():
    weight = {"of": 1.0}

    def soften(progress):
        weight["of"] *= 0.5

    x = sp.ones(2)
    result = minimize(lambda v: weight["of"] * sp.sum(v), x, partial(SGD, lr=1.0), 3, callback=soften, capture=True)
    assert np.array_equal(np.asarray(x), [1 - 1.75] * 2) and result.eager == ""


def test_a_captured_run_stops_where_a_value_is_not_finite():
    for capture in (True, False):
        x = sp.tensor([1.0])
        result = minimize(lambda v: -sp.sum(v**3), x, partial(SGD, lr=1e3), 40, capture=capture)
        assert result.diverged and np.isfinite(np.asarray(x)).all()


def test_unknown_normalizations_are_refused():
    with pytest.raises(ValueError, match="normalize must be one of"):
        minimize(lambda v: sp.sum(v), sp.ones(2), partial(SGD, lr=0.1), 1, normalize="l3")
