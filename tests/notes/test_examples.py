"""Row 94 of docs/notes.md at a reduced size: the four examples train, resume bit for bit, and show what they learnt.

The figures of the full runs are in docs/notes.md; here each network is a small one, trained for a few seconds.
"""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import steep as sp
from steep import data
from steep.random import Generator

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = ("adam_step", "own_step", "lstm", "vae", "dcgan", "memory")


@pytest.fixture
def example(monkeypatch):
    """An example as a module, by name."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield importlib.import_module
    for name in NAMES:
        sys.modules.pop(name, None)


@pytest.fixture
def digits():
    try:
        return data.load("mnist5k")
    except data.FetchError as error:
        pytest.skip(str(error))


def bits(model):
    return {name: np.asarray(tensor).tobytes() for name, tensor in model.state_dict().items()}


def resumes(train, tmp_path):
    """A run stopped after five steps and resumed has the bits of one that was not stopped."""
    path, whole = tmp_path / "run.safetensors", train(1)
    stopped = train(1, callback=lambda progress: progress.step == 5, checkpoint=path, every=5)
    assert stopped.status == "stopped" and bits(stopped.model) != bits(whole.model)
    resumed = train(1, checkpoint=path, resume=True)
    return bits(resumed.model) == bits(whole.model) and resumed.losses == whole.losses


def test_row_94_a_long_short_term_memory_learns_text(example, tmp_path):
    lstm = example("lstm")
    trained = lstm.train(3, hidden=48, count=40_000)
    assert trained.status == "finished" and trained.losses[-1] < trained.losses[0]
    untrained = lstm.Writer(trained.model.letters, 48)
    assert lstm.bits(trained.model, 40_000) < 0.8 * lstm.bits(untrained, 40_000)
    sample = lstm.write(trained.model, "The ", 60)
    assert len(sample) == 64 and sample.startswith("The ") and set(sample) <= set(trained.model.letters)
    assert resumes(lambda epochs, **more: lstm.train(epochs, hidden=8, count=20_000, **more), tmp_path)


def test_row_94_its_gates_are_those_of_the_formula(example):
    model = example("lstm").Writer("ab", hidden=3, seed=1)
    output, memory = (np.asarray(Generator(i).normal((1, 1, 3))) for i in (0, 1))
    weights = {name: np.asarray(w.detach(), np.float64) for name, w in model.memory.named_parameters()}
    z = weights["weight_ih_l0"][:, 1] + weights["bias_ih_l0"]  # of the letter b
    z = z + output[0, 0] @ weights["weight_hh_l0"].T + weights["bias_hh_l0"]
    write, keep, let = (1 / (1 + np.exp(-z[i : i + 3])) for i in (0, 3, 9))
    memory_after = keep * memory[0, 0] + write * np.tanh(z[6:9])
    scores, found = model(sp.asarray([[1]]), (sp.asarray(output), sp.asarray(memory)))
    assert np.allclose(np.asarray(found[1].detach()), memory_after, atol=1e-6)
    assert np.allclose(np.asarray(found[0].detach()), let * np.tanh(memory_after), atol=1e-6)
    assert scores.shape == (1, 1, 2)


def test_row_94_a_variational_autoencoder(example, digits, tmp_path):
    vae = example("vae")
    trained = vae.train(6, hidden=64, name="mnist5k")
    untrained = vae.VAE(64)
    untrained.name = "mnist5k"
    assert trained.status == "finished" and vae.bound(trained.model) < 0.4 * vae.bound(untrained)
    assert vae.samples(trained.model).shape == (6 * 30 - 2, 8 * 30 - 2, 3)
    assert resumes(lambda epochs, **more: vae.train(epochs, hidden=8, count=1280, name="mnist5k", **more), tmp_path)


def test_row_94_the_bound_of_the_autoencoder_is_the_formula(example):
    vae = example("vae")
    model, x = vae.VAE(8, latent=2), Generator(0).uniform((3, 1, 28, 28))
    mean, log_std = (np.asarray(each.detach(), np.float64) for each in model.encode(x))
    z = mean + np.exp(log_std) * np.asarray(Generator(5).normal((3, 2)))
    p, seen = np.asarray(model(sp.asarray(z, dtype=sp.float32)).detach(), np.float64), np.asarray(x, np.float64)
    pixels = -(seen * np.log(p) + (1 - seen) * np.log(1 - p)).sum() / 3
    away = 0.5 * (mean**2 + np.exp(2 * log_std) - 1 - 2 * log_std).sum() / 3
    assert float(vae.loss(model, x, None, Generator(5))["loss"]) == pytest.approx(pixels + away, rel=1e-5)


def test_row_94_a_dcgan(example, digits, tmp_path):
    dcgan, seen = example("dcgan"), []
    small = {"channels": 8, "latent": 16, "name": "mnist5k"}
    trained = dcgan.train(4, count=2600, callback=seen.append, **small)
    assert trained.status == "finished" and all(np.isfinite(list(p.logs.values())).all() for p in seen)
    assert set(seen[0].logs) == {"d_loss", "g_loss"} and seen[-1].logs["d_loss"] < seen[0].logs["d_loss"]
    with sp.no_grad():
        made = np.asarray(trained.model(Generator(0).normal((64, 16))))
    assert made.shape == (64, 1, 28, 28) and made.min() >= 0 and made.max() <= 1
    margin = np.concatenate([made[:, 0, :3].ravel(), made[:, 0, -3:].ravel()])
    assert margin.mean() < 0.5 * made[:, 0, 8:20, 8:20].mean()  # digits are in the middle
    assert dcgan.show(trained.model)[0].startswith("the discriminator prefers")
    assert resumes(lambda epochs, **more: dcgan.train(epochs, count=768, **small | {"channels": 4}, **more), tmp_path)


def test_row_94_a_memory_is_read_by_attention(example, digits, tmp_path):
    memory = example("memory")
    trained = memory.train(6, channels=8)
    untrained = memory.Memory(8)
    assert trained.status == "finished"
    once, often = (memory.asked(trained.model, shots) for shots in (1, 5))
    assert memory.asked(untrained) < once < often and once > 0.5 and often > 0.65  # by chance .2
    keys = sp.asarray(np.eye(3, 64, dtype=np.float32))
    assert np.asarray(trained.model.read(keys, keys, keys)).argmax(axis=1).tolist() == [0, 1, 2]
    assert np.asarray(trained.model.attention(keys, keys).detach()).sum(axis=1) == pytest.approx(1)
    assert memory.samples(trained.model).shape == (6 * 30 - 2, 6 * 30 - 2, 3)
    assert resumes(lambda epochs, **more: memory.train(epochs, channels=4, count=600, **more), tmp_path)


def test_row_94_eight_orientations(example):
    memory = example("memory")
    seen = {np.asarray(image).tobytes() for image in memory.oriented(sp.arange(4.0).reshape((1, 1, 2, 2)))}
    assert len(seen) == 8
