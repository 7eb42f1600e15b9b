"""x[key] and x[key] = v against NumPy, on random keys of every kind, and in-place writes whose sides overlap.

Keys are drawn twice: by hypothesis, which shrinks what fails, and by a seeded generator, which covers more ground.
A key that NumPy refuses must be refused. Start at ``random_key``.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import steep as sp
from hypothesis import given, settings
from hypothesis import strategies as st

KEYS = 5000
OVERLAPS = 5000


def random_slice(rng, n):
    """Any slice, bounds inside and outside of the axis, steps of both signs."""
    bound = [None, *range(-n - 2, n + 3)]
    a, b = (bound[rng.integers(len(bound))] for _ in range(2))
    return slice(a, b, [None, 1, 2, 3, -1, -2, -3][rng.integers(7)])


def random_part(rng, shape, axis, index_shape):
    """One part of a key and how many axes it reads."""
    n = shape[axis]
    kind = rng.integers(10)
    if kind < 4:
        return random_slice(rng, n), 1
    if kind < 6 and n:
        return int(rng.integers(-n, n)), 1
    if kind == 6:
        return None, 0
    if kind == 7 and axis + 1 < len(shape):
        return rng.random(shape[axis : axis + 2]) < 0.4, 2
    if kind == 8:
        return rng.random(n) < 0.5, 1
    if n and kind == 9:
        return rng.integers(-n, n, index_shape), 1
    return slice(None), 1


def random_key(rng, shape):
    """A key for a tensor of this shape: parts for some of its axes, perhaps with an ellipsis, perhaps a single part."""
    index_shape = [(), (3,), (2, 1), (1, 3), (0,)][rng.integers(5)]
    parts, axis = [], 0
    while axis < len(shape) and rng.random() < 0.85:
        part, reads = random_part(rng, shape, axis, index_shape)
        parts.append(part)
        axis += reads
    if rng.random() < 0.3 and axis >= len(shape) - 1:
        parts.insert(int(rng.integers(len(parts) + 1)), Ellipsis)
    if rng.random() < 0.05:
        parts.append([True, False, None][rng.integers(3)])
    return parts[0] if len(parts) == 1 and rng.random() < 0.7 else tuple(parts)


def random_shape(rng):
    return tuple(int(n) for n in rng.choice([0, 1, 2, 3, 5], size=rng.integers(1, 5), p=[0.04, 0.16, 0.3, 0.3, 0.2]))


def tensor_key(key):
    """The same key with tensors in place of arrays."""
    if isinstance(key, tuple):
        return tuple(tensor_key(k) for k in key)
    return sp.tensor(key) if isinstance(key, np.ndarray) and key.ndim else key


def read(x, key):
    """x[key], or the type of what it raises; older NumPys only warn of a bad index where the result is empty."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)
            return x[key]
    except (IndexError, ValueError, DeprecationWarning) as e:
        return type(e)


def check_read(x, key):
    """Reads equal NumPy's, with arrays or tensors as indices; what NumPy refuses is refused."""
    expected = read(x, key)
    for k in (key, tensor_key(key)):
        got = read(sp.asarray(x), k)
        if isinstance(expected, type) or isinstance(got, type):
            too_many = isinstance(got, type) and getattr(expected, "ndim", 0) > 8
            assert too_many or isinstance(expected, type) == isinstance(got, type), (x.shape, key, expected, got)
            continue
        assert got.shape == np.shape(expected), (x.shape, key)
        np.testing.assert_array_equal(got.numpy(), expected, err_msg=repr((x.shape, key)))


def check_write(x, key, rng):
    """Writes of a full value, of one that broadcasts and of a scalar equal NumPy's; repeated positions: the last."""
    if isinstance(read(x, key), type):
        return
    shape = np.shape(x[key])
    values = [
        rng.standard_normal(shape),
        rng.standard_normal(shape[1:]),
        7.0,
        rng.standard_normal((1, *shape))[:, None],
    ]
    for value in values[: 4 if 0 < len(shape) < 6 else 3]:
        a, b = x.copy(), sp.tensor(x)
        try:
            a[key] = value
        except (TypeError, ValueError):  # NumPy is stricter about leading axes of size 1 beside a mask
            continue
        b[key] = sp.tensor(value) if isinstance(value, np.ndarray) else value
        np.testing.assert_array_equal(b.numpy(), a, err_msg=repr((x.shape, key, np.shape(value))))


def check_gradient(x, key):
    """The gradient of a read adds the cotangent up where the elements came from; to second order it is linear."""
    if isinstance(read(x, key), type) or isinstance(read(sp.asarray(x), key), type):
        return
    t = sp.tensor(x, requires_grad=True)
    y = t[key]
    g = np.random.default_rng(1).standard_normal(y.shape)
    expected = np.zeros(x.shape)
    positions = np.arange(x.size).reshape(x.shape)[key]
    np.add.at(expected.reshape(-1), np.asarray(positions), g)
    y.backward(sp.tensor(g))
    assert t.grad.shape == x.shape
    np.testing.assert_allclose(t.grad.numpy(), expected, rtol=1e-14, atol=1e-15, err_msg=repr((x.shape, key)))
    direction = np.random.default_rng(2).standard_normal(x.shape)
    pushed = sp.jvp(lambda v: v[key], (sp.tensor(x),), (sp.tensor(direction),))[1]
    np.testing.assert_array_equal(pushed.numpy(), direction[key], err_msg=repr((x.shape, key)))


def test_random_keys():
    rng = np.random.default_rng(20)
    for i in range(KEYS):
        shape = random_shape(rng)
        x = rng.standard_normal(shape)
        if i % 3 == 0:
            x = x[..., ::-1] if i % 2 else x.T
        key = random_key(rng, x.shape)
        check_read(x, key)
        if i % 2:
            check_write(x, key, rng)
        if i % 5 == 0:
            check_gradient(x, key)


@st.composite
def arrays_and_keys(draw):
    seed = draw(st.integers(0, 2**32 - 1))
    shape = tuple(draw(st.lists(st.integers(0, 4), min_size=0, max_size=4)))
    rng = np.random.default_rng(seed)
    parts = []
    for n in shape[: draw(st.integers(0, len(shape)))]:
        sizes = st.integers(-n, n - 1) if n else st.nothing()
        options = [st.slices(n), st.lists(st.booleans(), min_size=n, max_size=n).map(lambda m: np.array(m, dtype=bool))]
        options += [sizes, st.lists(sizes, min_size=1, max_size=1).map(np.array)] if n else []
        parts.append(draw(st.one_of(options)))
        if draw(st.integers(0, 9)) == 0:
            parts.append(None)
    if draw(st.booleans()):
        parts.append(Ellipsis)
    return rng.standard_normal(shape), tuple(parts)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(arrays_and_keys())
def test_keys_that_hypothesis_finds(drawn):
    x, key = drawn
    check_read(x, key)
    check_write(x, key, np.random.default_rng(0))
    check_gradient(x, key)


@pytest.mark.parametrize(
    "key",
    [4, -5, (0, 5), (0, 0, 0), slice(0, 1, 0), 1.5, "a", [0, 4], [[0], [-5]], np.ones(3, bool), np.ones((4, 4), bool),
     (Ellipsis, Ellipsis), np.array([0.5]), ([0, 1], [0, 1, 2]), np.array([2**40]), 2**70, (slice(None), [5])],
    ids=repr,
)  # fmt: skip
def test_bad_keys_are_refused_and_nothing_is_written(key):
    """An out-of-range index names itself and the axis's size; the target keeps every element."""
    values = np.arange(20.0).reshape(4, 5)
    x = sp.tensor(values)
    with pytest.raises((IndexError, ValueError, TypeError)) as reading:
        x[key]
    with pytest.raises((IndexError, ValueError, TypeError)):
        x[key] = 0.0
    assert str(reading.value)
    np.testing.assert_array_equal(x.numpy(), values)


@pytest.mark.parametrize(
    "key, said",
    [
        (4, ["index 4", "axis 0", "size 4"]),
        ((0, -6), ["index -6", "axis 1", "size 5"]),
        ([0, 9], ["index 9", "size 4"]),
        ((slice(None), [0, 7]), ["index 7", "size 5"]),
    ],
)
def test_index_errors_name_the_index_and_the_size(key, said):
    with pytest.raises(IndexError) as caught:
        sp.zeros((4, 5))[key]
    assert all(piece in str(caught.value) for piece in said), str(caught.value)


def random_view(rng, shape, size=None):
    """A basic key that names a view; of a given size per axis where that is asked."""
    key = []
    for d, n in enumerate(shape):
        step = int(rng.choice([1, 1, 2, -1, -2, 3]))
        count = size[d] if size else int(rng.integers(1, n + 1))
        span = (count - 1) * abs(step)
        if span >= n:
            step = 1 if step > 0 else -1
            span = count - 1
        first = int(rng.integers(0, n - span))
        start = first if step > 0 else first + span
        stop = start + count * step
        key.append(slice(start, None if stop < 0 else stop, step))
    return tuple(key)


def random_overlap(rng):
    """(x, target view, source view as a function of x), both of one shape, on the same memory."""
    n = int(rng.integers(2, 8))
    x = rng.standard_normal((n, n)) if rng.random() < 0.7 else rng.standard_normal((n, n, 3))
    to = random_view(rng, x.shape)
    size = tuple(x[to].shape)
    transposed = rng.random() < 0.4 and x.ndim == 2
    source = random_view(rng, x.shape, size[::-1] if transposed else size)
    if not transposed and rng.random() < 0.15:
        source = (slice(source[0].start, source[0].start + 1), *source[1:])
    return x, to, lambda a: a[source].T if transposed else a[source]


@pytest.mark.parametrize("how", ["=", "+=", "*=", "ints"])
def test_overlapping_writes_have_copy_semantics(how):
    """t[:2, :2] = t[:2, :2].T and the like: every element is read before any is written (docs/trust.md, row 4)."""
    rng = np.random.default_rng(40)
    for _ in range(OVERLAPS):
        x, to, source = random_overlap(rng)
        a, b = x.copy(), sp.tensor(x)
        copy = source(a).copy()
        if how == "=":
            a[to] = copy
            b[to] = source(b)
        elif how == "+=":
            a[to] += copy
            b[to] += source(b)
        elif how == "*=":
            a[to] *= copy
            target = b[to]
            target *= source(b)
        else:
            rows = np.arange(x.shape[0])[to[0]]
            a[rows] = x[rows[::-1]]
            b[rows] = b[to[0]][::-1] if rng.random() < 0.5 else b[rows[::-1]]
        np.testing.assert_array_equal(b.numpy(), a, err_msg=repr(to))


def test_writing_a_tensor_into_itself_through_an_index():
    x = sp.arange(6)
    x[[5, 4, 3, 2, 1, 0]] = x
    assert x.tolist() == [5, 4, 3, 2, 1, 0]


def test_a_broadcast_tensor_is_not_written_into():
    x = sp.broadcast_to(sp.zeros((1, 3)), (2, 3))
    for write in (lambda: x.__setitem__(0, 1.0), lambda: x.__setitem__((slice(None), [0]), 1.0), lambda: x.__iadd__(1)):
        with pytest.raises(ValueError, match=r"float32\(2, 3\).*axis 0.*copy"):
            write()
    x[:, 0].copy()[0] = 1.0
    assert x.tolist() == [[0.0] * 3] * 2


def test_views_share_memory_and_copies_do_not():
    x = sp.arange(12).reshape(3, 4)
    view, rows = x[1:, ::-1], x[[0, 1]]
    x[1, 3] = 100
    assert view[0, 0].item() == 100
    assert rows[1, 3].item() == 7
    view[1, 0] = -1
    assert x[2, 3].item() == -1


def test_a_tensor_of_one_integer_is_an_index():
    x = sp.arange(5)
    assert x[sp.tensor(2)].item() == x[np.int32(2)].item() == x[sp.argmax(x) - 2].item() == 2


def test_random_chains_of_views():
    """Slices, permutations, new and dropped axes and reshapes, one upon another: the elements are NumPy's."""
    rng = np.random.default_rng(8)
    for _ in range(3000):
        x = rng.standard_normal(random_shape(rng))
        t = sp.asarray(x)
        for _ in range(rng.integers(2, 6)):
            kind = rng.integers(4)
            if kind == 0 and x.ndim:
                key = tuple(random_slice(rng, n) for n in x.shape)
                x, t = x[key], t[key]
            elif kind == 1:
                order = tuple(int(d) for d in rng.permutation(x.ndim))
                x, t = x.transpose(order), sp.permute_dims(t, order)
            elif kind == 2 and x.ndim < 6:
                at = int(rng.integers(x.ndim + 1))
                x, t = np.expand_dims(x, at), sp.expand_dims(t, at)
            else:
                shape = [n for n in x.shape if n != 1 or rng.random() < 0.5]
                if len(shape) > 1 and rng.random() < 0.6:
                    d = int(rng.integers(len(shape) - 1))
                    shape[d : d + 2] = [shape[d] * shape[d + 1]]
                x, t = x.reshape(shape), sp.reshape(t, tuple(shape))
            assert t.shape == x.shape
        np.testing.assert_array_equal(t.numpy(), x)
        np.testing.assert_array_equal(sp.square(t).numpy(), np.square(x))
