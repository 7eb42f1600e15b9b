"""What rows of ops say besides what they compute: attributes by name, and the facts that passes and messages ask.

Programs as text, differences between recordings and onnx.save all read the names. Start at ``text_of``.
"""

from __future__ import annotations

import numpy as np
import pytest
import steep as sp
from optable import OPS, operands


def text_of(f, *arguments):
    """The program of a compiled function, as text."""
    fast = sp.compile(f)
    fast(*arguments)
    return str(fast.programs[0])


ROWS = {row["name"]: row for row in sp._core._op_table()}
X = sp.tensor(np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 4))
IMAGES, KERNELS = sp.ones((1, 2, 5, 5)), sp.ones((2, 1, 3, 3))


@pytest.mark.parametrize(
    "f, expected",
    [
        (lambda x: sp.sum(x, axis=(0, 2)), "axes=(0, 2), keepdims=False"),
        (lambda x: sp.max(x, axis=1, keepdims=True), "axes=(1,), keepdims=True"),
        (lambda x: sp.elu(x, 0.5), "alpha=0.5"),
        (lambda x: sp.leaky_relu(x, 0.25), "negative_slope=0.25"),
        (lambda x: x.astype(sp.float64), "dtype=float64"),
        (lambda x: sp.concat([x, x], axis=1), "axis=1, sizes=(3, 3)"),
        (lambda x: sp.argsort(x, descending=True), "descending=True"),
        (lambda x: sp.layer_norm(x, (4,), eps=0.125), "eps=0.125"),
        (lambda x: sp.pad(x[0], 1), "start=(1, 1), step=(1, 1), shape=(5, 6)"),
        (lambda x: x[:, sp.argmax(x[0], axis=0)], 'size=3, axis=1, op="getitem", labels=False'),
        (lambda x: sp.take_along_axis(x, sp.argsort(x), axis=2), 'op="take_along_axis"'),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_program_shows_attributes_by_name(f, expected):
    assert expected in text_of(f, X)


def in_precision(word, f):
    """The function with its products in that precision, whatever the process's is."""

    def run(x):
        with sp.matmul_precision(word):
            return f(x)

    return run


def test_a_program_shows_a_convolution_s_window():
    f = in_precision("split", lambda x: sp.conv2d(x, KERNELS, stride=(2, 1), padding=1, groups=2))
    shown = 'groups=2, precision="split", stride=(2, 1), begin=(1, 1), end=(1, 1), dilation=(1, 1)'
    assert shown in text_of(f, IMAGES)


def test_a_program_shows_the_precision_that_was_asked_for():
    def product(x):
        return x @ sp.ones((4, 4))

    assert 'precision="split"' in text_of(in_precision("split", product), X)
    assert "precision" not in text_of(in_precision("auto", product), X)


def test_recordings_that_differ_name_the_attribute():
    def recorded(axis):
        capture = sp._core._Capture([X])
        y = sp.sum(X, axis=axis)
        capture.finish([y])
        return capture

    assert "the attribute axes was (0,) and is (1,)" in recorded(0).difference(recorded(1))


def test_a_recording_lists_attributes_by_name():
    capture = sp._core._Capture([X], True)
    try:
        sp.sum(X, axis=(0, 2), keepdims=True)
    finally:
        capture.stop()
    ((op, attributes, inputs, _, in_place),) = capture.traced()
    assert (op, attributes, in_place) == ("sum", {"axes": (0, 2), "keepdims": True}, False) and len(inputs) == 1


@pytest.mark.parametrize("row", OPS, ids=lambda row: row.name)
def test_every_application_has_the_attributes_of_its_row(row):
    """All of them, or none where all have their defaults."""
    arguments = [sp.tensor(a) if isinstance(a, np.ndarray) else a for a in operands(row.cases[0], row, row.dtypes[0])]
    capture = sp._core._Capture([], True)
    try:
        row.function(*arguments, **row.cases[0].kwargs)
    except sp.CompileError:
        pass  # it reads values
    finally:
        capture.stop()
    for op, attributes, *_ in capture.traced():
        assert list(attributes) in ([], ROWS[op]["attributes"])


def test_a_hidden_row_takes_its_attributes_by_name_and_all_of_them():
    with pytest.raises(TypeError, match="add_rows: needs the attribute rows"):
        sp._core._call_hidden("add_rows", [X, sp.tensor([0, 1])])
    with pytest.raises(TypeError, match="add_rows: has 1 attribute"):
        sp._core._call_hidden("add_rows", [X, sp.tensor([0, 1])], rows=2, axis=0)


# ---- facts ----


FLAT = ("ceil", "floor", "floor_divide", "round", "sign", "trunc")


@pytest.mark.parametrize("name", FLAT)
def test_a_gradient_that_is_zero_everywhere_is_said_to_be(name):
    x = sp.tensor([0.3, -1.7], requires_grad=True)
    y = getattr(sp, name)(*(x, x) if name == "floor_divide" else (x,))
    assert f"flat everywhere; the gradient flows through: {name}" in sp.explain(y, x)
    assert ROWS[name]["subgradient"] == "zero everywhere"
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "refuses",
    [
        lambda x, i: x[i],
        lambda x, i: sp.take(x, i),
        lambda x, i: sp.take_along_axis(x, i, axis=0),
        lambda x, i: sp.scatter_add(x, i, sp.ones(3)),
        lambda x, i: sp.label_cross_entropy(x[None].broadcast_to((3, 3)), i),
        lambda x, i: sp.one_hot(i, 3),
        lambda x, i: sp.pow(i, sp.tensor(2) - i),
    ],
)
def test_what_may_raise_does_so_before_anything_lasting_is_written(refuses):
    """Rows say ``may_raise``; without it a replay could write the parameter first."""
    state = sp.zeros((3,))

    def step(x, i):
        y = refuses(x, i)
        state.__iadd__(x)
        return y

    fast = sp.compile(step)
    fast(sp.ones(3), sp.tensor([0, 1, 2]))
    fast(sp.ones(3), sp.tensor([2, 1, 0]))
    before = state.tolist()
    with pytest.raises((IndexError, ValueError)):
        fast(sp.ones(3), sp.tensor([0, 1, 9]))
    assert state.tolist() == before


def test_a_sum_of_integers_is_no_barrier():
    """It cannot raise, so what comes after it may be moved before it, into one group with what came first."""

    def f(x, n):
        a = x * 2
        count = sp.sum(n)
        return sp.exp(a + 1), count

    text = text_of(f, sp.ones((64,)), sp.arange(5))
    assert "group of 3 over 64 elements" in text


def test_helpers_are_not_public():
    for name in ("checked_labels", "random_draw", "batch_norm_training"):
        assert not hasattr(sp, name) and not hasattr(sp, f"_{name}") and not hasattr(sp.Tensor, name)
        assert ROWS[f"_{name}"]["hidden"]


@pytest.mark.parametrize(
    "function, call",
    [
        ("nll_loss", lambda: sp.nn.functional.nll_loss(sp.zeros((1, 3)), sp.tensor([3]))),
        ("embedding", lambda: sp.nn.functional.embedding(sp.tensor([-1]), sp.zeros((4, 2)))),
        ("one_hot", lambda: sp.one_hot(sp.tensor([3]), 3)),
    ],
)
def test_a_label_that_is_out_of_range_names_the_function(function, call):
    with pytest.raises(IndexError, match=rf"\b{function}: index -?\d is out of range"):
        call()


def test_the_moments_of_no_elements_name_batch_norm():
    with pytest.raises(ValueError, match=r"batch_norm: .* has no elements"):
        sp._core._batch_norm_training(sp.zeros((0, 3)))
