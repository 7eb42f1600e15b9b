"""Rows 53 to 61, 67 to 79 and 85 to 87 of docs/notes.md: what activates a unit, with which penalties and transforms.

Row 53 is also in test_input_optimisation.py, in its other forms. Nets here are small enough to train or solve on paper.
"""

import hashlib
import inspect
import io
from functools import partial

import numpy as np
import pytest
import steep as sp
from steep import ascent, data, nn, optim, pictures
from steep.optim import SGD, Adam
from steep.random import Generator
from steep.training import Recipe, fit

STEP = np.array([[0, 0, 1, 1]] * 4, float)
RAMP = np.array([[0, 1 / 3, 2 / 3, 1]] * 4)


def arr(x):
    return np.asarray(x.detach() if isinstance(x, sp.Tensor) else x).copy()


def tensor(value):
    return sp.tensor(np.asarray(value, np.float64))


def small_net(dtype=sp.float64, seed=0):
    g = Generator(seed)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, generator=g), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1, generator=g), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5, generator=g),
    )  # fmt: skip
    for module in net.modules():
        for name, value in vars(module).items():
            if isinstance(value, sp.Tensor):
                setattr(module, name, sp.tensor(arr(value), dtype=dtype))
    return net


def differences(f, x, places, step=1e-6):
    """Central differences of f by single elements of x."""
    found = []
    for place in places:
        up, down = arr(x), arr(x)
        up.flat[place] += step
        down.flat[place] -= step
        found.append((float(f(tensor(up))) - float(f(tensor(down)))) / (2 * step))
    return np.array(found)


def assert_gradient(f, x, count=20, rtol=1e-5):
    places = np.random.default_rng(1).choice(x.size, min(count, x.size), replace=False)
    assert np.allclose(arr(sp.grad(f)(x)).flat[places], differences(f, x, places), rtol=rtol, atol=1e-8)


def test_row_53_a_logit_with_a_penalty_has_its_closed_form_in_both_modes():
    go = partial(ascent.maximize, lambda x: sp.sum(x * tensor([3, 4])), np.zeros(2), optimizer=partial(SGD, lr=0.1))
    for capture in (True, False):
        ten = go(steps=10, penalty=0.5 * ascent.l2, capture=capture)
        assert np.allclose(arr(ten.image), [1.9539647, 2.6052862], rtol=0, atol=5e-8) and ten.eager == ""
        assert np.allclose(arr(go(steps=300, penalty=0.5 * ascent.l2, capture=capture).image), [3, 4], atol=1e-10)


def test_row_54_the_patch_that_a_filter_likes_is_its_sign():
    kernel = Generator(3).normal((1, 3, 5, 5), dtype=sp.float64)

    class Filter(nn.Module):
        def forward(self, x):
            return sp.conv2d(x, kernel)

    run = ascent.maximize(ascent.channel(Filter(), "", 0, "max"), np.zeros((1, 3, 5, 5)), 50, partial(SGD, lr=10.0),
                          project=ascent.box(-1, 1))  # fmt: skip
    assert np.array_equal(arr(run.image), np.sign(arr(kernel)))
    assert float(ascent.channel(Filter(), "", 0, "max")(run.image)) == pytest.approx(np.abs(arr(kernel)).sum())
    x = Generator(4).normal((2, 3, 9, 8), dtype=sp.float64)
    maps = arr(sp.conv2d(x, kernel))[:, 0]
    for reduce, expected in (("mean", maps.mean((1, 2))), ("max", maps.max((1, 2))), ("sum", maps.sum((1, 2))),
                             ("l2", np.sqrt((maps**2).sum((1, 2))))):  # fmt: skip
        assert float(ascent.channel(Filter(), "", 0, reduce)(x)) == pytest.approx(expected.sum())
    with pytest.raises(ValueError, match="reduce must be one of"):
        ascent.channel(Filter(), "", 0, "median")


def start_of_filters():
    return (Generator(0).uniform((8, 3, 180, 180)) - 0.5) * 0.25


def means(net, x):
    """What is maximised of each filter i in image i: the mean of its activation without the border."""
    inner = arr(net.activations(x, "3")["3"])[:, :, 2:-2, 2:-2].mean((2, 3))
    return inner[np.arange(8), np.arange(8)]


def test_row_55_keras_filters():
    Image = pytest.importorskip("PIL.Image")
    net, lengths = small_net(sp.float32), []
    before = [arr(start_of_filters())]

    def watch(progress):
        now = arr(progress.params)
        lengths.extend(np.sqrt(((now - before[0]) ** 2).sum((1, 2, 3))))
        before[0] = now

    run = ascent.filters(net, "3", range(8), size=180, steps=30, generator=Generator(0), callback=watch)
    assert all(
        after > first for first, after in zip(*(means(net, x) for x in (start_of_filters(), run.image)), strict=True)
    )
    assert np.allclose(lengths, 10.0, atol=1e-4) and len(lengths) == 30 * 8
    assert run.history[-1] > run.history[0] and len(run.history) == 30
    assert abs(float(sp.max(sp.abs(start_of_filters()))) - 0.125) < 1e-3
    tiles = [pictures.deprocess(image) for image in arr(run.image)]
    assert tiles[0].shape == (130, 130, 3) and tiles[0].dtype == np.uint8
    file = Image.open(io.BytesIO(pictures.png(pictures.sheet(tiles * 8, 8, gap=5))))
    assert (file.format, file.size, file.mode) == ("PNG", (1075, 1075), "RGB")
    inner = arr(run.image)[0] - arr(run.image)[0].mean()
    expected = np.clip(inner / inner.std() * 0.15 + 0.5, 0, 1)[:, 25:-25, 25:-25].transpose(1, 2, 0) * 255
    assert np.abs(tiles[0] - expected).max() <= 0.51


def test_row_55_the_border_does_not_count():
    net, x = small_net(), Generator(1).normal((1, 3, 20, 20), dtype=sp.float64)
    inner = arr(net.activations(x, "3")["3"])[0, 4, 2:-2, 2:-2]
    assert float(ascent.channel(net, "3", 4, border=2)(x)) == pytest.approx(inner.mean())
    with pytest.raises(ValueError, match="leaves none"):
        ascent.channel(net, "3", 4, border=5)(x)


def test_row_56_sensitivity_is_an_entry_of_the_jacobian():
    net, x = small_net(), Generator(1).normal((1, 3, 8, 8), dtype=sp.float64)
    unit = ascent.neuron(net, "3", 2, (1, 3))
    jacobian = arr(sp.jacobian(lambda v: net.activations(v, "3")["3"])(x))[0, 2, 1, 3, 0]
    assert np.allclose(arr(sp.grad(unit)(x))[0], jacobian, atol=1e-14)
    assert_gradient(unit, x, count=x.size, rtol=1e-6)


def test_row_57_one_optimiser_drives_weights_and_inputs():
    g = Generator(0)
    weight, x = g.normal((3, 4), dtype=sp.float64), g.normal((4,), dtype=sp.float64)
    make = partial(Adam, lr=0.05)
    fitted, image = sp.tensor(weight), sp.tensor(x)
    down = optim.minimize(lambda w: sp.sum(sp.square(w @ x - 1)), fitted, make, 400)
    up = optim.maximize(lambda v: (weight @ v)[0] - sp.sum(sp.square(v)), image, make, 400)
    assert np.allclose(arr(fitted @ x), 1, atol=1e-3) and np.allclose(arr(image), arr(weight)[0] / 2, atol=1e-3)
    assert down.history[-1] < down.history[0] and up.history[-1] > up.history[0]


def test_row_57_the_very_same_object_moves_weights_down_and_inputs_up():
    """One ``Adam``, two tensors: the weights by the gradient of a loss, then the input by that of a unit, negated."""
    g = Generator(0)
    weight, x = g.normal((3, 4), dtype=sp.float64), g.normal((4,), dtype=sp.float64)
    one = Adam([weight, x], lr=0.02)
    loss = sp.value_and_grad(lambda w: sp.sum(sp.square(w @ x - 1)))
    unit = sp.value_and_grad(lambda v: (weight @ v)[0] - sp.sum(sp.square(v)))
    losses, scores = [], []
    for _ in range(400):
        value, gradient = loss(weight)
        one.apply_gradients([(gradient, weight)])
        losses.append(float(value))
    trained = arr(weight)
    for _ in range(400):
        value, gradient = unit(x)
        one.apply_gradients([(-gradient, x)])
        scores.append(float(value))
    assert losses[-1] < 1e-6 < losses[0] and scores[-1] > scores[0] and one.steps == 800
    assert np.array_equal(arr(weight), trained) and np.allclose(arr(x), trained[0] / 2, atol=1e-3)


def test_row_58_ascent_follows_its_closed_form_and_its_seed():
    a, start, lr = tensor([1.0, -2.0, 0.5]), Generator(7).normal((3,), dtype=sp.float64), 0.1
    for k in (1, 5, 40):
        run = ascent.maximize(lambda x: -0.5 * sp.sum(sp.square(x - a)), start, k, partial(SGD, lr=lr))
        assert np.allclose(arr(run.image), arr(a) + (arr(start) - arr(a)) * (1 - lr) ** k, rtol=0, atol=1e-12)


def test_row_58_a_seed_decides_every_bit_on_any_number_of_threads_captured_or_not():
    net = small_net(sp.float32)
    seen = set()
    for threads in (1, 2, 4):
        for capture in (True, False):
            with sp.threads(threads):
                runs = [
                    ascent.visualize(ascent.channel(net, "4", 3), (1, 3, 48, 48), steps=12, generator=Generator(9),
                                     capture=capture),
                    ascent.deepdream(net, "4", np.full((1, 3, 60, 60), 0.5, np.float32), steps=3, octaves=2,
                                     generator=Generator(9), capture=capture),
                    ascent.invert(net, "2", Generator(2).uniform((1, 3, 40, 40)), steps=6, capture=capture),
                ]  # fmt: skip
            assert not any(run.eager for run in runs)
            seen.add(hashlib.sha256(b"".join(arr(run.image).tobytes() for run in runs)).hexdigest())
    assert len(seen) == 1


def test_row_58_the_same_seed_gives_the_same_file():
    pytest.importorskip("PIL")

    def hashed(seed):
        goal = ascent.channel(small_net(sp.float32), "4", 3)
        run = ascent.visualize(goal, (1, 3, 24, 24), steps=6, generator=Generator(seed))
        return hashlib.sha256(pictures.png(pictures.rgb(arr(run.image)[0]))).hexdigest()

    assert hashed(9) == hashed(9) != hashed(10)


def test_row_58_a_start_may_be_nested_lists_or_a_tree_of_arrays():
    go = partial(ascent.maximize, steps=3, optimizer=partial(SGD, lr=0.5))
    assert arr(go(lambda x: sp.sum(x), [[1.0, 2.0], [3.0, 4.0]]).image).tolist() == [[2.5, 3.5], [4.5, 5.5]]
    both = go(lambda x: sp.sum(x["a"]) - sp.sum(x["b"]), {"a": np.zeros(2), "b": np.ones(1)}).params
    assert arr(both["a"]).tolist() == [1.5, 1.5] and arr(both["b"]).tolist() == [-0.5]


def test_row_58_pictures_on_the_way_are_kept():
    run = ascent.maximize(lambda x: sp.sum(x), np.zeros(2), 10, partial(SGD, lr=1.0), keep=5, warm_start=3)
    assert [arr(frame).tolist() for frame in run.frames] == [[k, k] for k in (2, 4, 6, 8, 10)]
    dream = ascent.deepdream(small_net(sp.float32), "4", np.ones((1, 3, 20, 20), np.float32), octaves=2, keep=4)
    assert len(dream.frames) == 4 and {frame.shape for frame in dream.frames} == {(1, 3, 20, 20)}


def test_row_60_a_start_that_is_not_noise_and_a_ball_that_holds_at_every_step():
    net, start = small_net(), Generator(2).uniform((1, 3, 8, 8), dtype=sp.float64)
    for norm, size in (
        ("linf", lambda d: np.abs(d).max()),
        ("l2", lambda d: np.sqrt((d**2).sum())),
        ("l1", lambda d: np.abs(d).sum()),
    ):
        moved = []
        ascent.maximize(ascent.logit(net, 1), start, 20, partial(SGD, lr=20.0), project=ascent.ball(start, 0.3, norm),
                        callback=lambda p, to=moved: to.append(arr(p.params) - arr(start)))  # fmt: skip
        sizes = [size(change) for change in moved]
        assert len(sizes) == 20 and max(sizes) <= 0.3 * (1 + 1e-6) and max(sizes) > 0.29


def test_row_60_a_box_and_a_simplex_hold_at_every_step():
    net, start = small_net(), Generator(2).uniform((1, 3, 8, 8), dtype=sp.float64)
    mixture, seen = np.full(5, 0.2), []

    def watch(p):
        seen.append(arr(p.params))

    go = partial(ascent.maximize, steps=20, callback=watch)
    go(ascent.logit(net, 1), start, optimizer=partial(SGD, lr=20.0), project=ascent.box(0.2, 0.8))
    assert len(seen) == 20 and all(x.min() >= 0.2 and x.max() <= 0.8 for x in seen)
    assert seen[-1].min() == 0.2 and seen[-1].max() == 0.8
    seen.clear()
    weights = tensor([0.1, 0.5, -0.3, 0.4, 0.2])
    go(lambda v: sp.sum(v * weights), mixture, optimizer=partial(SGD, lr=0.1), project=optim.projections.simplex())
    assert all(x.min() >= 0 and abs(x.sum() - 1) < 1e-12 for x in seen) and seen[-1].argmax() == 1


@pytest.mark.parametrize("layer", ["0", "1", "2", "3", "4", "5", "6", "7"])
def test_row_61_every_layer_by_name_without_hooks(layer):
    net, x = small_net(), Generator(1).normal((1, 3, 8, 8), dtype=sp.float64)
    assert {name for name, _ in net.named_layers()} == set("01234567")
    assert_gradient(ascent.layer(net, layer, "sum"), x)
    with pytest.raises(ValueError, match="no layer"):
        ascent.layer(net, "conv9")(x)


def test_row_67_five_objectives_each_with_its_gradient():
    net, x = small_net(), Generator(1).normal((2, 3, 8, 8), dtype=sp.float64)
    terms = [ascent.neuron(net, "3", 2), ascent.channel(net, "3", [1, 4]), ascent.layer(net, "4"),
             ascent.logit(net, 3), ascent.probability(net, [0, 3])]  # fmt: skip
    for term in terms:
        assert_gradient(term, x)


def test_row_68_a_dream_step_moves_pixels_by_its_size_on_average():
    net, image = small_net(sp.float32), Generator(5).uniform((1, 3, 32, 32)) * 255
    distances = []
    before = [arr(image)]

    def watch(progress):
        distances.append(np.abs(arr(progress.params) - before[0]).mean())
        before[0] = arr(progress.params)

    wide = (-1e6, 1e6)  # bounds that never clip
    dream = ascent.deepdream(net, "4", image, octaves=1, step_size=1.5, jitter=8, bounds=wide, callback=watch)
    assert np.allclose(distances, 1.5, rtol=1e-5) and len(distances) == 10 and dream.history[-1] > dream.history[0]
    clipped = ascent.deepdream(net, "4", image, octaves=1, step_size=100.0, bounds=(0.0, 255.0))
    assert arr(clipped.image).min() >= 0 and arr(clipped.image).max() <= 255


def test_row_68_the_objective_and_the_settings_are_those_of_deepdream():
    """``objective = diff = data``: half the sum of squares; step 1.5 of 255, jitter 32, 10 steps, 4 octaves of 1.4."""
    preset = {name: each.default for name, each in inspect.signature(ascent.deepdream).parameters.items()}
    asked = {"octaves": 4, "octave_scale": 1.4, "steps": 10, "jitter": 32}
    assert {name: preset[name] for name in asked} == asked
    net, image = small_net(), Generator(5).uniform((1, 3, 16, 16), dtype=sp.float64)
    pulled = arr(sp.grad(lambda x: sp.sum(net.activations(x, "4")["4"] ** 2) / 2)(image))
    one = ascent.deepdream(net, "4", image, octaves=1, steps=1, jitter=0, bounds=(-10.0, 10.0))
    moved = 20 * 1.5 / 255 * pulled / np.abs(pulled).mean()
    assert np.allclose(arr(one.image) - arr(image), moved, rtol=0, atol=1e-12)
    seen = []
    ascent.deepdream(net, "4", np.full((1, 3, 64, 64), 0.5), callback=lambda p: seen.append(p.params.shape[-1]))
    assert seen == [side for side, _ in ascent.octave_sizes(64, 64, 4, 1.4)[::-1] for _ in range(10)]


def test_row_68_rolling_and_rolling_back():
    x = Generator(0).normal((1, 2, 7, 9))
    rolled = arr(ascent.jitter(32, Generator(1), wrap=True)(x))
    assert not np.array_equal(rolled, arr(x))
    back = [np.roll(rolled, (i, j), (2, 3)) for i in range(7) for j in range(9)]
    assert sum(np.array_equal(y, arr(x)) for y in back) == 1


def test_row_68_a_guide_pulls_towards_its_best_match():
    net, x, guide = small_net(), *(Generator(i).uniform((1, 3, 8, 8), dtype=sp.float64) for i in (1, 2))
    a, b = (arr(net.activations(v, "3")["3"])[0].reshape(8, -1) for v in (x, guide))
    matches = (a.T @ b).argmax(1)
    pulled = sp.grad(lambda v: sp.sum(net.activations(v, "3")["3"] * tensor(b[:, matches].reshape(1, 8, 4, 4))))(x)
    assert np.allclose(arr(sp.grad(ascent.guided_by(net, "3", guide))(x)), arr(pulled), atol=1e-12)


def test_row_69_octaves_and_the_picture_back_after_no_step():
    assert ascent.octave_sizes(224, 224, 4, 1.4) == [(224, 224), (160, 160), (114, 114), (81, 81)]
    net, image = small_net(sp.float32), Generator(5).uniform((1, 3, 45, 64))
    still = ascent.deepdream(net, "4", image, steps=0)
    assert np.abs(arr(still.image) - arr(image)).max() <= 1e-6 and still.octaves[0] == (16, 23)
    with pytest.raises(ValueError, match="no pixels of"):
        ascent.deepdream(net, "4", image, octaves=20)


def test_row_70_the_sign_of_the_penalty():
    w, start = tensor([3, 4]), np.zeros(2)
    literal = ascent.maximize(lambda x: sp.sum(x * w) + 0.5 * ascent.l2(x), start, 100, partial(SGD, lr=0.1))
    assert float(sp.norm(literal.image)) == pytest.approx(5 * (1.1**100 - 1), rel=1e-9)  # 6.9e4
    near = ascent.maximize(lambda x: sp.sum(x * w) + 0.5 * ascent.l2(x), np.full(2, 0.1), 100, partial(SGD, lr=0.1))
    assert f"{float(sp.norm(near.image)):.1e}" == "7.1e+04"  # as the row has it: from a start a little off 0
    penalty = ascent.maximize(lambda x: sp.sum(x * w), start, 300, partial(SGD, lr=0.1), penalty=0.5 * ascent.l2)
    assert np.allclose(arr(penalty.image), [3, 4], atol=1e-10)


@pytest.mark.parametrize("sign", [1, -1])
def test_row_70_a_hidden_unit_follows_the_line_as_printed(sign):
    """x + eta d(h + lam R)/dx step by step, with the sign of lam as printed and as a penalty."""
    net, start = small_net(), Generator(3).uniform((1, 3, 8, 8), dtype=sp.float64)
    unit, lam, eta = ascent.neuron(net, "3", 2, (1, 3)), 0.05, 0.1
    x = arr(start)
    for _ in range(5):
        x = x + eta * (arr(sp.grad(unit)(tensor(x))) + sign * lam * 2 * x)
    go = partial(ascent.maximize, start=start, steps=5, optimizer=partial(SGD, lr=eta))
    run = go(unit + lam * ascent.l2) if sign > 0 else go(unit, penalty=lam * ascent.l2)
    assert np.allclose(arr(run.image), x, rtol=0, atol=1e-12)


def test_row_70_a_warm_start_wakes_a_unit_that_is_dead_at_the_start():
    net, x = small_net(sp.float32), np.zeros((1, 3, 8, 8), np.float32)
    with sp.no_grad():
        net[3].bias[...] = -0.3
    unit = ascent.channel(net, "4", 2)
    cold, warm = (ascent.maximize(unit, x, 60, warm_start=steps, project=ascent.box(-1, 1)) for steps in (0, 16))
    assert cold.history == [0.0] * 60 and warm.history[-1] > 0 and len(warm.history) == 60
    awake = ascent.maximize(ascent.channel(net, "0", 2), x, 20, warm_start=20)
    assert awake.history == ascent.maximize(ascent.channel(net, "0", 2), x, 20).history


def test_row_71_squares_are_blind_to_order():
    shuffled = np.random.default_rng(0).permutation(RAMP.reshape(-1)).reshape(4, 4)
    assert float(ascent.l2(tensor(shuffled))) == pytest.approx(float(ascent.l2(tensor(RAMP))), abs=1e-12)
    assert float(ascent.l2(tensor(STEP))) == 8 and float(ascent.l2(tensor(RAMP))) == pytest.approx(6.222, abs=1e-3)


def test_row_72_total_variation_of_a_step_and_a_ramp():
    values = [[float(ascent.total_variation(tensor(image), beta=beta)) for image in (STEP, RAMP)] for beta in (1, 2)]
    assert np.allclose(values, [[4, 4], [4, 4 / 3]])


def test_row_73_the_low_pass():
    keep = ascent.gaussian(2.0)
    assert np.allclose(arr(keep(tensor(np.full((9, 8), 0.7)))), 0.7, atol=1e-14)
    x = Generator(0).normal((64, 64), dtype=sp.float64)
    high = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64)) > 0.25
    energy = [(np.abs(np.fft.fft2(arr(v)))[high] ** 2).sum() for v in (x, keep(x))]
    assert 10 * np.log10(energy[0] / energy[1]) >= 20


def test_row_74_edges_stay_and_impulses_go():
    step = np.zeros((16, 16))
    step[:, 8:] = 1
    for keeping in (ascent.median(3), ascent.bilateral(1.5, 0.1)):
        assert np.abs(arr(keeping(tensor(step))) - step).max() < 1e-3
    assert np.abs(arr(ascent.gaussian(1.0)(tensor(step))) - step).max() > 0.1
    impulse = np.full((9, 9), 0.2)
    impulse[4, 4] = 1
    assert np.array_equal(arr(ascent.median(3)(tensor(impulse))), np.full((9, 9), 0.2))
    x = Generator(0).normal((2, 6, 5), dtype=sp.float64)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(arr(x), ((0, 0), (1, 1), (1, 1)), "edge"), (3, 3), (1, 2))
    assert np.array_equal(arr(ascent.median(3)(x)), np.median(windows, (-2, -1)))
    sp.check_grads(lambda v: sp.sum(ascent.bilateral(1.0, 0.5)(v) ** 2), (x,), order=1)


def test_row_75_the_haar_transform():
    approximation, [details] = ascent.haar(tensor([[1, 0], [0, 0]]))
    assert np.allclose([arr(v).item() for v in (approximation, *details)], 0.5, atol=1e-15)
    assert float(ascent.haar_wavelet(tensor([[1, 0], [0, 0]]))) == pytest.approx(1.5, abs=1e-15)
    for shape, levels in (((8, 8), 3), ((7, 10), 2), ((2, 3, 5, 5), 2), ((1, 1), 1)):
        x = Generator(0).normal(shape, dtype=sp.float64)
        approximation, details = ascent.haar(x, levels)
        parts = [approximation, *(d for level in details for d in level)]
        assert sum(float(sp.sum(p * p)) for p in parts) == pytest.approx(float(sp.sum(x * x)), rel=1e-12)
        assert np.allclose(arr(ascent.inverse_haar(approximation, details)), arr(x), atol=1e-12)


def test_row_75_shrinking_is_the_proximal_map_of_the_details():
    x, t = Generator(0).normal((4, 6), dtype=sp.float64), 0.3

    def cost(z):
        return 0.5 * sp.sum(sp.square(z - x)) + t * ascent.haar_wavelet(z, levels=2)

    best = ascent.haar_shrink(t, levels=2)(x)
    for seed in range(50):
        near = best + Generator(seed + 1).normal((4, 6), std=0.01, dtype=sp.float64)
        assert float(cost(near)) > float(cost(best))


def test_row_76_transforms_are_seeded_and_let_gradients_through():
    x = Generator(0).uniform((2, 3, 12, 10), dtype=sp.float64)

    def looks(seed):
        g = Generator(seed)
        return ascent.compose(ascent.pad(2, value=0.5), ascent.jitter(2, g), ascent.rotate(30, g),
                              ascent.scale([0.8, 1.2], g), ascent.noise(0.01, g), ascent.jitter(2, g))  # fmt: skip

    assert np.array_equal(arr(looks(1)(x)), arr(looks(1)(x))) and looks(1)(x).shape == (2, 3, 12, 10)
    assert not np.array_equal(arr(looks(1)(x)), arr(looks(2)(x)))
    assert_gradient(lambda v: sp.sum(sp.square(looks(3)(v))), x)
    steps = sp.compile(looks(1))
    again = looks(1)
    assert all(np.array_equal(arr(steps(x)), arr(again(x))) for _ in range(4))


def test_row_76_a_quarter_turn_is_exact_and_hides_an_orientation():
    x = Generator(0).uniform((1, 1, 9, 9), dtype=sp.float64)
    assert np.allclose(arr(ascent.rotate([90], Generator(0))(x))[0, 0], np.rot90(arr(x)[0, 0]), atol=1e-12)
    assert np.allclose(arr(ascent.scale([1.0], Generator(0))(x)), arr(x), atol=1e-12)
    stripes = np.tile(np.sin(np.arange(12) * np.pi / 2 + 0.4), (12, 1))[None, None]
    edge = sp.tensor(np.array([[[[1.0, 0, -1], [1, 0, -1], [1, 0, -1]]]]))

    class Upright(nn.Module):
        def forward(self, v):
            return sp.relu(sp.conv2d(v, edge))

    score = ascent.channel(Upright(), "", 0)
    rotated = ascent.rotate([90], Generator(0))(tensor(stripes))
    assert float(score(rotated)) < 0.1 * float(score(tensor(stripes)))


def test_row_77_statistics_of_a_layer_are_those_of_itself_alone():
    net = small_net()
    x, y = (Generator(i).uniform((1, 3, 8, 8), dtype=sp.float64) for i in (1, 2))
    for kind in ("mean_std", "gram"):
        prior = ascent.feature_statistics(net, "4", x, kind)
        assert float(prior(x)) == pytest.approx(0, abs=1e-20) and float(prior(y)) > 1e-6
        assert_gradient(prior, y)


def test_row_77_a_latent_reaches_least_squares_through_a_linear_generator():
    g = Generator(0)
    first, second, wanted = (g.normal(s, dtype=sp.float64) for s in ((6, 4), (10, 6), (10,)))

    def generate(z):
        return second @ (first @ z)

    start = ascent.latent(generate, np.zeros(4))
    run = ascent.maximize(lambda image: -sp.sum(sp.square(image - wanted)), start, 60, optim.LBFGS)
    best = np.linalg.lstsq(arr(second @ first), arr(wanted), rcond=None)[0]
    assert np.allclose(arr(run.params), best, atol=1e-6) and np.allclose(arr(run.image), arr(generate(tensor(best))))


def test_row_78_what_always_comes_along_is_learned_too():
    rng = np.random.default_rng(0)
    arm, dumbbell = rng.normal(size=(6, 6)), np.eye(6) * 2
    x, y = rng.normal(size=(1500, 1, 14, 14)) * 0.5, np.arange(1500) % 3
    x[y == 1, 0, :6, 8:] += arm
    x[y == 1, 0, 8:, :6] += dumbbell
    x[y == 2, 0, 8:, 8:] += dumbbell  # the control: the same thing elsewhere, and nothing that comes along
    net = nn.Sequential(nn.Flatten(), nn.Linear(196, 16, generator=0), nn.Tanh(), nn.Linear(16, 3, generator=1))
    data, labels = sp.tensor(x, dtype=sp.float32), sp.tensor(y)
    make = partial(Adam, lr=0.01, weight_decay=1e-2)
    optim.minimize(lambda _: nn.cross_entropy(net(data), labels), net.parameters(), make, 150, capture=True)
    run = partial(ascent.maximize, start=np.zeros((1, 1, 14, 14), np.float32), steps=100, penalty=0.05 * ascent.l2)
    of_one, of_two = (arr(run(ascent.logit(net, c)).image)[0, 0, :6, 8:] for c in (1, 2))
    assert np.corrcoef(of_one.flat, arm.flat)[0, 1] > 0.5
    assert np.corrcoef(of_two.flat, arm.flat)[0, 1] < 0.1


def test_row_78_on_real_digits_too():
    """Every three has a pattern in its corner; no other digit does. The corner of an image of a three shows it."""
    try:
        part = data.load("mnist5k").train
    except data.FetchError as error:
        pytest.skip(str(error))
    pattern = np.random.default_rng(0).uniform(0, 1, (7, 7)).astype(np.float32)
    x = part.x.copy()
    x[part.y == 3, :7, -7:] = pattern
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 32, generator=0), nn.Tanh(), nn.Linear(32, 10, generator=1))
    fit(net, data.Part(x, part.y), None, Recipe(epochs=6, batch_size=100, shift=0, weight_decay=1e-2))
    go = partial(ascent.maximize, start=np.zeros((1, 28, 28), np.float32), steps=100, penalty=0.05 * ascent.l2)
    corners = [arr(go(ascent.logit(net, c)).image)[0, :7, -7:].ravel() for c in range(10)]
    found = np.array([np.corrcoef(corner, pattern.ravel())[0, 1] for corner in corners])
    assert found[3] > 0.9 and np.delete(found, 3).mean() < 0.1 and np.delete(found, 3).max() < 0.5


def test_row_79_inverting_a_linear_map_is_ridge_regression():
    w, x0 = tensor([[2, 0], [1, 3]]), tensor([1, -1])
    for weight, expected in ((0.0, [1, -1]), (0.1, [0.9676557, -0.978348])):
        x = sp.zeros(2, dtype="float64")
        optim.minimize(lambda v, k=weight: sp.sum(sp.square(w @ v - w @ x0)) + k * ascent.l2(v), x, optim.LBFGS, 50)
        assert np.allclose(arr(x), expected, rtol=0, atol=5e-8)


def test_row_79_inversion_of_a_layer_finds_the_picture_again():
    net, image = small_net(sp.float32), Generator(1).uniform((1, 3, 10, 10))
    found = ascent.invert(net, "0", image, steps=300)
    assert found.feature_error < 0.02 and found.input_error < 0.1 and found.status == "finished"
    prior = ascent.mahendran_vedaldi((10, 10), (0.0, 1.0))
    smooth = ascent.invert(net, "0", image, steps=300, penalty=0.05 * prior)
    assert float(ascent.total_variation(smooth.image)) < float(ascent.total_variation(found.image))
    assert smooth.feature_error > found.feature_error


def test_rows_85_to_87_pictures_and_prompts_are_nodes_like_any_other():
    n = sp.eye(4, dtype="float64")
    assert float(nn.info_nce(n, n, temperature=1.0)) == pytest.approx(0.7436684, abs=1e-7)
    same = sp.ones((4, 3), dtype="float64")
    assert float(nn.info_nce(same, same, temperature=1.0)) == pytest.approx(np.log(4), abs=1e-12)
    a, b = (Generator(i).normal((4, 3), dtype=sp.float64) for i in (0, 1))
    sp.check_grads(lambda u, v: nn.info_nce(u, v, temperature=0.5), (a, b), order=2)
    g = Generator(2)
    generator, encoder = g.normal((20, 6), dtype=sp.float64), g.normal((5, 20), dtype=sp.float64)
    text = g.normal((5,), dtype=sp.float64)
    score = ascent.similarity(lambda image: image @ encoder.T, text)
    start = ascent.latent(lambda z: z @ generator.T, Generator(3).normal((1, 6), dtype=sp.float64))
    run = ascent.maximize(score, start, 200, partial(Adam, lr=0.1))
    assert run.history[-1] >= 0.999 and np.array_equal(arr(run.image), arr(run.params @ generator.T))
    picture = arr(run.image)
    prompt = ascent.maximize(lambda t: sp.sum(sp.vecdot(t / sp.norm(t), sp.tensor(picture[0]) @ encoder.T)),
                             Generator(4).normal((5,), dtype=sp.float64), 200, partial(Adam, lr=0.1))  # fmt: skip
    embedding = picture[0] @ arr(encoder).T
    cosine = arr(prompt.image) @ embedding / np.linalg.norm(arr(prompt.image)) / np.linalg.norm(embedding)
    assert cosine >= 0.999


REFUSED = {
    "a negative border": (lambda: ascent.channel(None, "0", 0, border=-1), ValueError, "border must not be negative"),
    "no filters": (lambda: ascent.filters(None, "0", []), ValueError, "a filter and a batch"),
    "an empty batch": (lambda: ascent.filters(None, "0", [1], batch=0), ValueError, "a filter and a batch"),
    "a spectrum of a line": (lambda: ascent.fft((8,), Generator(0)), ValueError, "fft: needs a shape"),
    "a spectrum of nothing": (lambda: ascent.fft((3, 0, 8), Generator(0)), ValueError, "fft: needs a shape"),
    "half a pixel": (lambda: ascent.transforms.jitter(1.5, Generator(0)), TypeError, "integer"),
}


@pytest.mark.parametrize("call, error, words", REFUSED.values(), ids=REFUSED)
def test_what_would_give_an_odd_picture_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
