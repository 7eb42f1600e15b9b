"""Quantised models and integers of types that steep lacks: values by NumPy, gradients straight through, saved again."""

import numpy as np
import pytest
import steep as sp

package = pytest.importorskip("onnx")
T, helper, node = package.TensorProto, package.helper, package.helper.make_node
RNG = np.random.default_rng(0)
TYPES = {
    "uint8": T.UINT8, "int8": T.INT8, "uint16": T.UINT16, "int16": T.INT16, "uint4": T.UINT4, "int4": T.INT4,
    "uint2": T.UINT2, "int2": T.INT2,
}  # fmt: skip
BITS = {name: int(name.lstrip("uint")) for name in TYPES}
LOW = {name: 0 if name[0] == "u" else -(2 ** (bits - 1)) for name, bits in BITS.items()}
HIGH = {name: LOW[name] + 2**bits - 1 for name, bits in BITS.items()}
HELD = {"uint8": "uint8", "uint4": "uint8", "uint2": "uint8"}


def tensor(name, kind, values):
    values = np.asarray(values)
    return helper.make_tensor(name, kind, values.shape, values.reshape(-1).tolist())


def content(nodes, weights=(), inputs=(("x", T.FLOAT, [None, 6]),), outputs=(("y", T.FLOAT),), opset=25):
    given = [helper.make_tensor_value_info(*each) for each in inputs]
    found = [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs]
    graph = helper.make_graph(nodes, "g", given, found, list(weights))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)]).SerializeToString()


def pair(kind, scale=0.5, zero=1, axis=1, moved=("Identity",)):
    """x quantised, moved about, and floats again."""
    names = ["q", *(f"m{i}" for i in range(len(moved)))]
    between = [node(op, [a], [b]) for op, a, b in zip(moved, names, names[1:], strict=False)]
    weights = [tensor("s", T.FLOAT, scale), tensor("z", TYPES[kind], zero)]
    return content([node("QuantizeLinear", ["x", "s", "z"], ["q"], axis=axis), *between,
                    node("DequantizeLinear", [names[-1], "s", "z"], ["y"], axis=axis)], weights)  # fmt: skip


def quantized(x, scale, zero, kind):
    return np.clip(np.round(x / np.float32(scale)) + zero, LOW[kind], HIGH[kind])


@pytest.mark.parametrize("kind", TYPES)
def test_values_are_rounded_and_saturated_and_gradients_pass_within_the_range(kind):
    model = sp.onnx.load(pair(kind))
    x = np.float32([[-1e9, -1.3, -0.25, 0.25, 0.76, 1e9]])
    expected = (quantized(x, 0.5, 1, kind) - 1) * np.float32(0.5)
    assert np.array_equal(np.asarray(model(x)), expected)
    inside = (x / 0.5 + 1 >= LOW[kind]) & (x / 0.5 + 1 <= HIGH[kind])
    gradient = np.asarray(sp.grad(lambda v: sp.sum(model(v)))(sp.tensor(x)))
    assert np.array_equal(gradient, inside.astype("f4"))
    assert np.array_equal(np.asarray(sp.compile(model)(sp.tensor(x))), expected)
    assert not model.parameters()


def test_each_channel_and_each_block_has_a_scale():
    x = RNG.normal(size=(2, 6)).astype("f4") * 9
    scale, zero = np.float32([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]), np.int8([0, 1, -2, 3, 4, -5])
    model = sp.onnx.load(pair("int8", scale, zero))
    expected = (quantized(x, scale, zero, "int8") - zero) * scale
    np.testing.assert_allclose(np.asarray(model(x)), expected, rtol=1e-6)
    blocks = np.float32([[0.1, 0.2], [0.3, 0.4]])
    nodes = [node("QuantizeLinear", ["x", "s"], ["q"], block_size=4, output_dtype=T.INT8),
             node("DequantizeLinear", ["q", "s"], ["y"], block_size=4)]  # fmt: skip
    model = sp.onnx.load(content(nodes, [tensor("s", T.FLOAT, blocks)]))
    wide = np.repeat(blocks, 4, axis=1)[:, :6]
    np.testing.assert_allclose(np.asarray(model(x)), quantized(x, wide, 0, "int8") * wide, rtol=1e-6)


@pytest.mark.parametrize("scale", [np.ones(4), np.ones((2, 3)), np.ones((1, 6))])
def test_a_scale_of_another_shape_is_refused(scale):
    nodes = [node("QuantizeLinear", ["x", "s"], ["y"])]
    model = sp.onnx.load(content(nodes, [tensor("s", T.FLOAT, scale)], outputs=[("y", T.UINT8)]))
    with pytest.raises(ValueError, match="scale of shape"):
        model(np.zeros((2, 6), "f4"))


def test_integers_go_out_as_integers_and_without_a_zero_they_are_uint8():
    nodes = [node("QuantizeLinear", ["x", "s"], ["y"]), node("Transpose", ["y"], ["t"], perm=[1, 0])]
    model = sp.onnx.load(content(nodes, [tensor("s", T.FLOAT, 0.5)], outputs=[("y", T.UINT8), ("t", T.UINT8)]))
    y, t = model(np.float32([[-1, 0, 1, 2, 3, 1000]]))
    assert y.dtype == t.dtype == sp.uint8
    assert y.tolist() == [[0, 0, 2, 4, 6, 255]] and t.tolist() == [[0], [0], [2], [4], [6], [255]]


def test_what_only_moves_values_keeps_their_gradient():
    moved = ("Identity", "Flatten", "Relu")
    model = sp.onnx.load(pair("uint8", 0.5, 0, moved=moved[:2]))
    x = sp.tensor(np.float32([[1.1, 2.2, 3.3, 4.4, 5.5, 6.6]]))
    assert np.array_equal(np.asarray(sp.grad(lambda v: sp.sum(model(v)))(x)), np.ones((1, 6)))
    integers = sp.onnx.load(pair("int8", 0.5, 0, moved=moved))  # a Relu of integers has no gradient
    assert not np.asarray(sp.grad(lambda v: sp.sum(integers(v)))(x)).any()
    assert np.array_equal(np.asarray(integers(-x)), np.zeros((1, 6)))


@pytest.mark.parametrize("terms", [6, 600])
def test_products_of_integers_are_exact_and_differentiable(terms):
    a, w = RNG.integers(0, 256, (3, terms)), RNG.integers(-128, 128, (terms, 4))
    zero = RNG.integers(-5, 5, 4)
    nodes = [node("QuantizeLinear", ["x", "s"], ["q"]), node("MatMulInteger", ["q", "w", "za", "zw"], ["p"]),
             node("Cast", ["p"], ["y"], to=T.DOUBLE)]  # fmt: skip
    weights = [tensor("s", T.FLOAT, 1.0), tensor("w", T.INT8, w), tensor("za", T.UINT8, 7), tensor("zw", T.INT8, zero)]
    model = sp.onnx.load(content(nodes, weights, [("x", T.FLOAT, [None, terms])], [("y", T.DOUBLE), ("p", T.INT32)]))
    y, p = model(a.astype("f4"))
    assert p.dtype == sp.int32 and y.dtype == sp.float64
    assert np.array_equal(np.asarray(y), (a - 7) @ (w - zero)) and np.array_equal(np.asarray(p), np.asarray(y))
    gradient = np.asarray(sp.grad(lambda v: sp.sum(model(v)[0]))(sp.tensor(a.astype("f4"))))
    assert np.array_equal(gradient, np.broadcast_to((w - zero).sum(axis=1), a.shape))


def convolution(op, channels=200):
    """A convolution of integers; 200 channels of 9 elements are more than float32 adds up exactly."""
    x, w = RNG.integers(0, 256, (1, channels, 4, 4)), RNG.integers(-128, 128, (5, channels, 3, 3))
    scales = RNG.uniform(0.5, 1, 5).astype("f4") / 1e4
    weights = [
        tensor("xs", T.FLOAT, 1.0), tensor("xz", T.UINT8, 3), tensor("w", T.INT8, w), tensor("ws", T.FLOAT, scales),
        tensor("wz", T.INT8, np.zeros(5, int)), tensor("ys", T.FLOAT, 0.1), tensor("yz", T.UINT8, 128),
        tensor("b", T.INT32, [1000, -1000, 0, 1, 2]),
    ]  # fmt: skip
    names = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"] if op == "QLinearConv" else ["x", "w", "xz", "wz"]
    kind = T.UINT8 if op == "QLinearConv" else T.INT32
    made = content(
        [node(op, names, ["y"], pads=[1] * 4)], weights, [("x", T.UINT8, [1, channels, 4, 4])], [("y", kind)]
    )
    padded = np.pad(x - 3, ((0, 0), (0, 0), (1, 1), (1, 1)))
    views = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return sp.onnx.load(made), x, scales, np.einsum("nchwij,ocij->nohw", views, w)


def test_convolutions_of_integers_are_exact():
    model, x, _, sums = convolution("ConvInteger")
    y = model(x.astype("u1"))
    assert y.dtype == sp.int32 and np.array_equal(np.asarray(y), sums)
    model, x, scales, sums = convolution("QLinearConv")
    y = model(x.astype("u1"))
    sums = (sums + np.reshape([1000, -1000, 0, 1, 2], (1, 5, 1, 1))) * (scales / np.float32(0.1)).reshape(1, 5, 1, 1)
    assert y.dtype == sp.uint8 and np.array_equal(np.asarray(y), np.clip(np.round(sums) + 128, 0, 255))
    assert 0 < (np.asarray(y) > 0).mean() < 1


def test_a_dynamic_scale_covers_the_values_and_zero():
    nodes = [node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]), node("DequantizeLinear", ["q", "s", "z"], ["y"])]
    model = sp.onnx.load(content(nodes, outputs=[("y", T.FLOAT), ("s", T.FLOAT), ("z", T.UINT8)]))
    x = np.float32([[-1, 0, 0.5, 1, 2, 3]])
    y, scale, zero = model(x)
    assert zero.dtype == sp.uint8 and zero.item() == 64 and abs(scale.item() - 4 / 255) < 1e-8
    assert np.abs(np.asarray(y) - x).max() <= 2 / 255 + 1e-6
    assert np.array_equal(np.asarray(sp.grad(lambda v: sp.sum(model(v)[0]))(sp.tensor(x))), np.ones_like(x))
    assert not np.asarray(model(np.zeros((1, 6), "f4"))[0]).any()


@pytest.mark.parametrize("kind", ["int8", "uint16", "int16", "uint32"])
def test_arithmetic_wraps_around_in_the_type_of_the_file(kind):
    dtype = np.dtype(kind)
    info = np.iinfo(dtype)
    a = np.array([info.max, info.min, 3, 5], dtype)
    number = helper.np_dtype_to_tensor_dtype(dtype)
    nodes = [node("Add", ["x", "w"], ["y"]), node("Mul", ["x", "x"], ["m"]), node("Max", ["x", "w"], ["g"])]
    made = content(nodes, [package.numpy_helper.from_array(a, "w")], [("x", number, [4])],
                   [("y", number), ("m", number), ("g", number)])  # fmt: skip
    with np.errstate(over="ignore"):
        expected = a + a, a * a, np.maximum(a, a)
    for got, want in zip(sp.onnx.load(made)(a), expected, strict=True):
        assert np.array_equal(np.asarray(got), want.astype("i8"))
    assert any(dtype.name in how for how in sp.onnx.report(made).widened)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("raw", [False, True])
def test_initializers_of_few_bits_are_read_and_written_in_their_type(kind, raw, tmp_path):
    values = RNG.integers(LOW[kind], HIGH[kind] + 1, (3, 6))
    held = tensor("w", TYPES[kind], values)
    if raw:
        held = package.numpy_helper.from_array(package.numpy_helper.to_array(held), "w")
    nodes = [node("DequantizeLinear", ["w", "s"], ["d"]), node("MatMul", ["x", "t"], ["y"]),
             node("Transpose", ["d"], ["t"], perm=[1, 0])]  # fmt: skip
    made = content([nodes[0], nodes[2], nodes[1]], [held, tensor("s", T.FLOAT, 0.5)])
    model = sp.onnx.load(made)
    x = RNG.normal(size=(2, 6)).astype("f4")
    np.testing.assert_allclose(np.asarray(model(x)), x @ (values * 0.5).T, rtol=1e-5, atol=1e-5)
    sp.onnx.save(model, tmp_path / "again.onnx", sp.tensor(x))
    again = package.load(tmp_path / "again.onnx")
    assert {t.name: t.data_type for t in again.graph.initializer}["w"] == TYPES[kind]
    assert np.array_equal(np.asarray(sp.onnx.load(tmp_path / "again.onnx")(x)), np.asarray(model(x)))


def test_attacks_and_saliency_take_a_quantised_model():
    from steep import saliency

    w = RNG.integers(-128, 128, (6, 3))
    nodes = [node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("DequantizeLinear", ["q", "s", "z"], ["f"]),
             node("DequantizeLinear", ["w", "s"], ["k"]), node("MatMul", ["f", "k"], ["y"])]  # fmt: skip
    weights = [tensor("s", T.FLOAT, 0.02), tensor("z", T.UINT8, 100), tensor("w", T.INT8, w)]
    model = sp.onnx.load(content(nodes, weights))
    x = RNG.uniform(0, 1, (4, 6)).astype("f4")
    label = np.asarray(model(x)).argmax(axis=1)
    worse = sp.attack.fgsm(model, x, label, eps=0.3)
    margin = lambda v: np.asarray(model(v))[np.arange(4), label].mean()  # noqa: E731
    assert margin(worse.x) < margin(x)
    assert np.asarray(saliency.gradient(model, x, label)).any()
