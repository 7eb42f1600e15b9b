"""Convolutions by Winograd's minimal filtering: ``matmul_precision("winograd2")`` and ``("winograd4")``.

docs/precision.md states what is held here: errors, special values, bits, and which convolutions are computed so. Start
reading at ``CASES``.
"""

from __future__ import annotations

import numpy as np
import pytest
import steep as sp
from conv_cases import convolved, off_and_terms, operands
from test_stale_memory import check as check_stale_memory

MODES = ("winograd2", "winograd4")
# Images, kernels, and how they are convolved; each of these is computed by tiles.
CASES = {
    "one image": ((1, 16, 24, 24), (32, 16, 3, 3), {"padding": 1}),
    "no padding, odd sizes": ((2, 40, 25, 31), (33, 40, 3, 3), {}),
    "small maps of a batch": ((7, 32, 8, 9), (64, 32, 3, 3), {"padding": 1}),
    "wide padding": ((2, 24, 30, 22), (24, 24, 3, 3), {"padding": 3}),
    "uneven padding": ((1, 17, 40, 41), (31, 17, 3, 3), {"padding": (0, 2, 1, 0)}),
    "groups": ((2, 64, 23, 29), (32, 32, 3, 3), {"padding": 1, "groups": 2}),
    "blocks of channels": ((1, 600, 12, 13), (20, 600, 3, 3), {"padding": 1}),
    "long rows": ((1, 16, 8, 700), (48, 16, 3, 3), {"padding": 1}),
}
# Each of these is not.
OTHERS = {
    "stride": ((2, 32, 25, 25), (32, 32, 3, 3), {"stride": 2}),
    "dilation": ((2, 32, 25, 25), (32, 32, 3, 3), {"dilation": 2}),
    "five taps": ((2, 32, 25, 25), (32, 32, 5, 5), {}),
    "few channels": ((2, 3, 25, 25), (64, 3, 3, 3), {}),
    "small map": ((2, 32, 7, 7), (32, 32, 3, 3), {"padding": 1}),
    "depthwise": ((2, 32, 25, 25), (32, 1, 3, 3), {"groups": 32}),
    "one dimension": ((2, 32, 100), (32, 32, 3), {}),
    "three dimensions": ((1, 32, 8, 9, 10), (32, 32, 3, 3, 3), {}),
}
ALL = CASES | OTHERS


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def errors(mode, case, arrays):
    """Root mean square and maximum, for the result and the image's gradient, over the mean of what terms add up to.

    Not each over its own terms: an output of a border, with few of them, has the error of its tile.
    """
    relative = [off / terms.mean() for off, terms in off_and_terms(mode, case, arrays)[:2]]
    return np.array([(np.sqrt((r**2).mean()), r.max()) for r in relative])


@pytest.mark.parametrize("case", CASES)
def test_errors_are_those_of_the_page(case):
    arrays = operands(ALL[case])
    fma, two, four = (errors(mode, ALL[case], arrays) for mode in ("fma", *MODES))
    few = operands(ALL[case])[0].shape[1] < 512  # of more channels fused multiply-adds are added up in blocks
    assert (two[:, 0] < (1 if few else 1.5) * fma[:, 0]).all()
    assert (four[:, 0] < 2.5 * fma[:, 0]).all()
    assert (two[:, 1] < 1.5 * fma[:, 1]).all()
    assert (four[:, 1] < 2.5 * fma[:, 1]).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES)
def test_it_is_used_forward_and_for_the_gradient_of_the_image(case, mode):
    arrays = operands(ALL[case])
    found, fma = (convolved(m, ALL[case], *arrays) for m in (mode, "fma"))
    assert (found[0] != fma[0]).any()
    assert (found[1] != fma[1]).any()
    np.testing.assert_array_equal(found[2], fma[2])  # whose sum runs over positions


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", OTHERS)
def test_other_convolutions_are_computed_as_by_fma(case, mode):
    arrays = operands(ALL[case])
    assert_same(convolved(mode, ALL[case], *arrays), convolved("fma", ALL[case], *arrays))


@pytest.mark.parametrize("mode", MODES)
def test_products_and_float64_are_computed_as_by_fma(mode):
    x, weight, bias, g = (a.astype(np.float64) for a in operands(ALL["one image"]))
    a, b = x[0].reshape(16, -1).astype(np.float32), g[0].reshape(32, -1).astype(np.float32)
    assert_same(
        convolved(mode, ALL["one image"], x, weight, bias, g), convolved("fma", ALL["one image"], x, weight, bias, g)
    )
    with sp.matmul_precision(mode):
        by_mode = (sp.tensor(a) @ sp.tensor(b).T).numpy()
    with sp.matmul_precision("fma"):
        np.testing.assert_array_equal((sp.tensor(a) @ sp.tensor(b).T).numpy(), by_mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES)
def test_bits_do_not_depend_on_threads_nor_on_the_batch(case, mode):
    x, weight, bias, g = operands(ALL[case])
    whole = convolved(mode, ALL[case], x, weight, bias, g)
    for n in (1, 2, 3, 8):
        with sp.threads(n):
            assert_same(convolved(mode, ALL[case], x, weight, bias, g), whole)
    for i in range(len(x)):
        one = convolved(mode, ALL[case], x[i : i + 1], weight, bias, g[i : i + 1])
        np.testing.assert_array_equal(one[0][0], whole[0][i])
        np.testing.assert_array_equal(one[1][0], whole[1][i])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3.4e38])
@pytest.mark.parametrize("mode", MODES)
def test_a_special_value_is_seen_by_those_who_read_it_and_by_no_others(mode, value):
    case = "no padding, odd sizes"
    x, weight, bias, g = operands(ALL[case])
    before = convolved(mode, ALL[case], x, weight, bias, g)[0]
    x[1, 3, 9, 14] = weight[7, 2, 1, 0] = value
    after, fma = (convolved(m, ALL[case], x, weight, bias, g)[0] for m in (mode, "fma"))
    np.testing.assert_array_equal(np.isfinite(after), np.isfinite(fma))
    wrong = ~np.isfinite(fma)
    np.testing.assert_array_equal(after[wrong], fma[wrong])
    tile = np.zeros(after.shape, bool)
    tile[1, :, 4:12, 8:16] = tile[:, 7] = True  # whole tiles around it
    np.testing.assert_array_equal(after[~tile], before[~tile])
    magnitude = np.abs(fma[~wrong]).clip(1)
    assert (np.abs(after[~wrong] - fma[~wrong]) / magnitude < 1e-4).all()


@pytest.mark.parametrize("mode", MODES)
def test_a_compiled_step_has_the_bits_of_an_eager_one_and_keeps_the_mode(mode):
    x, weight, bias, _ = map(sp.tensor, operands(ALL["small maps of a batch"]))

    def layer(x, weight, bias):
        with sp.matmul_precision(mode):
            return sp.relu(sp.conv2d(x, weight, bias, padding=1)) * 2

    step = sp.compile(layer)
    gradient = sp.grad(lambda *a: sp.sum(layer(*a) ** 2), argnums=(0, 1, 2))
    both = sp.compile(gradient)
    with sp.matmul_precision("fma"):
        for _ in range(3):
            np.testing.assert_array_equal(step(x, weight, bias).numpy(), layer(x, weight, bias).numpy())
            assert_same([g.numpy() for g in both(x, weight, bias)], [g.numpy() for g in gradient(x, weight, bias)])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_program_keeps_the_weight_at_the_points(mode, threads):
    """A captured network has the bits of an eager one, call after call, and again after its parameters changed."""
    rng = np.random.default_rng(0)
    net = sp.nn.Sequential(
        sp.nn.Conv2d(16, 48, 3, padding=1, generator=0), sp.nn.ReLU(), sp.nn.Conv2d(48, 32, 3, padding=1, generator=1)
    )
    images = [sp.tensor(rng.standard_normal((2, 16, 24, 25)).astype(np.float32)) for _ in range(3)]
    net.eval()
    with sp.matmul_precision(mode), sp.threads(threads), sp.no_grad():
        step = sp.compile(lambda x: net(x))
        for scale in (1.0, 2.0):
            for p in net.parameters():
                p *= scale
            for x in images:
                np.testing.assert_array_equal(step(x).numpy(), net(x).numpy())


@pytest.mark.parametrize("mode", MODES)
def test_transposed_convolutions_and_gradients_pass(mode):
    rng = np.random.default_rng(0)
    x, weight = (rng.uniform(-1, 1, s).astype(np.float32) for s in ((1, 16, 8, 8), (32, 16, 3, 3)))
    g = rng.uniform(-1, 1, (1, 32, 8, 8)).astype(np.float32)
    with sp.matmul_precision("fma"):
        expected = sp.conv_transpose2d(g, weight, padding=1).numpy()
    with sp.matmul_precision(mode):
        found = sp.conv_transpose2d(g, weight, padding=1).numpy()
        assert (found != expected).any()
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)
        sp.check_grads(lambda x, w: sp.mean(sp.tanh(0.1 * sp.conv2d(x, w, padding=1))), (x, weight), order=2)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", ["small maps of a batch", "blocks of channels", "long rows"])
def test_nothing_left_in_memory_is_computed_with(case, mode):
    arrays = operands(ALL[case])
    check_stale_memory(lambda: convolved(mode, ALL[case], *arrays), "float32")


@pytest.mark.parametrize("mode", MODES)
def test_nothing_to_do(mode):
    with sp.matmul_precision(mode):
        assert sp.conv2d(sp.zeros((0, 16, 24, 24)), sp.zeros((32, 16, 3, 3)), padding=1).shape == (0, 32, 24, 24)
