"""Initial values: PyTorch's list, by bounds, moments and structure."""

import math

import numpy as np
import pytest
from steep import nn

init = nn.init
WIDE = (400, 300)
DRAWN = {
    "uniform": (lambda s: init.uniform(WIDE, 0.3, s), 0.3 / math.sqrt(3)),
    "normal": (lambda s: init.normal(WIDE, 0.3, s), 0.3),
    "kaiming_uniform": (lambda s: init.kaiming_uniform(WIDE, s), math.sqrt(2 / 300)),
    "kaiming_normal": (lambda s: init.kaiming_normal(WIDE, s, mode="fan_out"), math.sqrt(2 / 400)),
    "xavier_uniform": (lambda s: init.xavier_uniform(WIDE, s), math.sqrt(2 / 700)),
    "xavier_normal": (lambda s: init.xavier_normal(WIDE, s, gain=init.gain("tanh")), 5 / 3 * math.sqrt(2 / 700)),
    "orthogonal": (lambda s: init.orthogonal(WIDE, s), 1 / math.sqrt(400)),
    "trunc_normal": (lambda s: init.trunc_normal(WIDE, 1.0, s), 0.8796),  # of a normal cut off at 2 deviations
}


@pytest.mark.parametrize("name", DRAWN)
def test_draws_have_their_deviation_and_depend_on_the_seed(name):
    make, std = DRAWN[name]
    one, same, other = (np.asarray(make(seed).detach()) for seed in (0, 0, 1))
    assert np.array_equal(one, same) and not np.array_equal(one, other) and one.dtype == np.float32
    assert abs(one.mean()) < 0.01 * max(1, std * 10) and one.std() == pytest.approx(std, rel=0.02)
    assert make(0).requires_grad


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (7, 7), (6, 2, 3, 3), (1, 4)])
def test_rows_or_columns_are_orthonormal(shape):
    w = np.asarray(init.orthogonal(shape, 0, gain=2.0, dtype="float64").detach()).reshape(shape[0], -1)
    square = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    assert np.allclose(square, 4 * np.eye(len(square)), atol=1e-13)


def test_a_truncated_normal_is_within_its_bounds():
    w = np.asarray(init.trunc_normal((2000,), 2.0, 0, low=-1.0, high=3.0).detach())
    assert w.min() >= -1 and w.max() <= 3 and w.mean() == pytest.approx(0.7, abs=0.15)
    for wrong in ({"std": 0.0}, {"std": 1.0, "low": 8.0, "high": 9.0}):
        with pytest.raises(ValueError, match="leaves nearly nothing"):
            init.trunc_normal((3,), source=0, **wrong)


def test_constants_and_identities():
    assert init.constant((2,), 3.0).tolist() == [3, 3] and init.zeros((1,)).tolist() == [0]
    assert init.ones((2,), dtype="float64").dtype.name == "float64"
    assert np.array_equal(init.eye((3, 2)).tolist(), np.eye(3, 2))
    x = np.random.default_rng(0).random((2, 4, 5, 5), np.float32)
    conv = nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False, generator=0)
    conv.weight = init.dirac((4, 2, 3, 3), groups=2)
    assert np.array_equal(np.asarray(conv(x).detach()), x)
    w = np.asarray(init.sparse((10, 6), 0.25, 1.0, 0).detach())
    assert ((w == 0).sum(axis=0) == 3).all()


def test_gains_are_pytorchs():
    assert [init.gain(name) for name in ("linear", "relu", "tanh", "selu")] == [1, math.sqrt(2), 5 / 3, 0.75]
    assert init.gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: init.gain("swish"), "known are linear"),
        (lambda: init.kaiming_normal((3, 4), 0, mode="fan"), "mode must be"),
        (lambda: init.eye((3,)), "must be"),
        (lambda: init.dirac((3, 4)), "of a convolution"),
        (lambda: init.dirac((3, 4, 1), groups=2), "of a convolution"),
        (lambda: init.orthogonal((3,), 0), "at least 2 dimensions"),
        (lambda: init.sparse((3, 4), 1.5), "share in"),
    ],
)
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
