"""The distributions of the random streams: moments and tails of many draws of one seed, in both dtypes.

The draws themselves are held against references.py by the op table; this holds what both claim to be.
"""

import numpy as np
import pytest
from steep.random import Generator

N = 1_000_000


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal_draws_have_the_moments_and_tails_of_a_normal_distribution(dtype):
    x = Generator(0).normal((N,), dtype=dtype).numpy().astype(np.float64)
    moments = [(x**k).mean() for k in (1, 2, 3, 4)]
    errors = np.sqrt(np.array([1, 2, 15, 96]) / N)  # the standard errors of these moments
    assert np.all(np.abs(np.array(moments) - [0, 1, 0, 3]) < 5 * errors)
    for bound, share in {1: 0.3173105, 2: 0.0455003, 3: 0.0026998, 4: 6.334e-5}.items():
        assert abs((np.abs(x) > bound).mean() - share) < 5 * np.sqrt(share / N)
    assert abs((x[:-1] * x[1:]).mean()) < 5 / np.sqrt(N)  # neighbours are uncorrelated


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_draws_fill_the_interval_evenly(dtype):
    x = Generator(1).uniform(0.0, 1.0, (N,), dtype=dtype).numpy()
    counts, _ = np.histogram(x, 100, (0, 1))
    assert x.min() >= 0 and x.max() < 1
    assert ((counts - N / 100) ** 2 / (N / 100)).sum() < 99 + 5 * np.sqrt(2 * 99)  # chi-squared, 99 degrees of freedom
