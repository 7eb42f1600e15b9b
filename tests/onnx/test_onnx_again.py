"""A loaded model that is saved keeps its graph: names, operators, statistics, opset; the weights are those of now."""

import copy

import numpy as np
import pytest
import steep as sp
from steep import nn, optim

package = pytest.importorskip("onnx")
arr, node, T = np.asarray, package.helper.make_node, package.TensorProto
RNG = np.random.default_rng(0)


def network(opset=17, dtype="f4", listed=False):
    """The bytes of a small network with batch norm, clip, constants and sizes on the host."""
    helper = package.helper
    held = {"features.0/weight": RNG.normal(size=(4, 1, 3, 3)), "bn/gamma:0": np.ones(4), "bn/beta:0": np.zeros(4),
            "bn/mean:0": RNG.normal(size=4), "bn/variance:0": np.float64([0.5, 1, 2, 3]), "zero": np.float64(0),
            "six": np.float64(6), "head.weight": RNG.normal(size=(4, 3)), "head.bias": RNG.normal(size=3)}  # fmt: skip
    held = {name: value.astype(dtype) for name, value in held.items()} | {"shape": np.int64([0, -1])}
    half = package.numpy_helper.from_array(np.asarray(0.5, dtype))
    nodes = [
        node("Conv", ["pixels", "features.0/weight"], ["c"], name="features.0"),
        node("BatchNormalization", ["c", "bn/gamma:0", "bn/beta:0", "bn/mean:0", "bn/variance:0"], ["b"], name="bn"),
        node("Clip", ["b", "zero", "six"], ["r"], name="relu6"), node("GlobalAveragePool", ["r"], ["g"], name="pool"),
        node("Reshape", ["g", "shape"], ["f"], name="flatten"), node("Constant", [], ["k"], value=half, name="half"),
        node("Mul", ["f", "k"], ["m"], name="scale"),
        node("Gemm", ["m", "head.weight", "head.bias"], ["scores"], name="head"),
    ]  # fmt: skip
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    inputs = [helper.make_tensor_value_info("pixels", kind, ["batch", 1, 6, 6])]
    weights = [package.numpy_helper.from_array(value, name) for name, value in held.items()]
    if listed:
        inputs += [helper.make_tensor_value_info(w.name, w.data_type, w.dims) for w in weights]
    outputs = [helper.make_tensor_value_info("scores", kind, ["batch", 3])]
    graph = helper.make_graph(nodes, "classifier", inputs, outputs, weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    return made.SerializeToString()


X = RNG.normal(size=(2, 1, 6, 6)).astype("f4")


def saved(model, path, x=X):
    sp.onnx.save(model, path / "again.onnx", x)
    return package.load(path / "again.onnx"), sp.onnx.load(path / "again.onnx")


def outline(proto):
    return [(n.name, n.op_type, list(n.input), list(n.output)) for n in proto.graph.node]


@pytest.mark.parametrize("opset", [13, 17, 21])
@pytest.mark.parametrize("listed", [False, True])
def test_a_fine_tuned_model_keeps_its_names_and_its_operators(opset, listed, tmp_path):
    content = network(opset, listed=listed)
    model, before = sp.onnx.load(content), package.load_from_string(content)
    loss = lambda params: nn.cross_entropy(model(X), sp.asarray([0, 1]))  # noqa: E731
    optim.minimize(loss, model.parameters(), lambda p: optim.SGD(p, lr=0.1), 5)
    after, again = saved(model, tmp_path)
    package.checker.check_model(after, full_check=True)
    assert outline(after) == outline(before) and after.opset_import == before.opset_import
    assert [w.name for w in after.graph.initializer] == [w.name for w in before.graph.initializer]
    assert (after.graph.input, after.graph.output, after.ir_version) == (
        before.graph.input, before.graph.output, before.ir_version)  # fmt: skip
    assert again.layers == model.layers and again._statistics == model._statistics
    assert all(np.array_equal(arr(again.initializers[k]), arr(v)) for k, v in model.initializers.items())
    assert [name for name, _ in again.named_parameters()] == [name for name, _ in model.named_parameters()]
    moved = package.numpy_helper.to_array(after.graph.initializer[0])
    assert not np.array_equal(moved, package.numpy_helper.to_array(before.graph.initializer[0]))
    assert np.array_equal(arr(again(X)), arr(model(X)))


def test_another_reader_finds_the_same(tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    model = sp.onnx.load(network())
    saved(model, tmp_path)
    got = runtime.InferenceSession(tmp_path / "again.onnx").run(None, {"pixels": X})[0]
    assert got == pytest.approx(arr(model(X)), abs=1e-5)


@pytest.mark.parametrize("stored", ["f2", "f4", "f8"])
@pytest.mark.parametrize("held", [None, "float32", "float64"])
def test_types_are_those_that_the_model_has_now(stored, held, tmp_path):
    model = sp.onnx.load(network(dtype=stored))
    model = model if held is None else model.astype(held)
    dtype = held or {"f2": "float32", "f4": "float32", "f8": "float64"}[stored]
    x = X.astype(dtype)
    after, again = saved(model, tmp_path, x)
    package.checker.check_model(after, full_check=True)
    assert again(x).dtype.name == dtype and arr(again(x)) == pytest.approx(arr(model(x)), rel=1e-6)
    assert [n.name for n in after.graph.node] == model.layers[:5] + ["half"] + model.layers[5:]
    assert not sp.onnx.report(tmp_path / "again.onnx").widened


def test_casts_and_fills_of_float16_are_written_as_float32(tmp_path):
    helper = package.helper
    fill = package.numpy_helper.from_array(np.float16([0.25]))
    nodes = [node("Cast", ["x"], ["h"], to=T.FLOAT16, name="down"), node("Shape", ["h"], ["s"], name="size"),
             node("ConstantOfShape", ["s"], ["c"], value=fill, name="fill"),
             node("Add", ["h", "c"], ["y"], name="sum")]  # fmt: skip
    infos = [[helper.make_tensor_value_info(n, k, ["N", 3])] for n, k in (("x", T.FLOAT), ("y", T.FLOAT16))]
    made = helper.make_model(helper.make_graph(nodes, "g", *infos), opset_imports=[helper.make_opsetid("", 17)])
    after, again = saved(sp.onnx.load(made.SerializeToString()), tmp_path, X[0, 0, :2, :3])
    package.checker.check_model(after, full_check=True)
    assert [n.name for n in after.graph.node] == ["down", "size", "fill", "sum"]
    assert np.array_equal(arr(again(X[0, 0, :2, :3])), X[0, 0, :2, :3] + 0.25)


def test_a_copy_saves_its_own_weights_and_a_part_of_another_module_is_still_written(tmp_path):
    model = sp.onnx.load(network())
    twin = copy.deepcopy(model)
    with sp.no_grad():
        twin.initializers["head.bias"][...] = sp.zeros(3)
    _, again = saved(twin, tmp_path)
    assert not arr(again.initializers["head.bias"]).any() and arr(model.initializers["head.bias"]).any()
    _, whole = saved(nn.Sequential({"body": model, "last": nn.Linear(3, 2, generator=0)}), tmp_path)
    assert whole(X).shape == (2, 2)


@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: Within(m)], ids=["by type", "traced"])
def test_a_layer_that_is_no_node_leaves_the_name_of_the_one_before(wrap, tmp_path):
    layers = {"fc": nn.Linear(3, 3, generator=0), "drop": nn.Dropout(0.5), "last": nn.Linear(3, 2, generator=1)}
    _, again = saved(wrap(nn.Sequential(layers)), tmp_path, X[0, 0, :2, :3])
    names = [name.removeprefix("inner.") for name in again.layers]
    assert names[:2] == ["fc", "last"] and "drop" not in names


class Within(nn.Module):
    """A module with a forward of its own around another."""

    def __init__(self, inner):
        self.inner = inner

    def forward(self, v):
        return self.inner(v) * 1.0
