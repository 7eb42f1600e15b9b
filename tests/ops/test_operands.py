"""What operands become: numbers in lists, arrays of other dtypes, lists of tensors; what does not fit is refused.

The right values come from exact arithmetic or NumPy in float64.
"""

from __future__ import annotations

import array
import itertools
import math

import numpy as np
import pytest
import steep as sp

F = sp.float64
DOUBLES = [0.1, 1e300, 5e-324, 16777217.0]


# ---- Python's floats are doubles ----


@pytest.mark.parametrize("value", DOUBLES)
def test_float64_keeps_every_bit_of_a_list(value):
    for data in ([value], (value,), [[value]], [1, value], [True, value]):
        for made in (sp.tensor(data, dtype=F), sp.asarray(data, dtype="float64"), sp.asarray(data, dtype=F, copy=True)):
            assert made.dtype == F and made.reshape(-1)[-1].item() == value
    assert sp.asarray(value, dtype=F).item() == value == sp.full((), value, dtype=F).item()


@pytest.mark.parametrize(
    "op", ["add", "multiply", "maximum", "atan2", "where", "clip", "concat", "stack", "einsum", "dot"]
)
def test_lists_beside_float64(op):
    x, zero = sp.zeros(1, dtype=F), sp.tensor([0], dtype=F)
    found = {
        "add": lambda: x + [0.1],
        "multiply": lambda: sp.multiply(x + 1, [0.1]),
        "maximum": lambda: sp.maximum([0.1], x),
        "atan2": lambda: sp.tan(sp.atan2([0.1], x + 1)),
        "where": lambda: sp.where(zero, x, [0.1]),
        "clip": lambda: sp.clip(x, [0.1], 5),
        "concat": lambda: sp.concat([x, [0.1]]),
        "stack": lambda: sp.stack([x, [0.1]]),
        "einsum": lambda: sp.einsum("i,i->i", x + 1, [0.1]),
        "dot": lambda: sp.matmul([[0.1]], x + 1),
    }[op]()
    assert found.dtype == F and math.isclose(found.reshape(-1)[-1].item(), 0.1, rel_tol=3e-16)


def test_numbers_take_the_dtype_of_an_array_too():
    assert sp.multiply(np.ones(1), 0.1).item() == 0.1 == sp.multiply(np.ones(1), [0.1]).item()
    assert sp.multiply(np.ones(1, "float32"), 0.1).dtype == sp.float32


def test_a_list_is_written_whole():
    x = sp.zeros(3, dtype=F)
    x[0:2] = [0.1, 0.2]
    x[np.array([2])] = [0.3]
    assert x.tolist() == [0.1, 0.2, 0.3]
    x += [0.1, 0.1, 0.1]
    assert x.tolist() == [0.2, 0.1 + 0.2, 0.4]


def test_losses_of_lists():
    nn = sp.nn.functional
    x = sp.tensor([[1.0, 2.0]], dtype=F)
    assert nn.l1_loss(x, [[1.1, 2.0]]).item() == (1.1 - 1) / 2
    probability = nn.cross_entropy(x, [[0.1, 0.9]]).item()
    assert probability == nn.cross_entropy(x, np.array([[0.1, 0.9]])).item()


def test_floats_to_integers_and_to_bfloat16_are_rounded_once():
    assert sp.tensor([16777217.0, 2.0**53 - 1], dtype=sp.int64).tolist() == [16777217, 2**53 - 1]
    assert sp.tensor([1e-300], dtype=sp.bool).tolist() == [True]
    halfway = 1 + 2.0**-8 + 2.0**-40  # above the tie of two bfloat16, and the tie itself in float32
    assert sp.tensor([halfway], dtype=sp.bfloat16).astype(F).item() == 1 + 2.0**-7


def test_without_a_dtype_lists_are_float32_unless_arrays_among_them_say_otherwise():
    assert sp.tensor([0.1, 1]).dtype == sp.float32 and sp.tensor([]).dtype == sp.float32
    for data in ([np.float64(1), 0.5], [0.5, np.float64(1)], [[0.5], np.ones(1)]):
        assert sp.tensor(data).dtype == F
    assert sp.tensor([0.5, np.float32(1)]).dtype == sp.float32 and sp.tensor([np.int64(1), 0.5]).dtype == sp.float32


# ---- other libraries' arrays ----

FOREIGN = ["int8", "int16", "uint16", "uint32", "uint64", "float16", "complex64", "complex128"]
WAYS = [
    sp.tensor,
    sp.asarray,
    sp.exp,
    lambda a: sp.ones(2) * a,
    lambda a: sp.tensor([1.0, 2.0])[a],
    lambda a: sp.stack([a]),
    lambda a: sp.where(a, 1.0, 2.0),
    lambda a: sp.tensor(a, dtype=sp.float32),
    lambda a: sp.sum(a),
    lambda a: sp.tensor([1.0, 2.0]).__setitem__(slice(None), a),
    lambda a: sp.full(2, a),
    lambda a: sp.zeros_like(a),
    lambda a: next(iter(sp.data.DataLoader(sp.data.TensorDataset(a), 2))),
]


@pytest.mark.parametrize("dtype", FOREIGN)
@pytest.mark.parametrize("way", range(len(WAYS)))
def test_arrays_of_other_dtypes_are_refused_by_name(dtype, way):
    with pytest.raises(TypeError, match=rf"{dtype}.*astype"):
        WAYS[way](np.array([1, 0]).astype(dtype))


@pytest.mark.parametrize("code", "bhHILQ")
def test_buffers_of_other_dtypes_are_refused(code):
    for data in (array.array(code, [1, 0]), memoryview(array.array(code, [1, 0]))):
        with pytest.raises(TypeError, match="int"):
            sp.asarray(data)
    with pytest.raises(TypeError, match="bytes"):
        sp.asarray(memoryview(b"ab").cast("c"))


class Exports:
    """An array that is known by DLPack alone."""

    def __init__(self, values):
        self.values = values

    def __dlpack__(self, **options):
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint32", "float16"])
def test_dlpack_of_other_dtypes_is_refused(dtype):
    with pytest.raises(TypeError, match=rf"from_dlpack.*{dtype}.*astype"):
        sp.from_dlpack(Exports(np.ones(2, dtype)))


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "uint64", "int64"])
def test_integer_scalars_of_any_width_are_indices(dtype):
    assert sp.tensor([10.0, 20.0, 30.0])[np.dtype(dtype).type(2)].item() == 30


# ---- lists of tensors ----


def pair():
    return sp.tensor(2.0, requires_grad=True), sp.tensor(3.0, requires_grad=True)


@pytest.mark.parametrize(
    "make",
    [
        sp.asarray,
        lambda v: sp.ones(2) * v,
        lambda v: v * sp.ones(2),
        lambda v: sp.add(v, 0.0),
        lambda v: sp.where([True, True], v, 0.0),
        lambda v: sp.asarray([v, v])[0],
        lambda v: sp.reshape(v, (2,)),
        lambda v: sp.concat([v]),
    ],
)
@pytest.mark.parametrize("compiled", [False, True])
def test_a_list_of_tensors_keeps_its_gradient(make, compiled):
    def total(a, b):
        return sp.sum(make([a * a, b]))

    a, b = pair()
    f = sp.value_and_grad(total, argnums=(0, 1))
    for _ in range(2):
        value, (ga, gb) = (sp.compile(f) if compiled else f)(a.detach(), b.detach())
        assert (value.item(), ga.item(), gb.item()) == (7.0, 4.0, 1.0)
    total(a, b).backward()
    assert a.grad.item() == 4 and b.grad.item() == 1


def test_a_list_of_tensors_is_refused_where_its_gradient_would_be_lost():
    a, b = pair()
    with pytest.raises(sp.GradientError, match=r"tensor.*stack\(\)"):
        sp.tensor([a * a, b])
    x = sp.zeros(2)
    with pytest.raises(sp.GradientError, match="setitem"):
        x[:] = [a * a, b]
    assert sp.tensor([sp.tensor(1.0), 2.0]).tolist() == [1, 2]
    with pytest.raises(ValueError, match="rows of a list"):
        sp.asarray([sp.ones(2), sp.ones(3)])


def test_full_keeps_the_gradient_of_its_value():
    a, _ = pair()
    for y in (sp.full((3,), a * a), sp.full_like(sp.ones(3), a * a)):
        assert sp.grad(lambda t: sp.sum(sp.full((3,), t * t)))(a.detach()).item() == 12 and y.requires_grad
    assert sp.full((2, 2), [1, 2]).tolist() == [[1, 2], [1, 2]]
    with pytest.raises(ValueError, match="300"):
        sp.full((2,), 300, dtype=sp.uint8)


def test_a_plain_number_is_no_place_for_a_tracked_tensor():
    a, _ = pair()
    for make in (
        lambda: sp.linspace(a, 3, 4),
        lambda: sp.arange(a),
        lambda: sp.leaky_relu(sp.ones(2), a),
        lambda: sp.pad(sp.ones(2), 1, constant_values=a),
    ):
        with pytest.raises(sp.GradientError, match=r"plain number.*float32\(\).*float\(x\)"):
            make()
        with sp.no_grad():
            assert isinstance(make(), sp.Tensor)


# ---- where, powers, bools ----

DTYPES = [sp.bool, sp.uint8, sp.int32, sp.int64, sp.bfloat16, sp.float32, sp.float64]


@pytest.mark.parametrize("condition", DTYPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_condition_has_no_say_in_the_dtype(condition, dtype):
    c, x = sp.ones(2).astype(condition), sp.ones(2).astype(dtype)
    number = False if dtype == sp.bool else 0
    for y in (sp.where(c, x, number), sp.where(c, number, x), sp.compile(lambda c, x: sp.where(c, x, number))(c, x)):
        assert y.dtype == dtype
    assert sp.where(c, 1.5, 0).dtype == sp.float32 and sp.where(c, 1, 0).dtype == sp.int64


def test_result_type_is_what_adding_gives():
    for dtype in DTYPES:
        for number in (True, 1, 1.0):
            assert sp.result_type(dtype, number) == (sp.ones(1).astype(dtype) + number).dtype
    assert sp.result_type(1, 1.0) == sp.float32 and sp.result_type(np.ones(1), sp.float32) == sp.float64
    with pytest.raises(ValueError, match="result_type"):
        sp.result_type()


@pytest.mark.parametrize("dtype", [sp.int32, sp.int64])
@pytest.mark.parametrize("compiled", [False, True])
def test_integers_to_a_negative_power_are_refused(dtype, compiled):
    def power(a, b):
        return (a + 0) ** b + 1

    f = sp.compile(power) if compiled else power
    x, good, bad = (sp.tensor(v, dtype=dtype) for v in ([2, 0, -3], [3, 0, 3], [3, 0, -1]))
    assert f(x, good).tolist() == [9, 2, -26] == f(x, good).tolist()
    with pytest.raises(ValueError, match=r"pow.*negative power.*astype\(float32\)"):
        f(x, bad)


def test_every_way_to_a_negative_power():
    x = sp.tensor([2, 4])
    for make in (
        lambda: x**-1,
        lambda: 2 ** sp.tensor([-1]),
        lambda: sp.pow(x, -2),
        lambda: np.power(x, -1),
        lambda: x.__ipow__(-1),
        lambda: sp.zeros(1, dtype=sp.int32) ** -1,
    ):
        with pytest.raises(ValueError, match="negative power"):
            make()
    assert (x**-1.0).tolist() == [0.5, 0.25] and x.tolist() == [2, 4]
    assert np.float_power(x, -1).dtype == F and (sp.tensor([3], dtype=sp.uint8) ** 2).tolist() == [9]


@pytest.mark.parametrize("times", [1, 2, 3, 256])
def test_adding_bools_at_one_place_is_or(times):
    base, index, true = sp.zeros(2, dtype=sp.bool), sp.zeros(times, dtype=sp.int64), sp.ones(times, dtype=sp.bool)
    for f in (sp.scatter_add, sp.compile(lambda a, b, c: sp.scatter_add(a, b, c))):
        y = f(base, index, true)
        assert y.tolist() == [True, False] and int(y.sum()) == 1 and (y == sp.tensor([True, False])).all()


def test_one_hot_refuses_what_is_no_class():
    for label in (-1, 3):
        with pytest.raises(IndexError, match=f"one_hot: index {label}"):
            sp.one_hot([label], 3)


# ---- ranges ----


@pytest.mark.parametrize("dtype", [sp.float32, sp.float64])
def test_linspace_whose_range_overflows(dtype):
    top = sp.finfo(dtype).max
    for n in (2, 3, 4, 7):
        y = sp.linspace(-top, top, n, dtype=dtype).numpy().astype(np.longdouble)
        right = np.linspace(np.longdouble(-top), np.longdouble(top), n)
        assert np.allclose(y / top, right / top, rtol=0, atol=1e-7 if dtype == sp.float32 else 1e-15)


@pytest.mark.parametrize("ends", [(-3, 1), (1, -3), (-0.5, 0.5), (0, -9)])
def test_linspace_of_integers_rounds_down(ends):
    for n in (1, 2, 5, 7, 10):
        assert sp.linspace(*ends, n, dtype=sp.int32).tolist() == np.linspace(*ends, n, dtype=np.int32).tolist()


def test_ranges_of_any_numbers():
    for stop in (np.float32(3.5), np.float64(3.5), sp.tensor(3.5), np.array(3.5), 3.5):
        assert sp.arange(stop).tolist() == [0, 1, 2, 3] and sp.arange(stop).dtype == sp.float32
    for stop in (np.int8(3), np.uint64(3), sp.tensor(3), np.array(3), True + 2):
        assert sp.arange(stop).tolist() == [0, 1, 2] and sp.arange(stop).dtype == sp.int64
    with pytest.raises(TypeError, match="arange: start must be a number, and got str"):
        sp.arange("3")
    with pytest.raises(TypeError, match="arange: step"):
        sp.arange(0, 3, None)


@pytest.mark.parametrize("name", ["grad", "value_and_grad", "jacobian", "hessian"])
@pytest.mark.parametrize("argnums", [(0, 0), (1, -1), (0, 1, 0)])
def test_an_argument_named_twice_is_refused(name, argnums):
    with pytest.raises(ValueError, match=r"argnums.*twice"):
        getattr(sp, name)(lambda a, b: a * b, argnums=argnums)(sp.tensor(1.0), sp.tensor(3.0))


# ---- pad widths ----

M = np.arange(6.0).reshape(2, 3)
WIDTHS = [
    2,
    (2,),
    (1, 2),
    ((2,),),
    ((1, 2),),
    ((1,), (2,)),
    ((0,), (2,)),
    ((1, 2), (3, 4)),
    [[1], [0]],
    np.array([[1], [2]]),
]


@pytest.mark.parametrize("width", WIDTHS, ids=str)
@pytest.mark.parametrize("mode", ["constant", "edge"])
def test_pad_widths_mean_what_numpy_means(width, mode):
    for made in (sp.pad(sp.tensor(M), width, mode), np.pad(sp.tensor(M), width, mode=mode)):
        assert np.array_equal(made.numpy(), np.pad(M, width, mode=mode))


@pytest.mark.parametrize(
    "width", [((1, 2), (3,)), ((1,), (2,), (3,)), ((1, 2, 3),), (1, 2, 3), (((1, 2),),), ()], ids=str
)
def test_other_pad_widths_are_refused(width):
    with pytest.raises(ValueError, match=r"pad.*float64\(2, 3\)"):
        sp.pad(sp.tensor(M), width)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_numbers_that_share_a_tensor_keep_their_bits_and_dtypes(dtype):
    """Equal Python numbers beside tensors are one tensor: of that dtype, and of those bits, the sign of zero too."""
    x = sp.tensor([1.0, -1.0], dtype=dtype, requires_grad=True)
    for _ in range(3):
        for number in (0.5, 1e-3, 0.0, -0.0, float("inf"), 0.1, *(i / 7 for i in range(40))):
            got, wanted = x * number, x * sp.tensor(number, dtype=dtype)
            assert got.dtype.name == dtype
            assert (
                got.detach().astype("float64").numpy().tobytes() == wanted.detach().astype("float64").numpy().tobytes()
            )
    y = sp.zeros((2,), dtype=dtype)
    y += 0.5
    y *= 0.5
    assert (y + 0.5).astype("float64").numpy().tolist() == [0.75, 0.75]


def test_a_rule_that_writes_to_a_shared_number_changes_no_later_one():
    written = []

    def spoils(g, inputs, output):
        with sp.no_grad():
            inputs[1][...] = 100.0
        written.append(inputs[1].item())
        return g, None

    x = sp.tensor([1.0], requires_grad=True)
    with sp.gradient_rule("multiply", spoils):
        (x * 0.75).sum().backward()
    assert written == [100.0]
    assert (x.detach() * 0.75).tolist() == [0.75]


@pytest.mark.parametrize("width", [1, 2, 3, 10, 63, 64, 65, 255, 256, 257, 511, 512, 513, 700])
def test_a_row_or_a_column_for_every_row(width):
    """Rows of every length beside the tile of 512 elements, at both ends of an op, in one thread and in several."""
    rng = np.random.default_rng(width)
    a = rng.integers(-9, 9, (157, width)).astype(np.float32)
    row, column = a[3].copy(), a[:, :1].copy()
    deep = np.stack([a, a + 1, a + 2])
    for n in (1, 3):
        with sp.threads(n):
            x, r, c, d = (sp.tensor(v) for v in (a, row, column, deep))
            np.testing.assert_array_equal((x + r).numpy(), a + row)
            np.testing.assert_array_equal((r - x).numpy(), row - a)
            np.testing.assert_array_equal((x * c).numpy(), a * column)
            np.testing.assert_array_equal((d + r).numpy(), deep + row)
            np.testing.assert_array_equal((d[:, ::2] + r).numpy(), deep[:, ::2] + row)
            np.testing.assert_array_equal((x[:, ::-1] + r).numpy(), a[:, ::-1] + row)
            np.testing.assert_array_equal((x + r[::-1]).numpy(), a + row[::-1])
            np.testing.assert_array_equal((x < r).numpy(), a < row)
            np.testing.assert_array_equal(sp.where(r > 0, x, c).numpy(), np.where(row > 0, a, column))
            np.testing.assert_array_equal((r + c).numpy(), row + column)
            assert (x[:0] + r).shape == (0, width) and (x[:, :0] + r[:0]).shape == (157, 0)
            assert (x[:, :0] * c).shape == (157, 0) and (x[:0].T + c[:0].T).shape == (width, 0)


@pytest.mark.parametrize("shape", [(70, 90), (3, 50, 60), (17, 19, 23), (2, 3, 40, 50)])
def test_permuted_operands_are_read_right(shape):
    """Copies in squares and results of ops, of every order of the axes, whole and in part, by one thread and more."""
    a = np.random.default_rng(0).integers(-9, 9, shape).astype(np.float32)
    for order in itertools.permutations(range(len(shape))):
        for n in (1, 3):
            with sp.threads(n):
                x, b = sp.permute_dims(sp.tensor(a), order), a.transpose(order)
                np.testing.assert_array_equal((x + 1).numpy(), b + 1)
                np.testing.assert_array_equal((x * x).numpy(), b * b)
                np.testing.assert_array_equal((x[..., ::-1] - x).numpy(), b[..., ::-1] - b)
                np.testing.assert_array_equal((x[1:, ::2] > 0).numpy(), b[1:, ::2] > 0)
                np.testing.assert_array_equal(sp.reshape(x, (-1,)).numpy(), b.reshape(-1))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8"])
@pytest.mark.parametrize("n", [2, 3, 4])
def test_small_powers_are_products(n, dtype):
    """Within two units in the last place; infinities, zeros of both signs and NaNs as pow has them; integers wrap."""
    if dtype.startswith("float"):
        a = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.5, -2.25, 1e-30, 1e30, 3.3e12], dtype)
        wanted, ulp = a.astype(np.longdouble) ** n, np.finfo(dtype).eps
        with np.errstate(over="ignore"):
            np.testing.assert_allclose((sp.tensor(a) ** n).numpy(), wanted.astype(dtype), rtol=2 * ulp)
        np.testing.assert_array_equal(np.signbit((sp.tensor(a[:2]) ** n).numpy()), np.signbit(a[:2] ** n))
        x = sp.tensor([1.5, -2.0], dtype=dtype, requires_grad=True)
        (x**n).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), n * x.detach().numpy() ** (n - 1), rtol=4 * ulp)
    else:
        a = np.array([0, 1, 3, 200, 77], dtype)
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal((sp.tensor(a) ** n).numpy(), a**n)
