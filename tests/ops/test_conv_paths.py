"""Convolutions of shapes that reach every code path of the kernels: values, gradients, and the same bits for parts.

The code path (csrc/kernels/conv.inl.h, conv_channels.inl.h, depthwise.inl.h) depends on the shape alone. Float64 is the
yardstick for float32, and NumPy for float64. Start reading at ``SHAPES``.
"""

from __future__ import annotations

import numpy as np
import pytest
import references_nn as ref
import steep as sp

# image, kernel, stride, padding, groups
SHAPES = {
    "small images together": ((9, 6, 14, 14), (16, 6, 5, 5), 1, 0, 1),
    "small images, stride": ((5, 4, 17, 18), (7, 4, 3, 3), 2, 1, 1),
    "small images, two blocks of channels": ((5, 70, 9, 10), (5, 70, 3, 3), 1, 1, 1),
    "many tiles": ((3, 8, 12, 12), (130, 8, 3, 3), 1, 1, 1),
    "fewer positions than a canvas pays for": ((6, 5, 7, 7), (20, 5, 3, 3), 1, 0, 1),
    "channels in vectors, a row of 7": ((3, 20, 7, 7), (48, 20, 3, 3), 1, 1, 1),
    "channels in vectors, no border": ((2, 9, 16, 15), (33, 9, 3, 3), 1, 0, 1),
    "channels in vectors, stride, two blocks": ((2, 130, 14, 13), (32, 130, 3, 3), 2, 1, 1),
    "a result too large to add up transposed": ((1, 180, 24, 24), (180, 180, 3, 3), 1, 1, 1),
    "one long row": ((1, 6, 1, 5000), (24, 6, 1, 5), 1, 0, 1),
    "one tap": ((4, 33, 9, 9), (17, 33, 1, 1), 1, 0, 1),
    "one tap in groups": ((3, 8, 6, 7), (6, 4, 1, 1), 1, 0, 2),
    "one tap, stride": ((3, 8, 9, 9), (6, 8, 1, 1), 2, 0, 1),
    "one tap, stride beyond the image": ((3, 8, 1, 1), (6, 8, 1, 1), 2, 0, 1),
    "one channel, few rows": ((3, 1, 13, 21), (6, 1, 5, 5), 1, 2, 1),
    "one channel, odd rows": ((2, 1, 20, 33), (7, 1, 3, 4), 1, 1, 1),
    "one channel, many rows": ((2, 1, 12, 12), (17, 1, 3, 3), 1, 1, 1),
    "depthwise": ((3, 10, 15, 19), (10, 1, 3, 3), 1, 1, 10),
    "depthwise, stride": ((3, 10, 15, 19), (20, 1, 3, 3), 2, 1, 10),
    "few positions": ((15, 30, 4, 4), (70, 30, 3, 3), 1, 1, 1),
    "few positions, two blocks of channels, odd sizes": ((6, 70, 3, 5), (37, 70, 5, 3), 1, (2, 1), 1),
    "few positions, stride, groups": ((9, 24, 9, 8), (36, 12, 4, 4), 2, 1, 2),
    "few positions of one tap": ((17, 40, 4, 3), (21, 40, 1, 1), 1, 0, 1),
    "few positions of one tap, groups": ((5, 40, 3, 3), (20, 20, 1, 1), 1, 0, 2),
    "a kernel larger than the image": ((20, 8, 3, 2), (40, 8, 5, 7), 1, (3, 4), 1),
    "taps that never meet the image": ((20, 16, 1, 1), (24, 16, 3, 3), 1, 1, 1),
    "one position in groups": ((7, 24, 4, 5), (36, 8, 4, 5), 1, 0, 3),
    "stride longer than the kernel": ((2, 3, 16, 16), (4, 3, 2, 2), 3, 0, 1),
    "volumes with several planes at a time": ((2, 6, 5, 9, 11), (20, 6, 3, 3, 3), 1, 1, 1),
    "volumes, no border": ((2, 5, 5, 8, 9), (33, 5, 2, 3, 3), 1, 0, 1),
    "volumes, two blocks of channels": ((1, 40, 4, 6, 7), (17, 40, 3, 3, 3), 1, 1, 1),
    "volumes, stride": ((2, 4, 7, 11, 12), (18, 4, 3, 3, 3), 2, 1, 1),
    "volumes, stride across planes": ((2, 3, 9, 8, 8), (9, 3, 3, 3, 3), (2, 1, 1), 1, 1),
    "volumes in groups": ((2, 6, 4, 9, 9), (10, 3, 3, 3, 2), 1, 1, 2),
    "volumes with large planes": ((2, 3, 3, 26, 23), (18, 3, 3, 3, 3), 1, 1, 1),
    "volumes with a canvas for each plane": ((1, 2, 4, 37, 36), (7, 2, 3, 3, 3), 1, 1, 1),
    "volumes that end within a plane": ((1, 4, 6, 30, 33), (20, 4, 2, 3, 5), 1, (1, 0, 2), 1),
}
CONV = {2: sp.conv2d, 3: sp.conv3d}


def operands(name, dtype):
    image, kernel, stride, padding, groups = SHAPES[name]
    rng = np.random.default_rng(len(name))
    x, weight, bias = (rng.standard_normal(s).astype(dtype) for s in (image, kernel, kernel[0]))
    how = {"stride": stride, "padding": padding, "groups": groups}
    g = rng.standard_normal(CONV[x.ndim - 2](x, weight, bias, **how).shape).astype(dtype)
    return x, weight, bias, g, how


def convolved(x, weight, bias, g, how):
    """The result and the gradients with respect to image and weight."""
    x, weight = (sp.tensor(a, requires_grad=True) for a in (x, weight))
    y = CONV[x.ndim - 2](x, weight, sp.tensor(bias), **how)
    y.backward(sp.tensor(g))
    return [y.detach().numpy(), x.grad.numpy(), weight.grad.numpy()]


@pytest.mark.parametrize("name", SHAPES)
def test_values(name):
    x, weight, bias, g, how = operands(name, "float64")
    wide = convolved(x, weight, bias, g, how)
    expected = ref.conv(x, weight, bias, how["stride"], how["padding"], 1, how["groups"])
    np.testing.assert_allclose(wide[0], expected, rtol=1e-12, atol=1e-12)
    narrow = convolved(*(a.astype("float32") for a in (x, weight, bias, g)), how)
    for a, b in zip(narrow, wide, strict=True):
        np.testing.assert_allclose(a, b, atol=3e-6 * (1 + abs(b).max()))


@pytest.mark.parametrize("name", SHAPES)
def test_gradients_are_the_adjoints(name):
    """<g, conv(u, w)> = <conv_input(g, w), u> = <conv_weight(u, g), w>, for newly drawn operands."""
    x, weight, bias, g, how = operands(name, "float64")
    _, by_x, by_weight = convolved(x, weight, 0 * bias, g, how)
    rng = np.random.default_rng(1)
    for at, gradient in ((x, by_x), (weight, by_weight)):
        u = rng.standard_normal(at.shape)
        moved = CONV[x.ndim - 2](*((u, weight) if at is x else (x, u)), None, **how)
        assert (g * moved.numpy()).sum() == pytest.approx((gradient * u).sum(), rel=1e-10, abs=1e-9)


@pytest.mark.parametrize("name", SHAPES)
def test_an_image_alone_has_the_bits_it_has_in_a_batch_for_any_threads(name):
    x, weight, bias, g, how = operands(name, "float32")
    whole = convolved(x, weight, bias, g, how)
    for n in (2, 3):
        with sp.threads(n):
            for a, b in zip(convolved(x, weight, bias, g, how), whole, strict=True):
                np.testing.assert_array_equal(a, b)
    for i in range(len(x)):
        one = convolved(x[i : i + 1], weight, bias, g[i : i + 1], how)
        np.testing.assert_array_equal(one[0][0], whole[0][i])
        np.testing.assert_array_equal(one[1][0], whole[1][i])


def test_an_epilogue_runs_on_every_image_that_went_together():
    x, weight, bias, _, how = operands("small images together", "float32")
    plain = sp.relu(sp.conv2d(x, weight, bias, **how) * 2)
    step = sp.compile(lambda x: sp.relu(sp.conv2d(x, weight, bias, **how) * 2))
    for _ in range(2):
        for n in (1, 2):
            with sp.threads(n):
                np.testing.assert_array_equal(step(sp.tensor(x)).numpy(), plain.numpy())
