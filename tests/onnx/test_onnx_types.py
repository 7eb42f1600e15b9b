"""Element types that steep holds in wider ones, and reports that list all that is unsupported of a file."""

import numpy as np
import pytest
import steep as sp

package = pytest.importorskip("onnx")
T, helper = package.TensorProto, package.helper
arr, node = np.asarray, helper.make_node
VALUES = np.float16([1.5, -2.25, 6e-8, np.inf])
X = np.float32([1, 2, 3, 4])


def file_of(nodes, weights=(), kind=T.FLOAT16, imports=(("", 17),), inputs=None, shape=(4,)):
    info = [helper.make_tensor_value_info(n, kind, shape) for n in ("x", "y")]
    graph = helper.make_graph(nodes, "g", info[:1] if inputs is None else inputs, info[1:], list(weights))
    opsets = [helper.make_opsetid(*each) for each in imports]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def in_field(tensor):
    """The same tensor with its bits in int32_data."""
    bits = np.frombuffer(tensor.raw_data, "<u2")
    tensor.ClearField("raw_data")
    tensor.int32_data.extend(int(b) for b in bits)
    return tensor


def outside(tensor, folder):
    """The same tensor with its data in a file."""
    (folder / "w.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = T.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "w.bin"
    return tensor


def weight(name="w", values=VALUES):
    return package.numpy_helper.from_array(values, name)


STORES = {"raw_data": lambda t, _: t, "int32_data": lambda t, _: in_field(t), "external": outside}


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("constant", [False, True])
def test_float16_tensors_are_widened_without_loss(store, constant, tmp_path):
    tensor = STORES[store](weight(), tmp_path)
    made = [node("Constant", [], ["w"], value=tensor)] if constant else []
    content = file_of([*made, node("Mul", ["x", "w"], ["y"])], [] if constant else [tensor])
    (tmp_path / "m.onnx").write_bytes(content.SerializeToString())
    model = sp.onnx.load(tmp_path / "m.onnx")
    for given in (X, X.astype("f2"), sp.asarray(X)):
        y = model(given)
        assert y.dtype == sp.float32 and np.array_equal(arr(y), X * VALUES.astype("f4"))
    assert [p.dtype for p in model.parameters()] == ([] if constant else [sp.float32])
    told = str(sp.onnx.report(tmp_path / "m.onnx"))
    assert "widened      float16 as float32: " in told and "all operators are supported" in told


def test_casts_and_fills_of_float16_are_those_of_float32():
    nodes = [
        node("Cast", ["x"], ["h"], to=T.FLOAT16),
        node("ConstantOfShape", ["n"], ["f"], value=package.numpy_helper.from_array(np.float16([0.5]))),
        node("CastLike", ["f", "h"], ["l"]), node("Add", ["h", "l"], ["s"]), node("Cast", ["s"], ["y"], to=T.FLOAT),
    ]  # fmt: skip
    content = file_of(nodes, [package.numpy_helper.from_array(np.int64([4]), "n")], T.FLOAT)
    model = sp.onnx.load(content.SerializeToString())
    assert np.array_equal(arr(model(X)), X + 0.5)
    assert np.array_equal(arr(sp.grad(lambda v: sp.sum(model(v)))(sp.asarray(X))), np.ones(4))
    told = sp.onnx.report(content.SerializeToString())
    assert told.supported and sum(map(len, told.widened.values())) == 2


def test_bits_of_float16_that_are_none_are_refused():
    tensor = in_field(weight())
    tensor.int32_data[0] = 1 << 16
    with pytest.raises(ValueError, match="does not fit into float16"):
        sp.onnx.load(file_of([node("Mul", ["x", "w"], ["y"])], [tensor]).SerializeToString())
    short = weight()
    short.raw_data = short.raw_data[:-1]
    with pytest.raises(ValueError, match="of float16 takes 8 bytes, 7 given"):
        sp.onnx.load(file_of([node("Mul", ["x", "w"], ["y"])], [short]).SerializeToString())


@pytest.mark.parametrize("store", STORES)
def test_bfloat16_tensors_load_and_a_model_of_them_is_made_one_of_float32(store, tmp_path):
    bits = np.float32([1.5, -2.25, 3, 1e30]).view("u4") >> 16
    tensor = helper.make_tensor("w", T.BFLOAT16, (4,), bits.astype("<u2").tobytes(), raw=True)
    tensor = STORES[store](tensor, tmp_path)
    values = (bits << 16).view("f4") if bits.dtype == np.uint32 else None
    constant = node("Constant", [], ["c"], value=helper.make_tensor("c", T.BFLOAT16, (), [2.0]))
    content = file_of([constant, node("Mul", ["x", "w"], ["m"]), node("Mul", ["m", "c"], ["y"])], [tensor], T.BFLOAT16)
    (tmp_path / "m.onnx").write_bytes(content.SerializeToString())
    model = sp.onnx.load(tmp_path / "m.onnx")
    assert model(sp.asarray(X).astype("bfloat16")).dtype == sp.bfloat16
    wide = model.astype(sp.float32)
    assert np.array_equal(arr(wide(X)), X * values * 2) and wide(X).dtype == sp.float32


# -- imports and reports ----------------------------------------------------------------------------------------------

RELU = [node("Relu", ["x"], ["y"])]


@pytest.mark.parametrize("imports", [[("", 17)] * 2, [("", 17), ("ai.onnx", 17)], [("ai.onnx", 17)] * 3])
def test_standard_operators_may_be_imported_twice_at_one_version(imports):
    content = file_of(RELU, kind=T.FLOAT, imports=imports).SerializeToString()
    assert arr(sp.onnx.load(content)(-X)).tolist() == [0, 0, 0, 0]


def test_standard_operators_at_two_versions_are_refused():
    content = file_of(RELU, kind=T.FLOAT, imports=[("", 17), ("ai.onnx", 18)]).SerializeToString()
    for read in (sp.onnx.load, sp.onnx.report):
        with pytest.raises(ValueError, match=r"at one version, it has versions \[17, 18\]"):
            read(content)


def text(name):
    return helper.make_tensor(name, T.STRING, (1,), [b"text"])


def small_integers(name):
    return package.numpy_helper.from_array(np.int8([1, 2, 3, 4]), name)


def large_integers(name):
    return package.numpy_helper.from_array(np.uint64([1, 2, 3, 4]), name)


def sparse():
    values = weight("s", np.float32([1]))
    return helper.make_sparse_tensor(values, package.numpy_helper.from_array(np.int64([0]), "i"), [4])


OPTIONAL = [helper.make_value_info("x", helper.make_optional_type_proto(helper.make_tensor_type_proto(T.FLOAT, None)))]
UNSUPPORTED = {
    "float16 beside an STFT": (
        file_of([node("Mul", ["x", "w"], ["m"]), node("STFT", ["m", "m", "m"], ["y"])], [weight()]), ["STFT", "float16"]
    ),
    "uint64": (file_of([node("Add", ["x", "w"], ["m"]), node("STFT", ["m", "m", "m"], ["y"])], [large_integers("w")]),
               ["initializer 'w'", "uint64", "STFT"]),
    "text that is read": (file_of([node("Identity", ["t"], ["y"]), node("STFT", ["x"] * 3, ["z"])], [text("t")]),
                          ["initializer 't'", "string", "STFT"]),
    "an input of text": (file_of([node("StringNormalizer", ["x"], ["y"])], kind=T.STRING), ["input 'x'", "string"]),
    "an optional": (file_of([node("OptionalGetElement", ["x"], ["y"])], inputs=OPTIONAL), ["input 'x'", "optional"]),
    "another domain alone": (
        file_of([node("FusedGemm", ["x"], ["y"], domain="com.microsoft")], imports=[("com.microsoft", 1)]),
        ["com.microsoft.FusedGemm"],
    ),
    "a version of the future": (file_of([node("STFT", ["x"] * 3, ["y"])], imports=[("", 99)]), ["opset 99", "STFT"]),
}  # fmt: skip


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_a_report_lists_all_that_is_unsupported(name):
    content, words = UNSUPPORTED[name]
    told = sp.onnx.report(content.SerializeToString())
    assert not told.supported and told.operators
    with pytest.raises(sp.onnx.UnsupportedError) as refusal:
        sp.onnx.load(content.SerializeToString())
    for word in words:
        assert word in str(told)
        assert word in str(refusal.value) or word == "float16"


def test_a_sparse_initializer_is_reported_beside_the_rest():
    content = file_of([node("Mul", ["x", "s"], ["m"]), node("STFT", ["m"] * 3, ["y"])], kind=T.FLOAT)
    content.graph.sparse_initializer.append(sparse())
    told = str(sp.onnx.report(content.SerializeToString()))
    assert "initializer 's': sparse tensors are not supported" in told and "STFT" in told


def test_text_that_nothing_reads_does_not_matter():
    content = file_of(RELU, [text("t"), small_integers("i")], T.FLOAT).SerializeToString()
    assert sp.onnx.report(content).supported
    model = sp.onnx.load(content)
    assert arr(model(X)).tolist() == X.tolist() and not model.initializers


def test_a_malformed_file_is_still_refused():
    for spoiled in (b"nothing", file_of([node("Relu", ["z"], ["y"])], kind=T.FLOAT).SerializeToString()):
        with pytest.raises(ValueError):
            sp.onnx.report(spoiled)
