"""What runs on the parts of a product or a convolution as they are finished, in place of a pass of its own.

The profiler lists the steps of a compiled function; the results have the bits of the uncompiled one. Start reading at
``steps_of``.
"""

from __future__ import annotations

import fuzz_compile
import numpy as np
import pytest
import steep as sp
from steep.nn import functional as F


def drawn(*shape):
    return sp.tensor(np.random.default_rng(sum(shape)).standard_normal(shape), dtype="float32")


def steps_of(function, *args):
    """The ops of each step of the compiled function, whose results are those of the function, bit for bit."""
    compiled = sp.compile(function)
    with sp.no_grad():
        compiled(*args)
        np.testing.assert_array_equal(compiled(*args).numpy(), function(*args).numpy())
        with sp.profile() as p:
            compiled(*args)
    return [[each.name for each in event.operations] for event in p.events]


CONVOLUTIONS = {
    "ordinary": (24, 1),
    "of one tap": (24, 1),
    "depthwise": (8, 8),
}


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_a_batch_norm_with_its_activation_runs_on_parts_of_the_convolution(kind):
    filters, groups = CONVOLUTIONS[kind]
    size = 1 if kind == "of one tap" else 3
    weight = drawn(filters, 8 // groups, size, size)
    mean, scale, shift = drawn(filters), drawn(filters), drawn(filters)
    var = sp.exp(scale)

    def block(x):
        y = sp.conv2d(x, weight, padding=size // 2, groups=groups)
        return sp.clip(F.batch_norm(y, mean, var, scale, shift), 0, 6)

    steps = steps_of(block, drawn(3, 8, 20, 20))
    (convolution,) = (ops for ops in steps if ops[0] == "conv")
    assert "multiply" in convolution and len(convolution) > 4
    assert all(not set(ops) & {"clip", "maximum", "minimum"} for ops in steps if ops is not convolution)


# Shape of x, kernels (C, O / groups, ...), stride, padding, groups: one phase and several, taps that some phases lack,
# a kernel as large as the result, depthwise ones, blocks of images and few.
TRANSPOSED = {
    "one phase": ((3, 8, 12, 12), (8, 6, 3, 3), 1, 1, 1),
    "one tap": ((3, 8, 12, 12), (8, 6, 1, 1), 1, 0, 1),
    "four phases": ((9, 8, 10, 10), (8, 6, 4, 4), 2, 1, 1),
    "phases without taps": ((9, 8, 10, 10), (8, 6, 2, 2), 3, 0, 1),
    "one image": ((1, 8, 20, 20), (8, 6, 4, 4), 2, 1, 1),
    "many images": ((70, 4, 5, 5), (4, 6, 4, 4), 2, 1, 1),
    "as large as the result": ((5, 8, 1, 1), (8, 6, 4, 4), 1, 0, 1),
    "groups": ((4, 8, 7, 7), (8, 3, 3, 3), 2, 1, 2),
    "depthwise": ((4, 8, 9, 9), (8, 1, 3, 3), 2, 1, 8),
    "a signal": ((4, 8, 50), (8, 6, 5), 3, 2, 1),
    "a volume": ((2, 4, 5, 6, 7), (4, 3, 3, 3, 3), 2, 1, 1),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("mode", ["fma", "split", "winograd2"])
@pytest.mark.parametrize("kind", TRANSPOSED)
def test_what_follows_a_transposed_convolution_runs_on_its_parts(kind, mode, threads):
    shape, kernels, stride, padding, groups = TRANSPOSED[kind]
    weight, bias = drawn(*kernels), drawn(kernels[1] * groups)
    f = getattr(sp, f"conv_transpose{len(shape) - 2}d")
    before = sp.get_num_threads()
    sp.set_num_threads(threads)
    try:
        with sp.matmul_precision(mode):
            steps = steps_of(lambda x: sp.relu(f(x, weight, bias, stride, padding, groups=groups)), drawn(*shape))
    finally:
        sp.set_num_threads(before)
    assert [ops for ops in steps if "relu" in ops] == [["conv_input", "add", "relu"]]


def test_the_derivative_of_an_activation_runs_on_parts_of_the_gradient_of_a_convolution():
    first, second = drawn(8, 3, 3, 3), drawn(12, 8, 3, 3)

    def gradient(x):
        def loss(x):
            return (sp.conv2d(sp.relu(sp.conv2d(x, first, padding=1)), second, stride=2, padding=1) ** 2).sum()

        return sp.grad(loss)(x)

    steps = steps_of(gradient, drawn(6, 3, 16, 16))
    assert ["conv_input", "relu_gradient"] in steps


def test_a_scale_computed_from_the_result_itself_stays_behind_it():
    weight = drawn(6, 4, 3, 3)

    def block(x):
        y = sp.conv2d(x, weight, padding=1)
        return sp.relu(y * sp.rsqrt((y * y).mean(axis=(0, 2, 3), keepdims=True) + 1))

    assert not any({"conv", "relu"} <= set(ops) for ops in steps_of(block, drawn(2, 4, 16, 16)))


def test_a_scale_after_the_product_and_an_update_between_keep_their_order():
    """Something is written in place between the product and the group that needs it."""
    w, state = drawn(32, 32), drawn(32)

    def block(x):
        y = x @ w
        state[...] = state * 0.5
        scale = sp.exp(state) + 1
        return sp.relu(y * scale)

    kept = state.copy()
    x = drawn(40, 32)
    expected = [block(x).numpy() for _ in range(4)]
    state[...] = kept
    compiled = sp.compile(block)
    for each in expected:
        np.testing.assert_array_equal(compiled(x).numpy(), each)


# ---- what the parts of a product still read is not written by what finishes others ----

W, KERNEL = drawn(300, 300) * 0.05, drawn(6, 6, 3, 3) * 0.1
SCALE, SHIFT = drawn(6), drawn(6)
PRODUCTS = {
    "x @ w": (lambda x: x @ W, (700, 300)),
    "w @ x": (lambda x: W @ x, (300, 700)),
    "x @ x": (lambda x: x @ (x * 0.05), (300, 300)),
    "x.T @ w": (lambda x: x.T @ W, (300, 300)),
    "stacks": (lambda x: x @ W, (3, 300, 300)),
    "conv": (lambda x: sp.conv2d(x, KERNEL, padding=1), (3, 6, 40, 40)),
    "transposed conv": (lambda x: F.conv_transpose2d(x, KERNEL, padding=1), (3, 6, 40, 40)),
    "batch norm": (lambda x: F.batch_norm(x, SHIFT, sp.exp(SCALE), SCALE, SHIFT), (3, 6, 40, 40)),
    "batch norm in training": (lambda x: F.batch_norm(x, SHIFT, SCALE, training=True), (3, 6, 40, 40)),
    "group norm": (lambda x: F.group_norm(x, 3, SCALE, SHIFT), (3, 6, 40, 40)),
}


def plus(x, y):
    x += y


def written(x, y):
    x[...] = sp.relu(y) - x


def replaced(x, y):
    x[...] = y


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("write", [plus, written, replaced])
@pytest.mark.parametrize("product", PRODUCTS)
def test_an_operand_that_is_written_in_place_is_read_first(product, write, threads):
    f, shape = PRODUCTS[product]

    def run(x):
        own = x * 1
        write(own, f(own))
        write(x, f(x))
        return own

    compiled, plain = sp.compile(run), run
    for seed in range(3):
        given = [sp.tensor(np.random.default_rng(seed).standard_normal(shape).astype("f4")) for _ in range(2)]
        with sp.threads(threads):
            found = compiled(given[0])
        np.testing.assert_array_equal(found.numpy(), plain(given[1]).numpy())
        np.testing.assert_array_equal(given[0].numpy(), given[1].numpy())


def test_random_programs_give_the_bits_of_the_plain_function():
    found = [fuzz_compile.differs(seed) for seed in range(300)]
    assert not [said for said in found if said] and found.count(None) < 15
