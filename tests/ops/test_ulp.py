"""The accuracy of the float32 functions in units in the last place, over every exponent, beside what their rows state.

Each function is swept over evenly spaced bit patterns (all exponents, both signs, denormals) and held against the
float64 function of the C library. tests/native sweeps more densely, against long double.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import steep as sp

STRIDE = 4099  # about a million of the 2**32 patterns; prime, so that no mantissa is favoured

erf, erfc = (np.vectorize(f, otypes=[np.float64]) for f in (math.erf, math.erfc))
STATED = {row["name"]: row["ulp"]["float32"] for row in sp._core._op_table() if row["ulp"]["float32"]}
OWN = {  # the functions that NumPy does not have under their names
    "sigmoid": lambda x: np.where(x < 0, np.exp(np.minimum(x, 0)), 1.0) / (1 + np.exp(-np.abs(x))),
    "softplus": lambda x: np.logaddexp(x, 0),
    "erf": erf,
    "erfc": erfc,
    "gelu": lambda x: np.where(x == -np.inf, np.nan, x * 0.5) * erfc(-x / math.sqrt(2)),
}


def every_exponent():
    bits = np.arange(0, 2**32, STRIDE, dtype=np.uint64).astype(np.uint32)
    x = bits.view(np.float32)
    return x[np.isfinite(x)]


@pytest.mark.parametrize("name", STATED)
@pytest.mark.filterwarnings("ignore")
def test_stated_accuracy_holds_over_every_exponent(name):
    reference, limit = OWN.get(name) or getattr(np, name), STATED[name]
    x = every_exponent()
    exact = reference(x.astype(np.float64))
    got = getattr(sp, name)(sp.tensor(x)).numpy()
    rounded = exact.astype(np.float32)
    special = ~np.isfinite(rounded)
    assert np.array_equal(got[special], rounded[special], equal_nan=True)
    unit = np.spacing(np.abs(rounded[~special])).astype(np.float64)
    worst = np.max(np.abs(got[~special].astype(np.float64) - exact[~special]) / unit)
    assert worst <= limit, f"{name} errs by {worst:.2f} ULP, and {limit} are stated"
    assert f"At most {limit:g} ULP in float32" in getattr(sp, name).__doc__
