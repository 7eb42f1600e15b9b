"""Batches of images with few positions, in one to three dimensions, dilated and transposed, under every mode.

Several images are computed at once then (csrc/kernels/conv_images.inl.h), and taps outside the image are left out; what
each image gives must be what it gives alone. Start reading at ``CASES``.
"""

from __future__ import annotations

import numpy as np
import pytest
import references_nn as ref
import steep as sp
from conv_cases import CONV, convolved, off_and_terms, operands

CASES = {
    "1d": ((12, 40, 6), (50, 40, 5), {"padding": 2}),
    "1d, stride": ((30, 20, 9), (18, 20, 8), {"padding": 3, "stride": 4}),
    "1d, one position": ((40, 33, 1), (34, 33, 3), {"padding": 1}),
    "2d, dilated": ((9, 24, 9, 9), (20, 24, 3, 3), {"dilation": 4}),
    "2d, dilated, padded": ((9, 24, 5, 5), (20, 24, 3, 3), {"dilation": 3, "padding": 3}),
    "2d, stride and dilation": ((9, 24, 7, 7), (20, 24, 3, 3), {"dilation": 2, "padding": 2, "stride": 3}),
    "2d, a large kernel": ((11, 16, 8, 8), (40, 16, 7, 7), {}),
    "3d": ((8, 20, 2, 3, 3), (24, 20, 3, 3, 3), {"padding": 1}),
    "3d, groups": ((8, 20, 4, 2, 3), (24, 10, 3, 2, 1), {"groups": 2, "stride": 2, "padding": (1, 1, 0)}),
}
# image, kernel, what the call is given
TRANSPOSED = {
    "1d, stride": ((16, 40, 4), (40, 24, 8), {"stride": 4, "padding": 2}),
    "2d, a large kernel": ((9, 32, 2, 2), (32, 24, 7, 7), {}),
    "2d, a larger result": ((20, 16, 3, 3), (16, 20, 9, 9), {}),
    "2d, stride": ((9, 40, 4, 4), (40, 20, 4, 4), {"stride": 2, "padding": 1}),
    "2d, stride, groups": ((9, 40, 2, 3), (40, 10, 3, 3), {"stride": 2, "padding": 1, "groups": 4}),
    "2d, one position in groups": ((16, 48, 1, 1), (48, 8, 4, 4), {"groups": 6}),
    "2d, one tap at each": ((16, 48, 3, 3), (48, 24, 2, 2), {"stride": 2}),
    "3d": ((6, 30, 2, 2, 2), (30, 16, 3, 3, 3), {"stride": 2, "dilation": 2}),
}
MODES = ["auto", "fma", "split", "bf16", "winograd2", "winograd4"]


def transposed(x, weight, bias, how):
    return {1: sp.conv_transpose1d, 2: sp.conv_transpose2d, 3: sp.conv_transpose3d}[x.ndim - 2](x, weight, bias, **how)


def transposed_operands(name):
    rng = np.random.default_rng(0)
    image, kernel, how = TRANSPOSED[name]
    rows = kernel[1] * how.get("groups", 1)
    return *(rng.standard_normal(s).astype(np.float32) for s in (image, kernel, (rows,))), how


@pytest.mark.parametrize("name", CASES)
def test_values_in_float64(name):
    x, weight, bias = (a.astype("float64") for a in operands(CASES[name])[:3])
    expected = ref.conv(x, weight, bias, **CASES[name][2])
    np.testing.assert_allclose(
        CONV[x.ndim - 2](x, weight, bias, **CASES[name][2]).numpy(), expected, rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name, mode):
    limit = 0.01 if mode == "bf16" else 1e-6
    for off, terms in off_and_terms(mode, CASES[name], operands(CASES[name])):
        assert off.max() <= limit * terms.max()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CASES)
def test_an_image_alone_has_the_bits_it_has_in_a_batch_for_any_threads(name, mode):
    x, weight, bias, g = operands(CASES[name])
    whole = convolved(mode, CASES[name], x, weight, bias, g)
    with sp.threads(3):
        for a, b in zip(convolved(mode, CASES[name], x, weight, bias, g), whole, strict=True):
            np.testing.assert_array_equal(a, b)
    for part in (slice(0, 1), slice(1, 3), slice(1, len(x))):
        some = convolved(mode, CASES[name], x[part], weight, bias, g[part])
        np.testing.assert_array_equal(some[0], whole[0][part])
        np.testing.assert_array_equal(some[1], whole[1][part])


@pytest.mark.parametrize("name", TRANSPOSED)
def test_a_transposed_convolution_has_its_values_and_is_the_same_for_each_image(name):
    x, weight, bias, how = transposed_operands(name)
    wide = ref.conv_transpose(*(a.astype("float64") for a in (x, weight, bias)), **how)
    whole = transposed(x, weight, bias, how).numpy()
    np.testing.assert_allclose(whole, wide, rtol=0, atol=1e-6 * np.abs(wide).max())
    for part in (slice(0, 1), slice(1, 3)):
        np.testing.assert_array_equal(transposed(x[part], weight, bias, how).numpy(), whole[part])


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("name", ["1d, one position", "2d, dilated, padded", "3d"])
def test_a_weight_that_is_not_finite_meets_the_zeros_of_the_border_in_every_batch(name, bad):
    x, weight, bias, _ = operands(CASES[name])
    weight[3, 2].flat[0] = bad  # in one dimension with one position, a tap that never lies inside
    conv, how = CONV[x.ndim - 2], CASES[name][2]
    whole = conv(x, weight, bias, **how).numpy()
    assert np.isnan(whole[:, 3]).any() and np.isfinite(np.delete(whole, 3, 1)).all()
    for i in range(3):
        np.testing.assert_array_equal(conv(x[i : i + 1], weight, bias, **how).numpy(), whole[i : i + 1])


@pytest.mark.parametrize("name", CASES)
def test_a_compiled_step_has_the_same_bits(name):
    x, weight, bias, _ = map(sp.tensor, operands(CASES[name]))
    conv, how = CONV[x.ndim - 2], CASES[name][2]

    def layer(x):
        return sp.relu(conv(x, weight, bias, **how)) + 1.0

    step = sp.compile(layer)
    for part in (x, x[:2], x, x[:2]):
        np.testing.assert_array_equal(step(part).numpy(), layer(part).numpy())
