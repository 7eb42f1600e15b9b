"""Elementwise results keep the order in which their operands lie in memory, as NumPy's do, whatever the op: transposed
operands are read and written as they lie. What lies in different orders, or has no order, gives row-major results."""

import itertools

import numpy as np
import pytest
import steep as sp

AXES = list(itertools.permutations(range(3)))
OPS = {
    "add": lambda x: x + x,
    "a number": lambda x: 1 - x * 2,
    "exp": sp.exp,
    "relu": sp.relu,
    "leaky_relu": lambda x: sp.leaky_relu(x, 0.1),
    "power": lambda x: x**2,
    "compare": lambda x: x > 0,
    "where": lambda x: sp.where(x > 0, x, -x),
    "clip": lambda x: sp.clip(x, -0.5, 0.5),
    "float64": lambda x: x.astype(sp.float64),
    "bfloat16": lambda x: x.astype(sp.bfloat16).astype(sp.float32),
    "integers": lambda x: x.astype(sp.int32) + 1,
    "round": sp.round,
    "isnan": sp.isnan,
    "row": lambda x: x + sp.arange(x.shape[-1]),
    "column": lambda x: x * sp.arange(x.shape[-2])[:, None],
    "plane": lambda x: x - sp.arange(x.shape[0])[:, None, None],
}


def numbers(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("axes", AXES, ids=str)
@pytest.mark.parametrize("name", OPS)
def test_a_result_lies_as_its_operand_does(name, axes):
    a = numbers(5, 70, 9)
    x, row_major = sp.permute_dims(sp.tensor(a), axes), sp.tensor(np.ascontiguousarray(a.transpose(axes)))
    y = OPS[name](x)
    assert y.strides == x.strides
    np.testing.assert_array_equal(y.numpy(), OPS[name](row_major).numpy())


@pytest.mark.parametrize("axes", AXES, ids=str)
@pytest.mark.parametrize("name", OPS)
def test_compiled_results_are_the_same_bits(name, axes):
    x = sp.tensor(numbers(5, 70, 9))
    compiled = sp.compile(lambda x: OPS[name](sp.permute_dims(x, axes)) * 3)
    expected = (OPS[name](sp.permute_dims(x, axes)) * 3).numpy()
    for _ in range(3):
        np.testing.assert_array_equal(compiled(x).numpy(), expected)


def test_a_compiled_transposed_operand_is_not_gathered():
    """Its instructions see rows of the memory: they are contiguous, and need no copy."""
    compiled = sp.compile(lambda x: sp.tanh(x.T * 2 + 1) - x.T)
    x = sp.tensor(numbers(30, 40))
    for _ in range(2):
        np.testing.assert_array_equal(compiled(x).numpy(), (sp.tanh(x.T * 2 + 1) - x.T).numpy())
    assert "float32(30, 40)" in str(compiled.program).split("result")[0]


@pytest.mark.parametrize("axes", AXES, ids=str)
def test_gradients_lie_as_their_tensors_and_are_right(axes):
    a, scale = numbers(4, 6, 5), numbers(5)
    x, w = sp.tensor(a, requires_grad=True), sp.tensor(scale, requires_grad=True)
    y = sp.permute_dims(x, axes)
    z = y * y + sp.exp(y) * 2 - y
    (z * z + z).sum().backward()
    flat = sp.tensor(np.ascontiguousarray(a.transpose(axes)), requires_grad=True)
    z = flat * flat + sp.exp(flat) * 2 - flat
    (z * z + z).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy().transpose(axes), flat.grad.numpy())
    assert x.grad.is_contiguous  # whoever scales a gradient in place has memory without surprises
    (sp.permute_dims(x, (1, 0, 2)) * w).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), a.sum((0, 1)), rtol=2e-5, atol=1e-5)


def test_second_derivatives_through_transposed_operands():
    x = sp.tensor(numbers(3, 4).astype(np.float64))
    hessian = sp.hessian(lambda v: (v.T**3 + sp.sin(v.T)).sum())(x)
    n = x.size
    np.testing.assert_allclose(
        hessian.numpy().reshape(n, n), np.diag((6 * x.numpy() - np.sin(x.numpy())).reshape(-1)), atol=1e-12
    )


def test_different_orders_and_none_give_row_major_results():
    a = sp.tensor(numbers(6, 6))
    for y in (a + a.T, a.T + a, sp.flip(a.T, (0,)) * 1, sp.broadcast_to(a[:, :1], (6, 6)) + 1, a.T[:, ::-1] + 1):
        assert y.is_contiguous
    np.testing.assert_array_equal((a + a.T).numpy(), a.numpy() + a.numpy().T)


def test_axes_of_length_one_have_no_order():
    a = numbers(1, 7, 1, 5)
    x = sp.permute_dims(sp.tensor(a), (3, 0, 2, 1))
    y = x * 2 + sp.tensor(numbers(5))[:, None, None, None]
    np.testing.assert_array_equal(y.numpy(), a.transpose(3, 0, 2, 1) * 2 + numbers(5)[:, None, None, None])
    assert y[:, 0, 0].strides == (1, 5)


def test_views_with_gaps_keep_their_order_without_the_gaps():
    a = numbers(8, 10)
    x = sp.tensor(a)[1:7:2, 2:9].T
    y = x * 2 + x
    assert y.shape == (7, 3) and y.strides == (1, 7)
    np.testing.assert_array_equal(y.numpy(), a[1:7:2, 2:9].T * 2 + a[1:7:2, 2:9].T)


def test_what_reads_such_results():
    """Reductions, products, reshapes, assignments, saving and exports see values, not memory."""
    a = numbers(6, 8)
    y, expected = sp.tensor(a).T * 2, (a.T * 2).copy()
    np.testing.assert_array_equal(y.reshape(4, 12).numpy(), expected.reshape(4, 12))
    np.testing.assert_allclose((y @ sp.tensor(a.T).T).numpy(), expected @ a, rtol=1e-5)
    np.testing.assert_allclose(y.sum(0).numpy(), expected.sum(0), rtol=1e-5)
    np.testing.assert_array_equal(sp.sort(y, -1).numpy(), np.sort(expected, -1))
    np.testing.assert_array_equal(sp.concat([y, y], 1).numpy(), np.concatenate([expected, expected], 1))
    np.testing.assert_array_equal(y[sp.tensor([3, 0])].numpy(), expected[[3, 0]])
    assert y.tolist() == expected.tolist() and memoryview(y).tolist() == expected.tolist()
    y += 1
    y[2] = 7
    expected += 1
    expected[2] = 7
    np.testing.assert_array_equal(y.numpy(), expected)
    np.testing.assert_array_equal(y.contiguous().numpy(), expected)
    assert y.copy().is_contiguous and y.contiguous().is_contiguous


def test_empty_and_large_operands():
    assert (sp.zeros((0, 3)).T * 2).shape == (3, 0)
    a = numbers(700, 900)
    before = sp.get_num_threads()
    try:
        for threads in (1, 2):
            sp.set_num_threads(threads)
            np.testing.assert_array_equal((sp.tensor(a).T * 2 + sp.tensor(a).T).numpy(), a.T * 2 + a.T)
    finally:
        sp.set_num_threads(before)
