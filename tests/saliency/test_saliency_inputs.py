"""Maps of integers, of rectifiers by any name, of images with channels last, and what a cascade may randomise."""

import numpy as np
import onnx as package
import pytest
import steep as sp
from steep import nn, onnx, saliency
from steep.saliency import sanity

arr = np.asarray
node = package.helper.make_node
RNG = np.random.default_rng(0)


def model_of(nodes, shape, weights=None, outputs=("y",), opset=17):
    """The ONNX model of these nodes, from x."""
    helper = package.helper
    held = [package.numpy_helper.from_array(np.asarray(v), k) for k, v in (weights or {}).items()]
    outs = [helper.make_tensor_value_info(o, 1, None) for o in outputs]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", 1, ["N", *shape])], outs, held)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return onnx.load(made.SerializeToString())


# -- integers ---------------------------------------------------------------------------------------------------------

W = np.float32([3, -1, 0.5])


def weighed(v):
    """Class 0 scores 3 x0 - x1 + x2 / 2."""
    score = sp.sum(v.astype("float32") * sp.asarray(W), axis=1, keepdims=True)
    return sp.concat([score, -score], axis=1)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "bool"])
@pytest.mark.parametrize("baseline", [0, 0.25, -3, [1.5, 0, 2]])
def test_integrated_gradients_of_integers_are_those_of_their_values(dtype, baseline):
    x = np.array([[1, 0, 1], [1, 1, 0]] if dtype == "bool" else [[1, 200, 3], [9, 0, 7]], dtype)
    wanted = (x.astype(float) - baseline) * W
    parts = saliency.integrated_gradients(weighed, x, 0, baseline=baseline)
    assert arr(parts).dtype == np.float32 and arr(parts) == pytest.approx(wanted, rel=1e-5)
    assert saliency.completeness_gap(weighed, x, parts, 0, baseline=baseline).max() < 1e-6
    assert saliency.completeness_gap(weighed, x, arr(parts) * 1.25, 0, baseline=baseline) == pytest.approx(
        0.25, rel=1e-5
    )


def total(weight):
    def scores(v):
        s = sp.sum(v.astype("float32"), axis=(1, 2, 3)) * weight
        return sp.stack([s, -s], axis=-1)

    return scores


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float64"])
@pytest.mark.parametrize("weight", [0.25, -2.0, 1000.0])
@pytest.mark.parametrize("fill", [0, 0.5, -1, 300])
def test_occlusion_of_integers_is_a_map_of_floats(dtype, weight, fill):
    x = np.full((2, 1, 3, 2), 3, dtype)
    map = saliency.occlusion(total(weight), x, 0, window=1, stride=1, fill=fill)
    assert arr(map).dtype == (np.float64 if dtype == "float64" else np.float32)
    assert arr(map) == pytest.approx(np.full((2, 3, 2), weight * (3 - fill)))


def test_occlusion_gives_a_model_of_bytes_bytes():
    seen = set()
    saliency.occlusion(lambda v: seen.add(v.dtype.name) or total(1.0)(v), np.ones((1, 1, 2, 2), "u1"), 0, window=1)
    assert seen == {"uint8"}


@pytest.mark.parametrize(("window", "stride"), [((3, 2), None), ((2, 3), (1, 2)), ([1, 4], 3), (2, (2, 1))])
def test_occlusion_by_rectangles(window, stride):
    weight, x = RNG.normal(size=(5, 6)), RNG.normal(size=(1, 1, 5, 6))

    def scores(v):
        s = sp.sum(v[:, 0] * sp.asarray(weight), axis=(1, 2))
        return sp.stack([s, -s], axis=-1)

    h, w = (window, window) if isinstance(window, int) else window
    steps = (
        (max(1, h // 2), max(1, w // 2)) if stride is None else (stride, stride) if isinstance(stride, int) else stride
    )
    fall, count = np.zeros((5, 6)), np.zeros((5, 6))
    for top in sorted({*range(0, 5 - h, steps[0]), 5 - h}):
        for left in sorted({*range(0, 6 - w, steps[1]), 6 - w}):
            where = np.s_[top : top + h, left : left + w]
            fall[where] += (weight * x[0, 0])[where].sum()
            count[where] += 1
    map = saliency.occlusion(scores, x, 0, window=window, stride=stride)
    assert arr(map)[0] == pytest.approx(fall / np.maximum(count, 1), abs=1e-12)


@pytest.mark.parametrize("wrong", [{"window": (1, 2, 3)}, {"window": 1.5}, {"stride": "2"}, {"window": None}])
def test_occlusion_says_what_a_window_is(wrong):
    with pytest.raises(TypeError, match=r"(window|stride) is an integer or two, \(height, width\)"):
        saliency.occlusion(total(1.0), np.ones((1, 1, 9, 9)), 0, **wrong)


# -- rectifiers -------------------------------------------------------------------------------------------------------

POINT, UP = np.float32([[2, -1, 3, 8], [-2, 1, 4, -9]]), np.float32([[1, 2, -1, 3], [3, -2, 1, 1]])
CONSTANTS = {"zero": np.float32(0), "six": np.float32(6), "zeros": np.zeros(4, "f4")}
FILES = {
    "Clip(0, 6)": ([node("Clip", ["x", "zero", "six"], ["y"])], 17, 6),
    "Clip(0)": ([node("Clip", ["x", "zero"], ["y"])], 17, np.inf),
    "Clip(min=0, max=6)": ([node("Clip", ["x"], ["y"], min=0.0, max=6.0)], 8, 6),
    "Clip by constants": ([node("Constant", [], ["c"], value_float=0.0), node("Clip", ["x", "c"], ["y"])], 17, np.inf),
    "Max(x, 0)": ([node("Max", ["x", "zero"], ["y"])], 17, np.inf),
    "Max(0, x)": ([node("Max", ["zeros", "x"], ["y"])], 17, np.inf),
    "Where": ([node("Greater", ["x", "zero"], ["c"]), node("Where", ["c", "x", "zero"], ["y"])], 17, np.inf),
    "ThresholdedRelu(0)": ([node("ThresholdedRelu", ["x"], ["y"], alpha=0.0)], 17, np.inf),
    "PRelu(0)": ([node("PRelu", ["x", "zero"], ["y"])], 17, np.inf),
}
FUNCTIONS = {
    "relu": (sp.relu, np.inf),
    "ReLU6": (nn.ReLU6(), 6),
    "clip": (lambda v: sp.clip(v, 0, None), np.inf),
    "clip to 6": (lambda v: sp.clip(v, 0, 6), 6),
    "maximum": (lambda v: sp.maximum(v, 0), np.inf),
    "maximum, operands swapped": (lambda v: sp.maximum(sp.zeros(4), v), np.inf),
    "where": (lambda v: sp.where(v > 0, v, 0.0), np.inf),
    "where, branches swapped": (lambda v: sp.where(v <= 0, sp.zeros_like(v), v), np.inf),
}


@pytest.mark.parametrize("name", [*FILES, *FUNCTIONS])
def test_guided_maps_know_every_rectifier(name):
    if name in FILES:
        nodes, opset, top = FILES[name]
        rectified = model_of(nodes, (4,), CONSTANTS if opset > 8 else {}, opset=opset)
    else:
        rectified, top = FUNCTIONS[name]
    target = lambda v: sp.sum(rectified(v) * UP)  # noqa: E731
    above = np.maximum(UP, 0) * (top > POINT)
    assert arr(saliency.deconvnet(rectified, POINT, target)).tolist() == above.tolist()
    assert arr(saliency.guided_backprop(rectified, POINT, target)).tolist() == (above * (POINT > 0)).tolist()
    assert (
        arr(saliency.gradient(rectified, POINT, target, signed=True)).tolist()
        == (UP * (POINT > 0) * (top > POINT)).tolist()
    )


OTHERS = {
    "maximum of two": lambda v: sp.maximum(v, -v),
    "a bound that is no zero": lambda v: sp.clip(v, 1.0, 5.0),
    "a choice": lambda v: sp.where(v > 2, v, -v),
    "what is missing": lambda v: sp.where(sp.isnan(v), sp.zeros_like(v), v),
    "a mask": lambda v: sp.where(sp.asarray([True, False, True, True]), v, 0.0),
    "minimum": lambda v: sp.minimum(v, 0),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("map", [saliency.guided_backprop, saliency.deconvnet])
def test_guided_maps_leave_other_choices_alone(name, map):
    target = lambda v: sp.sum(OTHERS[name](v) * UP)  # noqa: E731
    assert np.array_equal(arr(map(None, POINT, target)), arr(saliency.gradient(None, POINT, target, signed=True)))
    assert np.array_equal(arr(map(None, abs(POINT), target)),
                          arr(saliency.gradient(None, abs(POINT), target, signed=True)))  # fmt: skip


def test_a_network_saved_and_loaded_has_the_same_guided_map(tmp_path):
    net = nn.Sequential(nn.Conv2d(1, 3, 3, generator=0), nn.ReLU6(), nn.Flatten(), nn.Linear(48, 3, generator=1))
    x = RNG.normal(size=(2, 1, 6, 6)).astype("f4") * 5
    onnx.save(net, tmp_path / "m.onnx", x)
    for map in (saliency.guided_backprop, saliency.deconvnet):
        assert arr(map(onnx.load(tmp_path / "m.onnx"), x, 1)) == pytest.approx(arr(map(net, x, 1)), abs=1e-5)


@pytest.mark.parametrize("opset", [8, 17])
def test_a_clip_at_zero_passes_what_is_not_a_number_and_keeps_integers(opset):
    bounds = {"inputs": ["x"], "min": 0.0, "max": 6.0} if opset == 8 else {"inputs": ["x", "zero", "six"]}
    clip = node("Clip", bounds.pop("inputs"), ["y"], **bounds)
    held = CONSTANTS if opset > 8 else {}
    got = arr(model_of([clip], (4,), held, opset=opset)(np.float32([[np.nan, -np.inf, np.inf, -0.0]])))
    assert np.array_equal(got, np.float32([[np.nan, 0, 6, 0]]), equal_nan=True)


# -- weights and state ------------------------------------------------------------------------------------------------

NAMES = [("running_mean", "running_var"), ("bn/moving_mean:0", "bn/moving_variance:0"), ("first", "second")]


def normed(mean, var, cast=False):
    held = {"w": RNG.normal(size=(4, 1, 3, 3)).astype("f4"), "s": np.ones(4, "f4"), "b": np.zeros(4, "f4"),
            mean: np.zeros(4, "f4"), var: np.float32([0.01, 1, 0.02, 2]).astype("f8" if cast else "f4"),
            "low": np.float32(0), "fc": RNG.normal(size=(3, 4)).astype("f4")}  # fmt: skip
    moments = [mean, "v" if cast else var]
    nodes = [*([node("Cast", [var], ["v"], to=1)] if cast else []), node("Conv", ["x", "w"], ["c"], name="conv"),
             node("BatchNormalization", ["c", "s", "b", *moments], ["n"], name="bn"), node("Clip", ["n", "low"], ["r"]),
             node("GlobalAveragePool", ["r"], ["g"]), node("Flatten", ["g"], ["f"]),
             node("Gemm", ["f", "fc"], ["y"], transB=1, name="fc")]  # fmt: skip
    return nodes, held


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("cast", [False, True])
@pytest.mark.parametrize("trained", [True, False])
def test_a_cascade_keeps_the_state_of_a_file_by_any_name(names, cast, trained):
    nodes, held = normed(*names, cast)
    model = model_of(nodes, (1, 6, 6), held)
    for tensor in model.parameters():
        tensor.requires_grad = trained
    state = {key: arr(model.initializers[key]).copy() for key in (*names, "low")}
    seen = []

    def spy(net, v, target):
        seen.append({key: arr(value).copy() for key, value in net.initializers.items()})
        return saliency.gradient(net, v, target)

    found = sanity.cascade(model, RNG.normal(size=(2, 1, 6, 6)).astype("f4"), 0, spy)
    assert sorted(found.layers) == ["initializers.b", "initializers.fc", "initializers.s", "initializers.w"]
    assert all(np.array_equal(now[key], state[key]) for now in seen for key in state)
    assert not np.array_equal(seen[-1]["w"], seen[0]["w"]) and np.isfinite(found.correlations).all()


class Own(nn.Module):
    """A user's normalisation layer, with state beside its parameter."""

    def __init__(self):
        self.scale, self.spread = sp.tensor(np.ones(4, "f4"), requires_grad=True), sp.tensor(np.full(4, 0.01, "f4"))

    def forward(self, v):
        return v * self.scale / sp.sqrt(self.spread)


def test_buffers_beside_parameters_are_state_and_frozen_layers_are_weights():
    frozen = nn.Linear(4, 4, generator=0)
    for tensor in frozen.parameters():
        tensor.requires_grad = False
    net = nn.Sequential(frozen, Own(), nn.BatchNorm1d(4), nn.Linear(4, 2, generator=1)).eval()
    found = sanity.cascade(net, RNG.normal(size=(3, 4)).astype("f4"), 0)
    assert found.layers == ["3", "2", "1", "0"] and np.isfinite(found.correlations).all()


# -- channels last, functions, several outputs ------------------------------------------------------------------------


def channels_last(between=()):
    held = {"w": RNG.normal(size=(4, 3, 3, 3)).astype("f4"), "fc": RNG.normal(size=(4, 2)).astype("f4"),
            "mean": np.float32([0.1, 0.2, 0.3])}  # fmt: skip
    first = "n" if between else "x"
    nodes = [*between, node("Transpose", [first], ["t"], perm=[0, 3, 1, 2]),
             node("Conv", ["t", "w"], ["a"], name="conv", strides=[2, 2]), node("GlobalAveragePool", ["a"], ["g"]),
             node("Flatten", ["g"], ["f"]), node("MatMul", ["f", "fc"], ["y"])]  # fmt: skip
    return nodes, held


@pytest.mark.parametrize("between", [(), (node("Sub", ["x", "mean"], ["n"]),)])
def test_grad_cam_of_channels_last_has_the_size_of_the_picture(between):
    nodes, held = channels_last(between)
    last = model_of(nodes, (12, 10, 3), held)
    first = model_of([node("Conv", ["x", "w"], ["a"], name="conv", strides=[2, 2]), *nodes[len(between) + 2 :]],
                     (3, 12, 10), held)  # fmt: skip
    x = RNG.normal(size=(2, 12, 10, 3)).astype("f4")
    got = saliency.grad_cam(last, x, "conv", 0)
    before = (x - held["mean"] if between else x).transpose(0, 3, 1, 2)
    assert got.shape == (2, 12, 10)
    assert arr(got) == pytest.approx(arr(saliency.grad_cam(first, before, "conv", 0)), abs=1e-6)


def test_grad_cam_says_what_it_needs():
    with pytest.raises(TypeError, match=r"model\.activations, which function lacks"):
        saliency.grad_cam(lambda v: v, np.zeros((1, 1, 4, 4), "f4"), "conv")
    nodes, held = channels_last()
    two = model_of(nodes, (12, 10, 3), held, outputs=("y", "g"))
    with pytest.raises(TypeError, match=r"one tensor of scores, this one 2"):
        saliency.grad_cam(two, np.zeros((1, 12, 10, 3), "f4"), "conv")
