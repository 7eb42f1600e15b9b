"""Group and instance norm with weights as a primitive: the same bits on any number of threads and compiled, what
follows it in a compiled step, gradients of every kind of operand. tests/optable_nn.py has its values."""

from __future__ import annotations

import numpy as np
import pytest
import steep as sp

RNG = np.random.default_rng(4)


def draw(*shape: int) -> sp.Tensor:
    return sp.asarray(RNG.standard_normal(shape).astype("float32"))


def block(x: sp.Tensor, weight: sp.Tensor, bias: sp.Tensor, residual: sp.Tensor, groups: int = 2) -> sp.Tensor:
    return sp.relu(sp.group_norm(x, groups, weight, bias) + residual)


@pytest.mark.parametrize("shape", [(4, 4, 9, 7), (16, 8, 12, 12), (1, 2, 500), (5, 6), (3, 2, 4), (2, 6, 4, 4)])
def test_the_same_bits_on_any_number_of_threads_and_compiled(shape: tuple[int, ...]) -> None:
    operands = draw(*shape), draw(shape[1]), draw(shape[1]), draw(*shape)

    def step(*given: sp.Tensor) -> tuple[sp.Tensor, ...]:
        value, grads = sp.value_and_grad(lambda *args: sp.sum(sp.square(block(*args))), argnums=(0, 1, 2))(*given)
        return value, *grads

    before = sp.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 3):
            sp.set_num_threads(threads)
            for f in (step, sp.compile(step)):
                found.append([t.numpy().tobytes() for t in f(*operands)])
    finally:
        sp.set_num_threads(before)
    assert all(f == found[0] for f in found)


def test_a_residual_and_a_rectifier_run_on_groups_as_they_are_finished() -> None:
    compiled = sp.compile(block)
    operands = draw(2, 4, 8, 8), draw(4), draw(4), draw(2, 4, 8, 8)
    first = block(*operands).numpy()
    compiled(*operands)
    assert "part by part" in str(compiled.program)
    assert compiled(*operands).numpy().tobytes() == first.tobytes()


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("given", ["both", "weight", "bias"])
def test_weights_scale_and_shift_what_is_normalised_without_them(groups: int, given: str) -> None:
    x, weight, bias = draw(3, 6, 5, 4), draw(6), draw(6)
    plain = sp.group_norm(x, groups).numpy()
    w, b = (weight if given != "bias" else None), (bias if given != "weight" else None)
    expected = plain * (1 if w is None else w.numpy()[:, None, None])
    expected = expected + (0 if b is None else b.numpy()[:, None, None])
    assert np.array_equal(sp.group_norm(x, groups, w, b).numpy(), expected)


def test_a_permuted_operand_and_a_gradient_in_another_order() -> None:
    x, weight, bias, g = draw(2, 5, 6, 4), draw(4), draw(4), draw(2, 5, 6, 4)
    channels_first = (0, 3, 1, 2)
    found = []
    for order in (lambda t: sp.permute_dims(t, channels_first), lambda t: sp.permute_dims(t, channels_first).copy()):
        leaves = [sp.tensor(t.numpy(), requires_grad=True) for t in (x, weight, bias)]
        y = sp.group_norm(order(leaves[0]), 2, *leaves[1:])
        y.backward(order(g))
        found.append([y.numpy(), *(leaf.grad.numpy() for leaf in leaves)])
    for one, other in zip(*found, strict=True):
        assert np.array_equal(one, other)


def test_a_gradient_of_zero_passes_nothing_on_where_values_are_infinite() -> None:
    x = draw(2, 2, 4, 5).numpy()
    x[0, 0, 0, 0] = np.inf
    leaves = [sp.tensor(v, requires_grad=True) for v in (x, np.ones(2, "float32"), np.zeros(2, "float32"))]
    g = np.ones(x.shape, "float32")
    g[0] = 0
    sp.instance_norm(leaves[0], *leaves[1:]).backward(sp.asarray(g))
    assert not leaves[0].grad.numpy()[0].any() and np.isfinite(leaves[1].grad.numpy()).all()


def test_equal_numbers_become_the_bias() -> None:
    y = sp.group_norm(sp.full((3, 4, 5, 5), 0.1), 2, sp.full((4,), 3.0), sp.asarray([1.0, 2.0, 3.0, 4.0]))
    assert np.array_equal(y.numpy()[1, :, 2, 3], [1.0, 2.0, 3.0, 4.0])
