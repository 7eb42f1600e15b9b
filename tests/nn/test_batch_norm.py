"""Batch norm in training as a primitive: the same bits on any number of threads, what follows it in a compiled step,
and the sums of constant and of far-off channels. tests/optable_nn.py has its values and derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import steep as sp
from steep import nn
from steep.nn import functional as F

RNG = np.random.default_rng(3)


def draw(shape: tuple[int, ...]) -> sp.Tensor:
    return sp.asarray(RNG.standard_normal(shape).astype("float32"))


def step(x: sp.Tensor, weight: sp.Tensor, bias: sp.Tensor, residual: sp.Tensor) -> tuple[sp.Tensor, ...]:
    """The loss of a block and its gradients."""

    def loss(x: sp.Tensor, weight: sp.Tensor, bias: sp.Tensor) -> sp.Tensor:
        return sp.sum(sp.square(sp.relu(F.batch_norm(x, None, None, weight, bias, training=True) + residual)))

    value, grads = sp.value_and_grad(loss, argnums=(0, 1, 2))(x, weight, bias)
    return value, *grads


@pytest.mark.parametrize("shape", [(4, 3, 9, 7), (16, 8, 12, 12), (1, 2, 500), (5, 6), (3, 2, 4)])
def test_the_same_bits_on_any_number_of_threads_and_compiled(shape: tuple[int, ...]) -> None:
    operands = draw(shape), draw(shape[1:2]), draw(shape[1:2]), draw(shape)
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


def test_a_residual_and_a_rectifier_run_on_planes_as_they_are_finished() -> None:
    def block(x: sp.Tensor, weight: sp.Tensor, bias: sp.Tensor, residual: sp.Tensor) -> sp.Tensor:
        return sp.relu(F.batch_norm(x, None, None, weight, bias, training=True) + residual)

    compiled = sp.compile(block)
    compiled(draw((2, 3, 8, 8)), draw((3,)), draw((3,)), draw((2, 3, 8, 8)))
    assert "part by part" in str(compiled.program)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
def test_a_channel_far_from_zero_keeps_its_digits(offset: float) -> None:
    x = draw((4, 2, 20, 20)).numpy() + np.float32(offset)
    y = F.batch_norm(sp.asarray(x), None, None, training=True).numpy()
    wide = x.astype("float64")
    centred = wide - wide.mean(axis=(0, 2, 3), keepdims=True)
    exact = centred / np.sqrt(centred.var(axis=(0, 2, 3), keepdims=True) + 1e-5)
    np.testing.assert_allclose(y, exact, rtol=0, atol=2e-6 + 2e-7 * abs(offset))


def test_equal_numbers_become_zero() -> None:
    x = sp.full((3, 2, 5, 5), 0.1)
    assert not F.batch_norm(x, None, None, training=True).numpy().any()


def test_running_statistics_follow_the_batch() -> None:
    x, mean, var = draw((6, 3, 7, 5)), sp.zeros(3), sp.ones(3)
    F.batch_norm(x, mean, var, training=True, momentum=1.0)
    axes = (0, 2, 3)
    np.testing.assert_allclose(mean.numpy(), x.numpy().mean(axis=axes), atol=1e-6)
    np.testing.assert_allclose(var.numpy(), x.numpy().var(axis=axes, ddof=1), rtol=1e-6)
    assert mean.is_leaf and not mean.requires_grad


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (2, 3)])
def test_a_weight_of_another_size_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"batch_norm: weight .* one for each channel"):
        F.batch_norm(sp.ones(shape), None, None, sp.ones(4), training=True)


# -- fused into convolutions ------------------------------------------------------------------------------------------


def learnt(norm, seed):
    """A layer with weights and statistics other than those at the start."""
    draw = np.random.default_rng(seed)
    for key, low, high in (("weight", 0.5, 2), ("bias", -1, 1), ("running_mean", -1, 1), ("running_var", 0.5, 3)):
        if getattr(norm, key) is not None:
            values = draw.uniform(low, high, norm.running_mean.shape)
            setattr(norm, key, sp.tensor(values, dtype=sp.float64, requires_grad=not key.startswith("running")))
    return norm


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("bias, affine, groups", [(True, True, 1), (False, True, 2), (True, False, 1)])
def test_batch_norm_is_fused_into_the_convolution_before_it(dimensions, bias, affine, groups):
    conv, norm = (getattr(nn, f"{kind}{dimensions}d") for kind in ("Conv", "BatchNorm"))

    def layers(seed):
        made = conv(4, 4, 3, padding=1, groups=groups, bias=bias, generator=seed, dtype=sp.float64)
        return {"conv": made, "norm": learnt(norm(4, affine=affine, dtype=sp.float64), seed), "act": nn.ReLU()}

    net = nn.Sequential({"first": nn.Sequential(layers(1)), "second": nn.Residual(layers(2))}).eval()
    x = np.random.default_rng(0).normal(size=(2, 4, *[5] * dimensions))
    before = {key: value.numpy().copy() for key, value in net.state_dict().items()}
    fused = nn.fuse_batch_norm(net)
    assert np.allclose(fused(x).numpy(), net(x).numpy(), rtol=1e-12, atol=1e-12)
    assert [name for name, _ in fused.second.named_layers()] == ["conv", "act"]
    assert {key for key in fused.state_dict() if "norm" in key} == set() and len(net.first) == 3
    assert all(np.array_equal(before[key], value.numpy()) for key, value in net.state_dict().items())


def test_what_cannot_be_fused_stays():
    conv, norm = nn.Conv2d(3, 3, 1, generator=0), nn.BatchNorm2d(3)
    own = nn.BatchNorm2d(3, track_running_stats=False)
    apart = nn.Sequential(nn.Sequential(conv, nn.ReLU(), norm), nn.Sequential(conv, own)).eval()
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)
    fused = nn.fuse_batch_norm(apart)
    assert fused.state_dict().keys() == apart.state_dict().keys()
    assert np.array_equal(fused(x).numpy(), apart(x).numpy())
    beside = nn.Concat(conv, norm).eval()
    assert len(nn.fuse_batch_norm(beside)) == 2
    with pytest.raises(ValueError, match=r"training mode; call eval\(\)"):
        nn.fuse_batch_norm(apart.train())
