"""bfloat16 as a dtype: casts that round to nearest even, moving it, arithmetic through float32, products, files."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import steep as sp
from steep import io

DTYPES = ("bool", "uint8", "int32", "int64", "float32", "float64")


def rounded(values):
    """float64 values to the nearest bfloat16, ties to even, as float64: by scaling to 8 bits."""
    values = np.asarray(values, np.float64)
    exponent = np.maximum(np.frexp(values)[1], -125)  # denormals have fewer bits
    unit = np.ldexp(1.0, exponent - 8)
    y = np.where(np.isfinite(values), np.round(values / unit) * unit, values)
    return np.where(np.abs(y) >= 2.0**128, np.copysign(np.inf, y), y)


def bf16(values):
    return sp.tensor(np.asarray(values), dtype=sp.bfloat16)


def all_of_it():
    """Every bfloat16, as float32."""
    return (np.arange(2**16, dtype=np.uint32) << 16).view(np.float32)


def same(a, b):
    np.testing.assert_array_equal(np.asarray(a, np.float64), np.asarray(b, np.float64))


def test_its_name_size_and_limits():
    assert (sp.bfloat16.name, sp.bfloat16.itemsize, sp.bfloat16.kind) == ("bfloat16", 2, "f")
    assert sp.tensor([1.0], dtype="bfloat16").dtype == sp.bfloat16 == "bfloat16"
    assert sp.bfloat16 != sp.float32
    assert sp.isdtype(sp.bfloat16, "real floating")
    info = sp.finfo(sp.bfloat16)
    assert bf16(1 + info.eps).item() == 1 + info.eps
    assert bf16(info.max).item() == info.max == all_of_it()[np.isfinite(all_of_it())].max()
    assert bf16(info.smallest_normal).item() == info.smallest_normal


def test_every_value_survives_float32_and_float64():
    values = all_of_it()
    for dtype in (np.float32, np.float64):
        with np.errstate(invalid="ignore"):
            same(bf16(values.astype(dtype)).numpy(), values)
    assert bf16(values).numpy().dtype == np.float32
    signs = np.signbit(bf16(values).numpy())
    np.testing.assert_array_equal(signs[values == 0], np.signbit(values[values == 0]))


def test_float32_rounds_to_nearest_even():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 100_000, np.uint64).astype(np.uint32)
    ties = (rng.integers(0, 2**16, 10_000, np.uint64).astype(np.uint32) << 16) | 0x8000
    values = np.concatenate([bits, ties, ties - 1, ties + 1]).view(np.float32)
    with np.errstate(invalid="ignore"):
        same(bf16(values).numpy(), rounded(values.astype(np.float64)))
    nan = np.array([0x7F800001, 0xFF800001, 0x7FFFFFFF, 0x7FC00000], np.uint32).view(np.float32)
    assert np.isnan(bf16(nan).numpy()).all()


def test_float64_is_rounded_once():
    rng = np.random.default_rng(0)
    middle = 1 + 2.0**-8  # half way between neighbours
    near = [middle, middle + 2.0**-40, middle - 2.0**-40, 3.4e38, 3.4e39, 1e-45, 1e-300, np.inf, np.nan]
    values = np.concatenate([near, rng.standard_normal(10_000) * 2.0 ** rng.integers(-150, 135, 10_000)])
    values = np.concatenate([values, -values])
    same(bf16(values).numpy(), rounded(values))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
def test_integers_round_and_come_back(dtype):
    if dtype == "bool":
        values = np.array([False, True])
    else:
        info = np.iinfo(dtype)
        values = np.concatenate([[info.min, info.max], np.arange(100), 2 ** np.arange(7)]).astype(dtype)
    same(bf16(values).numpy(), rounded(values.astype(np.float64)))
    wide = [2**62 + 2**54, 2**62 + 2**54 + 1, 2**62 + 2**54 - 1, -(2**62) - 2**54 - 1]
    if dtype == "int64":
        same(bf16(np.array(wide)).numpy(), [2**62, 2**62 + 2**55, 2**62, -(2**62) - 2**55])
    small = bf16([0.0, 1.0, 2.75, 100.0])
    same(sp.astype(small, dtype).numpy(), sp.astype(sp.astype(small, sp.float32), dtype).numpy())


def test_promotion():
    for dtype in DTYPES:
        wider = sp.result_type(sp.bfloat16, getattr(sp, dtype))
        assert wider == (dtype if dtype in ("float32", "float64") else sp.bfloat16)
    x = bf16([1.0, 2.0])
    assert (x + 1.5).dtype == (x * 2).dtype == (x + sp.tensor([1, 2])).dtype == sp.bfloat16
    assert (x + sp.tensor([1.0, 2.0])).dtype == sp.float32
    assert sp.concat([x, sp.tensor([1.0])]).dtype == sp.float32


def test_views_copies_indexing_and_joins_keep_it():
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    x = bf16(values)
    for f in (
        lambda t: t[0], lambda t: t[:, ::2, 1:], lambda t: t[:, [2, 0]], lambda t: t.mT, lambda t: t.reshape(4, 6),
        lambda t: t.copy(), lambda t: t[t > 5], lambda t: sp.flip(t), lambda t: sp.permute_dims(t, (2, 0, 1)).copy(),
        lambda t: sp.take(t, sp.tensor([1, 0]), axis=1), lambda t: sp.concat([t, t], axis=1),
        lambda t: sp.broadcast_to(t[:, :1], (2, 3, 4)).copy(), lambda t: sp.where(t > 5, t, t[0]),
        lambda t: sp.stack([t, t]), lambda t: sp.sort(t, descending=True), lambda t: sp.abs(t), copy.deepcopy,
    ):  # fmt: skip
        assert f(x).dtype == sp.bfloat16
        same(f(x).numpy(), f(sp.tensor(values)).numpy())
    y = x.copy()
    y[0, 1], y[1, :, 2] = 7, bf16([1.0, 2.0, 3.0])
    assert (y[0, 1].numpy() == 7).all() and y[1, 2, 2].item() == 3
    assert (x.tolist()[1][2][3], float(x[1, 2, 3]), x[0, 0, 1].item()) == (23.0, 23.0, 1.0)
    assert bool((x == x).all()) and sp.zeros((2,), dtype=sp.bfloat16).dtype == sp.bfloat16


def test_arithmetic_is_float32s_rounded_once():
    rng = np.random.default_rng(0)
    a, b = (bf16(rng.standard_normal((50, 60))) for _ in range(2))
    wide_a, wide_b = sp.astype(a, sp.float32), sp.astype(b, sp.float32)
    for f in (sp.add, sp.multiply, sp.divide, sp.atan2, sp.maximum, sp.logaddexp):
        assert f(a, b).dtype == sp.bfloat16
        same(f(a, b).numpy(), rounded(f(wide_a, wide_b).numpy()))
    for g in (sp.exp, sp.tanh, sp.floor, sp.sign, sp.sum, sp.cumsum, sp.softmax, sp.prod, sp.max):
        same(g(a).numpy(), rounded(g(wide_a).numpy()))
    for h in (sp.argmax, sp.argsort, sp.isnan, sp.any):
        assert h(a).dtype == h(wide_a).dtype
        same(h(a).numpy(), h(wide_a).numpy())
    c = a.copy()
    c += b
    c *= 2
    assert c.dtype == sp.bfloat16
    same(c.numpy(), rounded(2 * rounded(wide_a.numpy() + wide_b.numpy())))
    same(sp.random.Generator(0).normal((5,), dtype=sp.bfloat16).numpy(),
         rounded(sp.random.Generator(0).normal((5,)).numpy()))  # fmt: skip


@pytest.mark.parametrize("mode", ["fma", "split", "bf16"])
def test_products_add_up_in_float32(mode):
    rng = np.random.default_rng(0)
    a, b = bf16(rng.standard_normal((3, 40, 200))), bf16(rng.standard_normal((200, 50)))
    with sp.matmul_precision(mode):
        y = a @ b
        same(y.numpy(), rounded((sp.astype(a, sp.float32) @ sp.astype(b, sp.float32)).numpy()))
    exact = a.numpy().astype(np.float64) @ b.numpy().astype(np.float64)
    assert y.dtype == sp.bfloat16
    bound = 2.0**-8 * np.abs(exact) + 1e-6 * (np.abs(a.numpy()) @ np.abs(b.numpy()))
    assert (np.abs(y.numpy() - exact) <= bound).all()


def test_gradients_run_in_float32_and_arrive_in_bfloat16():
    rng = np.random.default_rng(0)
    a, b = rounded(rng.standard_normal((4, 5))), rounded(rng.standard_normal((5, 3)))
    x, y = bf16(a), bf16(b)
    x.requires_grad = y.requires_grad = True
    z = sp.sum(sp.tanh(x @ y) * 2)
    z.backward()
    grad = 2 * (1 - np.tanh(a @ b) ** 2)
    assert x.grad.dtype == y.grad.dtype == sp.bfloat16
    np.testing.assert_allclose(x.grad.numpy(), grad @ b.T, rtol=0.05, atol=0.05)
    np.testing.assert_allclose(y.grad.numpy(), a.T @ grad, rtol=0.05, atol=0.05)
    (x * 3).backward(sp.ones_like(x))  # adds to what is there
    np.testing.assert_allclose(x.grad.numpy(), grad @ b.T + 3, rtol=0.05, atol=0.05)


def test_a_float32_weight_learns_through_a_bfloat16_product():
    w = sp.tensor(np.ones((4, 2), np.float32), requires_grad=True)
    y = sp.astype(w, sp.bfloat16) * bf16(np.full((4, 2), 3.0))
    sp.sum(sp.astype(y, sp.float32)).backward()
    assert w.grad.dtype == sp.float32
    same(w.grad.numpy(), np.full((4, 2), 3.0))


def test_it_prints_and_pickles():
    x = bf16([1.0, 2.5])
    assert repr(x) == "tensor([1. , 2.5], dtype=bfloat16)"
    back = pickle.loads(pickle.dumps(x))
    assert back.dtype == sp.bfloat16
    same(back.numpy(), x.numpy())
    assert np.asarray(x).dtype == np.float32
    with pytest.raises(BufferError, match="bfloat16 has no buffer format; use x"):
        memoryview(x)


def test_it_travels_by_dlpack():
    x = bf16(all_of_it())
    same(sp.from_dlpack(x).numpy(), x.numpy())
    assert sp.from_dlpack(x).dtype == sp.bfloat16


def test_safetensors_keep_it(tmp_path):
    x = bf16(all_of_it().reshape(256, 256))
    io.save(tmp_path / "a.safetensors", {"x": x, "y": sp.tensor([1.0]), "z": bf16(1.5)})
    back = io.load(tmp_path / "a.safetensors")
    assert {name: t.dtype.name for name, t in back.items()} == {"x": "bfloat16", "y": "float32", "z": "bfloat16"}
    same(back["x"].numpy(), x.numpy())
    assert (tmp_path / "a.safetensors").stat().st_size < 2 * 2**16 + 400


def test_checkpoints_keep_it(tmp_path):
    io.save_checkpoint(tmp_path / "a.safetensors", extra={"x": bf16([1.5, 2.0])})
    assert io.load_checkpoint(tmp_path / "a.safetensors").extra["x"].dtype == sp.bfloat16
