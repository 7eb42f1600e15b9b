"""Convolutions under the modes of float32 products, for test_precision_conv.py and test_winograd.py.

A case is a shape of images, one of kernels, and how they are convolved. Start reading at ``convolved``.
"""

from __future__ import annotations

import numpy as np
import steep as sp

CONV = {1: sp.conv1d, 2: sp.conv2d, 3: sp.conv3d}


def operands(case, seed=0):
    """Image, kernel, bias and a gradient of the result."""
    rng = np.random.default_rng(seed)
    image, kernel, how = case
    x, weight, bias = (rng.standard_normal(s).astype(np.float32) for s in (image, kernel, kernel[0]))
    out = CONV[len(image) - 2](x, weight, bias, **how).shape
    return x, weight, bias, rng.standard_normal(out).astype(np.float32)


def convolved(mode, case, x, weight, bias, g):
    """The result, and the gradients with respect to image and kernel."""
    x, weight = (sp.tensor(a, requires_grad=True) for a in (x, weight))
    with sp.matmul_precision(mode):
        y = CONV[x.ndim - 2](x, weight, sp.tensor(bias), **case[2])
        y.backward(sp.tensor(g))
    return [y.numpy(), x.grad.numpy(), weight.grad.numpy()]


def off_and_terms(mode, case, arrays):
    """For each of the three: the distance from the exact values, and the sum of the terms' magnitudes."""
    wide = [a.astype(np.float64) for a in arrays]
    exact, terms = (convolved("fma", case, *f) for f in (wide, map(np.abs, wide)))
    found = convolved(mode, case, *arrays)
    return [(np.abs(y - e), t) for y, e, t in zip(found, exact, terms, strict=True)]
