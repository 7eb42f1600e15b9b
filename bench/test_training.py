"""Training steps of multilayer perceptrons and losses, steep beside NumPy where NumPy has a side.

``pytest bench/test_training.py --benchmark-only``; docs: CONTRIBUTING.md.
"""

import pytest
from sides import QUICK, cases, measure

pytestmark = QUICK


@pytest.mark.parametrize("workload, side", cases("mlp", "softmax", "layernorm"))
def test_training(benchmark, workload, side):
    measure(benchmark, workload, side)
