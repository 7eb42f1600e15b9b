"""``fit(..., train_step=)``: the two examples of Keras's guide, exact resume, and what cannot be a step."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import steep as sp
from steep import data, nn, optim
from steep.random import Generator
from steep.training import Recipe, fit

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RNG = np.random.default_rng(0)
PART = data.Part(RNG.random((96, 1, 4, 4), np.float32), RNG.integers(0, 3, 96))
RECIPE = Recipe(epochs=3, batch_size=16, shift=0, seed=2)


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import own_step

    yield own_step
    sys.modules.pop("own_step", None)


def network(seed=0):
    source = Generator(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8, generator=source), nn.ReLU(), nn.Dropout(0.2, generator=source),
                         nn.Linear(8, 3, generator=source))  # fmt: skip


def bits(model):
    return {name: np.asarray(tensor).tobytes() for name, tensor in model.state_dict().items()}


def plain(model, optimizer, x, y):
    """What ``fit`` does by itself."""
    with sp.GradientTape() as tape:
        loss = nn.cross_entropy(model(x), y)
    weights = model.parameters()
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
    return loss


@pytest.mark.parametrize("capture", [True, False])
def test_row_101_the_usual_step_written_by_hand_has_the_bits_of_fit(capture):
    ours, theirs = network(), network()
    first = fit(ours, PART, PART, RECIPE, capture=capture)
    second = fit(theirs, PART, PART, RECIPE, capture=capture, train_step=plain)
    assert bits(ours) == bits(theirs) and first.losses == second.losses and second.status == "finished"
    assert first.test_accuracy == second.test_accuracy


def test_row_101_the_guides_regression(example):
    seen = []
    trained = example.regression(epochs=3, callback=seen.append)
    assert trained.status == "finished" and len(seen) == 93 and set(seen[0].logs) == {"loss", "mae"}
    assert trained.losses[-1] < trained.losses[0] and trained.losses[-1] < 0.11
    assert math.isnan(trained.test_accuracy) and seen[-1].logs["mae"] < 0.35
    model, rng = nn.Sequential(nn.Linear(32, 1, generator=0)), np.random.default_rng(0)
    x, y = rng.random((1000, 32), np.float32), rng.random((1000, 1), np.float32)
    first = ((np.asarray(model(x)) - y) ** 2).mean()
    assert seen[0].logs["loss"] == pytest.approx(first, rel=0.5)


@pytest.fixture
def digits():
    try:
        return data.load("mnist5k")
    except data.FetchError as error:
        pytest.skip(str(error))


def test_row_101_the_guides_gan_trains_and_resumes_bit_for_bit(example, digits, tmp_path):
    path, seen = tmp_path / "gan.safetensors", []

    def small(**more):
        return example.gan(1, channels=4, latent=8, count=768, **more)

    whole = small(callback=seen.append)
    assert whole.status == "finished" and set(seen[0].logs) == {"d_loss", "g_loss"}
    assert seen[-1].logs["d_loss"] < seen[0].logs["d_loss"]
    assert all(np.isfinite(list(progress.logs.values())).all() for progress in seen)
    stopped = small(callback=lambda p: p.step == 5, checkpoint=path, every=5)
    assert stopped.status == "stopped" and bits(stopped.model) != bits(whole.model)
    resumed = small(checkpoint=path, resume=True)
    eager = small(capture=False)
    assert bits(resumed.model) == bits(whole.model) == bits(eager.model) and resumed.losses == whole.losses
    assert example.samples(whole.model).shape == (8 * 30 - 2, 8 * 30 - 2, 3)


def test_a_step_whose_state_a_checkpoint_would_lack_is_refused(tmp_path):
    model = network()
    mine = optim.Adam(model.parameters(), 1e-3)

    def step(model, optimizer, x, y):
        with sp.GradientTape() as tape:
            loss = nn.cross_entropy(model(x), y)
        mine.apply_gradients(zip(tape.gradient(loss, mine.params), mine.params, strict=True))
        return loss

    assert fit(model, PART, PART, RECIPE, train_step=step).status == "finished"
    with pytest.raises(ValueError, match=r"holds a Adam.*state_dict"):
        fit(model, PART, PART, RECIPE, train_step=step, checkpoint=tmp_path / "run.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_with_and_one_without_a_step_do_not_mix(tmp_path):
    class Step:
        def __init__(self):
            self.draw = Generator(0)

        def __call__(self, model, optimizer, x, y):
            return plain(model, optimizer, x + 0.01 * self.draw.normal(x.shape), y)

        def state_dict(self):
            return {"draw": self.draw.state()}

        def load_state_dict(self, state):
            self.draw.set_state(state["draw"])

    path = tmp_path / "run.safetensors"
    whole = fit(network(), PART, PART, RECIPE, train_step=Step())
    fit(network(), PART, PART, RECIPE, lambda p: p.step == 7, path, 7, train_step=Step())
    resumed = fit(network(5), PART, PART, RECIPE, checkpoint=path, resume=True, train_step=Step())
    assert bits(resumed.model) == bits(whole.model)
    with pytest.raises(ValueError, match="has the state of a train_step"):
        fit(network(), PART, PART, RECIPE, checkpoint=path, resume=True)
    fit(network(), PART, PART, RECIPE, checkpoint=path)
    with pytest.raises(ValueError, match="lacks the state of a train_step"):
        fit(network(), PART, PART, RECIPE, checkpoint=path, resume=True, train_step=Step())


@pytest.mark.parametrize(
    "told, error, words",
    [
        (lambda loss: None, TypeError, "scalar tensor or a dict"),
        (lambda loss: {}, TypeError, "scalar tensor or a dict"),
        (lambda loss: {"loss": sp.stack([loss, loss])}, ValueError, r"'loss' has the shape \(2,\)"),
        (lambda loss: sp.ones(3), ValueError, r"shape \(3,\)"),
    ],
)
def test_a_step_returns_scalars(told, error, words):
    with pytest.raises(error, match=words):
        fit(network(), PART, PART, RECIPE, train_step=lambda *given: told(plain(*given)))


def test_a_scalar_that_is_not_finite_ends_the_run():
    def step(model, optimizer, x, y):
        return {"loss": plain(model, optimizer, x, y), "other": sp.log(sp.sum(x) * 0 - 1)}

    assert fit(network(), PART, PART, RECIPE, train_step=step).status == "diverged"
