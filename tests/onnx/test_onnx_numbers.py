"""What files compute where rounding decides: sizes and places of Resize, lengths of zero, small contrasts; and saving
layers whose constants depend on what they are given."""

import numpy as np
import pytest
import steep as sp
from steep import nn

package = pytest.importorskip("onnx")
arr, node = np.asarray, package.helper.make_node
RNG = np.random.default_rng(0)


def model_of(nodes, x, weights=None, opset=17):
    """The ONNX model of these nodes, from x to y."""
    helper = package.helper
    held = [package.numpy_helper.from_array(np.asarray(v), k) for k, v in (weights or {}).items()]
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    infos = [[helper.make_tensor_value_info(n, kind, s)] for n, s in (("x", x.shape), ("y", None))]
    graph = helper.make_graph(nodes, "g", *infos, held)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return sp.onnx.load(made.SerializeToString())


def gradient_of_sum(model, x):
    return arr(sp.grad(lambda v: sp.sum(model(v)))(sp.asarray(x)))


# -- Resize -----------------------------------------------------------------------------------------------------------

SIZES = [(3, 5), (7, 9), (6, 10), (9, 15), (11, 12), (13, 7), (64, 63), (75, 94)]
LINE = {size: np.arange(size, dtype="f4").reshape(1, 1, 1, size) for size, _ in SIZES}


@pytest.mark.parametrize(("size", "wanted"), SIZES)
@pytest.mark.parametrize("opset", [8, 9, 10, 13, 19])
def test_a_scale_in_single_precision_gives_the_size_it_was_made_for(size, wanted, opset):
    scales = np.float32([1, 1, 1, wanted / size])
    op = "Upsample" if opset < 10 else "Resize"
    inputs = ["x"] if opset == 8 else ["x", "s"] if opset < 11 else ["x", "", "s"]
    more = {"scales": [float(s) for s in scales]} if opset == 8 else {}
    if op == "Upsample" and wanted < size:
        more["mode"] = "nearest"
    model = model_of([node(op, inputs, ["y"], **more)], LINE[size], {} if opset == 8 else {"s": scales}, opset)
    assert model(LINE[size]).shape == (1, 1, 1, wanted)


@pytest.mark.parametrize("given", ["sizes", "scales"])
@pytest.mark.parametrize(("way", "shift"), [("asymmetric", 0), ("tf_half_pixel_for_nn", 1)])
def test_nearest_neighbours_are_those_of_exact_quotients(given, way, shift):
    nodes = [node("Resize", ["x", "", "s"] if given == "scales" else ["x", "", "", "s"], ["y"], mode="nearest",
                  nearest_mode="floor", coordinate_transformation_mode=way)]  # fmt: skip
    for size, wanted in [*SIZES, (14, 18), (20, 44), (90, 6)]:
        x = np.arange(size, dtype="f4").reshape(1, 1, 1, size)
        s = np.float32([1, 1, 1, wanted / size]) if given == "scales" else np.int64([1, 1, 1, wanted])
        got = arr(model_of(nodes, x, {"s": s})(x)).ravel()
        places = (2 * np.arange(wanted) + shift) * size // (2 * wanted)
        assert got.tolist() == np.minimum(places, size - 1).tolist(), (size, wanted)


def test_places_of_align_corners_end_on_the_corners():
    nodes = [node("Resize", ["x", "", "s"], ["y"], mode="nearest", nearest_mode="floor",
                  coordinate_transformation_mode="align_corners")]  # fmt: skip
    for size, wanted in SIZES:
        got = arr(model_of(nodes, LINE[size], {"s": np.float32([1, 1, 1, wanted / size])})(LINE[size])).ravel()
        assert got.tolist() == (np.arange(wanted) * (size - 1) // (wanted - 1)).tolist(), (size, wanted)


# -- lengths and contrasts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("keep", [0, 1])
def test_a_length_of_zero_has_a_gradient_of_zero(dtype, keep):
    x = np.asarray([[3, -4], [0, 0], [0, 2]], dtype)
    later = model_of([node("ReduceL2", ["x", "a"], ["y"], keepdims=keep)], x, {"a": np.int64([1])}, 18)
    earlier = model_of([node("ReduceL2", ["x"], ["y"], keepdims=keep, axes=[1])], x, opset=13)
    for model in (later, earlier):
        assert arr(model(x)).ravel().tolist() == [5, 0, 2]
        assert gradient_of_sum(model, x) == pytest.approx(np.asarray([[0.6, -0.8], [0, 0], [0, 1]]))
    assert not gradient_of_sum(model_of([node("ReduceL2", ["x"], ["y"])], x, opset=13), x * 0).any()


@pytest.mark.parametrize("p", [1, 2, 3, 4])
@pytest.mark.parametrize("op", ["LpPool", "GlobalLpPool"])
def test_a_pooled_length_of_zero_has_a_gradient_of_zero(op, p):
    window = {"kernel_shape": [2, 2], "strides": [2, 2]} if op == "LpPool" else {}
    x = np.zeros((2, 1, 2, 4), "f8")
    x[1] = RNG.normal(size=(1, 2, 4))
    model = model_of([node(op, ["x"], ["y"], p=p, **window)], x)
    assert not gradient_of_sum(model, x)[0].any()
    parts = np.split(x[1, 0], 2, axis=1) if op == "LpPool" else [x[1, 0]]
    wanted = [np.sign(v) * abs(v) ** (p - 1) * (abs(v) ** p).sum() ** (1 / p - 1) for v in parts]
    assert gradient_of_sum(model, x)[1, 0] == pytest.approx(np.concatenate(wanted, axis=1))
    assert arr(model(x))[1].ravel() == pytest.approx([(abs(v) ** p).sum() ** (1 / p) for v in parts])


@pytest.mark.parametrize(("mean", "deviation"), [(1000, 0.02), (-128, 0.1), (1, 0.001), (0, 1)])
@pytest.mark.parametrize("axes", [None, [0, 2, 3], [2, 3]])
def test_mean_variance_normalization_keeps_small_contrasts(mean, deviation, axes):
    x = (mean + deviation * RNG.normal(size=(3, 2, 8, 8))).astype("f4")
    wide, over = x.astype("f8"), tuple(axes or [0, 2, 3])
    wanted = (wide - wide.mean(over, keepdims=True)) / (wide.std(over, keepdims=True) + 1e-9)
    model = model_of([node("MeanVarianceNormalization", ["x"], ["y"], **({"axes": axes} if axes else {}))], x, opset=13)
    assert np.abs(arr(model(x)) - wanted).max() < 5e-3
    flat = np.full_like(x, 100.3)
    assert np.isfinite(arr(model(flat))).all() and np.isfinite(gradient_of_sum(model, flat)).all()
    assert not arr(model(flat * 0)).any() and np.isfinite(gradient_of_sum(model, flat * 0)).all()


# -- saving -----------------------------------------------------------------------------------------------------------


def same_again(module, x, path):
    """Whether the module's file computes what it does, for its batch and for another."""
    sp.onnx.save(module.eval(), path / "m.onnx", x)
    loaded = sp.onnx.load(path / "m.onnx")
    for v in (x, x[:1]):
        wanted, got = arr(module(sp.asarray(v))), arr(loaded(v))
        assert got.shape == wanted.shape and np.allclose(got, wanted, rtol=1e-4, atol=1e-5)


MODES = ["nearest", "linear", "cubic"]
FACTORS = [5 / 3, 1.1, 2 / 3, 2.3, 0.9, 2, 3.5]


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("factor", FACTORS)
def test_resampling_by_any_factor_is_saved(mode, factor, tmp_path):
    for size in (3, 6, 9, 10):
        x = RNG.normal(size=(2, 1, size, size)).astype("f4")
        same_again(nn.Upsample(scale_factor=factor, mode=mode), x, tmp_path)


@pytest.mark.parametrize(
    ("mode", "corners"), [("nearest", False), ("linear", False), ("cubic", False), ("linear", True)]
)
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 1), (7, 2)])
def test_resampling_to_a_size_is_saved(mode, corners, size, tmp_path):
    x = RNG.normal(size=(2, 2, 3, 4)).astype("f4")
    same_again(nn.Upsample(size=size, mode=mode, align_corners=corners), x, tmp_path)


@pytest.mark.parametrize("ndim", [3, 5])
def test_resampling_of_lines_and_volumes_is_saved(ndim, tmp_path):
    x = RNG.normal(size=(2, 1, 3, 4, 3)[:ndim]).astype("f4")
    for mode in ("nearest", "linear"):
        same_again(nn.Upsample(scale_factor=5 / 3, mode=mode), x, tmp_path)


class Twice(nn.Module):
    """One layer used on two inputs that differ in shape."""

    def __init__(self, layer, change):
        self.layer, self.change = layer, change

    def forward(self, v):
        one, two = self.layer(v), self.layer(self.change(v))
        return sp.sum(one, axis=tuple(range(1, one.ndim))) + sp.sum(two, axis=tuple(range(1, two.ndim))) * 2


def learned(n):
    layer = nn.PReLU(n)
    layer.load_state_dict({"weight": np.linspace(0.1, 0.6, n, dtype="f4")})
    return layer


SHARED = {
    "Flatten(2)": (nn.Flatten(2), lambda v: v[:, :, :3]),
    "Flatten(3)": (nn.Flatten(3), lambda v: v[..., :2]),
    "PReLU(4)": (learned(4), lambda v: v[:, :, 0, 0]),
    "Upsample by corners": (nn.Upsample(scale_factor=2, mode="linear", align_corners=True), lambda v: v[..., :3]),
    "Upsample by a factor": (nn.Upsample(scale_factor=5 / 3), lambda v: v[:, :, :3]),
    "GroupNorm without weights": (nn.GroupNorm(2, 4, affine=False), lambda v: v[:, :, 0, 0]),
    "InstanceNorm": (nn.InstanceNorm2d(4), lambda v: v[..., :3]),
    "LayerNorm": (nn.LayerNorm(6, affine=False), lambda v: v[:, 0]),
    "Linear": (nn.Linear(6, 3, generator=0), lambda v: v[:, 0, 0]),
    "ReLU6": (nn.ReLU6(), lambda v: v[:, 0]),
    "padding by reflection": (
        nn.Conv2d(4, 4, 3, padding="same", padding_mode="reflect", generator=0),
        lambda v: v[..., :4],
    ),
}


@pytest.mark.parametrize("name", SHARED)
def test_one_layer_on_two_shapes_is_saved(name, tmp_path):
    same_again(Twice(*SHARED[name]), RNG.normal(size=(2, 4, 5, 6)).astype("f4") * 3, tmp_path)
