"""Networks of expressions, from TensorFlow.js: known answers, NumPy's own evaluation of their files, damage."""

import base64
import json

import numpy as np
import pytest
import steep as sp
from steep import zoo
from steep.zoo import table
from steep.zoo.tfjs import read_tfjs

pytest.importorskip("PIL")
NAMES = ["mini_xception", "face_expressions"]


def waves(way, factor=1.0):
    """A sine along height, width and channels, as (1, channels, size, size)."""
    _, channels, size, _ = way.shape
    values = np.sin(0.37 * np.arange(size * size * channels)) * factor
    return np.ascontiguousarray(values.reshape(1, size, size, channels).transpose(0, 3, 1, 2))


# As TensorFlow.js 4.22 gives them on its cpu backend: probabilities of the first, logits of the second.
KNOWN = [
    ("mini_xception", 0.0, [0.0865424, 0.0255570, 0.1410785, 0.0860781, 0.1761177, 0.1154876, 0.3691385]),
    ("mini_xception", 1.0, [0.9878171, 0.0085385, 0.0034148, 0.0002293, 0.0, 0.0, 0.0]),
    ("face_expressions", 0.0, [-0.244529, -2.126987, -5.371318, -3.974427, -7.622913, -3.922678, -5.375181]),
    ("face_expressions", 0.5, [-3.472224, -8.341552, 1.784454, -14.064049, -10.696920, -23.103436, -7.195817]),
]


@pytest.mark.parametrize("name, factor, wanted", KNOWN)
def test_known_answers(fetched, name, factor, wanted):
    model = fetched(zoo.load, name)
    found = model(waves(model.preprocessing, factor).astype(np.float32))
    found = sp.softmax(found, axis=-1) if name == "mini_xception" else found
    assert found.numpy()[0] == pytest.approx(wanted, abs=2e-5)


@pytest.mark.parametrize("name, count", [("mini_xception", 205_127), ("face_expressions", 323_687)])
def test_an_astronaut_smiles(fetched, name, count):
    model, picture = fetched(zoo.load, name), fetched(sp.data.photo, "astronaut")[40:200, 150:300]
    p = sp.softmax(model(model.preprocessing.preprocess(picture)), axis=-1).numpy()[0]
    assert model.classes[p.argmax()] == "happy" and p.max() > 0.99 and sorted(model.classes)[0] == "angry"
    assert sum(buffer.size for buffer in model.buffers()) == count


# -- by NumPy alone ---------------------------------------------------------------------------------------------------


def windows(x, kernel, stride, same, fill=0.0):
    """The windows of (height, width, channels): (out, out, channels, kernel, kernel), with TensorFlow's padding."""
    if same:
        more = [max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in x.shape[:2]]
        x = np.pad(x, [*((n // 2, n - n // 2) for n in more), (0, 0)], constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), (0, 1))[::stride, ::stride]


def conv(x, weight, stride=1, same=True):
    return np.einsum("hwcij,ijco->hwo", windows(x, weight.shape[0], stride, same), weight)


def depthwise(x, weight, stride=1):
    return np.einsum("hwcij,ijc->hwc", windows(x, weight.shape[0], stride, True), weight[..., 0])


def text(attribute):
    return base64.b64decode(attribute["s"]).decode()


def by_graph(model, arrays, x):
    """The graph of the file, operation by operation, in float64; the value before the last softmax."""
    values = {name: array.astype(np.float64) for name, array in arrays.items()}
    for node in model["modelTopology"]["node"]:
        kind, attributes = node["op"], node["attr"]
        given = [values.get(name) for name in node.get("input", ())]
        stride = int(attributes["strides"]["list"]["i"][1]) if "strides" in attributes else 1
        same = "padding" in attributes and text(attributes["padding"]) == "SAME"
        if kind == "Placeholder":
            values[node["name"]] = x
        elif kind == "_FusedConv2D":
            found = conv(given[0], given[1], stride, same) + given[2]
            fused = [base64.b64decode(each).decode() for each in attributes["fused_ops"]["list"]["s"]]
            values[node["name"]] = np.maximum(found, 0) if "Relu" in fused else found
        elif kind == "DepthwiseConv2dNative":
            assert same
            values[node["name"]] = depthwise(given[0], given[1], stride)
        elif kind == "MaxPool":
            assert same
            values[node["name"]] = windows(given[0], 3, stride, True, -np.inf).max(axis=(3, 4))
        elif kind == "Softmax":
            return given[0]
        elif kind != "Const":
            own = {"AddV2": np.add, "Relu": lambda v: np.maximum(v, 0), "Mean": lambda v, _: v.mean(axis=(0, 1))}
            values[node["name"]] = own[kind](*given)


def by_blocks(arrays, x):
    """face-api.js's own order of operations, in float64."""
    values = {name: array.astype(np.float64) for name, array in arrays.items()}

    def separable(x, name, stride=1):
        inner = depthwise(x, values[f"{name}/depthwise_filter"], stride)
        return conv(inner, values[f"{name}/pointwise_filter"]) + values[f"{name}/bias"]

    for block in ("dense0", "dense1", "dense2", "dense3"):
        if block == "dense0":
            first = conv(x, values["dense0/conv0/filters"], 2) + values["dense0/conv0/bias"]
        else:
            first = separable(x, f"{block}/conv0", 2)
        total = np.maximum(first, 0)
        total = total + separable(total, f"{block}/conv1")
        for i in (2, 3):
            total = total + separable(np.maximum(total, 0), f"{block}/conv{i}")
        x = np.maximum(total, 0)
    return x.mean(axis=(0, 1)) @ values["fc/weights"] + values["fc/bias"]


@pytest.mark.parametrize("name", NAMES)
def test_numpy_gives_the_same_from_the_files(fetched, name):
    model, entry = fetched(zoo.load, name, dtype=sp.float64), table.MODELS[name]
    weights, description = (sp.data.fetch.fetch(source).read_bytes() for source in (entry.source, *entry.beside))
    arrays, x = read_tfjs(weights, description), waves(model.preprocessing, 0.3)
    inside = x[0].transpose(1, 2, 0)
    whole = json.loads(description)
    wanted = by_graph(whole, arrays, inside) if name == "mini_xception" else by_blocks(arrays, inside)
    assert np.allclose(model(x).numpy()[0], wanted, rtol=0, atol=1e-8)


# -- files ------------------------------------------------------------------------------------------------------------


def files(more=b"", model=None):
    described = [
        {"name": "a", "shape": [2, 2], "dtype": "float32"},
        {
            "name": "b",
            "shape": [3],
            "dtype": "float32",
            "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0},
        },
        {"name": "c", "shape": [], "dtype": "int32"},
        {"name": "d", "shape": [1], "dtype": "float32", "quantization": {"dtype": "float16"}},
    ]
    stored = [np.arange(4, dtype="<f4"), np.array([0, 2, 255], "u1"), np.array(7, "<i4"), np.array([1.5], "<f2")]
    groups = [{"paths": ["x.bin"], "weights": described[:2]}, {"paths": ["x.bin"], "weights": described[2:]}]
    return b"".join(each.tobytes() for each in stored) + more, json.dumps(model(groups) if model else groups).encode()


def test_numbers_in_fewer_bits_have_a_scale_and_a_least_value():
    found = read_tfjs(*files())
    assert found["a"].tolist() == [[0, 1], [2, 3]] and found["b"].tolist() == [-1, 0, 126.5]
    assert found["c"] == 7 and found["d"].tolist() == [1.5]
    assert [found[name].dtype for name in "abcd"] == [np.float32, np.float32, np.int32, np.float32]


def test_weights_are_found_by_the_operation_that_uses_them():
    nodes = [
        {"name": "in", "op": "Placeholder"},
        {"name": "block/conv", "op": "_FusedConv2D", "input": ["in", "a", "b"]},
        {"name": "sum", "op": "AddV2", "input": ["block/conv", "a"]},
    ]
    found = read_tfjs(*files(model=lambda groups: {"weightsManifest": groups, "modelTopology": {"node": nodes}}))
    assert found["block/conv.weight"] is found["a"] and found["block/conv.bias"] is found["b"]
    assert not any(key.startswith("sum") for key in found)


@pytest.mark.parametrize("damage", [lambda data: data + b"more", lambda data: data[:-1]])
def test_a_file_of_another_size_is_refused(damage):
    weights, description = files()
    with pytest.raises(ValueError):
        read_tfjs(damage(weights), description)


def test_a_damaged_file_is_named(fetched, tmp_path, monkeypatch):
    entry = table.MODELS["mini_xception"]
    source = fetched(sp.data.fetch.fetch, entry.source)
    described = fetched(sp.data.fetch.fetch, entry.beside[0]).read_bytes()
    monkeypatch.setenv("STEEP_HOME", str(tmp_path))
    monkeypatch.setattr("steep.data.fetch._matches", lambda source, content: True)
    (tmp_path / source.name).write_bytes(source.read_bytes()[:-8])
    (tmp_path / entry.beside[0].filename).write_bytes(described)
    with pytest.raises(ValueError, match=source.name):
        zoo.load("mini_xception")
    assert not (tmp_path / "mini_xception.safetensors").exists()


def test_offline_the_error_says_which_file_of_npm_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("STEEP_HOME", str(tmp_path))
    monkeypatch.setattr("steep.data.npm.shutil.which", lambda name: None)
    with pytest.raises(sp.data.FetchError) as caught:
        zoo.load("face_expressions")
    wanted = ("npm is not installed", "@vladmandic/face-api@1.7.15", "model/face_expression_model.bin",
              str(tmp_path / "face_expressions_source.bin"))  # fmt: skip
    assert all(part in str(caught.value) for part in wanted)


# -- colours for a grey network ---------------------------------------------------------------------------------------


def test_a_grey_network_takes_colours():
    way = zoo.Preprocessing(4, (0.5,), (0.5,), channels="grey", luma=(0.3, 0.6, 0.1))
    pixels = np.random.default_rng(0).uniform(size=(2, 3, 5, 6))
    grey = np.tensordot([0.3, 0.6, 0.1], pixels, (0, 1))[:, None]
    assert np.allclose(way.normalize(pixels).numpy(), grey * 2 - 1)
    assert np.allclose(way.normalize(grey).numpy(), grey * 2 - 1)
    sp.check_grads(way.normalize, (sp.asarray(pixels),))
    plain = zoo.Preprocessing(4, (0.5,), (0.5,), channels="grey")
    assert np.allclose(plain.normalize(pixels).numpy(), pixels.mean(axis=1, keepdims=True) * 2 - 1)
    red = np.zeros((9, 9, 3), np.uint8)
    red[..., 0] = 255
    assert np.allclose(way.preprocess(red).numpy(), 0.3 * 2 - 1) and way.preprocess(red).shape == (1, 1, 4, 4)
    with pytest.raises(ValueError, match=r"\(N, 1, H, W\)"):
        way.normalize(pixels[:, :2])
