"""Ascent and saliency on models small enough for paper, and what they refuse.

Rows 53 and 71 to 73 of docs/notes.md; the projections and the steepest descent that they share with attacks stand here
too.
"""

from functools import partial

import numpy as np
import pytest
import steep as sp
from steep import ascent, nn, saliency
from steep.optim import SGD, Steepest, minimize
from steep.optim.projections import ball, box, compose
from steep.random import Generator
from steep.scores import accuracy, class_scores, predicted

W = np.array([3.0, 4.0])


def arr(x):
    return np.asarray(x.detach() if isinstance(x, sp.Tensor) else x).copy()


def tensor(value):
    return sp.tensor(np.asarray(value, np.float64))


def two_classes(x):
    """Scores (-s, s) / 2 with s = 3 x + 4 y: the class is 1 where s > 0, with log-odds s."""
    s = sp.asarray(x) @ tensor(W)
    return sp.stack([-s / 2, s / 2], axis=-1)


# -- ascent -------------------------------------------------------------------------------------------------------


def test_row_53_a_logit_with_a_penalty_on_squares():
    def model(x):
        return sp.stack([x @ tensor(W)], axis=-1)

    go = partial(ascent.maximize, ascent.logit(model, 0), np.zeros(2), optimizer=partial(SGD, lr=0.1))
    assert np.allclose(arr(go(steps=10, penalty=0.5 * ascent.l2).image), [1.9539647, 2.6052862], rtol=0, atol=5e-8)
    assert np.allclose(arr(go(steps=300, penalty=0.5 * ascent.l2).image), [3, 4], rtol=0, atol=1e-10)


def test_row_53_the_highest_logit_is_not_the_highest_probability():
    scores = tensor([[1, 1], [1, -0.2]])

    def model(x):
        return scores @ x

    circle = compose(lambda x: x / sp.norm(x))
    go = partial(ascent.maximize, start=np.array([0.6, 0.8]), steps=3000, project=circle)
    by_logit = go(ascent.logit(model, 0), optimizer=partial(SGD, lr=0.05)).image
    by_chance = go(ascent.probability(model, 0), optimizer=partial(SGD, lr=0.05)).image
    by_margin = go(ascent.margin(model, 0), optimizer=partial(SGD, lr=0.05)).image
    assert np.allclose(arr(by_logit), [0.7071, 0.7071], atol=1e-4)
    assert np.allclose(arr(by_chance), [0, 1], atol=1e-3) and np.allclose(arr(by_margin), [0, 1], atol=1e-3)
    chance = ascent.probability(model, 0)
    assert [float(chance(x)) for x in (by_logit, by_chance)] == pytest.approx([0.7003, 0.7685], abs=1e-4)


def test_terms_add_and_scale():
    x = tensor([1.0, -2.0])
    term = 2 * ascent.l2 + sp.sum - sp.max
    assert float(term(x)) == 10 - 1 - 1
    assert float((-ascent.l2)(x)) == -5 and float((ascent.l2 * 0.5)(x)) == 2.5
    assert "l2" in repr(ascent.l2) and "squares" in ascent.l2.__doc__


def test_classes_of_a_batch_are_maximised_together_and_apart():
    x = Generator(0).normal((3, 2), dtype=sp.float64)
    together = sp.grad(ascent.logit(two_classes, np.array([0, 1, 1])))(x)
    assert np.allclose(arr(together), [-W / 2, W / 2, W / 2])
    odds = ascent.margin(two_classes, np.array([0, 1, 1]))(x)
    assert float(odds) == pytest.approx(float(np.sum(arr(x) @ W * [-1, 1, 1])))


def test_the_start_is_kept_and_the_picture_is_what_the_objective_saw():
    start = Generator(1).uniform((6, 6))
    before = arr(start)
    blurred = ascent.pixels(start).then(ascent.blur(1.0))
    result = ascent.maximize(lambda x: sp.sum(x), blurred, 3, project=ascent.box(0, 1))
    assert np.array_equal(arr(start), before)
    assert np.array_equal(arr(result.image), arr(ascent.blur(1.0)(result.params)))
    assert len(result.history) == 3 and result.history[-1] > result.history[0] and result.status == "finished"


STEP = np.array([[0, 0, 1, 1]] * 4, np.float64)
RAMP = np.array([[0, 1 / 3, 2 / 3, 1]] * 4)


def test_row_71_squares_are_blind_to_order():
    assert float(ascent.l2(tensor(STEP))) == 8 and float(ascent.l2(tensor(RAMP))) == pytest.approx(6.222, abs=1e-3)
    shuffled = np.random.default_rng(0).permutation(RAMP.ravel()).reshape(4, 4)
    assert float(ascent.l2(tensor(shuffled))) == pytest.approx(float(ascent.l2(tensor(RAMP))), abs=1e-12)


@pytest.mark.parametrize("beta, step, ramp", [(1, 4, 4), (2, 4, 4 / 3)])
def test_row_72_total_variation_of_a_step_and_a_ramp(beta, step, ramp):
    values = [float(ascent.total_variation(tensor(image), beta=beta)) for image in (STEP, RAMP)]
    assert values == pytest.approx([step, ramp], abs=1e-12)
    assert [float(ascent.total_variation(tensor(i.T), beta=beta)) for i in (STEP, RAMP)] == pytest.approx(values)


@pytest.mark.parametrize("beta", [1, 1.5, 2, 3])
def test_total_variation_has_a_finite_gradient_everywhere(beta):
    def penalty(x):
        return ascent.total_variation(x, beta=beta)

    assert np.array_equal(arr(sp.grad(penalty)(tensor(np.ones((3, 3))))), np.zeros((3, 3)))
    sp.check_grads(penalty, (Generator(2).normal((2, 4, 3), dtype=sp.float64),))


def test_total_variation_needs_pictures():
    with pytest.raises(ValueError, match="height, width"):
        ascent.total_variation(tensor([1, 2]))


def test_row_73_a_blur_keeps_a_constant_and_removes_the_finest_pattern():
    low_pass = ascent.blur(1.5)
    assert np.allclose(arr(low_pass(tensor(np.full((9, 7), 0.3)))), 0.3, rtol=0, atol=1e-12)
    board = np.indices((16, 16)).sum(0) % 2 - 0.5
    inner = arr(low_pass(tensor(board)))[5:-5, 5:-5]
    assert np.square(inner).mean() < 0.01 * np.square(board).mean()
    same = tensor(board)
    assert ascent.blur(0)(same) is same
    with pytest.raises(ValueError, match="sigma"):
        ascent.blur(-1)


# -- projections and steps ----------------------------------------------------------------------------------------


def test_box_and_balls():
    x = tensor([[3.0, 4.0], [0.3, -0.4]])
    assert np.array_equal(arr(box(-1, 1)(x)), [[1, 1], [0.3, -0.4]])
    rows = arr(ball(np.zeros((2, 2)), 1, "l2", batched=True)(x))
    assert np.allclose(rows, [[0.6, 0.8], [0.3, -0.4]], rtol=0, atol=1e-12)
    whole = arr(ball(np.zeros((2, 2)), 1, "l2")(x))
    assert np.linalg.norm(whole) == pytest.approx(1) and np.allclose(whole / arr(x), whole[0, 0] / 3)
    assert np.array_equal(arr(ball(np.ones((2, 2)), 0.5)(x)), [[1.5, 1.5], [0.5, 0.5]])


def test_rounding_never_leaves_an_linf_ball():
    center = arr(Generator(3).uniform((1000,)))
    for eps in (0.1, 1e-3, 1e-7, 0.0):
        moved = arr(ball(center, eps)(sp.asarray(center) + 1.0)), arr(ball(center, eps)(sp.asarray(center) - 1.0))
        for point in moved:
            assert point.dtype == np.float32
            assert np.abs(point.astype(np.float64) - center).max() <= eps


@pytest.mark.parametrize("make", [lambda: ball(np.zeros(2), 1, "l7"), lambda: ball(np.zeros(2), -1), lambda: box(1, 0)])
def test_projections_refuse(make):
    with pytest.raises(ValueError, match=r"norm|radius|bound"):
        make()


def test_steepest_steps_have_a_fixed_length():
    x = tensor([[3.0, 4.0], [0.0, 0.0]])
    minimize(lambda v: sp.sum(v * v), x, partial(Steepest, lr=0.5), 1)
    assert np.array_equal(arr(x), [[2.5, 3.5], [0, 0]])
    y = tensor([[3.0, 4.0], [0.0, 0.0]])
    minimize(lambda v: sp.sum(v * v), y, partial(Steepest, lr=5, norm="l2", batched=True), 1)
    assert np.allclose(arr(y), 0, atol=1e-12)
    with pytest.raises(ValueError, match="norm"):
        Steepest([x], 0.1, norm="l0")


# -- saliency -----------------------------------------------------------------------------------------------------


def test_the_map_of_a_linear_model_is_its_absolute_weight():
    model = nn.Linear(5, 3, generator=0)
    x = Generator(1).normal((4, 5))
    weights = arr(model.weight)
    assert np.array_equal(arr(saliency.gradient(model, x, 2)), np.abs(np.tile(weights[2], (4, 1))))
    assert np.array_equal(arr(saliency.gradient(model, x, [0, 1, 2, 0], signed=True)), weights[[0, 1, 2, 0]])
    assert np.array_equal(arr(saliency.gradient(model, x)), np.abs(weights[predicted(model, x)]))


def test_saliency_refuses_unknown_classes_and_whole_numbers():
    model = nn.Linear(5, 3, generator=0)
    with pytest.raises(IndexError, match="3 classes"):
        saliency.gradient(model, np.zeros((1, 5), np.float32), 3)
    with pytest.raises(sp.GradientError, match="int64"):
        saliency.gradient(lambda x: x.astype(sp.float32), np.zeros((1, 3), np.int64), 0)


def test_a_model_that_returns_several_things_is_named():
    model = lambda x: (two_classes(x), x)  # noqa: E731
    x = tensor([[1, 1], [-1, -1]])
    asks = (lambda: ascent.logit(model, 0)(x), lambda: ascent.margin(model, 0)(x), lambda: saliency.gradient(model, x),
            lambda: saliency.sanity.cascade(model, x), lambda: accuracy(model, x, [0, 0]))  # fmt: skip
    for ask in asks:
        with pytest.raises(TypeError, match=r"one tensor of scores, this one a tuple; .*model\(x\)\[0\]"):
            ask()


def test_a_margin_needs_another_class():
    with pytest.raises(ValueError, match=r"two classes at least, got scores of shape \(2, 1\)"):
        ascent.margin(lambda x: x[:, :1], 0)(tensor([[1, 1], [-1, -1]]))
    with pytest.raises(IndexError, match="class 2 is not among"):
        ascent.margin(two_classes, 2)(tensor([[1, 1]]))


def test_scores_predictions_and_accuracy():
    x = tensor([[1, 1], [-1, -1]])
    assert np.array_equal(arr(class_scores(two_classes(x), [1, 0])), [3.5, 3.5])
    assert predicted(two_classes, x).tolist() == [1, 0] and accuracy(two_classes, x, [1, 1]) == 0.5
    assert np.isnan(accuracy(two_classes, x[:0], []))
    with pytest.raises(ValueError, match="2 inputs and 1 labels"):
        accuracy(two_classes, x, [1])
    with pytest.raises(IndexError):
        class_scores(two_classes(x), -1)
    with pytest.raises(ValueError, match="give one class, or one for each row"):
        class_scores(two_classes(x), [0, 1, 0])
