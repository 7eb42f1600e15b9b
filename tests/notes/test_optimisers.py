"""Rows 1, 5, 11, 13 to 16, 23, 36 and 37 of docs/notes.md: what optimisers do on quadratics."""

import itertools
from functools import partial

import numpy as np
import pytest
import steep as sp
from numeric import arr, variable
from steep.optim import (
    CMAES,
    LBFGS,
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    NelderMead,
    NewtonCG,
    RandomSearch,
    RMSProp,
    Steepest,
    maximize,
    minimize,
    schedules,
)


def half_square(w):
    return w * w / 2


BOTH = pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-10), (np.float32, 1e-5)])


def iterates(make, steps, dtype=np.float64):
    w = variable(1.0, dtype)
    seen = [float(w)]
    minimize(half_square, w, make, steps, callback=lambda progress: seen.append(float(w)))
    return seen


def by_hand(move, steps):
    """Iterates of ``move(w, state) -> (w, state)`` in Python's floats, which never call steep."""
    w, state, seen = 1.0, None, [1.0]
    for _ in range(steps):
        w, state = move(w, state)
        seen.append(w)
    return seen


def agree(found, exact, printed, tolerance):
    """The iterates equal those by hand within the tolerance, and those to as many digits as are printed."""
    assert np.allclose(found, exact[: len(found)], rtol=0, atol=tolerance)
    assert [round(w, 6) for w in exact[: len(printed)]] == printed


def steps_until(make, target=0.01):
    """Steps until the loss w^2/2 is at most ``target``."""
    w = variable(1.0)
    result = minimize(half_square, w, make, 10_000, callback=lambda progress: float(half_square(w)) <= target)
    return result.steps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_row_1_one_descent_step(dtype):
    w = variable(1.0, dtype)
    loss = w**2
    loss.backward()
    with sp.no_grad():
        w += -0.1 * w.grad
    assert arr(w) == dtype(0.8)
    v = variable(1.0, dtype)
    minimize(lambda v: v**2, v, partial(SGD, lr=0.1), 1)
    assert arr(v) == dtype(0.8)


@pytest.mark.parametrize(
    "make",
    [
        partial(SGD, lr=0.1),
        partial(SGD, lr=0.1, momentum=0.9, nesterov=True),
        partial(SGD, lr=0.1, momentum=0.9, formulation="keras"),
        partial(AdaGrad, lr=0.1),
        partial(RMSProp, lr=0.1),
        partial(Adam, lr=0.1),
        partial(AdamW, lr=0.1),
        partial(Steepest, lr=0.1, norm="l2"),
        LBFGS,
        NewtonCG,
        NelderMead,
        CMAES,
        RandomSearch,
    ],
)
def test_row_5_maximising_is_minimising_the_negative_bit_for_bit(make):
    def hill(x):
        return (sp.tanh(x) - x * x * np.float32(0.3)).sum()

    def run(go, fun, make):
        x = variable([0.3, -1.2, 2.0], np.float32)
        seen = []
        result = go(fun, x, make, 12, callback=lambda progress: seen.append(arr(x).tobytes()))
        return seen, result.history

    down, losses = run(minimize, lambda x: -hill(x), make)
    up, values = run(maximize, hill, make)
    option, same_values = run(maximize, hill, partial(make, maximize=True))
    assert down == up == option and len(set(down)) > 1
    assert values == same_values == [-loss for loss in losses]
    assert values[-1] > values[0]


def test_row_5_the_option_alone_with_backward_and_step():
    x, y = variable([0.3, -1.2]), variable([0.3, -1.2])
    up, down = Adam([x], 0.1, maximize=True), Adam([y], 0.1)
    for _ in range(10):
        for tensor, optimizer, sign in ((x, up, 1), (y, down, -1)):
            optimizer.zero_grad()
            (sign * sp.tanh(tensor).sum()).backward()
            optimizer.step()
    assert np.array_equal(arr(x), arr(y)) and arr(x)[0] > 0.3


def test_row_11_loss_falls_below_two_over_the_curvature_and_rises_above():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(4, 4))
    a = a @ a.T
    values, vectors = np.linalg.eigh(a)
    steepest = vectors[:, -1] * 0.1

    def loss(w):
        return (w * (sp.asarray(a) @ w)).sum() / 2

    for factor, change in ((1.99, -1), (2.01, 1)):
        w = variable(steepest)
        before = float(loss(w))
        with sp.GradientTape() as tape:
            value = loss(w)
        gradient = tape.gradient(value, w)
        with sp.no_grad():
            w -= factor / values[-1] * gradient
        assert np.sign(float(loss(w)) - before) == change


@pytest.mark.parametrize("factor", [0.01, 0.5, 1.0, 1.5, 1.99])
def test_row_11_below_the_bound_it_falls_from_anywhere(factor):
    rng = np.random.default_rng(1)
    root = rng.normal(size=(4, 4))
    a = sp.asarray(root @ root.T)
    bound = np.linalg.eigvalsh(root @ root.T)[-1]

    def loss(w):
        return (w * (a @ w)).sum() / 2

    for start in rng.normal(size=(20, 4)):
        w = variable(start)
        before = float(loss(w))
        minimize(loss, w, partial(SGD, lr=factor / bound), 1)
        assert float(loss(w)) < before


def test_row_13_too_small_a_rate_is_slow_and_too_large_a_one_is_reported():
    slow, fast = (steps_until(partial(SGD, lr=lr), 1e-6) for lr in (0.01, 0.5))
    assert slow > 10 * fast
    w = variable(1.0, np.float32)
    result = minimize(half_square, w, partial(SGD, lr=2.1), 5000)
    assert result.diverged and "smaller rate" in result.message and result.steps < 5000
    assert result.history[1] > result.history[0]


def literal_momentum(momentum, lr=0.1, dtype=np.float64):
    """The lines as printed: the velocity has the wrong sign."""
    w, past_velocity = variable(1.0, dtype), 0.0
    while True:
        yield float(w)
        with sp.GradientTape() as tape:
            loss = half_square(w)
        gradient = tape.gradient(loss, w)
        velocity = past_velocity * momentum + lr * gradient
        with sp.no_grad():
            w += momentum * velocity - lr * gradient
        past_velocity = velocity


def nesterov(momentum, sign, lr=0.1):
    """The two lines of the notes, ``sign`` +1 as printed and -1 as corrected, on floats."""

    def move(w, past):
        velocity = (past or 0.0) * momentum + sign * lr * w
        return w + momentum * velocity - lr * w, velocity

    return move


@BOTH
def test_row_14_literal_momentum_of_one_tenth(dtype, tolerance):
    found = [float(w) for w in itertools.islice(literal_momentum(0.1, dtype=dtype), 6)]
    printed = [1, 0.91, 0.8291, 0.755491, 0.688427, 0.627317]
    agree(found, by_hand(nesterov(0.1, 1), 5), printed, tolerance)


def test_row_14_literal_momentum_takes_22_steps():
    assert next(i for i, w in enumerate(literal_momentum(0.1)) if w * w / 2 <= 0.01) == 22


def test_row_14_steps_to_a_loss_of_one_hundredth():
    assert steps_until(partial(SGD, lr=0.1)) == 19
    assert steps_until(partial(SGD, lr=0.1, momentum=0.1)) == 17
    assert steps_until(partial(SGD, lr=0.1, momentum=0.1, nesterov=True)) == 17


def test_row_14_literal_momentum_of_nine_tenths_diverges():
    w = list(itertools.islice(literal_momentum(0.9), 101))
    assert np.allclose(w[:4], [1, 0.99, 1.0611, 1.20358], rtol=0, atol=5e-6)
    assert w[100] == pytest.approx(7.30e8, rel=1e-3)


@BOTH
@pytest.mark.parametrize(
    "momentum, printed",
    [
        (0.1, [1, 0.89, 0.7911, 0.703089, 0.624859, 0.555333]),
        (0.9, [1, 0.81, 0.5751, 0.327321, 0.093888, -0.104582]),
    ],
)
def test_row_15_with_its_sign_corrected_it_is_keras_nesterov(momentum, printed, dtype, tolerance):
    make = partial(SGD, lr=0.1, momentum=momentum, nesterov=True, formulation="keras")
    agree(iterates(make, 5, dtype), by_hand(nesterov(momentum, -1), 5), printed, tolerance)


def adaptive(lr, start, keep, add, inside, eps):
    """AdaGrad and RMSProp on floats: squares from ``start``, times ``keep``, and ``eps`` in the root or after it."""

    def move(w, squares):
        squares = keep * (start if squares is None else squares) + add * w * w
        root = np.sqrt(squares + eps) if inside else np.sqrt(squares) + eps
        return float(w - lr * w / root), squares

    return move


ADAPTIVE = {
    "AdaGrad": (partial(AdaGrad, lr=0.1), adaptive(0.1, 0, 1, 1, False, 1e-10),
                [1, 0.9, 0.833104, 0.780456, 0.736223, 0.697715]),
    "AdaGrad, Keras": (partial(AdaGrad, lr=0.1, formulation="keras"), adaptive(0.1, 0.1, 1, 1, True, 1e-7),
                       [1, 0.904654, 0.839339, 0.787513, 0.743783]),
    "RMSProp": (partial(RMSProp, lr=0.01), adaptive(0.01, 0, 0.99, 0.01, False, 1e-8),
                [1, 0.9, 0.832918, 0.779982, 0.735389]),
    "RMSProp, Keras": (partial(RMSProp, lr=0.001, formulation="keras"), adaptive(0.001, 0, 0.9, 0.1, True, 1e-7),
                       [1, 0.996838, 0.994547, 0.992631]),
}  # fmt: skip


@BOTH
@pytest.mark.parametrize("name", ADAPTIVE)
def test_row_16_adagrad_and_rmsprop_in_both_forms(name, dtype, tolerance):
    make, move, printed = ADAPTIVE[name]
    agree(iterates(make, len(printed) - 1, dtype), by_hand(move, len(printed) - 1), printed, tolerance)


def test_row_23_the_rate_is_a_function_of_the_step():
    assert iterates(partial(SGD, lr=lambda t: 1 / (t + 1)), 3) == [1, 0, 0, 0]
    assert iterates(partial(SGD, lr=schedules.inverse_time(1.0)), 3) == [1, 0, 0, 0]
    assert iterates(partial(SGD, lr=lambda t: 1 / (t + 2)), 3) == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])


def printed_momentum(sign, steps, dtype, eta=0.1, alpha=0.9):
    """theta - eta * gradient - alpha * m, where m is ``sign`` times the previous update."""
    theta, update, seen = variable(1.0, dtype), 0.0, [1.0]
    for _ in range(steps):
        with sp.GradientTape() as tape:
            loss = half_square(theta)
        update = -eta * float(tape.gradient(loss, theta)) - alpha * sign * update
        with sp.no_grad():
            theta += update
        seen.append(float(theta))
    return seen


@BOTH
def test_row_36_momentum_against_the_previous_update_is_the_heavy_ball(dtype, tolerance):
    expected = [1, 0.9, 0.72, 0.486, 0.2268]
    assert np.allclose(printed_momentum(-1, 4, dtype), expected, rtol=0, atol=tolerance)
    assert np.allclose(iterates(partial(SGD, lr=0.1, momentum=0.9), 4, dtype), expected, rtol=0, atol=tolerance)


@BOTH
def test_row_36_momentum_along_the_previous_update_is_a_brake(dtype, tolerance):
    assert np.allclose(printed_momentum(1, 5, dtype), [1, 0.9, 0.9, 0.81, 0.81, 0.729], rtol=0, atol=tolerance)


def one_step_from(w, velocity):
    variable_w = variable(w)
    optimizer = SGD(variable_w, 0.02, momentum=0.99)
    state = optimizer.state_dict()
    state["slots"][0]["velocity"] = sp.tensor(np.float64(velocity))
    optimizer.load_state_dict(state)
    minimize(half_square, variable_w, optimizer, 1)
    return float(variable_w), float(optimizer.state_dict()["slots"][0]["velocity"])


def test_row_37_the_spectral_radius_of_momentum_is_the_root_of_beta():
    iteration = np.array([one_step_from(1.0, 0.0), one_step_from(0.0, 1.0)]).T
    assert np.allclose(np.abs(np.linalg.eigvals(iteration)), 0.9949874, rtol=0, atol=1e-7)
    assert iterates(partial(SGD, lr=0.02, momentum=0.99), 2000)[-1] == pytest.approx(2.665e-5, rel=2e-4)
