"""Drawing for a sentence: starts, the prior, ranks among real pictures, generators by name and from ONNX files."""

import json
from dataclasses import replace

import numpy as np
import pytest
import steep as sp
from small_towers import COLOURS, emoji, made_pairs, towers
from steep import ascent, imagine, nn
from steep.data.fetch import cache_folder
from steep.imagine import decoder, generators
from steep.imagine.drawing import best_starts, prompt_vector
from steep.random import Generator

pytest.importorskip("PIL")
QUICK = {"steps": 4, "candidates": 8, "starts": 2, "views": 2}


def flat(name="flat"):
    """A generator of squares of one colour, from latents (n, 3)."""
    shape = (1, 1, 16, 16)
    return generators.of_normal_latents(
        name, lambda z: sp.sigmoid(z.reshape((-1, 3, 1, 1)) * 2) * sp.ones(shape), (3,), 0.2, 1.0
    )


@pytest.fixture(scope="module")
def pair():
    """Two towers of different seeds that know colours."""
    made = []
    for seed in (0, 1):
        made.append(towers(seed))
        imagine.train(made[-1], made_pairs(), imagine.Settings(epochs=20, batch=8, lr=0.02, zoom=0.1, seed=seed))
        made[-1].name = f"small {seed}"
    return made


@pytest.fixture(autouse=True)
def small_data(monkeypatch):
    monkeypatch.setattr("steep.imagine.drawing.load", lambda name: emoji())


def drawn(pair, prompt="a red thing", generator=None, **options):
    return imagine.draw(prompt, pair[0], generator or flat(), judge=pair[1], **{**QUICK, **options})


def test_a_colour_is_drawn_and_judged_by_towers_that_did_not_guide(pair):
    found = drawn(pair, steps=30)
    red, green, blue = found.picture.mean(axis=(0, 1))
    assert red > green and red > blue and found.picture.shape == (16, 16, 3) and found.nearest_name == "red square"
    guide, judge = found.standings
    assert (guide.tower, judge.tower) == ("small 0", "small 1") and guide.count == 4
    assert guide.cosine >= guide.start_cosine and 1 <= judge.rank <= judge.start_rank <= 5
    assert len(found.history) == 30 and found.history[-1] > found.history[0]
    assert found.settings["seed"] == 0 and found.settings["generator"] == "flat"


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_threads(pair):
    threads, found = sp.get_num_threads(), []
    for count in (1, 2):
        sp.set_num_threads(count)
        found.append(drawn(pair, keep=2))
    sp.set_num_threads(threads)
    one, two = found
    assert one.picture.tobytes() == two.picture.tobytes() and one.standings == two.standings
    assert one.history == two.history and len(one.frames) == 2
    assert drawn(pair, seed=1).picture.tobytes() != one.picture.tobytes()


def test_the_best_candidates_are_started_from(pair):
    made, wanted = flat(), prompt_vector(pair[0], "a blue thing")
    begin, home = best_starts(made, pair[0], wanted, 40, 3, Generator(0))
    assert home is begin.params
    pair[0].eval()
    every = np.asarray(pair[0].encode(made.start(40, Generator(0)).image())) @ wanted
    scores = np.asarray(pair[0].encode(begin.image())) @ wanted
    assert np.allclose(scores, np.sort(every)[::-1][:3], atol=1e-5)


def test_latents_of_the_data_are_started_from_where_its_pictures_fit(pair):
    """Latents of the four pictures: the one of blue is started from, moved by the seed's noise."""
    known = np.array([[2.0, -1, -1], [-1, 2, -1], [-1, -1, 2], [0, 0, 0]], np.float32)
    made = replace(flat(), latents=known, moved=lambda z, source: z + 0.01 * np.asarray(source.normal(z.shape)))
    wanted = prompt_vector(pair[0], "a blue thing")
    begin, home = best_starts(made, pair[0], wanted, 9, 1, Generator(0))
    assert np.allclose(begin.params, known[2:3], atol=0.1) and not np.array_equal(begin.params, known[2:3])
    assert np.array_equal(home, known[2:3])  # which is what the prior holds it near


def test_a_prior_keeps_latents_near_their_start(pair):
    near, far = (drawn(pair, steps=40, prior=prior) for prior in (10.0, 0.0))
    made, wanted = flat(), prompt_vector(pair[0], "a red thing")
    begin = best_starts(made, pair[0], wanted, 8, 2, Generator(0))[0].params.numpy()

    def moved(found):
        return np.abs(begin - found.params.numpy()).max(axis=1).min()

    assert moved(near) < moved(far) / 2


@pytest.mark.parametrize("name", ["pixels", "fft", "cppn"])
def test_any_map_to_pictures_can_be_drawn_with(pair, name):
    found = drawn(pair, generator=name, steps=8, starts=1)
    guide = found.standings[0]
    assert found.picture.shape == (64, 64, 3) and guide.cosine > guide.start_cosine
    assert imagine.generator(name)(sp.tree.map(sp.asarray, found.params)).shape == (1, 3, 64, 64)


@pytest.mark.parametrize(
    "prompt, words",
    [("", "has no word"), ("red " * 9, "shorten it"), ("a purple thing", "does not know"), ("[SEP]", "has no word")],
)
def test_a_prompt_that_cannot_be_read_is_named(pair, prompt, words):
    with pytest.raises(ValueError, match=words):
        drawn(pair, prompt)


def test_numbers_that_make_no_sense_are_refused(pair):
    for wrong in ({"steps": 0}, {"starts": 0}, {"views": 0}):
        with pytest.raises(ValueError, match="at least"):
            drawn(pair, **wrong)
    with pytest.raises(ValueError, match=r"no generator 'emojis'; did you mean 'emoji'"):
        imagine.generator("emojis")


def test_a_picture_is_described_by_an_embedding_that_is_optimised(pair):
    picture = np.full((16, 16, 3), COLOURS["green"], np.uint8)
    found = imagine.describe(picture, pair[0], [f"a {name} thing" for name in COLOURS], steps=60, top=2)
    assert found.words[0][0] == "a green thing" and found.words[0][1] > found.words[1][1] and len(found.words) == 2
    assert found.cosine > found.start_cosine and found.history[-1] > found.history[0]
    with pytest.raises(ValueError, match="two words at least"):
        imagine.describe(picture, pair[0], ["red"])


def test_photos_need_no_training():
    from small_towers import encoder

    class Colours(nn.Module):
        """A classifier of the mean colour."""

        preprocessing = sp.zoo.Preprocessing(8, margin=1.0)

        def forward(self, x):
            return x.mean(axis=(2, 3)) * 30.0

    words = encoder()
    towers = imagine.Photos(Colours(), words, np.asarray(words(["red", "green", "blue"])))
    pictures = [np.full((9, 12, 3), COLOURS[name], np.uint8) for name in ("red", "green", "blue")]
    assert (towers.texts(["red", "green", "blue"]) @ towers.images(pictures).T).argmax(axis=1).tolist() == [0, 1, 2]
    x = np.random.default_rng(0).uniform(size=(1, 3, 8, 8))
    sp.check_grads(lambda v: towers.encode(v), (sp.asarray(x),))
    found = imagine.draw("blue", towers, "pixels", judge=towers, steps=60, starts=1, views=2)
    assert found.standings[0].cosine > found.standings[0].start_cosine


def test_a_model_has_both_towers_and_a_generator(pair):
    model = imagine.Model(pair[0], flat())
    pictures = model.generator(sp.zeros((2, 3)))
    assert pictures.shape == (2, 3, 16, 16) and model.encode_image(pictures).shape == (2, 16)
    assert model.encode_text(["red", "blue"]).shape == (2, 16)
    with pytest.raises(ValueError, match="the one by name is emoji"):
        imagine.load("faces")


# -- the auto-decoder -------------------------------------------------------------------------------------------------

NARROW = (8, 8, 8, 8, 8)
RECIPE = sp.training.Recipe(epochs=3, batch_size=8, lr=0.01, optimizer="adam", shift=0, weight_decay=0.0)


def squares(count=24):
    draw = np.random.default_rng(0)
    plain = np.repeat(np.array(list(COLOURS.values())), count // 4, axis=0)[:, None, None]
    return np.clip(plain + draw.normal(0, 5, (count, 64, 64, 3)), 0, 255).astype(np.uint8)


def test_a_decoder_learns_and_continues_with_the_same_bits(tmp_path):
    path = tmp_path / "run.safetensors"
    whole, losses = decoder.train_decoder(squares(), RECIPE, channels=NARROW)
    assert losses[-1] < losses[0]
    decoder.train_decoder(squares(), RECIPE, lambda step, *_: step == 4, path, channels=NARROW)
    again, after = decoder.train_decoder(squares(), RECIPE, checkpoint=path, resume=True, channels=NARROW)
    assert after == losses
    for key, value in whole.state_dict().items():
        assert np.array_equal(np.asarray(value), np.asarray(again.state_dict()[key])), key


def test_a_decoder_is_written_and_read_and_draws_near_its_data(tmp_path):
    made, _ = decoder.train_decoder(squares(), RECIPE, channels=NARROW)
    decoder.save_decoder(made, tmp_path / "g.safetensors", {"here": "yes"})
    named = imagine.generator(str(tmp_path / "g.safetensors"))
    begin = named.start(5, Generator(0))
    assert begin.image().shape == (5, 3, 64, 64) and 0 <= float(begin.image().min()) <= float(begin.image().max()) <= 1
    assert float(named.distance(begin.params, begin.params)) == 0
    moved = begin.params + 0.1
    assert float(named.distance(moved, begin.params)) > 0
    sp.io.save(tmp_path / "other.safetensors", {"a": sp.ones(2)})
    with pytest.raises(ValueError, match="holds no generator"):
        imagine.generator(str(tmp_path / "other.safetensors"))


def test_principal_components_have_mean_0_and_deviation_1():
    draw = np.random.default_rng(0)
    pictures = np.kron(draw.integers(0, 256, (40, 16, 16, 3)), np.ones((1, 4, 4, 1))).astype(np.uint8)
    found = decoder.principal_components(pictures, 6)
    assert np.allclose(found.mean(axis=0), 0, atol=1e-4) and np.allclose(found.std(axis=0), 1, atol=1e-3)
    assert np.allclose(np.corrcoef(found.T), np.eye(6), atol=1e-3)


def test_the_distance_of_pictures_counts_every_band():
    x = np.zeros((1, 3, 16, 16))
    assert float(decoder.pyramid_distance(sp.asarray(x + 0.5), sp.asarray(x))) == pytest.approx(0.5)
    stripes = np.tile([0.5, -0.5], (1, 3, 16, 8))
    assert float(decoder.pyramid_distance(sp.asarray(stripes), sp.asarray(x))) == pytest.approx(0.5)
    sp.check_grads(
        lambda v: decoder.pyramid_distance(v, x), (sp.random.Generator(0).normal((1, 3, 16, 16), dtype=sp.float64),)
    )


def test_a_generator_that_was_trained_is_kept_and_not_trained_again(tmp_path, monkeypatch):
    monkeypatch.setenv("STEEP_HOME", str(tmp_path))
    monkeypatch.setattr("steep.imagine.generators.load", lambda name: emoji())
    monkeypatch.setattr("steep.imagine.generators.DRAWN", RECIPE)
    made = generators.emoji_decoder()
    assert [path.name for path in tmp_path.iterdir()] == ["generator_emoji.safetensors"]
    monkeypatch.setattr("steep.imagine.generators.train_decoder", lambda *_: pytest.fail("trained again"))
    again = generators.emoji_decoder()
    assert np.array_equal(again.latents.numpy(), made.latents.numpy())


# -- generators in ONNX files -----------------------------------------------------------------------------------------


class Flat(nn.Module):
    """Latents (n, 4) to squares."""

    def __init__(self, channels=3, factor=1.0):
        self.linear, self.channels, self.factor = nn.Linear(4, channels, generator=0), channels, factor

    def forward(self, z):
        return sp.tanh(self.linear(z)).reshape((-1, self.channels, 1, 1)) * sp.full((1, 1, 8, 8), self.factor)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("batch", [None, 1, 2])
def test_a_generator_of_ones_own(pair, tmp_path, channels, batch):
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "flat.onnx"
    sp.onnx.save(Flat(channels), path, sp.zeros((2, 4)))
    if batch:
        file = onnx.load(path)
        file.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
        onnx.save(file, path)
    found = drawn(pair, generator=str(path), candidates=5, starts=3)
    assert found.picture.shape == (8, 8, 3) and found.settings["generator"] == "flat.onnx"


@pytest.mark.parametrize(
    "model, z, words",
    [
        (nn.Linear(4, 3, generator=0), (2, 4), r"no picture: pictures are \(n, 1 or 3, height, width\), got \(2, 3\)"),
        (Flat(2), (2, 4), r"got \(2, 2, 8, 8\)"),
        (Flat(3, 255.0), (2, 4), r"no picture in \[0, 1\] or \[-1, 1\]"),
        (nn.Conv2d(4, 3, 1, generator=0), (2, 4, 5, 5), r"takes latents"),
    ],
)
def test_what_is_no_generator_is_named(tmp_path, model, z, words):
    pytest.importorskip("onnx")
    sp.onnx.save(model, tmp_path / "other.onnx", sp.zeros(z))
    with pytest.raises(ValueError, match=words) as caught:
        imagine.generator(str(tmp_path / "other.onnx"))
    assert "other.onnx" in str(caught.value)


# -- the command line -------------------------------------------------------------------------------------------------


def test_the_command_line_draws(pair, command, monkeypatch):
    known = {"emoji": pair[0], "judge": pair[1]}
    monkeypatch.setattr("steep.imagine.drawing.scorer", lambda name, say: known[name])
    monkeypatch.setattr("steep.imagine.drawing.generator", lambda name, say: flat(name))
    words = ["imagine", "a red thing", "-o", "red.png", "--steps", 3, "--film", "red.gif", "--page", "red.html"]
    code, out, err = command(*words)
    assert code == 0 and "rank" in out and "red.png" in out, err
    code, out, _ = command("imagine", "a red thing", "--steps", 3, "--json")
    told = json.loads(out)
    assert code == 0 and [each["tower"] for each in told["standings"]] == ["small 0", "small 1"]
    assert told["output"] == "imagine.png" and told["nearest"].endswith("square")


def test_the_files_that_the_command_line_writes(pair, command, monkeypatch, tmp_path):
    known = {"emoji": pair[0], "judge": pair[1]}
    monkeypatch.setattr("steep.imagine.drawing.scorer", lambda name, say: known[name])
    monkeypatch.setattr("steep.imagine.drawing.generator", lambda name, say: flat(name))
    found = []
    for threads in (1, 2):
        assert command("imagine", "a red thing", "-o", "r.png", "--film", "r.gif", "--page", "r.html", "--steps", 3,
                       "--threads", threads)[0] == 0  # fmt: skip
        found.append([(tmp_path / f"r.{kind}").read_bytes() for kind in ("png", "gif", "html")])
        asked = f"--threads {threads}".encode()  # the page has the command that made it
        assert asked in found[-1][2]
        found[-1][2] = found[-1][2].replace(asked, b"")
    assert found[0] == found[1] and b"cosine" in found[0][2]


@pytest.mark.parametrize(
    "words, part",
    [
        ([], "give one of the two"),
        (["a heart", "--train", "clip"], "give one of the two"),
        (["a heart", "-o", "heart.jpg"], "extension"),
        (["a heart", "--film", "heart.png"], "must be .gif"),
        (["a heart", "--page", "heart.gif"], "must be .html"),
        (["--train", "generator", "-o", "g.png"], "is written as .safetensors"),
        (["--train", "generator", "--resume"], "there is no generator.state.safetensors"),
    ],
)
def test_bad_words_are_one_line(command, words, part):
    code, out, err = command("imagine", *words)
    assert code == 2 and part in err and err.count("\n") == 1 and not out, err


def test_a_parameterization_pays_for_what_its_prior_says():
    begin = ascent.latent(lambda z: z, sp.zeros(3), prior=lambda z: ((z - 1.0) ** 2).sum() * 5.0)
    found = ascent.maximize(lambda x: -((x - 3.0) ** 2).sum(), begin.then(lambda x: x * 1.0), 400)
    assert np.allclose(found.image.numpy(), (3 + 5) / 6, atol=1e-2)


# -- what is trained at first use, where it is there ------------------------------------------------------------------

PICTURES = [f"emoji_pictures{of}{way}" for of in ("", "_squeezenet", "_judge") for way in ("", "_soft")]
TOWERS = [f"towers_{name}" for name in ("emoji", "squeezenet", "judge")]
KEPT = [f"{name}.safetensors" for name in ("emoji", "emoji_texts", "minilm", "generator_emoji", *PICTURES, *TOWERS)]


@pytest.mark.skipif(not all((cache_folder() / name).is_file() for name in KEPT), reason="it would train for minutes")
def test_a_red_heart(monkeypatch):
    """Few steps, on one thread and on two: the same bytes; by the judge among the first hundred of 4,871 pictures."""
    monkeypatch.setattr("steep.imagine.drawing.load", sp.data.load)
    threads, found = sp.get_num_threads(), []
    for count in (1, 2):
        sp.set_num_threads(count)
        found.append(imagine.draw("a red heart", steps=3, starts=1, views=1))
    sp.set_num_threads(threads)
    assert found[0].picture.tobytes() == found[1].picture.tobytes() and found[0].standings == found[1].standings
    guide, judge = found[0].standings
    assert (guide.tower, judge.tower, judge.count) == ("emoji+squeezenet", "judge", 4871) and judge.rank <= 100
    red, green, blue = found[0].picture[24:40, 24:40].mean(axis=(0, 1))
    assert red > 150 and red > 1.5 * green and red > 1.5 * blue
