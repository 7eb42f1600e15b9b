"""Attacks on trained networks: the figures of the papers, what holds for every attack, defence, and what is refused.

The networks are small and trained here, on 4,000 digits of 28x28, or ship with steep; where a paper's figure depends on
more, the test says what was measured.
"""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import steep as sp
from steep import attack, data, nn
from steep.attack.masking import SYMPTOMS, Evidence
from steep.random import Generator
from steep.scores import accuracy, predicted
from steep.training import Recipe, fit

PLAIN = Recipe(epochs=10, noise=0, shift=0, weight_decay=0)


def arr(x):
    return np.asarray(x.detach() if isinstance(x, sp.Tensor) else x)


@pytest.fixture(scope="module")
def digits():
    try:
        return data.load("mnist5k")
    except data.FetchError as error:
        pytest.skip(str(error))


def trained(digits, sizes, activation, recipe):
    g, layers = Generator(0), [nn.Flatten()]
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs, generator=g), activation()]
    return fit(nn.Sequential(*layers[:-1]), *digits, recipe).model


@pytest.fixture(scope="module")
def wide(digits):
    """FC500-150-10 of DeepFool's table 1."""
    return trained(digits, (784, 500, 150, 10), nn.Tanh, PLAIN)


@pytest.fixture(scope="module")
def small(digits):
    """FC100-100-10 of Szegedy et al.'s table 1."""
    return trained(digits, (784, 100, 100, 10), nn.ReLU, replace(PLAIN, epochs=15, noise=0.6))


@pytest.fixture(scope="module")
def shipped():
    return sp.zoo.load("digits_cnn")


def right(model, part, count):
    """The first ``count`` test images that the model classifies correctly."""
    found = np.flatnonzero(predicted(model, part.x) == part.y)[:count]
    return part.x[found], part.y[found]


# -- figures of papers --------------------------------------------------------------------------------------------


def test_deepfool_finds_changes_of_about_a_tenth_in_under_three_steps(digits, wide):
    """Table 1 has a mean of |r| / |x| of .11 for FC500-150-10; like there, without a box. Measured here: .103."""
    x = digits.test.x[:200]
    result = attack.deepfool(wide, x, predicted(wide, x), bounds=(-100, 100))
    rho = result.distance / np.linalg.norm(x.reshape(len(x), -1), axis=1)
    assert result.success.all() and 0.09 <= rho.mean() <= 0.12 and result.steps.mean() < 3


def test_pgd_reads_every_digit_wrongly_within_three_tenths(digits, shipped):
    """Madry et al. 2018: an undefended network has an accuracy of 0 under PGD of radius .3."""
    x, y = digits.test.x[:100, None], digits.test.y[:100]
    result = attack.pgd(shipped, x, y, 0.3)
    assert result.success.all() and result.distance.max() <= 0.3
    assert attack.fgsm(shipped, x, y, 0.3).success.mean() < 1  # many steps are better than one


def test_lbfgs_distorts_less_than_noise_that_is_harmless(digits, small):
    """Table 1 has a mean of |r| / sqrt(784) of .058 for FC100-100-10 (.065 for FC200-200-10), table 2 noise of .1.

    Held by a network trained with noise, with an untargeted attack: .063. One trained without noise measures .043, and
    .076 with random targets.
    """
    x, y = right(small, digits.test, 60)
    result = attack.lbfgs(small, x, y)
    assert result.success.all() and 0.9 * 0.058 <= result.distance.mean() / 28 <= 1.1 * 0.065
    noisy = digits.test.x + np.asarray(Generator(0).normal(digits.test.x.shape, std=0.1))
    assert np.mean(predicted(small, noisy) != predicted(small, digits.test.x)) <= 0.01


# -- what holds for every attack ----------------------------------------------------------------------------------

LEAST = {
    "deepfool": attack.deepfool,
    "deepfool linf": partial(attack.deepfool, norm="linf"),
    "deepfool l1": partial(attack.deepfool, norm="l1"),
    "ddn": partial(attack.ddn, steps=40),
    "carlini_wagner": partial(attack.carlini_wagner, steps=60, lr=0.1, searches=5),
    "lbfgs": partial(attack.lbfgs, steps=10, searches=5),
}
BOUNDED = {
    "fgsm": partial(attack.fgsm, eps=0.2),
    "pgd": partial(attack.pgd, eps=0.2, steps=10),
    "pgd l2": partial(attack.pgd, eps=3.0, norm="l2", steps=10),
    "pgd l1": partial(attack.pgd, eps=30.0, norm="l1", steps=20),
    "pgd margin": partial(attack.pgd, eps=0.2, steps=10, loss="margin"),
}
ALL = LEAST | BOUNDED


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_an_attack_succeeds_stays_in_the_box_and_says_what_it_found(digits, small, name, targeted):
    x, y = right(small, digits.test, 12)
    wanted = (y + 1) % 10 if targeted else y
    before = x.copy()
    result = ALL[name](small, x, wanted, targeted=targeted)
    moved = arr(result.x)
    assert np.array_equal(x, before) and moved.dtype == np.float32 and moved.shape == x.shape
    assert moved.min() >= 0 and moved.max() <= 1
    label = predicted(small, moved)
    assert np.array_equal(result.label, label)
    assert np.array_equal(result.success, (label == wanted) if targeted else (label != wanted))
    if not (targeted and name == "fgsm"):  # one step seldom reaches a target
        assert result.success.mean() >= (0.5 if targeted else 0.75)
    order = np.inf if "linf" in name or name in ("fgsm", "pgd", "pgd margin") else 1 if "l1" in name else 2
    change = (moved.astype(float) - x).reshape(len(x), -1)
    assert np.allclose(result.distance, np.linalg.norm(change, order, axis=1), rtol=1e-12)
    assert len(result.history) > 0 and np.isfinite(result.history).all() and result.steps.min() >= 0


@pytest.mark.parametrize("name", LEAST)
def test_a_least_change_is_nearly_least(digits, small, name):
    """PGD with two thirds of the radius that was found hardly ever succeeds; random changes of it never do."""
    x, y = right(small, digits.test, 12)
    result = LEAST[name](small, x, y)
    norm = name.partition(" ")[2] or "l2"
    part = [attack.pgd(small, x[i : i + 1], y[i : i + 1], 0.6 * d, norm=norm) for i, d in enumerate(result.distance)]
    assert np.mean([p.success[0] for p in part]) <= 0.25


@pytest.mark.parametrize("name", ALL)
def test_rows_do_not_touch_one_another(digits, small, name):
    x, y = right(small, digits.test, 6)
    both, one = (arr(ALL[name](small, x[:n], y[:n]).x) for n in (6, 2))
    assert np.array_equal(both[:2], one)


@pytest.mark.parametrize("name", ALL)
def test_no_rows_are_a_batch_too(small, name):
    result = ALL[name](small, np.zeros((0, 28, 28), np.float32), np.zeros(0, np.int64))
    assert result.x.shape == (0, 28, 28) and result.success.shape == (0,) and result.distance.shape == (0,)


@pytest.mark.parametrize("name", LEAST)
def test_what_is_read_wrongly_already_is_not_changed(digits, small, name):
    x, y = digits.test.x[:4], (predicted(small, digits.test.x[:4]) + 1) % 10
    result = LEAST[name](small, x, y)
    assert result.success.all() and np.abs(arr(result.x) - x).max() < 1e-4


def test_several_radii_are_as_many_attacks(digits, small):
    x, y = right(small, digits.test, 8)
    together = attack.pgd(small, x, y, [0.05, 0.1, 0.2], steps=10)
    assert together.x.shape == (3, 8, 28, 28) and together.success.shape == (3, 8) and len(together.history) == 3
    for i, eps in enumerate((0.05, 0.1, 0.2)):
        alone = attack.pgd(small, x, y, eps, steps=10)
        assert np.array_equal(arr(alone.x), arr(together.x)[i]) and alone.history == together.history[i]
    assert (np.diff(together.success.mean(1)) >= 0).all()
    least = attack.ddn(small, x, y, steps=40)
    cut = attack.ddn(small, x, y, steps=40, eps=[0.5, 1.0, 10.0])
    assert np.array_equal(cut.success[2], least.success)
    assert cut.distance.max(1)[:2] == pytest.approx([0.5, 1], rel=1e-5)
    assert np.array_equal(cut.success, [predicted(small, row) != y for row in arr(cut.x)])


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_a_radius_of_zero_changes_nothing(digits, small, norm):
    x, y = right(small, digits.test, 3)
    result = attack.pgd(small, x, y, 0.0, norm=norm, steps=3, generator=Generator(0))
    assert np.array_equal(arr(result.x), x) and not result.success.any() and not result.distance.any()


def test_restarts_only_try_what_held_out_and_find_no_less(digits, small):
    x, y = right(small, digits.test, 30)
    options = {"eps": 0.15, "steps": 2}
    once = attack.pgd(small, x, y, generator=Generator(1), **options)
    more = attack.pgd(small, x, y, generator=Generator(1), restarts=4, **options)
    assert 0 < once.success.sum() < 30 and more.success.sum() > once.success.sum()
    assert np.array_equal(arr(more.x)[once.success], arr(once.x)[once.success])
    assert (more.steps[once.success] == 2).all() and more.steps.max() == 8
    assert more.distance.max() <= 0.15


def test_compiled_steps_change_no_bit(digits, small):
    x, y = right(small, digits.test, 4)
    for name in ("pgd", "deepfool", "ddn", "carlini_wagner", "lbfgs"):
        one, two = (ALL[name](small, x, y, capture=capture) for capture in (True, False))
        assert np.array_equal(arr(one.x), arr(two.x)) and one.history == two.history


# -- defence ------------------------------------------------------------------------------------------------------


def small_digits():
    try:
        return data.load("digits")
    except data.FetchError as error:
        pytest.skip(str(error))


def eight_by_eight(seed=0):
    g = Generator(seed)
    layers = nn.Linear(64, 64, generator=g), nn.ReLU(), nn.Linear(64, 10, generator=g)
    return nn.Sequential(nn.Flatten(), *layers)


def test_adversarial_training_raises_the_accuracy_under_attack(tmp_path):
    train, test = small_digits()
    recipe = Recipe(epochs=6, lr=0.1, noise=0, shift=0, weight_decay=0)
    plain, robust = eight_by_eight(), eight_by_eight()
    fit(plain, train, test, recipe)
    fit(robust, train, test, recipe, augment=attack.adversary(robust, 0.15, steps=5))
    under = [accuracy(model, attack.pgd(model, *test, 0.15, steps=20).x, test.y) for model in (plain, robust)]
    assert under[1] > under[0] + 0.25 and accuracy(robust, *test) > 0.9  # .25 and .59 here
    path = tmp_path / "run.safetensors"
    again = eight_by_eight()
    against = attack.adversary(again, 0.15, steps=5)
    fit(again, train, test, recipe, lambda seen: seen.step == 40, checkpoint=path, every=40, augment=against)
    resumed = fit(again, train, test, recipe, checkpoint=path, resume=True, augment=against).model
    assert all(np.array_equal(arr(a), arr(b)) for a, b in zip(resumed.parameters(), robust.parameters(), strict=True))


def test_an_adversary_leaves_the_mode_and_the_running_statistics_alone():
    model = nn.Sequential(nn.Linear(4, 5, generator=0), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2, generator=1))
    before = [arr(b).copy() for b in model.buffers()]
    x = Generator(0).normal((6, 4))
    moved = attack.adversary(model, 0.1)(x, sp.asarray([0, 1] * 3), Generator(1))
    assert model.training and all(np.array_equal(a, arr(b)) for a, b in zip(before, model.buffers(), strict=True))
    assert arr(moved).min() >= 0 and np.abs(arr(moved) - np.clip(arr(x), 0, 1)).max() <= 0.1
    model[1].eval()  # frozen while the rest is trained
    attack.adversary(model, 0.1, steps=1)(x, sp.asarray([0, 1] * 3), Generator(1))
    assert [module.training for module in model.modules()] == [True, True, False, True, True]


def test_an_honest_network_raises_no_alarm(digits, small):
    found = attack.masking(small, digits.test.x[:30], digits.test.y[:30], 0.1)
    assert not found.masked and found.symptoms == [] and 27 <= found.rows <= 30
    assert found.evidence.unbounded == 1 and found.evidence.iterative >= found.evidence.one_step


MASKS = {
    "rounding": (lambda model, x: model(sp.round(sp.asarray(x) * 5) / 5), "gradients are exactly zero"),
    "saturation": (lambda model, x: model(x) * 1e4, "an unbounded change does not always succeed"),
    "shattering": (
        lambda model, x: model(sp.asarray(x) + 0.2 * sp.sin(sp.asarray(x) * 500)),
        "the loss does not increase with the radius",
    ),
}


@pytest.mark.parametrize("name", MASKS)
def test_masked_gradients_raise_the_alarm(digits, small, name):
    masked = partial(MASKS[name][0], small)
    x, y = right(masked, digits.test, 20)
    assert attack.pgd(masked, x, y, 0.1).success.mean() < 0.2  # it looks robust
    found = attack.masking(masked, x, y, 0.1)
    assert found.masked and MASKS[name][1] in found.symptoms and found.rows == 20


def test_an_attack_by_scores_alone_sees_through_rounding(digits, small):
    masked = partial(MASKS["rounding"][0], small)
    x, y = right(masked, digits.test, 10)
    blind = attack.without_gradient(masked, 64, 0.15, Generator(0))
    assert attack.pgd(masked, x, y, 0.3).success.sum() == 0
    assert attack.pgd(blind, x, y, 0.3).success.mean() >= 0.5


def test_the_margin_does_not_saturate(digits, small):
    masked = partial(MASKS["saturation"][0], small)
    x, y = right(masked, digits.test, 20)
    by_loss = [attack.pgd(masked, x, y, 0.3, loss=loss).success.mean() for loss in ("cross_entropy", "margin")]
    assert by_loss[0] < 0.3 and by_loss[1] > 0.9


HONEST = Evidence(0.3, 0.8, 0.1, 0.5, 1.0, (0.1, 0.4, 1.0, 3.0), 0.0)


@pytest.mark.parametrize(
    "change",
    [{"one_step": 0.9}, {"random": 0.9}, {"black_box": 0.9}, {"unbounded": 0.9}, {"losses": (1, 2, 1)},
     {"zero_gradients": 0.1}],
)  # fmt: skip
def test_each_symptom_by_itself(change):
    assert not any(holds(HONEST) for holds in SYMPTOMS.values())
    assert sum(holds(replace(HONEST, **change)) for holds in SYMPTOMS.values()) == 1


# -- what is refused ----------------------------------------------------------------------------------------------

X, Y = np.full((3, 4), 0.5, np.float32), np.array([0, 1, 1])
WITH_NAN = np.where(np.arange(12).reshape(3, 4) == 5, np.nan, X).astype(np.float32)


def linear(x):
    return sp.asarray(x) @ sp.ones((4, 2))


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda f: f(linear, X, [0, 1, 2]), IndexError, "label 2 of row 2"),
        (lambda f: f(linear, X, [0, -1, 1]), IndexError, "label -1 of row 1"),
        (lambda f: f(linear, X, [0, 1]), TypeError, r"y must be integers of shape \(3,\)"),
        (lambda f: f(linear, X, [0.0, 1.0, 1.0]), TypeError, "integers"),
        (lambda f: f(linear, X + 1, Y), ValueError, "from 1.5 to 1.5, outside the bounds"),
        (lambda f: f(linear, WITH_NAN, Y), ValueError, "not finite, first in row 1"),
        (lambda f: f(linear, (X * 2).astype(np.uint8), Y), TypeError, "float32 or float64.*uint8"),
        (lambda f: f(linear, X[0], Y), TypeError, r"shape \(n, \.\.\.\)"),
        (lambda f: f(linear, X, Y, bounds=(1, 0)), ValueError, r"\(low, high\)"),
        (lambda f: f(lambda x: sp.sum(sp.asarray(x), axis=-1), X, Y), ValueError, r"scores \(n, classes\)"),
        (lambda f: f(lambda x: linear(x)[:, :1], X, Y * 0), ValueError, "has 1 class"),
        (lambda f: f(lambda x: (linear(x), x), X, Y), TypeError, r"one tensor of scores, this one a tuple.*\[0\]"),
    ],
)
@pytest.mark.parametrize("name", ["pgd", "deepfool", "ddn", "carlini_wagner", "lbfgs", "fgsm"])
def test_attacks_refuse(name, call, error, words):
    with pytest.raises(error, match=words):
        call(ALL[name])


@pytest.mark.parametrize(
    "options, words",
    [
        ({"eps": -0.1}, "must not be negative"),
        ({"eps": [0.1, np.nan]}, "must not be negative"),
        ({"eps": []}, "empty"),
        ({"eps": 0.1, "steps": -1}, "steps must not be negative"),
        ({"eps": 0.1, "norm": "l0"}, "norm must be one of"),
        ({"eps": 0.1, "loss": "hinge"}, "loss must be one of"),
        ({"eps": 0.1, "restarts": 3}, "generator"),
        ({"eps": 0.1, "restarts": 0}, "restarts"),
    ],
)
def test_pgd_refuses(options, words):
    with pytest.raises(ValueError, match=words):
        attack.pgd(linear, X, Y, **options)
    if options.keys() == {"eps"}:
        with pytest.raises(ValueError, match=words):
            attack.ddn(linear, X, Y, steps=2, **options)


def test_a_radius_may_be_a_tensor():
    eps = sp.asarray(0.25)
    for attacked in (attack.pgd(linear, X, Y, eps), attack.ddn(linear, X, Y, steps=3, eps=eps)):
        assert attacked.x.shape == X.shape and attacked.distance.max() <= 0.25 * (1 + 1e-6)
    assert attack.fgsm(linear, X, Y, sp.asarray([0.1, 0.2])).success.shape == (2, 3)


def test_what_has_no_finite_step_is_refused():
    for call in (attack.pgd, attack.fgsm):
        with pytest.raises(ValueError, match="finite step_size"):
            call(linear, X, Y, np.inf)
    far = attack.pgd(linear, X, Y, np.inf, step_size=0.1, steps=3)
    assert np.isfinite(arr(far.x)).all()
    with pytest.raises(ValueError, match="finite box"):
        attack.carlini_wagner(linear, X, Y, bounds=(0, np.inf))
    assert attack.lbfgs(linear, X, Y, bounds=(-np.inf, np.inf), steps=2, searches=1).x.shape == X.shape


def test_masking_needs_something_to_attack():
    with pytest.raises(ValueError, match="none of these inputs"):
        attack.masking(lambda x: sp.asarray(x) @ sp.asarray([[1.0, 0]] * 4, dtype=sp.float32), X, [1, 1, 1], 0.1)
    with pytest.raises(ValueError, match="negative"):
        attack.adversary(eight_by_eight(), -1)


# -- success ----------------------------------------------------------------------------------------------------------


def steep_line(v):
    """Two scores of one value, 8 v and 4: class 0 leads by 8 v - 4."""
    return sp.concat([v * 8.0, v * 0.0 + 4.0], axis=1)


@pytest.mark.parametrize("run", [attack.carlini_wagner, attack.lbfgs, attack.ddn], ids=lambda f: f.__name__)
@pytest.mark.parametrize("confidence", [0.0, 0.8, 2.0])
@pytest.mark.parametrize("targeted", [False, True])
def test_success_is_a_margin_of_the_confidence(run, confidence, targeted):
    # from v = .75 class 1 leads by k at v = (4 - k) / 8; the second row leads by enough already
    x, labels = np.float32([[0.75], [0.2]]), [1, 1] if targeted else [0, 0]
    found = run(steep_line, x, labels, confidence=confidence, targeted=targeted)
    lead = arr(steep_line(found.x)) @ np.float32([-1, 1])
    assert found.success.all() and (lead >= confidence).all()
    assert found.distance == pytest.approx([0.25 + confidence / 8, 0.0], rel=0.06)
    assert np.array_equal(arr(found.x)[1], x[1])


@pytest.mark.parametrize("run", [attack.carlini_wagner, attack.lbfgs, attack.ddn], ids=lambda f: f.__name__)
def test_a_confidence_that_nothing_in_the_box_reaches_is_no_success(run):
    found = run(steep_line, np.float32([[0.75]]), [0], confidence=5.0)  # class 1 leads by 4 at most
    assert not found.success.any()
    cut = run(steep_line, np.float32([[0.75]]), [0], confidence=1.0, eps=[0.3, 0.5])  # .375 is needed
    assert cut.success.tolist() == [[False], [True]] and cut.label.tolist() == [[1], [1]]


@pytest.mark.parametrize("run", [attack.carlini_wagner, attack.lbfgs, attack.ddn], ids=lambda f: f.__name__)
@pytest.mark.parametrize("wrong", [-1.0, float("inf"), float("nan")])
def test_a_confidence_is_a_number_of_0_or_more(run, wrong):
    with pytest.raises(ValueError, match="confidence is a finite number"):
        run(steep_line, np.float32([[0.75]]), [0], confidence=wrong)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_message_says_how_far_a_picture_leaves_its_bounds(dtype):
    above = np.nextafter(np.ones(1, dtype), np.asarray(2, dtype))
    with pytest.raises(ValueError, match=r"to 1\.00000\d+, outside the bounds \(0\.0, 1\.0\) by [0-9.]+e-"):
        attack.pgd(steep_line, above[None], [0], eps=0.1)
    with pytest.raises(ValueError, match=r"from -0\.25 to .* by 0\.25; clip it"):
        attack.ddn(steep_line, np.asarray([[-0.25]], dtype), [0])


@pytest.mark.parametrize("bounds", [(np.zeros((3, 1)), np.ones((3, 1))), (0.0, [1.0, 2.0])])
def test_bounds_by_channel_are_refused_with_the_fix(bounds):
    for run in (attack.pgd, attack.fgsm, attack.masking):
        with pytest.raises(TypeError, match=r"bounds are two numbers .*attack the pixels"):
            run(steep_line, np.float32([[0.75]]), [0], 0.1, bounds=bounds)
    for run in (attack.deepfool, attack.ddn, attack.lbfgs, attack.carlini_wagner):
        with pytest.raises(TypeError, match="bounds are two numbers"):
            run(steep_line, np.float32([[0.75]]), [0], bounds=bounds)
    found = attack.pgd(steep_line, np.float32([[0.75]]), [0], 0.1, bounds=(np.float32(0), sp.asarray(1.0)))
    assert float(found.x[0, 0]) == pytest.approx(0.65)
