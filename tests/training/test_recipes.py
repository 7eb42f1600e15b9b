"""Training: augmentation, one recipe to the bit, resuming in the middle, and the shipped network of digits."""

import runpy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import steep as sp
from steep import data, io, nn
from steep.data import augment
from steep.random import Generator
from steep.scores import accuracy
from steep.training import Recipe, fit

RECIPE = Recipe(epochs=4, batch_size=32, noise=0.1, flip=True, seed=3)


def pictures(count, seed=0):
    """Images (count, 1, 8, 8) of a bright column or a bright row, with noise."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, count)
    x = rng.uniform(0, 0.3, (count, 1, 8, 8)).astype(np.float32)
    for i, (label, at) in enumerate(zip(y, rng.integers(2, 6, count), strict=True)):
        x[(i, 0, at) if label else (i, 0, slice(None), at)] += 0.7
    return data.Part(x, y)


def network(seed=0):
    source = Generator(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, generator=source),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.1, generator=source),
        nn.Linear(64, 2, generator=source),
    )


def bits(model):
    return {name: np.asarray(tensor).tobytes() for name, tensor in model.state_dict().items()}


TRAIN, TEST = pictures(300), pictures(100, 1)


def test_the_loss_falls_and_the_network_reads():
    seen = []
    trained = fit(network(), TRAIN, TEST, RECIPE, seen.append)
    assert trained.status == "finished" and not trained.model.training
    assert len(trained.losses) == 4 and trained.losses[-1] < 0.3 * trained.losses[0]
    assert trained.test_accuracy >= 0.95 and trained.train_accuracy >= 0.95
    assert [s.step for s in seen] == list(range(1, 37)) and {s.steps for s in seen} == {36}
    assert all(0 <= s.accuracy <= 1 and s.loss > 0 for s in seen)


@pytest.mark.parametrize("stop", [9, 13])
def test_a_run_that_was_stopped_goes_on_bit_for_bit(tmp_path, stop):
    whole = fit(network(), TRAIN, TEST, RECIPE)
    path = tmp_path / "run.safetensors"
    part = fit(network(), TRAIN, TEST, RECIPE, lambda seen: seen.step == stop, checkpoint=path, every=stop)
    assert part.status == "stopped" and bits(part.model) != bits(whole.model)
    with sp.threads(2):
        resumed = fit(network(seed=9), TRAIN, TEST, RECIPE, checkpoint=path, resume=True)
    assert bits(resumed.model) == bits(whole.model) and resumed.losses == whole.losses
    over = fit(network(), TRAIN, TEST, RECIPE, checkpoint=path, resume=True)
    assert bits(over.model) == bits(whole.model) and over.test_accuracy == whole.test_accuracy


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    fit(network(), TRAIN, TEST, replace(RECIPE, epochs=1), checkpoint=path)
    with pytest.raises(ValueError, match="was trained by"):
        fit(network(), TRAIN, TEST, RECIPE, checkpoint=path, resume=True)
    with pytest.raises(ValueError, match="which checkpoint"):
        fit(network(), TRAIN, TEST, RECIPE, resume=True)


def test_a_batch_larger_than_the_data_is_all_of_them():
    few = data.Part(TRAIN.x[:5], TRAIN.y[:5])
    trained = fit(network(), few, few, replace(RECIPE, epochs=2))
    assert len(trained.losses) == 2


def test_a_shift_moves_each_picture_by_itself():
    x = np.zeros((200, 2, 5, 6), np.float32)
    x[:, :, 2, 3] = [1, 2]
    moved = np.asarray(augment.shift(x, 1, Generator(0)))
    assert np.array_equal(moved.sum((2, 3)), x.sum((2, 3)))
    where = np.argwhere(moved[:, 1] == 2)[:, 1:]
    assert np.array_equal(where, np.argwhere(moved[:, 0] == 1)[:, 1:])
    assert {tuple(at) for at in where} == {(i, j) for i in (1, 2, 3) for j in (2, 3, 4)}
    edge = np.asarray(augment.shift(np.ones((50, 3, 3), np.float32), 2, Generator(1)))
    assert edge.shape == (50, 3, 3) and edge.min() == 0
    assert np.array_equal(np.asarray(augment.shift(edge, 0, Generator(1))), edge)


def test_a_flip_mirrors_half_of_the_pictures():
    x = np.arange(200 * 6, dtype=np.float32).reshape(200, 1, 2, 3)
    flipped = np.asarray(augment.flip(x, Generator(0)))
    mirrored = (flipped == x[..., ::-1]).all((1, 2, 3))
    assert np.array_equal(flipped[~mirrored], x[~mirrored]) and 70 < mirrored.sum() < 130


def test_noise_keeps_the_dtype_and_has_its_size():
    for dtype in (np.float32, np.float64):
        y = np.asarray(augment.noise(np.zeros(10000, dtype), 0.5, Generator(0)))
        assert y.dtype == dtype and abs(y.std() - 0.5) < 0.02


def test_what_cannot_be_trained_is_refused_before_it_begins(tmp_path):
    train, test = pictures(64), pictures(8)
    for part, options, words in (
        (data.Part(train.x[:0], train.y[:0]), {}, "data set is empty"),
        (train, {"every": 0, "checkpoint": tmp_path / "run"}, "1 at least, got 0"),
    ):
        with pytest.raises(ValueError, match=words):
            fit(network(), part, test, RECIPE, **options)
    with pytest.raises(ValueError, match="deviation must not be negative, got -1"):
        fit(network(), train, test, replace(RECIPE, noise=-1))

    class Pair(nn.Module):
        def __init__(self):
            self.net = network()

        def forward(self, x):
            return self.net(x), x

    with pytest.raises(TypeError, match="one tensor of scores, this one a tuple"):
        fit(Pair(), train, test, RECIPE)
    none = fit(network(), train, data.Part(test.x[:0], test.y[:0]), replace(RECIPE, epochs=1))
    assert np.isnan(none.test_accuracy) and 0 <= none.train_accuracy <= 1


def test_augmentation_refuses():
    with pytest.raises(ValueError, match="negative"):
        augment.shift(np.zeros((2, 3, 3)), -1, Generator(0))
    with pytest.raises(ValueError, match="height, width"):
        augment.flip(np.zeros((3, 3)), Generator(0))


def test_accuracy_is_the_same_in_parts():
    model = network().eval()
    assert accuracy(model, *TEST) == accuracy(model, *TEST, batch_size=7)


WEIGHTS = Path(sp.__file__).parent / "zoo" / "weights" / "digits_cnn.safetensors"


def test_the_shipped_network_reads_digits_as_its_file_says():
    from steep.zoo.digits_cnn import digits_cnn

    model, facts = digits_cnn(), io.metadata(WEIGHTS)
    model.load_state_dict(io.load(WEIGHTS))
    assert WEIGHTS.stat().st_size <= 300_000 and facts["script"] == "examples/train_digits_cnn.py"
    try:
        test = data.load("mnist5k").test
    except data.FetchError as error:
        pytest.skip(str(error))
    with sp.matmul_precision("fma"):
        found = accuracy(model.eval(), test.x[:, None], test.y)
    assert found >= 0.975 and f"{found:.4f}" == facts["test_accuracy"]


def test_the_example_that_made_it_runs_and_resumes(monkeypatch, tmp_path, capsys):
    try:
        data.load("mnist5k")
    except data.FetchError as error:
        pytest.skip(str(error))
    examples = Path(__file__).resolve().parents[2] / "examples"
    monkeypatch.syspath_prepend(str(examples))
    outputs = []
    for more in ([], ["--resume"]):
        output = tmp_path / f"weights{len(outputs)}.safetensors"
        words = ["--epochs", "1", "--checkpoint", str(tmp_path / "run.safetensors"), "--output", str(output), *more]
        monkeypatch.setattr(sys, "argv", ["train_digits_cnn.py", *words])
        runpy.run_path(str(examples / "train_digits_cnn.py"), run_name="__main__")
        outputs.append(output.read_bytes())
    printed = capsys.readouterr()
    assert outputs[0] == outputs[1] and printed.out.count("mnist5k: test accuracy") == 2
    assert len(set(printed.out.splitlines())) == 1
    assert "epoch 1/1, step 62/62" in printed.err


def test_noise_is_laid_over_digits_by_the_commands_and_over_nothing_by_itself(monkeypatch):
    pytest.importorskip("typer")
    from steep import data
    from steep.cli import train as command
    from steep.demo import Settings

    seen = []
    part = data.load("digits")
    monkeypatch.setattr(command.datasets, "load", lambda name: part)
    monkeypatch.setattr(command, "fit", lambda model, train, test, recipe, callback: seen.append(recipe.noise) or 1 / 0)
    for name, given in (("mnist5k", None), ("digits", None), ("fashion_mnist", None), ("fashion_mnist", 0.25)):
        with pytest.raises(ZeroDivisionError):
            command.train(data=name, output=None, factory="", hidden=4, epochs=1, batch_size=50, lr=0.1, momentum=0.9,
                          weight_decay=0.0, noise=given, shift=0, seed=0, threads=None, json=True)  # fmt: skip
    assert seen == [0.5, 0.5, 0.0, 0.25]
    assert Recipe().noise == 0 and Settings().recipe.noise == 0.5
