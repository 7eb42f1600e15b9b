"""Optimisation of inputs: steps on an image, feature visualization, and descent on landscapes.

``pytest bench/test_ascent.py --benchmark-only``; docs: CONTRIBUTING.md.
"""

from functools import partial

import numpy as np
import pytest
import steep as sp
from sides import QUICK, cases, measure
from steep import ascent, descent, optim, zoo
from steep.random import Generator

pytestmark = QUICK


@pytest.mark.parametrize("workload, side", cases("ascent"))
def test_ascent_step(benchmark, workload, side):
    measure(benchmark, workload, side)


@pytest.mark.parametrize("capture", [True, False], ids=["captured", "eager"])
def test_visualize_ten_digits(benchmark, capture):
    """Twenty steps towards the ten logits of the small network that ships with steep."""
    model, start = zoo.load("digits_cnn"), np.asarray(Generator(0).uniform((10, 1, 28, 28)))
    make = partial(optim.Adam, lr=0.05)
    benchmark.group = "visualize ten digits, 20 steps"
    benchmark(lambda: ascent.maximize(ascent.logit(model, np.arange(10)), start, 20, make, capture=capture))


@pytest.mark.parametrize("method", ["gradient descent", "L-BFGS", "Newton-CG", "Nelder-Mead", "CMA-ES"])
def test_descend(benchmark, method):
    """Fifty steps on Rosenbrock's function."""
    valley = descent.find("rosenbrock")
    benchmark.group = "descend rosenbrock, 50 steps"
    benchmark(lambda: descent.descend(valley, [method], steps=50))


def test_gradient_of_a_scalar(benchmark):
    """What one evaluation of a small function with its gradient costs."""
    gradient, x = sp.grad(descent.valley), sp.zeros(10, dtype="float64")
    benchmark.group = "gradient of a quadratic of ten variables"
    benchmark(lambda: gradient(x))
