"""Rows 83 and 84 of docs/notes.md: the gradient of a perturbation, and the smallest ones of a linear model."""

import numpy as np
import pytest
import steep as sp
from steep import attack, nn
from steep.random import Generator

W = np.array([3.0, 4.0])
FREE = (-10.0, 10.0)
LEAST = {"l2": 1.4, "linf": 1.0, "l1": 1.75}  # of x = (1, 1), whose score 3 x + 4 y is 7


def arr(x):
    return np.asarray(x.detach()).copy()


def tensor(value):
    return sp.tensor(np.asarray(value, np.float64))


def two_classes(x):
    """Scores (-s, s) / 2 with s = 3 x + 4 y: the class is 1 where s > 0, with log-odds s."""
    s = sp.asarray(x) @ tensor(W)
    return sp.stack([-s / 2, s / 2], axis=-1)


def test_row_83_the_gradient_by_a_change_is_that_by_the_input_where_it_was_changed():
    g = Generator(0)
    first, last = (nn.Linear(*sizes, generator=g, dtype=sp.float64) for sizes in ((6, 9), (9, 4)))
    net = nn.Sequential(first, nn.Tanh(), last)
    x, r = g.normal((3, 6), dtype=sp.float64), g.normal((3, 6), std=0.1, dtype=sp.float64)
    for j in range(4):
        by_change = sp.grad(lambda r, j=j: sp.sum(net(x + r)[:, j]))(r)
        by_input = sp.grad(lambda v, j=j: sp.sum(net(v)[:, j]))(x + r)
        assert np.abs(arr(by_change) - arr(by_input)).max() <= 1e-12 and np.abs(arr(by_input)).max() > 1e-3


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("norm, least", LEAST.items())
def test_row_84_deepfool_reaches_the_least_change_in_one_step(norm, least, targeted):
    label = [0] if targeted else [1]
    result = attack.deepfool(
        two_classes, tensor([[1, 1]]), label, norm=norm, overshoot=1e-9, targeted=targeted, bounds=FREE
    )
    assert result.success.tolist() == [True] and result.steps.tolist() == [1]
    assert result.distance[0] == pytest.approx(least, abs=1e-8)


def test_row_84_the_least_l2_change_is_along_the_weights():
    result = attack.deepfool(two_classes, tensor([[1, 1]]), [1], overshoot=1e-9, bounds=FREE)
    assert np.allclose(arr(result.x) - 1, [[-0.84, -1.12]], rtol=0, atol=1e-8)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("norm, least", LEAST.items())
def test_row_84_pgd_succeeds_just_above_the_least_change(norm, least, targeted):
    label = [0] if targeted else [1]
    eps = [0.99 * least, 1.01 * least]
    result = attack.pgd(two_classes, tensor([[1, 1]]), label, eps, norm=norm, targeted=targeted, bounds=FREE)
    assert result.success.tolist() == [[False], [True]]
    assert result.label.tolist() == [[1], [0]] and result.distance[:, 0] == pytest.approx(eps)


@pytest.mark.parametrize("eps", [0.99, 1.01])
def test_row_84_fgsm_shifts_the_score_by_eps_times_the_1_norm(eps):
    result = attack.fgsm(two_classes, tensor([[1, 1]]), [1], eps, bounds=FREE)
    assert result.success.tolist() == [eps > 1]
    assert float(((1 - arr(result.x)) @ W)[0]) == pytest.approx(eps * np.abs(W).sum(), abs=1e-12)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("name, within", [("ddn", 1e-3), ("carlini_wagner", 5e-3), ("lbfgs", 1e-2)])
def test_row_84_the_other_attacks_come_near_the_least_l2_change(name, within, targeted):
    label = [0] if targeted else [1]
    result = getattr(attack, name)(two_classes, tensor([[1, 1]]), label, targeted=targeted, bounds=FREE)
    assert result.success.tolist() == [True] and 1.4 <= result.distance[0] <= 1.4 + within
    assert np.allclose(arr(result.x) - 1, [[-0.84, -1.12]], rtol=0, atol=0.01)
