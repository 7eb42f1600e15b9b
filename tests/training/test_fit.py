"""``fit`` for any loss and optimiser: shards, weights, averages, validation, early stopping, logs, resumption."""

import csv
import json
import struct
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import steep as sp
from steep import data, io, nn, optim
from steep.distributed import Fold
from steep.random import Generator
from steep.training import LOSSES, OPTIMIZERS, SCHEDULES, Recipe, fit, logs, tensorboard
from steep.training.stepper import Stepper

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 3)).astype(np.float32)
Y = (X @ [1.0, -2.0, 0.5] + 0.3).astype(np.float32)
LABELS = (Y > 0).astype(np.int64) + (Y > 1)
LINE = Recipe(epochs=3, batch_size=16, lr=0.05, loss="mse", weight_decay=0.0)


def line(out=1, seed=0):
    return nn.Sequential(nn.Linear(3, out, generator=seed))


def network(seed=0):
    source = Generator(seed)
    return nn.Sequential(
        nn.Linear(3, 8, generator=source), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2, generator=source),
        nn.Linear(8, 3, generator=source),
    )  # fmt: skip


def bits(model):
    return {name: np.asarray(tensor).tobytes() for name, tensor in model.state_dict().items()}


def weights(model):
    return np.concatenate([np.asarray(p.detach()).ravel() for p in model.parameters()])


def test_a_line_is_fitted_in_one_call():
    done = fit(line(), (X, Y), (X, Y), replace(LINE, epochs=30))
    assert done.test["rmse"] < 1e-3 and done.test["r2"] > 0.999 and np.isnan(done.test_accuracy)
    assert np.allclose(weights(done.model), [1.0, -2.0, 0.5, 0.3], atol=1e-3)
    assert [row["epoch"] for row in done.epochs] == list(range(1, 31)) and done.epochs[-1]["loss"] == done.losses[-1]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimiser_of_the_table_descends(optimizer):
    done = fit(line(), (X, Y), recipe=replace(LINE, optimizer=optimizer))
    assert done.losses[-1] < done.losses[0]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_of_the_table_runs_and_is_resumed(schedule, tmp_path):
    recipe = replace(LINE, schedule=schedule, warmup=2)
    whole = fit(line(), (X, Y), recipe=recipe)
    path = tmp_path / "run.safetensors"
    fit(line(), (X, Y), recipe=recipe, callback=lambda seen: seen.step == 7, checkpoint=path, every=7)
    resumed = fit(line(seed=5), (X, Y), recipe=recipe, checkpoint=path, resume=True)
    assert bits(resumed.model) == bits(whole.model)
    assert [row["lr"] for row in resumed.epochs] == [row["lr"] for row in whole.epochs]


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_of_the_table_and_a_function_of_it_agree(loss):
    y = LABELS if loss == "cross_entropy" else (Y > 0).astype(np.float32)
    outputs = 3 if loss == "cross_entropy" else 1
    named = fit(line(outputs), (X, y), recipe=replace(LINE, loss=loss))

    def own(outputs, targets):
        return LOSSES[loss](outputs, targets)

    given = fit(line(outputs), (X, y), recipe=LINE, loss=own)
    by_model = fit(line(outputs), (X, y), recipe=LINE, objective=lambda model, x, y: LOSSES[loss](model(x), y))
    assert bits(named.model) == bits(given.model) == bits(by_model.model)


def test_several_inputs_and_outputs():
    class Two(nn.Module):
        def __init__(self):
            self.a, self.b = line(1), line(3, 1)

        def forward(self, x):
            return {"number": self.a(x["left"]), "class": self.b(x["right"])}

    train = ({"left": X, "right": X}, {"number": Y, "class": LABELS})
    done = fit(Two(), train, recipe=replace(LINE, epochs=20), loss={"number": "mse", "class": "cross_entropy"})
    assert done.losses[-1] < 0.3 * done.losses[0] and np.allclose(weights(done.model.a), [1, -2, 0.5, 0.3], atol=0.05)


def test_weights_multiply_the_losses_of_samples():
    own = np.where(LABELS == 1, 2.0, 0.5).astype(np.float32)
    recipe = replace(LINE, loss="cross_entropy")
    by_sample = fit(line(3), (X, LABELS, own), recipe=recipe)
    by_class = fit(line(3), (X, LABELS), recipe=recipe, class_weight={0: 0.5, 1: 2.0, 2: 0.5})
    by_hand = fit(
        line(3), (X, LABELS), recipe=recipe,
        objective=lambda model, x, y: (nn.cross_entropy(model(x), y, reduction="none")
                                       * sp.where(y == 1, 2.0, 0.5)).mean(),
    )  # fmt: skip
    assert bits(by_sample.model) == bits(by_class.model)
    assert np.allclose(weights(by_sample.model), weights(by_hand.model), atol=1e-6)
    counts = np.bincount(LABELS)
    balanced = fit(line(3), (X, LABELS), recipe=recipe, class_weight="balanced")
    given = fit(line(3), (X, LABELS), recipe=recipe, class_weight=len(LABELS) / (3 * counts))
    assert bits(balanced.model) == bits(given.model)


def test_a_part_without_weight_does_not_count():
    own = (np.arange(96) < 48).astype(np.float32)
    y = np.where(own > 0, Y, 1e3).astype(np.float32)
    measured = fit(line(), (X, Y), recipe=LINE, validation=(X, y, own), metrics=[]).epochs[-1]["val_loss"]
    assert measured == fit(line(), (X, Y), recipe=LINE, validation=(X[:48], Y[:48])).epochs[-1]["val_loss"]


@pytest.mark.parametrize("capture", [False, True])
def test_shards_are_the_whole_batch_with_less_memory(capture):
    whole = fit(line(), (X, Y), recipe=LINE, capture=capture)
    for shards in (2, 8):
        parts = fit(line(), (X, Y), recipe=replace(LINE, shards=shards), capture=capture)
        assert np.allclose(weights(parts.model), weights(whole.model), atol=1e-5)
        assert np.allclose(parts.losses, whole.losses, rtol=1e-5)


def test_shards_draw_for_themselves_and_are_compiled_to_the_same_bits(tmp_path):
    recipe = replace(LINE, loss="cross_entropy", shards=4, clip=0.5, ema=0.9, noise=0.1, optimizer="adam", lr=0.01)
    runs = [fit(network(), (X, LABELS), (X, LABELS), recipe, capture=capture) for capture in (True, False)]
    assert bits(runs[0].model) == bits(runs[1].model) and runs[0].losses == runs[1].losses
    path = tmp_path / "run.safetensors"
    for stop in (7, 12):
        fit(network(), (X, LABELS), recipe=recipe, callback=lambda s, n=stop: s.step == n, checkpoint=path, every=stop)
        resumed = fit(network(3), (X, LABELS), recipe=recipe, checkpoint=path, resume=True)
        assert bits(resumed.model) == bits(runs[0].model)


class SameGradients(nn.Module):
    """Parameters whose gradients are one tensor, one value everywhere, a transposed one, and none."""

    def __init__(self):
        self.a, self.b = (nn.Parameter(Generator(i).normal((3, 300))) for i in (1, 2))
        self.bias, self.unused = nn.Parameter(sp.zeros(7)), nn.Parameter(sp.ones(4))
        self.last = nn.Linear(300, 3, generator=3)

    def forward(self, x):
        return self.last(x @ (self.a + self.b)) + self.bias.sum()


class OverTime(nn.Module):
    """An LSTM, both biases of which have the same gradient."""

    def __init__(self):
        self.lstm, self.last = nn.LSTM(1, 5, generator=1), nn.Linear(5, 3, generator=2)

    def forward(self, x):
        return self.last(self.lstm(x.reshape(-1, 3, 1))[0][:, -1])


@pytest.mark.parametrize("capture", [False, True])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("model", [SameGradients, OverTime, network])
def test_gradients_added_where_they_are_made_are_the_bits_of_the_tree(model, optimizer, capture, monkeypatch):
    recipe = replace(LINE, loss="cross_entropy", shards=4, optimizer=optimizer, lr=0.01, batch_size=32)
    runs = [fit(model(), (X, LABELS), recipe=recipe, capture=capture)]
    monkeypatch.setattr(Fold, "take", lambda self, shard: None)  # every addition is the fold's
    runs.append(fit(model(), (X, LABELS), recipe=recipe, capture=capture))
    monkeypatch.setattr(Stepper, "_adds_halves", False)
    runs.append(fit(model(), (X, LABELS), recipe=recipe, capture=capture))
    for run in runs[1:]:
        assert bits(run.model) == bits(runs[0].model) and run.losses == runs[0].losses


def test_clipping_and_averages_are_what_they_say():
    """One step and two, written out."""
    recipe = replace(LINE, epochs=1, batch_size=96, momentum=0.0, schedule="constant", clip=0.1, ema=0.75)
    start = weights(line())
    design = np.concatenate([X, np.ones((96, 1))], axis=1).astype(np.float64)
    gradient = 2 * design.T @ (design @ start - Y) / 96
    moved = start - 0.05 * gradient * 0.1 / np.linalg.norm(gradient)
    done = fit(line(), (X, Y), recipe=recipe)
    assert np.allclose(weights(done.model), 0.75 * start + 0.25 * moved, atol=1e-6)


def test_gradients_are_clipped_in_place_and_by_value():
    w = [sp.tensor([3.0, 0.0], requires_grad=True), sp.tensor([4.0], requires_grad=True)]
    sum((p * p).sum() / 2 for p in w).backward()
    assert optim.clip_grad_norm(w, 2.5) == 5.0
    assert np.allclose([*w[0].grad.tolist(), *w[1].grad.tolist()], [1.5, 0, 2.0])
    assert optim.gradients.clip_value([None, sp.tensor([-3.0, 0.5])], 1.0)[1].tolist() == [-1.0, 0.5]
    w[0].grad = sp.tensor([np.inf, 0.0])
    with pytest.raises(ValueError, match="norm of the gradients is inf"):
        optim.clip_grad_norm(w, 1.0)


def test_gradients_are_clipped_in_a_compiled_step():
    """A norm that is not finite cannot be an error of a replay: it makes all gradients NaN."""

    def step(w, x):
        w.grad = None
        (w * x).sum().backward()
        return optim.clip_grad_norm([w], 2.5)

    ours, theirs = (sp.tensor([1.0, 2.0, 3.0], requires_grad=True) for _ in range(2))
    fast = sp.compile(step)
    for x in ([3.0, -0.0, 4.0], [0.3, 0.4, 0.0], [-30.0, 1e-3, 40.0], [0.0, 0.0, 0.0]):
        assert fast(ours, sp.tensor(x)).item() == step(theirs, sp.tensor(x))
        assert ours.grad.numpy().tobytes() == theirs.grad.numpy().tobytes()
    for x in ([np.inf, 1.0, 2.0], [1.0, np.nan, 2.0]):
        assert not np.isfinite(fast(ours, sp.tensor(x)).item()) and np.isnan(ours.grad.numpy()).all()
        with pytest.raises(ValueError, match="norm of the gradients is"):
            step(theirs, sp.tensor(x))


def test_a_run_stops_when_the_validation_set_improves_no_more(tmp_path):
    path = tmp_path / "run.safetensors"
    noisy = np.random.default_rng(1).normal(size=(96, 3)).astype(np.float32), RNG.permutation(LABELS)
    recipe = replace(LINE, epochs=60, loss="cross_entropy", optimizer="adam", lr=0.05, patience=3)
    options = {"validation": noisy, "metrics": ["accuracy", "confusion_matrix"]}
    done = fit(network(), (X, LABELS), recipe=recipe, checkpoint=path, **options)
    losses = [row["val_loss"] for row in done.epochs]
    assert done.status == "stopped" and "val_loss has not improved for 3 epochs" in done.message
    assert done.best["val_loss"] == min(losses) and len(losses) == done.best["epoch"] + 3 < 60
    best = io.load(tmp_path / "run.best.safetensors")
    assert {name: np.asarray(value).tobytes() for name, value in best.items()} == bits(done.model)
    again = fit(network(), (X, LABELS), recipe=recipe, checkpoint=path, resume=True, **options)
    assert bits(again.model) == bits(done.model) and again.epochs == done.epochs
    stopped = fit(network(), (X, LABELS), recipe=recipe, checkpoint=path, callback=lambda s: s.step == 9, **options)
    assert stopped.status == "stopped" and stopped.message.startswith("stopped by the callback")
    resumed = fit(network(4), (X, LABELS), recipe=recipe, checkpoint=path, resume=True, **options)
    assert bits(resumed.model) == bits(done.model) and [r["val_loss"] for r in resumed.epochs] == losses


def test_accuracy_is_monitored_upwards():
    recipe = replace(LINE, loss="cross_entropy", monitor="val_accuracy", epochs=5)
    done = fit(network(), (X, LABELS), recipe=recipe, validation=(X, LABELS))
    assert done.best["val_accuracy"] == max(row["val_accuracy"] for row in done.epochs)
    with pytest.raises(ValueError, match="'val_f1' is not a value of an epoch: epoch, step, loss"):
        fit(network(), (X, LABELS), recipe=replace(recipe, monitor="val_f1"))


def test_an_optimiser_of_ones_own():
    named = fit(line(), (X, Y), recipe=replace(LINE, optimizer="adam", schedule="constant"))
    made = fit(line(), (X, Y), recipe=LINE, optimizer=partial(optim.Adam, lr=0.05))
    assert bits(named.model) == bits(made.model)
    vector = fit(line(), (X, Y), recipe=replace(LINE, batch_size=96, shards=4, epochs=8), optimizer=optim.LBFGS)
    assert vector.losses[-1] < 1e-4 * vector.losses[0]
    with pytest.raises(TypeError, match="must be an optimiser, or make one from parameters, got int"):
        fit(line(), (X, Y), recipe=LINE, optimizer=lambda params: 3)


def test_penalties_count():
    model = line()
    model.add_penalty(lambda m: sum((p**2).sum() for p in m.parameters()) * 100.0)
    assert np.abs(weights(fit(model, (X, Y), recipe=replace(LINE, lr=0.001, epochs=20)).model)).max() < 0.1


def test_precision_is_set_for_the_run_alone():
    seen = []
    before = sp.get_matmul_precision()
    recipe = replace(LINE, precision="split")
    fit(line(), (X, Y), recipe=recipe, callback=lambda s: seen.append(sp.get_matmul_precision()))
    assert set(seen) == {"split"} and sp.get_matmul_precision() == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shards": 3}, "power of two, got 3"),
        ({"clip": 0.0}, "clip must be greater than 0"),
        ({"ema": 1.0}, r"ema must lie in \[0, 1\)"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"warmup": -1}, "warmup must not be negative"),
        ({"shards": 32}, "a batch of 16 samples cannot be divided into 32 shards"),
        ({"loss": "mes"}, r"no loss 'mes', did you mean mse|no loss 'mes'"),
        ({"optimizer": "adams"}, "no optimiser 'adams'"),
        ({"schedule": "cos"}, "no schedule 'cos'"),
    ],
)
def test_what_no_run_can_have_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        fit(line(), (X, Y), recipe=replace(LINE, **options))


def test_data_that_do_not_fit_are_refused():
    with pytest.raises(TypeError, match=r"samples must be \(x, y\)"):
        fit(line(), data.TensorDataset(X), recipe=LINE)
    with pytest.raises(TypeError, match="a data set, or a tuple"):
        fit(line(), X, recipe=LINE)
    with pytest.raises(ValueError, match="class_weight must have a number"):
        fit(line(3), (X, LABELS), recipe=replace(LINE, loss="cross_entropy"), class_weight=[1.0, -1.0, 1.0])
    with pytest.raises(ValueError, match="loss of every sample"):
        fit(line(), (X, Y, np.ones(96)), recipe=LINE, loss=lambda o, y: ((o[:, 0] - y) ** 2).mean())
    with pytest.raises(ValueError, match="are left to it"):
        fit(line(), (X, Y), recipe=replace(LINE, shards=2), train_step=lambda *a: None)


# -- logs ---------------------------------------------------------------------------------------------------------


def test_the_log_of_a_resumed_run_is_that_of_one_run(tmp_path):
    recipe, names = replace(LINE, epochs=3), ("a.csv", "b.jsonl", "c.html")
    pages = []

    def look(seen):
        if seen.step == 7:
            pages.append((tmp_path / "c.html").read_text())
        return seen.step == 7

    options = {
        "recipe": recipe,
        "validation": (X, Y),
        "log": [*(tmp_path / name for name in names), tmp_path / "events"],
    }
    path = tmp_path / "run.safetensors"
    fit(line(), (X, Y), checkpoint=path, every=7, callback=look, **options)
    done = fit(line(), (X, Y), checkpoint=path, resume=True, **options)
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    lines = [json.loads(text) for text in (tmp_path / "b.jsonl").read_text().splitlines()]
    assert lines == done.epochs and [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert [float(row["val_rmse"]) for row in rows] == [row["val_rmse"] for row in done.epochs]
    assert 'http-equiv="refresh"' in pages[0] and "The run goes on" in pages[0]
    page = (tmp_path / "c.html").read_text()
    assert "refresh" not in page and "The run is over" in page and page.count("<polyline") == 5
    assert len(list((tmp_path / "events").iterdir())) == 2
    with pytest.raises(ValueError, match=r"must end in .csv, .jsonl, .html"):
        fit(line(), (X, Y), recipe=recipe, log="run.txt")


def test_numbers_that_are_not_finite_are_null_in_json_lines():
    assert logs.as_json_lines([{"loss": float("nan")}], False) == '{"loss": null}\n'


def test_event_files_are_records_with_checksums(tmp_path):
    """The checksum of nine digits is the one of RFC 3720; the masked one follows TensorFlow's formula."""
    crc = 0xE3069283
    assert tensorboard.checksum(b"123456789") == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    events = tensorboard.EventFile(tmp_path)
    events.add(300, {"loss": 0.5})
    raw, contents = events.path.read_bytes(), []
    while raw:
        (length,) = struct.unpack("<Q", raw[:8])
        assert struct.unpack("<I", raw[8:12])[0] == tensorboard.checksum(raw[:8])
        contents.append(raw[12 : 12 + length])
        assert struct.unpack("<I", raw[12 + length : 16 + length])[0] == tensorboard.checksum(contents[-1])
        raw = raw[16 + length :]
    assert contents[0][9:] == b"\x1a\x0dbrain.Event:2"
    assert contents[1][9:] == b"\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04loss\x15\x00\x00\x00\x3f"
