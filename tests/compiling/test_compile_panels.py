"""Weights that no call changes are packed once: what a program computes stays equal, and follows every change of them.

The first call of a program records it, the second finds its weights as they were, and packs them; the third reads
the panels.
"""

from __future__ import annotations

import numpy as np
import pytest
import steep as sp

RNG = np.random.default_rng(5)


def weights(*shape: int, dtype: str = "float32") -> sp.Tensor:
    return sp.tensor(RNG.standard_normal(shape).astype(dtype))


# Name: the shape of x, of the weight, and what is computed. They reach every way in which a kernel packs a weight: a
# plain product from both sides, columns, canvases with positions or output channels in the lanes, gradients with
# respect to the image, phases of a stride, groups, many images.
CASES = {
    "x @ w": ((70, 96), (96, 200), lambda x, w: x @ w),
    "x @ w.T": ((70, 96), (200, 96), lambda x, w: x @ w.T),
    "many rows, wider than high": ((300, 160), (500, 160), lambda x, w: sp.relu(x @ w.T)),
    "one row @ w.T": ((1, 300), (200, 300), lambda x, w: x @ w.T),
    "w @ x": ((96, 33), (130, 96), lambda x, w: w @ x),
    "w.T @ x": ((96, 600), (96, 130), lambda x, w: w.T @ x),
    "deep": ((20, 1500), (70, 1500), lambda x, w: x @ w.T),
    "batched": ((3, 20, 40), (3, 40, 70), lambda x, w: x @ w),
    "linear, gradient": ((9, 64), (80, 64), lambda x, w: sp.grad(lambda v: sp.tanh(v @ w.T).sum())(x)),
    "1x1": ((2, 40, 14, 14), (96, 40, 1, 1), lambda x, w: sp.conv2d(x, w)),
    "1x1, small map": ((2, 200, 7, 7), (192, 200, 1, 1), lambda x, w: sp.conv2d(x, w)),
    "3x3": ((2, 40, 14, 14), (96, 40, 3, 3), lambda x, w: sp.conv2d(x, w, padding=1)),
    "3x3, small map": ((2, 70, 5, 5), (96, 70, 3, 3), lambda x, w: sp.conv2d(x, w, padding=1)),
    "3x3, wide map": ((1, 3, 60, 60), (40, 3, 3, 3), lambda x, w: sp.conv2d(x, w, padding=1)),
    "3x3, stride 2": ((2, 40, 27, 27), (64, 40, 3, 3), lambda x, w: sp.conv2d(x, w, stride=2)),
    "7x7, stride 4": ((2, 3, 63, 63), (64, 3, 7, 7), lambda x, w: sp.conv2d(x, w, stride=4)),
    "images together, wide rows": ((9, 4, 28, 28), (8, 4, 5, 5), lambda x, w: sp.conv2d(x, w, padding=2)),
    "images together, few channels": ((10, 1, 28, 28), (8, 1, 3, 3), lambda x, w: sp.conv2d(x, w)),
    "many small images": ((40, 16, 6, 6), (33, 16, 3, 3), lambda x, w: sp.conv2d(x, w, padding=1)),
    "dilated by more than a row": ((1, 30, 40, 9), (20, 30, 2, 2), lambda x, w: sp.conv2d(x, w, dilation=5)),
    "groups": ((2, 24, 12, 12), (48, 8, 3, 3), lambda x, w: sp.conv2d(x, w, padding=1, groups=3)),
    "depthwise": ((2, 24, 12, 12), (24, 1, 3, 3), lambda x, w: sp.conv2d(x, w, padding=1, groups=24)),
    "1-d": ((2, 24, 300), (48, 24, 5), lambda x, w: sp.conv1d(x, w, padding=2)),
    "3-d": ((1, 8, 6, 12, 12), (20, 8, 3, 3, 3), lambda x, w: sp.conv3d(x, w, padding=1)),
    "transposed": ((2, 24, 9, 9), (24, 20, 4, 4), lambda x, w: sp.conv_transpose2d(x, w, stride=2, padding=1)),
    "gradient": (
        (2, 24, 15, 15),
        (40, 24, 3, 3),
        lambda x, w: sp.grad(lambda v: sp.tanh(sp.conv2d(v, w, stride=2, padding=1)).sum())(x),
    ),
    "1x1, gradient": ((2, 24, 9, 9), (40, 24, 1, 1), lambda x, w: sp.grad(lambda v: sp.tanh(sp.conv2d(v, w)).sum())(x)),
}


def panel_bytes(fast: object) -> int:
    return sum(p.panel_bytes for p in fast.programs)  # type: ignore[attr-defined]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "dtype, mode", [("float64", "fma"), ("float32", "fma"), ("float32", "split"), ("float32", "bf16")]
)
@pytest.mark.parametrize("name", CASES)
def test_calls_with_packed_weights_give_the_same_bits(name: str, dtype: str, mode: str, threads: int) -> None:
    shape, weight_shape, f = CASES[name]
    w = weights(*weight_shape, dtype=dtype)
    fast = sp.compile(lambda x: f(x, w))
    before = sp.get_num_threads()
    try:
        with sp.matmul_precision(mode):
            for call in range(5):
                sp.set_num_threads(threads if call < 3 else 3 - threads)  # other parts than the panels were packed for
                x = weights(*shape, dtype=dtype)
                assert np.array_equal(np.asarray(fast(x)), np.asarray(f(x, w))), f"call {call}"
    finally:
        sp.set_num_threads(before)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e-42, 3e38, 0.0])
@pytest.mark.parametrize("name", ["x @ w", "w @ x", "3x3", "gradient"])
def test_split_products_repair_their_rows_also_with_packed_weights(name: str, value: float) -> None:
    """The magnitudes that say which rows and columns need that are kept beside the panels."""
    shape, weight_shape, f = CASES[name]
    w = weights(*weight_shape)
    with sp.no_grad():
        w[5, 3] = value
    fast = sp.compile(lambda x: f(x, w))
    with sp.matmul_precision("split"):
        for _ in range(4):
            x = weights(*shape)
            np.testing.assert_array_equal(np.asarray(fast(x)), np.asarray(f(x, w)))


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("depthwise", "x @ w", "batched", "w.T @ x")])
def test_the_third_call_reads_panels(name: str) -> None:
    shape, weight_shape, f = CASES[name]
    w, x = weights(*weight_shape), weights(*shape)
    fast = sp.compile(lambda x: f(x, w))
    with sp.matmul_precision("fma"):
        for _ in range(3):
            fast(x)
    kept = panel_bytes(fast)
    assert 0 < kept <= 6 * w.nbytes + (1 << 15)
    fast(x)
    assert panel_bytes(fast) == kept


CHANGES = {
    "in place": lambda w: w.add_(1.0) if hasattr(w, "add_") else w.__iadd__(1.0),
    "an item": lambda w: w.__setitem__((0, 0), 3.0),
    "a part": lambda w: w.__setitem__(slice(2, 5), 0.25),
    "a view": lambda w: w[3].__setitem__(Ellipsis, 2.0),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["x @ w.T", "1x1", "3x3", "3x3, small map", "gradient", "transposed"])
def test_a_weight_that_is_written_is_packed_again(name: str, change: str) -> None:
    shape, weight_shape, f = CASES[name]
    w, x = weights(*weight_shape), weights(*shape)
    fast = sp.compile(lambda x: f(x, w))
    for _ in range(3):
        for _ in range(3):
            fast(x)
        with sp.no_grad():
            CHANGES[change](w)
        assert np.array_equal(np.asarray(fast(x)), np.asarray(f(x, w)))
        assert np.array_equal(np.asarray(fast(x)), np.asarray(f(x, w)))


@pytest.mark.parametrize("name", ["x @ w.T", "3x3", "3x3, small map", "gradient"])
def test_memory_that_numpy_can_write_is_not_kept(name: str) -> None:
    shape, weight_shape, f = CASES[name]
    w, x = weights(*weight_shape), weights(*shape)
    fast = sp.compile(lambda x: f(x, w))
    for _ in range(4):
        fast(x)
    outside = w.numpy()
    for value in (2.0, 3.0):
        outside[0] = value
        assert np.array_equal(np.asarray(fast(x)), np.asarray(f(x, w)))
    assert panel_bytes(fast) == 0


def test_a_weight_that_shares_memory_with_an_array_is_not_kept() -> None:
    array = RNG.standard_normal((96, 40, 3, 3)).astype("float32")
    w, x = sp.from_dlpack(array), weights(2, 40, 14, 14)
    fast = sp.compile(lambda x: sp.conv2d(x, w, padding=1))
    for value in (2.0, 3.0, 4.0, 5.0):
        array[0] = value
        assert np.array_equal(np.asarray(fast(x)), np.asarray(sp.conv2d(x, w, padding=1)))


def test_a_program_that_trains_packs_at_every_step_and_keeps_nothing() -> None:
    model = sp.nn.Sequential(sp.nn.Conv2d(3, 16, 3, padding=1), sp.nn.ReLU(), sp.nn.Flatten(), sp.nn.Linear(16 * 64, 5))
    parameters = list(model.parameters())
    optimiser = sp.optim.SGD(parameters, lr=0.01)

    @sp.compile
    def step(x: sp.Tensor, y: sp.Tensor) -> sp.Tensor:
        loss = sp.nn.cross_entropy(model(x), y)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        return loss

    x, y = weights(4, 3, 8, 8), sp.tensor([0, 1, 2, 3])
    losses = [float(step(x, y)) for _ in range(6)]
    assert losses == sorted(losses, reverse=True)
    assert panel_bytes(step) == 0


STEPS = 6


def unrolled(h: sp.Tensor, w: sp.Tensor) -> sp.Tensor:
    """A recurrence: every step reads the same weight."""
    for _ in range(STEPS):
        h = sp.tanh(h @ w.T)
    return h


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("mode", ["fma", "split", "bf16"])
def test_steps_that_read_one_weight_pack_it_once_in_a_call(mode: str, threads: int) -> None:
    """A program that trains: the weight differs from call to call, and its gradient reads it at every step as well."""
    start, x = RNG.standard_normal((96, 96)).astype("float32") / 10, weights(8, 96)

    def trained(compiled: bool) -> tuple[list[float], np.ndarray, int]:
        w = sp.tensor(start, requires_grad=True)
        optimiser = sp.optim.SGD([w], lr=0.1)

        def step(x: sp.Tensor) -> sp.Tensor:
            loss = (unrolled(x, w) ** 2).sum()
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            return loss

        run = sp.compile(step) if compiled else step
        losses = [float(run(x)) for _ in range(5)]
        return losses, np.asarray(w), panel_bytes(run) if compiled else 0

    before = sp.get_num_threads()
    sp.set_num_threads(threads)
    try:
        with sp.matmul_precision(mode):
            (losses, w, _), (expected, other, _) = trained(True), trained(False)
            kept = trained(True)[2]
    finally:
        sp.set_num_threads(before)
    assert losses == expected
    np.testing.assert_array_equal(w, other)
    assert 0 < kept <= 12 * start.nbytes + (1 << 16)  # of the weight and of its transposed


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_weight_that_is_passed_is_packed_at_every_call(dtype: str) -> None:
    """Other memory, and the same memory with other values."""
    x, fast = weights(8, 96, dtype=dtype), sp.compile(unrolled)
    w = weights(96, 96, dtype=dtype)
    for call in range(6):
        w = w if call % 2 else weights(96, 96, dtype=dtype)
        with sp.no_grad():
            w *= 0.5
        np.testing.assert_array_equal(np.asarray(fast(x, w)), np.asarray(unrolled(x, w)))
    array = w.numpy()
    array *= 2
    np.testing.assert_array_equal(np.asarray(fast(x, w)), np.asarray(unrolled(x, w)))


def test_a_weight_that_changes_between_steps_is_packed_for_each() -> None:
    w, x = weights(96, 96), weights(8, 96)
    start = w.copy()

    def changing(h: sp.Tensor) -> sp.Tensor:
        for _ in range(STEPS):
            h = sp.tanh(h @ w.T)
            w[...] = w * 0.5
        return h

    fast = sp.compile(changing)
    with sp.no_grad():
        for _ in range(4):
            w[...] = start
            ours = np.asarray(fast(x))
            w[...] = start
            np.testing.assert_array_equal(ours, np.asarray(changing(x)))


def test_alike_steps_share_the_panels_of_a_constant_weight() -> None:
    w, x = weights(96, 96), weights(8, 96)
    fast = sp.compile(lambda x: unrolled(x, w))
    with sp.matmul_precision("fma"):
        for _ in range(4):
            np.testing.assert_array_equal(np.asarray(fast(x)), np.asarray(unrolled(x, w)))
    assert 0 < panel_bytes(fast) <= 2 * w.nbytes + (1 << 15)


def test_programs_that_read_a_weight_alike_share_its_panels() -> None:
    """One of them finds the weight as the other has seen it, and packs it for both."""
    w, x = weights(200, 96), weights(70, 96)
    plain = [lambda x: sp.tanh(x @ w.T), lambda x: sp.exp(x @ w.T)]
    one, other = map(sp.compile, plain)
    with sp.matmul_precision("fma"):
        for fast in (one, other, one):  # recorded, recorded, and run
            fast(x)
        assert panel_bytes(one) == panel_bytes(other) == 0
        other(x)
        assert panel_bytes(one) == panel_bytes(other) > 0
        for fast, f in zip((one, other), plain, strict=True):
            np.testing.assert_array_equal(np.asarray(fast(x)), np.asarray(f(x)))
        kept = panel_bytes(other)
        del one, fast
        np.testing.assert_array_equal(np.asarray(other(x)), np.asarray(plain[1](x)))
    assert panel_bytes(other) == kept


@pytest.mark.parametrize("name", ["x @ w.T", "3x3", "3x3, small map", "1x1", "transposed"])
def test_a_weight_is_kept_beside_a_batch_that_is_written_at_every_call(name: str) -> None:
    """As in a training loop whose step closes over both, and reads a batch in parts before the weights change."""
    shape, weight_shape, f = CASES[name]
    w, x = weights(*weight_shape), weights(*shape)
    fast = sp.compile(lambda: f(x, w))
    kept = []
    with sp.matmul_precision("fma"), sp.no_grad():
        for call in range(12):
            x[...] = weights(*shape)
            if call % 4 == 0:
                w *= 0.5
            np.testing.assert_array_equal(np.asarray(fast()), np.asarray(f(x, w)), f"call {call}")
            kept.append(panel_bytes(fast))
    assert 0 < kept[3] <= 6 * w.nbytes + (1 << 15)
    assert kept[4:] == kept[3:4] * 8  # from the second time on packed at the first call, in the same memory


def test_an_optimiser_outside_changes_what_the_program_computes() -> None:
    model = sp.nn.Linear(40, 30)
    fast = sp.compile(lambda x: model(x))
    x = weights(8, 40)
    optimiser = sp.optim.SGD(list(model.parameters()), lr=0.1)
    for _ in range(4):
        for _ in range(3):
            assert np.array_equal(np.asarray(fast(x)), np.asarray(model(x)))
        model(x).sum().backward()
        optimiser.step()
        optimiser.zero_grad()
