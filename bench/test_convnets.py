"""Convolutional networks: steps, forward passes, gradients with respect to the input; NumPy beside steep where it can.

``pytest bench/test_convnets.py --benchmark-only``; docs: CONTRIBUTING.md.
"""

import pytest
from sides import QUICK, cases, measure

pytestmark = QUICK


@pytest.mark.parametrize("workload, side", cases("cnn", "train", "forward", "input_gradient"))
def test_convnets(benchmark, workload, side):
    measure(benchmark, workload, side)
