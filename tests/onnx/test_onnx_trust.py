"""ONNX files that are malformed or mean harm: each is refused with a ValueError, and none crashes steep
or leaves its folder.
"""

from __future__ import annotations

import os
import random

import numpy as np
import pytest
import steep as sp

pytest.importorskip("onnx")
from onnx import ModelProto, TensorProto, helper, numpy_helper

ALLOWED = (ValueError, TypeError, IndexError, MemoryError)


def parts():
    """A small valid model as a proto, to be spoilt."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="first"),
        helper.make_node("Relu", ["h"], ["r"], name="second"),
        helper.make_node("Reshape", ["r", "to"], ["y"], name="third"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.eye(2, dtype=np.float32), "w"), numpy_helper.from_array(np.array([-1]), "to")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


def cycle(m):
    m.graph.node[0].input[0] = "r"


def missing_input(m):
    m.graph.node[1].input[0] = "nothing"


def made_twice(m):
    m.graph.node[1].output[0] = "h"


def shadows_an_input(m):
    m.graph.node[0].output[0] = "x"


def input_twice(m):
    m.graph.input.append(m.graph.input[0])


def initializer_twice(m):
    m.graph.initializer.append(m.graph.initializer[0])


def no_output(m):
    del m.graph.output[:]


def unknown_output(m):
    m.graph.output[0].name = "other"


def too_few_inputs(m):
    del m.graph.node[0].input[1:]


def too_many_outputs(m):
    m.graph.node[1].output.append("more")


def empty_input(m):
    m.graph.node[0].input[1] = ""


def unknown_attribute(m):
    m.graph.node[1].attribute.append(helper.make_attribute("depth", 3))


def attribute_of_wrong_type(m):
    m.graph.node[2].attribute.append(helper.make_attribute("allowzero", "yes"))


def attribute_twice(m):
    m.graph.node[2].attribute.extend([helper.make_attribute("allowzero", 0)] * 2)


def short_data(m):
    m.graph.initializer[0].raw_data = b"1234"


def huge_sizes(m):
    m.graph.initializer[0].dims[:] = [2**31, 2**31]


def negative_sizes(m):
    m.graph.initializer[0].dims[:] = [-2, -2]


def two_kinds_of_data(m):
    m.graph.initializer[0].float_data.append(1.0)


def unknown_type(m):
    m.graph.initializer[0].data_type = 99


def many_dimensions(m):
    m.graph.initializer[0].dims[:] = [1] * 40 + [4]


def unknown_operator(m):
    m.graph.node[1].op_type = "Rleu"


def foreign_domain(m):
    m.graph.node[1].domain = "com.example"


def no_opset(m):
    del m.opset_import[:]


def future_opset(m):
    m.opset_import[0].version = 10**6


def two_opsets(m):
    m.opset_import.append(m.opset_import[0])
    m.opset_import[1].version -= 1


def function_that_calls_itself(m):
    body = [helper.make_node("F", ["a"], ["b"], domain="d")]
    m.functions.append(helper.make_function("d", "F", ["a"], ["b"], body, [helper.make_opsetid("d", 1)]))
    m.graph.node.append(helper.make_node("F", [m.graph.input[0].name], ["z"], domain="d"))


def functions_that_multiply(m):
    for i in range(30):
        body = [helper.make_node(f"F{i + 1}", ["a"], [name], domain="d") for name in ("b", "c")]
        m.functions.append(helper.make_function("d", f"F{i}", ["a"], ["b"], body, [helper.make_opsetid("d", 1)]))
    m.functions.append(helper.make_function("d", "F30", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], []))
    m.graph.node.append(helper.make_node("F0", [m.graph.input[0].name], ["z"], domain="d"))


def body_that_reads_nothing(m):
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    body = helper.make_graph([helper.make_node("Relu", ["nothing"], ["z"])], "b", [], [z])
    m.graph.node.append(helper.make_node("If", [m.graph.input[0].name], ["w"], then_branch=body, else_branch=body))


SPOILS = [
    cycle, missing_input, made_twice, shadows_an_input, input_twice, initializer_twice, no_output, unknown_output,
    too_few_inputs, too_many_outputs, empty_input, unknown_attribute, attribute_of_wrong_type, attribute_twice,
    short_data, huge_sizes, negative_sizes, two_kinds_of_data, unknown_type, many_dimensions, unknown_operator,
    foreign_domain, no_opset, future_opset, two_opsets, function_that_calls_itself,
    functions_that_multiply, body_that_reads_nothing,
]  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda f: f.__name__)
def test_malformed_models_are_refused(spoil):
    m = parts()
    spoil(m)
    with pytest.raises(ValueError):
        sp.onnx.load(m.SerializeToString())


def test_the_error_names_the_node():
    m = parts()
    cycle(m)
    with pytest.raises(ValueError, match=r"'first' \(MatMul\) uses 'r', which node 'second' makes only later"):
        sp.onnx.load(m.SerializeToString())


@pytest.mark.parametrize("content", [b"", b"junk", b"\x08\x07", b"PK\x03\x04" * 9, b"\x80\x04cos\nsystem\n."])
def test_what_is_no_model_is_refused(content):
    with pytest.raises(ValueError, match="not an ONNX model"):
        sp.onnx.load(content)


# -- external data ----------------------------------------------------------------------------------------------------


def external(folder, location, **entries):
    """A model in ``folder`` whose matrix lies elsewhere."""
    m = parts()
    tensor = m.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    (folder / "m.onnx").write_bytes(m.SerializeToString())
    return folder / "m.onnx"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "secret.bin").write_bytes(np.eye(2, dtype=np.float32).tobytes())
    inside = tmp_path / "model"
    (inside / "sub").mkdir(parents=True)
    for path in ("w.bin", "sub/w.bin"):
        (inside / path).write_bytes(b"12345678" + np.eye(2, dtype=np.float32).tobytes())
    os.symlink("../secret.bin", inside / "link.bin")
    os.symlink("..", inside / "up")
    os.link(tmp_path / "secret.bin", inside / "hard.bin")
    os.mkfifo(inside / "pipe")
    return inside


@pytest.mark.parametrize("location", ["w.bin", "sub/w.bin", "./w.bin", "././sub//w.bin", "sub/./w.bin"])
def test_external_data_below_the_folder_is_read(folder, location):
    m = sp.onnx.load(external(folder, location, offset=8, length=16))
    assert m(np.array([[1, -2]], np.float32)).tolist() == [1, 0]


BAD = [
    "../secret.bin", "sub/../../secret.bin", "/etc/passwd", "link.bin", "up/secret.bin", "hard.bin", "pipe", "sub", "",
    ".", "none.bin", "C:\\x", "sub\\w.bin", "sub/w.bin/", "w.bin/.", "//w.bin",
    "sub/./../../w.bin", "w.bin\0", "c:w.bin", "x" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("location", BAD, ids=lambda v: repr(v[:20]))
def test_external_data_elsewhere_is_refused(folder, location):
    with pytest.raises(ValueError, match="initializer 'w'"):
        sp.onnx.load(external(folder, location))


@pytest.mark.parametrize(
    "entries", [{"offset": 9}, {"offset": -1}, {"length": 8}, {"length": 10**18}, {"offset": "1e3"}, {"offset": 10**17}]
)
def test_external_data_of_another_size_is_refused(folder, entries):
    with pytest.raises(ValueError, match="initializer 'w'"):
        sp.onnx.load(external(folder, "w.bin", **entries))


def test_bytes_have_no_external_data(folder):
    with pytest.raises(ValueError, match="from its path"):
        sp.onnx.load(external(folder, "w.bin", offset=8).read_bytes())


# -- mutants ----------------------------------------------------------------------------------------------------------


def spoilt(whole, rng):
    """Bytes with a few changed, cut or repeated."""
    data = bytearray(whole)
    for _ in range(rng.randint(1, 4)):
        at, length = rng.randrange(len(data)), rng.randint(1, 8)
        kind = rng.randrange(4)
        if kind == 0:
            data[at] = rng.randrange(256)
        elif kind == 1:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2 and len(data) > length:
            del data[at : at + length]
        else:
            data[at:at] = data[at : at + length]
    return bytes(data)


def survives(content, x):
    try:
        sp.onnx.load(content)(x)
    except ALLOWED:
        return False
    return True


def test_mutants_are_refused_or_run():
    x = np.ones((1, 2), np.float32)
    whole, rng = parts().SerializeToString(), random.Random(1)
    ran = sum(survives(spoilt(whole, rng), x) for _ in range(3000))
    assert 0 < ran < 3000


def test_a_parsed_model_is_not_needed_to_be_checked_by_onnx():
    m = ModelProto()
    m.ParseFromString(parts().SerializeToString())
    assert sp.onnx.load(m.SerializeToString()).layers == ["first", "second", "third"]
