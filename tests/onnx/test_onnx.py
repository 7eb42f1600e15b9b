"""``sp.onnx``: loading, running, fine-tuning, compiling, reporting and saving. Malformed files: ``test_onnx_trust.py``.

Models are built here with ``onnx.helper``; the nine graphs of the onnx wheel are compared with the outputs it ships.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import numpy as np
import pytest
import steep as sp

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

LIGHT = sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx"))
TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "int64": TensorProto.INT64}


def model(nodes, inputs, outputs, weights=None, opset=21):
    """Bytes of a model. ``inputs``: shapes by name; nodes: (op, inputs, outputs, attributes)."""
    made = [helper.make_node(op, i, o, **a) for op, i, o, a in nodes]
    given = [helper.make_tensor_value_info(n, TYPES[kind], shape) for n, (kind, shape) in inputs.items()]
    results = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs]
    initializers = [numpy_helper.from_array(w, n) for n, w in (weights or {}).items()]
    graph = helper.make_graph(made, "g", given, results, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)]).SerializeToString()


def single(op, arrays, opset, outputs=1, **attributes):
    """Run one operator of some opset on arrays, the first one per input and the others initializers."""
    names = [f"x{i}" if a is not None else "" for i, a in enumerate(arrays)]
    weights = {n: a for n, a in zip(names[1:], arrays[1:], strict=True) if n}
    inputs = {"x0": (arrays[0].dtype.name, [None] * arrays[0].ndim)}
    ends = [f"y{i}" for i in range(outputs)]
    got = sp.onnx.load(model([(op, names, ends, attributes)], inputs, ends, weights, opset))(arrays[0])
    return tuple(y.numpy() for y in got) if outputs > 1 else got.numpy()


def normal(*shape, dtype="float32", seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def small_convnet(dtype="float32"):
    """Convolution, batch norm, pooling, a reshape that follows the batch, and a matrix product."""
    weights = {
        "w": normal(4, 2, 3, 3, dtype=dtype, seed=1), "scale": np.ones(4, dtype), "shift": np.zeros(4, dtype),
        "mean": normal(4, dtype=dtype, seed=2), "var": np.full(4, 2.0, dtype), "fc": normal(16, 3, dtype=dtype, seed=3),
        "zero": np.array(0), "first": np.array([0]), "rest": np.array([-1]),
    }  # fmt: skip
    nodes = [
        ("Conv", ["x", "w"], ["c"], {"pads": [1, 1, 1, 1]}),
        ("BatchNormalization", ["c", "scale", "shift", "mean", "var"], ["n"], {}),
        ("Tanh", ["n"], ["t"], {}),
        ("AveragePool", ["t"], ["p"], {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("Shape", ["x"], ["s"], {}),
        ("Gather", ["s", "zero"], ["b"], {}),
        ("Unsqueeze", ["b", "first"], ["b1"], {}),
        ("Concat", ["b1", "rest"], ["to"], {"axis": 0}),
        ("Reshape", ["p", "to"], ["flat"], {}),
        ("MatMul", ["flat", "fc"], ["y"], {}),
    ]
    return model(nodes, {"x": (dtype, ["N", 2, 4, 4])}, ["y"], weights)


@pytest.mark.parametrize("path", LIGHT, ids=lambda p: p.stem)
def test_light_graphs_load_and_run(path):
    m = sp.onnx.load(path)
    assert sp.onnx.report(path).supported
    shape = {"gpu_0/data_0": (1, 3, 224, 224), "data_0": (1, 3, 224, 224)}[m.inputs[0]]
    x = (np.arange(np.prod(shape)).reshape(shape) / float(np.prod(shape))).astype(np.float32)
    wanted = TensorProto()
    wanted.ParseFromString(path.with_name(path.stem + "_output_0.pb").read_bytes())
    with sp.no_grad():
        np.testing.assert_allclose(m(x).numpy(), numpy_helper.to_array(wanted), rtol=1e-3, atol=1e-7)


def test_there_are_nine_light_graphs():
    assert len(LIGHT) == 9


def test_path_and_bytes_give_the_same(tmp_path):
    (tmp_path / "m.onnx").write_bytes(small_convnet())
    x = normal(2, 2, 4, 4)
    a, b = sp.onnx.load(tmp_path / "m.onnx"), sp.onnx.load(small_convnet())
    assert np.array_equal(a(x).numpy(), b(x).numpy())


def test_the_batch_is_dynamic():
    m = sp.onnx.load(small_convnet())
    x = normal(5, 2, 4, 4)
    np.testing.assert_allclose(m(x).numpy()[:2], m(x[:2]).numpy(), rtol=1e-6)


def test_parameters_are_leaves_and_statistics_are_buffers():
    m = sp.onnx.load(small_convnet())
    assert [n for n, _ in m.named_parameters()] == [f"initializers.{n}" for n in ("w", "scale", "shift", "fc")]
    assert [n for n, _ in m.named_buffers()] == ["initializers.mean", "initializers.var"]
    assert not sp.onnx.load(small_convnet(), requires_grad=False).parameters()


def test_gradients_by_parameters_agree_with_central_differences():
    m = sp.onnx.load(small_convnet("float64"))
    x = normal(3, 2, 4, 4, dtype="float64", seed=5)
    (m(x) ** 2).sum().backward()
    for parameter in m.parameters():
        flat, grad = parameter.detach().numpy().reshape(-1).copy(), parameter.grad.numpy().reshape(-1)
        for i in range(0, flat.size, max(1, flat.size // 5)):
            ends = []
            for sign in (1, -1):
                moved = flat.copy()
                moved[i] += sign * 1e-5
                with sp.no_grad():
                    parameter[...] = moved.reshape(parameter.shape)
                    ends.append((m(x) ** 2).sum().item())
            with sp.no_grad():
                parameter[...] = flat.reshape(parameter.shape)
            assert grad[i] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5, abs=1e-7)


def test_gradients_by_inputs_to_second_order():
    m = sp.onnx.load(small_convnet("float64"), requires_grad=False)
    sp.check_grads(lambda x: (m(x) ** 2).sum(), (normal(1, 2, 4, 4, dtype="float64"),), order=2)


def test_fine_tuning_lowers_the_loss_also_when_compiled():
    x, labels = sp.asarray(normal(6, 2, 4, 4)), sp.asarray(np.arange(6) % 3)
    histories = []
    for wrap in (lambda f: f, sp.compile):
        m = sp.onnx.load(small_convnet())
        optimizer = sp.optim.Adam(m.parameters(), lr=0.05)

        def step(x, labels, m=m, optimizer=optimizer):
            optimizer.zero_grad()
            loss = sp.nn.cross_entropy(m(x), labels)
            loss.backward()
            optimizer.step()
            return loss

        run = wrap(step)
        histories.append([float(run(x, labels)) for _ in range(30)])
    assert histories[0][-1] < 0.5 * histories[0][0]
    assert histories[0] == pytest.approx(histories[1], rel=1e-5)


def test_compiled_model_follows_new_batch_sizes():
    m = sp.onnx.load(small_convnet())
    fast = sp.compile(lambda x: m(x))
    for n in (3, 1, 3):
        x = sp.asarray(normal(n, 2, 4, 4, seed=n))
        np.testing.assert_allclose(fast(x).numpy(), m(x).numpy(), rtol=1e-6)


def test_a_shape_that_depends_on_values_cannot_be_compiled():
    m = sp.onnx.load(model([("Reshape", ["x", "to"], ["y"], {})], {"x": ("float32", [4]), "to": ("int64", [2])}, ["y"]))
    assert m(normal(4), np.array([2, 2])).shape == (2, 2)
    with pytest.raises(sp.CompileError, match="Reshape"):
        sp.compile(lambda x, to: m(x, to))(sp.asarray(normal(4)), sp.asarray(np.array([2, 2])))


def test_layers_and_activations():
    m = sp.onnx.load(small_convnet())
    assert m.layers == ["c", "n", "t", "p", "s", "b", "b1", "to", "flat", "y"]
    x = sp.tensor(normal(2, 2, 4, 4), requires_grad=True)
    found = m.activations(x, ["t", "y"])
    assert list(found) == ["t", "y"] and np.array_equal(found["y"].numpy(), m(x).numpy())
    found["t"].sum().backward()
    assert x.grad is not None
    assert list(m.activations(x)) == m.layers
    assert m.activations({"x": x}, "p")["p"].shape == (2, 4, 2, 2)
    with pytest.raises(ValueError, match="nowhere"):
        m.activations(x, "nowhere")


def test_inputs_by_name_in_order_and_optional():
    source = model([("Clip", ["x", "", "high"], ["y"], {})], {"x": ("float32", [3]), "high": ("float32", [])}, ["y"])
    m = sp.onnx.load(source)
    x = np.array([-1, 0, 5], np.float32)
    assert m(high=np.float32(1), x=x).tolist() == [-1, 0, 1]
    assert m(x, None).tolist() == m({"x": x, "high": None}).tolist() == [-1, 0, 5]
    for wrong in ([x], [x, None, None]):
        with pytest.raises(TypeError, match="high"):
            m(*wrong)
    with pytest.raises(ValueError, match="Clip"):
        m(None, None)
    with pytest.raises(TypeError, match="float64"):
        m(x.astype(np.float64), None)
    with pytest.raises(ValueError, match="1 dimensions"):
        m(x[None], None)


def test_several_outputs_are_a_tuple():
    m = sp.onnx.load(
        model([("TopK", ["x", "k"], ["v", "i"], {})], {"x": ("float32", [4])}, ["v", "i"], {"k": np.array([2])})
    )
    values, places = m(np.array([3, 1, 4, 1], np.float32))
    assert values.tolist() == [4, 3] and places.tolist() == [2, 0]


def test_errors_name_the_node_and_the_shapes():
    source = model(
        [("MatMul", ["x", "w"], ["y"], {"name": "head"})], {"x": ("float32", [None, None])}, ["y"], {"w": normal(3, 2)}
    )
    with pytest.raises(ValueError, match=r"'head' \(MatMul\) with inputs \(float32\(2, 4\), float32\(3, 2\)\)"):
        sp.onnx.load(source)(normal(2, 4))


def test_report_lists_what_is_unsupported_and_what_has_no_gradient():
    nodes = [("ArgMax", ["x"], ["a"], {}), ("Det", ["x"], ["d"], {}), ("NonZero", ["x"], ["n"], {})]
    source = model(nodes, {"x": ("float32", [3, 3])}, ["a", "d", "n"])
    found = sp.onnx.report(source)
    assert list(found.unsupported) == ["Det"] and sorted(found.no_gradient) == ["ArgMax", "NonZero"]
    assert not found.supported and "Det" in str(found)
    with pytest.raises(sp.onnx.UnsupportedError, match="Det"):
        sp.onnx.load(source)


def test_batch_norm_of_old_training_mode_is_refused():
    source = model(
        [("BatchNormalization", ["x", *["s"] * 4], ["y", "m", "v"], {})],
        {"x": ("float32", [2, 3])}, ["y"], {"s": np.ones(3, np.float32)}, opset=9,
    )  # fmt: skip
    with pytest.raises(sp.onnx.UnsupportedError, match="training mode"):
        sp.onnx.load(source)


def test_batch_norm_over_more_than_channels_is_refused():
    source = model(
        [("BatchNormalization", ["x", *["s"] * 4], ["y"], {"spatial": 0})],
        {"x": ("float32", [2, 3])}, ["y"], {"s": np.ones(3, np.float32)}, opset=8,
    )  # fmt: skip
    with pytest.raises(sp.onnx.UnsupportedError, match="spatial 0"):
        sp.onnx.load(source)


def test_every_operator_takes_what_its_schemas_allow():
    from steep.onnx.table import TABLE, find

    for name in TABLE:
        for opset in range(7, onnx.defs.onnx_opset_version() + 1):
            try:
                schema = onnx.defs.get_schema(name, max_inclusive_version=opset, domain="")
            except onnx.defs.SchemaError:
                continue
            row = find(name, opset)
            if schema.deprecated or (row is None and name in ("Upsample", "Scan")):
                continue
            assert row is not None, (name, opset)
            taken = [
                p for p in inspect.signature(row.function).parameters.values() if p.name not in ("node", "run", "f")
            ]
            if all(p.kind != p.VAR_POSITIONAL for p in taken):
                assert len(taken) >= schema.max_input, (name, opset)
                assert sum(p.default is p.empty for p in taken) <= schema.min_input, (name, opset)


def test_state_goes_out_and_in():
    m, other = sp.onnx.load(small_convnet()), sp.onnx.load(small_convnet())
    with sp.no_grad():
        m.initializers["fc"][...] = 0.0
    other.load_state_dict(m.state_dict())
    assert not other(normal(2, 2, 4, 4)).numpy().any()


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"steep\[onnx\]"):
        sp.onnx.load(b"")


# -- older opsets, which the node tests of the newest package no longer reach --------------------------------------

X = normal(2, 3, 4, 4)


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def scaled(x):
    return x.repeat(2, 2).repeat(2, 3)


NAMES = np.array([1, 1, 2, 2], np.float32)
OLD = [
    ("Softmax", [X], 7, {"axis": 1}, softmax(X.reshape(2, -1), 1).reshape(X.shape)),
    ("LogSoftmax", [X], 12, {}, np.log(softmax(X.reshape(2, -1), 1)).reshape(X.shape)),
    ("Softmax", [X], 13, {"axis": 1}, softmax(X, 1)),
    ("Clip", [X], 7, {"min": -0.5, "max": 0.25}, X.clip(-0.5, 0.25)),
    ("Clip", [X, None, np.float32(0.25)], 11, {}, X.clip(None, 0.25)),
    ("Slice", [X], 9, {"starts": [1, -3], "ends": [9, -1], "axes": [1, 2]}, X[:, 1:9, -3:-1]),
    ("Pad", [X], 10, {"pads": [0, 0, 1, 0, 0, 0, 2, 1]}, np.pad(X, ((0, 0), (0, 0), (1, 2), (0, 1)))),
    ("Upsample", [X], 7, {"scales": [1.0, 1.0, 2.0, 2.0]}, scaled(X)),
    ("Upsample", [X, NAMES], 9, {}, scaled(X)),
    ("Resize", [X, NAMES], 10, {}, scaled(X)),
    ("Squeeze", [X[:1]], 11, {"axes": [0]}, X[0]),
    ("Unsqueeze", [X], 12, {"axes": [0, 5]}, X[None, ..., None]),
    ("ReduceSum", [X], 11, {"axes": [1], "keepdims": 0}, X.sum(1)),
    ("ReduceMean", [X], 17, {"axes": [-1, -2]}, X.mean((2, 3), keepdims=True)),
    ("ReduceMax", [X], 7, {}, X.max(keepdims=True)),
    ("Dropout", [X], 7, {"ratio": 0.5}, X),
    ("Dropout", [X], 11, {"ratio": 0.5}, X),
    ("BatchNormalization", [X, *(np.arange(1, 4, dtype=np.float32),) * 4], 8, {"epsilon": 0.0},
     (X - np.arange(1, 4).reshape(3, 1, 1)) / np.sqrt(np.arange(1, 4)).reshape(3, 1, 1)
     * np.arange(1, 4).reshape(3, 1, 1) + np.arange(1, 4).reshape(3, 1, 1)),
    ("MaxPool", [X], 8, {"kernel_shape": [2, 2], "strides": [2, 2]}, X.reshape(2, 3, 2, 2, 2, 2).max((3, 5))),
    ("AveragePool", [X], 7, {"kernel_shape": [2, 2], "strides": [2, 2]}, X.reshape(2, 3, 2, 2, 2, 2).mean((3, 5))),
    ("Scatter", [X[0, 0], np.array([[1, 0, 3, 2]]), np.ones((1, 4), np.float32)], 9, {"axis": 1},
     np.concatenate([np.ones((1, 4)), X[0, 0, 1:]])),
    ("Gemm", [X[0, 0], X[0, 1], X[0, 2, 0]], 7, {"alpha": 0.5, "transB": 1}, 0.5 * X[0, 0] @ X[0, 1].T + X[0, 2, 0]),
    ("GroupNormalization", [X, np.ones(3, np.float32), np.zeros(3, np.float32)], 18, {"num_groups": 3, "epsilon": 0.0},
     (X - X.mean((2, 3), keepdims=True)) / X.std((2, 3), keepdims=True)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("op", "arrays", "opset", "attributes", "wanted"), OLD, ids=lambda v: v if isinstance(v, str) else ""
)
def test_older_opsets(op, arrays, opset, attributes, wanted):
    got = single(op, arrays, opset, **attributes)
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_old_split_and_top_k():
    a, b = single("Split", [X], 11, 2, axis=1, split=[1, 2])
    assert np.array_equal(a, X[:, :1]) and np.array_equal(b, X[:, 1:])
    values, _ = single("TopK", [X[0, 0]], 9, 2, k=1)
    assert np.array_equal(values, X[0, 0].max(1, keepdims=True))


def test_whole_numbers_stay_exact():
    big = np.array([[2**40 + 1, -(2**40), 2**40 + 3]])
    m = sp.onnx.load(model([("Relu", ["x"], ["y"], {})], {"x": ("int64", [None, 3])}, ["y"]))
    assert m(big).tolist() == [[2**40 + 1, 0, 2**40 + 3]]
    m = sp.onnx.load(model([("ReduceMean", ["x"], ["y"], {})], {"x": ("int64", [None, 3])}, ["y"]))
    assert m(big[:, ::2]).item() == 2**40 + 2
    m = sp.onnx.load(
        model([("Div", ["x", "d"], ["y"], {})], {"x": ("int64", [4])}, ["y"], {"d": np.array([2, -2, 2, -2])})
    )
    assert m(np.array([7, 7, -7, -7])).tolist() == [3, -3, -3, 3]


@pytest.mark.parametrize("index", [2, -3, 2**62])
@pytest.mark.parametrize("op", ["Gather", "GatherND", "GatherElements", "ScatterND", "ScatterElements"])
def test_indices_out_of_range_raise(op, index):
    extra = [np.ones((1, 1) if op != "ScatterND" else 1, np.float32)] if op.startswith("Scatter") else []
    shape = (1, 2) if op.endswith("ND") else (1, 1)
    indices = np.full(shape, 0)
    indices[0, 0] = index
    with pytest.raises(IndexError, match=op):
        single(op, [normal(2, 2), indices, *extra], 18)


# -- saving -----------------------------------------------------------------------------------------------------------

nn = sp.nn
SAVED = {
    "perceptron": (lambda: nn.Sequential(
        nn.Linear(4, 8), nn.GELU(), nn.LayerNorm(8), sp.tanh, nn.Linear(8, 2)), (3, 4)),
    "convnet": (lambda: nn.Sequential(
        {"conv": nn.Conv2d(3, 4, 3, padding="same", padding_mode="reflect"), "norm": nn.BatchNorm2d(4),
         "act": nn.SiLU(),
         "pool": nn.MaxPool2d(3, 2, 1, ceil_mode=True), "mean": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten(),
         "drop": nn.Dropout(), "head": nn.Sequential(nn.Linear(4, 2), nn.Softmax())}), (2, 3, 9, 9)),
    "decoder": (lambda: nn.Sequential(
        nn.ConvTranspose2d(3, 4, 3, 2, 1, 1), nn.GroupNorm(2, 4), nn.PReLU(4),
        nn.Upsample(scale_factor=2, mode="linear"),
        nn.InstanceNorm2d(4), nn.LocalResponseNorm(3), nn.Upsample(size=(9, 11), mode="cubic")), (2, 3, 4, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", SAVED)
def test_saved_modules_load_again(tmp_path, name):
    build, shape = SAVED[name]
    module, x = build(), normal(*shape)
    sp.onnx.save(module, tmp_path / "m.onnx", x)
    assert module.training
    again = sp.onnx.load(tmp_path / "m.onnx")
    np.testing.assert_allclose(again(x).numpy(), module.eval()(sp.asarray(x)).numpy(), rtol=1e-4, atol=1e-5)
    assert again(x[:1]).shape[0] == 1
    assert sum(p.size for p in again.parameters()) >= sum(p.size for p in module.parameters())


def test_a_model_in_double_precision(tmp_path):
    net = nn.Sequential(nn.Conv2d(1, 3, 3, generator=1), nn.GELU(), nn.Flatten(), nn.Linear(48, 2, generator=2))
    sp.onnx.save(net, tmp_path / "m.onnx", sp.zeros((1, 1, 6, 6)))
    model, x = sp.onnx.load(tmp_path / "m.onnx").astype(sp.float64), np.random.default_rng(0).normal(size=(2, 1, 6, 6))
    y = model(x)
    assert y.dtype == sp.float64 and all(p.dtype == sp.float64 and p.requires_grad for p in model.parameters())
    assert np.allclose(y.detach().numpy(), net.astype(sp.float64)(x).detach().numpy(), rtol=0, atol=1e-12)
    with pytest.raises(TypeError, match="takes float64, got float32"):
        model(x.astype(np.float32))
