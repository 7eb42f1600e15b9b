"""Rows 59 and 61 to 66 of docs/notes.md, and later saliency maps: what in an input a score depends on.

One net in six spellings must give one map by the rules for ReLU. Start reading at ``SPELLINGS``.
"""

from pathlib import Path

import numpy as np
import pytest
import steep as sp
from steep import ascent, nn, saliency
from steep import pictures as painting
from steep.random import Generator
from steep.scores import predicted

DOCS = Path(__file__).resolve().parents[2] / "docs"
X = np.array([[1, -1, 5], [2, -5, -7], [-3, 2, 4]], float)
R = np.array([[-2, 3, -1], [6, -3, 1], [2, -1, 3]], float)


def arr(x):
    return np.asarray(x.detach() if isinstance(x, sp.Tensor) else x).copy()


def convnet(seed=0):
    g = Generator(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, generator=g), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1, generator=g), nn.ReLU(),
        nn.Flatten(), nn.Linear(8 * 25, 4, generator=g),
    )  # fmt: skip


def pictures(n=2, seed=1):
    return Generator(seed).normal((n, 3, 10, 10))


def test_row_59_the_examples_that_activate_a_unit_most():
    net, data = convnet(), arr(pictures(40))
    top = saliency.top_k(data, saliency.unit(net, "3", 5), 9, batch_size=7)
    maps = arr(net.activations(data, "3")["3"])[:, 5]
    order = np.argsort(-maps.max((1, 2)), kind="stable")[:9]
    assert np.array_equal(top.indices, order) and np.allclose(top.values, maps.max((1, 2))[order])
    assert all(maps[i][tuple(p)] == maps[i].max() for i, p in zip(top.indices, top.positions, strict=True))
    scores = saliency.top_k(np.array([1.0, 3, 3, 2]), lambda x: x, 3)
    assert scores.indices.tolist() == [1, 2, 3] and scores.positions.shape == (3, 0)


def test_row_59_the_patch_is_the_receptive_field():
    net, data = convnet(), arr(pictures(20))
    # Position p of layer 3: 3 by 3 of the pool, which are 6 by 6 of layer 1, each 3 by 3 pixels; cut at the border.
    assert saliency.receptive_field(net, "3", (3, 10, 10), (2, 2)) == (slice(1, 9), slice(1, 9))
    assert saliency.receptive_field(net, "3", (3, 10, 10), (0, 4)) == (slice(0, 5), slice(5, 10))
    assert saliency.receptive_field(net, "6", (3, 10, 10), ()) == (slice(0, 10), slice(0, 10))
    top = saliency.top_k(data, saliency.unit(net, "3", 1), 4)
    for index, place, patch in zip(top.indices, top.positions, saliency.patches(net, "3", data, top), strict=True):
        rows, columns = saliency.receptive_field(net, "3", (3, 10, 10), tuple(int(p) for p in place))
        assert np.array_equal(patch, data[index][:, rows, columns])


def test_row_62_the_map_of_a_linear_model_and_its_reduction():
    weight = Generator(0).normal((4, 3, 5, 5))
    model = lambda x: sp.sum(sp.expand_dims(x, 1) * weight, axis=(2, 3, 4))  # noqa: E731
    x = pictures(2)[:, :, :5, :5]
    assert np.allclose(arr(saliency.gradient(model, x, 2)), np.abs(arr(weight)[[2, 2]]), atol=1e-6)
    for how, reduced in (("max", np.max), ("mean", np.mean), ("sum", np.sum)):
        found = arr(saliency.gradient(model, x, [1, 3], channels=how))
        assert np.allclose(found, reduced(np.abs(arr(weight)[[1, 3]]), axis=1), atol=1e-6)
    signed = arr(saliency.gradient(model, x, 0, signed=True, channels="sum"))
    assert np.allclose(signed[0], arr(weight)[0].sum(0), atol=1e-6)
    with pytest.raises(ValueError, match="channels must be one of"):
        saliency.gradient(model, x, 0, channels="median")


def test_row_61_the_saliency_of_any_unit():
    net, x = convnet(), pictures()
    by_objective = saliency.gradient(net, x, ascent.neuron(net, "3", 2, (1, 1)), signed=True)
    assert np.array_equal(
        arr(by_objective), arr(sp.grad(lambda v: sp.sum(net.activations(v, "3")["3"][:, 2, 1, 1]))(x))
    )


def test_row_63_nine_tiles_with_their_gradients():
    net, data = convnet(), arr(pictures(30))
    top = saliency.top_k(data, saliency.unit(net, "3", 2), 9)
    highest = arr(net.activations(data, "3")["3"])[:, 2].max((1, 2))
    assert np.array_equal(top.indices, np.argsort(-highest, kind="stable")[:9]) and len(top.positions) == 9
    maps = [arr(saliency.gradient(net, data[i : i + 1], ascent.neuron(net, "3", 2, tuple(int(v) for v in p))))
            for i, p in zip(top.indices, top.positions, strict=True)]  # fmt: skip
    assert len(maps) == 9
    for patch, map, place in zip(saliency.patches(net, "3", data, top), maps, top.positions, strict=True):
        rows, columns = saliency.receptive_field(net, "3", (3, 10, 10), tuple(int(v) for v in place))
        outside = map[0].copy()
        outside[:, rows, columns] = 0
        assert not outside.any() and patch.shape == map[0][:, rows, columns].shape


def test_row_63_the_montage_has_nine_patches_and_their_nine_gradients():
    """Rows of the montage: patches above, gradients below, each in a tile of the same size."""
    net, data = convnet(), arr(pictures(30))
    top = saliency.top_k(data, saliency.unit(net, "3", 2), 9)
    tiles = [painting.rgb(data[i]) for i in top.indices]
    for i, place in zip(top.indices, top.positions, strict=True):
        goal = ascent.neuron(net, "3", 2, tuple(int(v) for v in place))
        tiles.append(painting.hot(arr(saliency.gradient(net, data[i : i + 1], goal, channels="max"))[0]))
    montage = painting.sheet(tiles, 9, gap=2)
    assert len(tiles) == 18 and montage.shape == (2 * 12 - 2, 9 * 12 - 2, 3)
    assert all(np.array_equal(montage[:10, 12 * k : 12 * k + 10], tiles[k]) for k in range(9))
    assert all(np.array_equal(montage[12:, 12 * k : 12 * k + 10], tiles[9 + k]) for k in range(9))


def test_row_64_unpooling_by_switches():
    x = Generator(0).normal((1, 2, 6, 6))
    pooled, indices = sp.max_pool2d(x, 2), sp.max_pool_indices(x, 2)
    one = np.zeros(pooled.shape, np.float32)
    one[0, 1, 2, 0] = 1.0
    back = sp.grad(lambda v: sp.sum(sp.max_pool2d(v, 2) * one))(x)
    assert np.array_equal(arr(back), arr(sp.max_unpool2d(sp.asarray(one), indices, 2)))


def test_row_64_without_relus_the_deconvnet_is_the_gradient():
    g = Generator(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3, generator=g), nn.MaxPool2d(2), nn.Tanh(), nn.Conv2d(6, 4, 3, generator=g),
                        nn.Flatten(), nn.Linear(16, 3, generator=g))  # fmt: skip
    x = pictures()
    assert np.array_equal(arr(saliency.deconvnet(net, x, 1)), arr(saliency.gradient(net, x, 1, signed=True)))


def test_row_64_one_activation_the_others_zero_goes_back_through_the_reversed_net():
    """By hand: unpool at the switches, pass what is positive, convolve with the transposed kernel; nothing trained."""
    net, x = convnet(), pictures(1)
    conv, place = net[3], (0, 5, 2, 3)
    below = sp.relu(net[0](x))
    switches = sp.max_pool_indices(below, 2)
    one = np.zeros(conv(sp.max_pool2d(below, 2)).shape, np.float32)
    one[place] = 1
    down = sp.relu(sp.max_unpool2d(sp.conv_transpose2d(sp.asarray(one), conv.weight, padding=1), switches, 2))
    by_hand = sp.conv_transpose2d(down, net[0].weight, padding=1)
    found = saliency.deconvnet(net, x, ascent.neuron(net, "3", 5, (2, 3)))
    assert np.allclose(arr(found), arr(by_hand), rtol=0, atol=1e-6) and np.abs(arr(found)).max() > 1e-3


def test_row_65_the_three_rules():
    x = sp.tensor(X)
    expected = {
        None: [[-2, 0, -1], [6, 0, 0], [0, -1, 3]],
        "deconvnet": [[0, 3, 0], [6, 0, 1], [2, 0, 3]],
        "guided": [[0, 0, 0], [6, 0, 0], [0, 0, 3]],
    }
    score = lambda v: sp.sum(sp.relu(v) * R)  # noqa: E731
    assert arr(saliency.gradient(None, x, score, signed=True)).tolist() == expected[None]
    assert arr(saliency.deconvnet(None, x, score)).tolist() == expected["deconvnet"]
    assert arr(saliency.guided_backprop(None, x, score)).tolist() == expected["guided"]


class Spelling(nn.Module):
    """The layers of ``convnet`` with a forward of its own."""

    def __init__(self, net, forward):
        self.conv1, self.conv2, self.fc = net[0], net[3], net[6]
        self.relu = nn.ReLU()
        self.way = forward

    def forward(self, x):
        return self.way(self, x)


def functional(m, x):
    h = nn.functional.max_pool2d(nn.functional.relu(m.conv1(x)), 2)
    return m.fc(sp.flatten(nn.functional.relu(m.conv2(h)), 1))


def reused(m, x):
    return m.fc(sp.flatten(m.relu(m.conv2(sp.max_pool2d(m.relu(m.conv1(x)), 2))), 1))


def renamed(m, x):
    """As code that works in place reads: one name all along."""
    x = m.conv1(x)
    x = sp.relu(x)
    x = sp.max_pool2d(x, 2)
    x = m.conv2(x)
    x = sp.relu(x)
    return m.fc(sp.flatten(x, 1))


def residual(m, x):
    h = sp.max_pool2d(sp.relu(m.conv1(x)), 2)
    branch = m.conv2(h) - 0.5 * sp.sum(h, axis=1, keepdims=True)
    return m.fc(sp.flatten(sp.relu(branch + 0.5 * sp.sum(h, axis=1, keepdims=True)), 1))


def through_onnx(net, folder):
    pytest.importorskip("onnx")
    sp.onnx.save(net, folder / "net.onnx", pictures(1))
    return sp.onnx.load(folder / "net.onnx")


SPELLINGS = ["functional", "reused", "renamed", "residual", "onnx"]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("method", ["guided_backprop", "deconvnet"])
def test_row_66_six_spellings_of_a_net_have_one_map(method, spelling, tmp_path):
    net, x = convnet(), pictures()
    ways = {"functional": functional, "reused": reused, "renamed": renamed, "residual": residual}
    other = through_onnx(net, tmp_path) if spelling == "onnx" else Spelling(net, ways[spelling])
    ours, theirs = (getattr(saliency, method)(model, x, 1) for model in (net, other))
    assert np.allclose(arr(ours), arr(theirs), rtol=1e-4, atol=1e-5)
    assert not np.allclose(arr(ours), arr(saliency.gradient(net, x, 1, signed=True)), atol=1e-3)


def test_row_66_the_page_says_which_switches():
    page = " ".join((DOCS / "notes.md").read_text().split())
    assert "switches of pooling are recorded, those of ReLUs are not needed" in page


def test_input_times_gradient_of_a_linear_score_sums_to_it():
    net, x = nn.Linear(6, 3, bias=False, generator=0), Generator(1).normal((4, 6))
    parts = saliency.input_times_gradient(net, x, [0, 1, 2, 0])
    assert np.allclose(arr(parts).sum(1), arr(net(x))[np.arange(4), [0, 1, 2, 0]], atol=1e-6)


def test_integrated_gradients_are_complete():
    g = Generator(0)
    smooth = nn.Sequential(nn.Linear(5, 8, generator=g), nn.Tanh(), nn.Linear(8, 3, generator=g))
    x = Generator(1).normal((4, 5))
    parts = saliency.integrated_gradients(smooth, x, [0, 1, 2, 1], baseline=0.3, steps=16)
    assert saliency.completeness_gap(smooth, x, parts, [0, 1, 2, 1], baseline=0.3).max() < 1e-4
    net = convnet()
    ways = [saliency.integrated_gradients(net, pictures(), 1, steps=n) for n in (8, 1024)]
    gaps = [saliency.completeness_gap(net, pictures(), parts, 1).max() for parts in ways]
    assert gaps[1] < 0.01 and gaps[1] < gaps[0] / 5  # a ReLU has a kink, so the gap falls slowly
    unit = ascent.channel(net, "3", 2)
    parts = saliency.integrated_gradients(net, pictures(), unit, steps=256)
    assert saliency.completeness_gap(net, pictures(), parts, unit) < 0.01


def test_smoothgrad_is_a_mean_and_of_nothing_without_noise():
    net, x = convnet(), pictures()
    assert np.allclose(arr(saliency.smoothgrad(net, x, 1, noise=0.0, samples=3)), arr(saliency.gradient(net, x, 1)),
                       atol=1e-6)  # fmt: skip
    draws, spread = Generator(5), arr(x).max((1, 2, 3)) - arr(x).min((1, 2, 3))
    noisy = [arr(x) + arr(draws.normal(x.shape)) * (0.1 * spread)[:, None, None, None] for _ in range(4)]
    mean = np.mean([arr(saliency.gradient(net, v, 1)) for v in noisy], axis=0)
    assert np.allclose(
        arr(saliency.smoothgrad(net, x, 1, noise=0.1, samples=4, generator=Generator(5))), mean, atol=1e-5
    )


def test_grad_cam_by_its_formula_and_for_onnx(tmp_path):
    net, x = convnet(), pictures()
    inside = net.activations(x, "4")["4"]
    head = nn.Sequential(net[5], net[6])
    gradients = sp.grad(lambda a: sp.sum(head(a)[:, 2]))(inside.detach())
    by_hand = np.maximum((arr(gradients).mean((2, 3), keepdims=True) * arr(inside)).sum(1), 0)
    assert np.allclose(arr(saliency.grad_cam(net, x, "4", 2, resize=False)), by_hand, atol=1e-6)
    assert saliency.grad_cam(net, x, "4").shape == (2, 10, 10)
    model = through_onnx(net, tmp_path)
    assert np.allclose(arr(saliency.grad_cam(model, x, "4", 2, resize=False)), by_hand, atol=1e-5)
    with pytest.raises(ValueError, match="needs a layer of maps"):
        saliency.grad_cam(net, x, "5", 2)


def test_occlusion_of_a_linear_score_is_what_was_covered():
    weight = Generator(0).normal((2, 1, 6, 6))
    model = lambda x: sp.sum(sp.expand_dims(x, 1) * weight, axis=(2, 3, 4))  # noqa: E731
    x = Generator(1).normal((2, 1, 6, 6))
    parts = (arr(x) * arr(weight)[[1, 0]])[:, 0]
    assert np.allclose(arr(saliency.occlusion(model, x, [1, 0], window=1, stride=1)), parts, atol=1e-5)
    squares = parts.reshape(2, 3, 2, 3, 2).sum((2, 4)).repeat(2, 1).repeat(2, 2)
    assert np.allclose(arr(saliency.occlusion(model, x, [1, 0], window=2, stride=2)), squares, atol=1e-5)
    ones = saliency.occlusion(model, x, lambda v: sp.sum(model(v)[:, 1]), window=2, stride=2, batch_size=5)
    assert np.allclose(arr(ones)[0], squares[0], atol=1e-5)


def test_the_cascade_leaves_the_weights_alone_and_a_map_of_the_input_does_not_pass():
    net, x = convnet(), pictures(3)
    before = {name: arr(value) for name, value in net.state_dict().items()}
    result = saliency.sanity.cascade(net, x, None, saliency.gradient)
    assert result.layers == ["6", "3", "0"] and len(result.correlations) == 3
    assert all(np.array_equal(before[name], arr(value)) for name, value in net.state_dict().items())
    of_input = saliency.sanity.cascade(net, x, None, lambda model, v, target: v)
    assert of_input.correlations == pytest.approx([1, 1, 1]) and not of_input.passed and "hardly" in of_input.verdict

    def fails(model, v, target):
        if not np.array_equal(arr(model[6].weight), before["6.weight"]):
            raise RuntimeError
        return v

    with pytest.raises(RuntimeError):
        saliency.sanity.cascade(net, x, None, fails)
    assert all(np.array_equal(before[name], arr(value)) for name, value in net.state_dict().items())


def test_the_gradient_passes_the_cascade_and_maps_that_show_the_input_do_not():
    try:
        x = sp.data.load("mnist5k").test.x[:32][:, None]
    except sp.data.FetchError as error:
        pytest.skip(str(error))
    net = sp.zoo.load("digits_cnn")

    def final(method):
        runs = [saliency.sanity.cascade(net, x, None, method, generator=Generator(k), stages=1) for k in range(4)]
        return np.mean([run.final for run in runs])

    assert final(saliency.gradient) < 0.2
    assert final(saliency.guided_backprop) > 0.4 and final(saliency.input_times_gradient) > 0.9


def test_a_map_that_is_always_the_same_does_not_pass():
    net, x = convnet(), pictures(2)
    for value, verdict in ((0.0, "1.00"), (np.nan, "nan")):
        result = saliency.sanity.cascade(net, x, None, lambda model, v, target, of=value: v * 0 + of)
        assert not result.passed and "hardly depends" in result.verdict and verdict in result.verdict
    for wrong in ({"stages": 0}, {"border": 0.5}, {"x": x[:0]}):
        with pytest.raises(ValueError, match="cascade: needs"):
            saliency.sanity.cascade(net, **{"x": x, **wrong})


def test_no_rows_have_maps_too():
    net, x = convnet(), pictures(2)[:0]
    assert saliency.occlusion(net, x).shape == saliency.grad_cam(net, x, "3").shape == (0, 10, 10)
    for method in (saliency.gradient, saliency.integrated_gradients, saliency.smoothgrad):
        assert method(net, x).shape == x.shape
    with pytest.raises(ValueError, match="samples must be at least 1"):
        saliency.top_k(x, saliency.unit(net, "3", 5))
    with pytest.raises(ValueError, match="batch_size"):
        saliency.occlusion(net, pictures(1), batch_size=0)


def test_a_receptive_field_leaves_running_statistics_alone():
    """The NaN that it sends through a network would stay in them for good."""
    net = nn.Sequential(nn.Conv2d(3, 6, 3, generator=0), nn.BatchNorm2d(6), nn.ReLU())
    assert saliency.receptive_field(net, "1", (3, 10, 10), (2, 2)) == (slice(2, 5), slice(2, 5))
    assert net[1].training and np.array_equal(arr(net[1].running_mean), np.zeros(6))


def test_ranks_share_the_mean_of_ties():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    for _ in range(5):
        a, b = rng.integers(0, 6, 30), rng.integers(0, 6, 30)
        assert saliency.sanity.rank_correlation(a, -b) == pytest.approx(spearmanr(a, b)[0])
    assert saliency.sanity.rank_correlation(np.zeros(3), np.arange(3)) == 0
    assert saliency.sanity.rank_correlation(np.zeros(3), np.ones(3)) == 1


def test_the_class_predicted_is_the_default_everywhere():
    net, x = convnet(), pictures()
    labels = predicted(net, x)
    for method in (saliency.gradient, saliency.input_times_gradient, saliency.guided_backprop, saliency.deconvnet,
                   saliency.integrated_gradients, saliency.occlusion):  # fmt: skip
        assert np.array_equal(arr(method(net, x)), arr(method(net, x, labels))), method
    assert np.array_equal(arr(saliency.grad_cam(net, x, "4")), arr(saliency.grad_cam(net, x, "4", labels)))
