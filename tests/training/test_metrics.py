"""Metrics: against their definitions, written out, and the same bits however the data are divided."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import steep as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from steep import metrics, nn

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(60, 4)).round(1)
LABELS = RNG.integers(0, 4, 60)
PREDICTED = SCORES.argmax(axis=1)
WIDE = RNG.normal(size=(60, 2)) * np.exp(5 * RNG.normal(size=(60, 2))), RNG.normal(size=(60, 2)) * 1e3 + 1e6


def shares(k):
    """Right, predicted and actual rows of a class."""
    return ((k == PREDICTED) & (k == LABELS)).sum(), (k == PREDICTED).sum(), (k == LABELS).sum()


def area(scores, mine):
    """Every pair of a row of the class and one of another."""
    pairs = scores[mine][:, None] - scores[~mine]
    return ((pairs > 0) + (pairs == 0) / 2).mean()


def softmax(scores):
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


ORDER = np.argsort(-SCORES, axis=1, kind="stable")
WANTED = {
    "accuracy": (PREDICTED == LABELS).mean(),
    "top1": (PREDICTED == LABELS).mean(),
    "top2": (ORDER[:, :2] == LABELS[:, None]).any(axis=1).mean(),
    "precision": np.mean([shares(k)[0] / shares(k)[1] for k in range(4)]),
    "recall": np.mean([shares(k)[0] / shares(k)[2] for k in range(4)]),
    "f1": np.mean([2 * shares(k)[0] / (shares(k)[1] + shares(k)[2]) for k in range(4)]),
    "roc_auc": np.mean([area(softmax(SCORES)[:, k], k == LABELS) for k in range(4)]),
}


@pytest.mark.parametrize("name", WANTED)
def test_metrics_of_classes_are_their_definitions(name):
    assert metrics.find(name).of(SCORES, LABELS) == pytest.approx(WANTED[name], rel=1e-14)


def test_averages_over_classes():
    rows = np.array([shares(k) for k in range(4)])
    assert metrics.Recall("weighted").of(SCORES, LABELS) == pytest.approx(rows[:, 0].sum() / 60)
    assert metrics.Precision("micro").of(SCORES, LABELS) == pytest.approx(WANTED["accuracy"])
    logits, labels = np.array([1.0, 2.0, -1.0, -2.0, 3.0]), [1, 0, 1, 0, 1]
    for metric, value in ((metrics.Precision, 2 / 3), (metrics.Recall, 2 / 3), (metrics.F1, 2 / 3)):
        assert metric("binary").of(logits, labels) == metric("binary").of(logits[:, None], labels) == value
    assert metrics.ConfusionMatrix().of(logits, labels).tolist() == [[1, 1], [1, 2]]
    assert metrics.ROCAUC().of(logits, labels) == pytest.approx(area(logits, np.array(labels) == 1))
    with pytest.raises(ValueError, match="average must be one of"):
        metrics.F1("mean")


def test_metrics_of_numbers_are_their_definitions():
    outputs, targets = WIDE
    squares = ((outputs - targets) ** 2).mean(axis=0)
    spread = ((targets - targets.mean(axis=0)) ** 2).mean(axis=0)
    wanted = {
        "mse": squares.mean(),
        "rmse": np.sqrt(squares).mean(),
        "mae": np.abs(outputs - targets).mean(),
        "r2": (1 - squares / spread).mean(),
    }
    for name, value in wanted.items():
        assert metrics.find(name).of(outputs, targets) == pytest.approx(value, rel=1e-12), name
    assert metrics.R2().of([1.0, 1.0], [2.0, 2.0]) == 0 and metrics.R2().of([2.0, 2.0], [2.0, 2.0]) == 1
    assert math.isnan(metrics.R2().of([1.0], [2.0])) and math.isnan(metrics.RMSE().value())
    assert math.isnan(metrics.MSE().of([math.inf, 1.0, math.nan], [1.0, 1.0, 1.0]))


@given(st.lists(st.integers(0, 60), max_size=5), st.sampled_from([*metrics.METRICS, "top2"]))
@settings(max_examples=60, deadline=None)
def test_the_division_into_batches_changes_no_bit(cuts, name):
    outputs, targets = WIDE if name in ("mse", "rmse", "mae", "r2") else (SCORES, LABELS)
    whole, parts = metrics.find(name), metrics.find(name)
    edges = [0, *sorted(cuts), 60]
    for start, end in itertools.pairwise(edges):
        parts.update(outputs[start:end], targets[start:end])
    assert np.asarray(parts.value()).tobytes() == np.asarray(whole.of(outputs, targets)).tobytes()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=40))
@settings(deadline=None)
def test_an_exact_sum_is_rounded_once(values):
    total = metrics.ExactSum()
    total.add(values[::-1])
    assert total.exact()[0] == sum(map(Fraction, values), Fraction(0))


def test_sums_of_what_is_not_finite():
    total = metrics.ExactSum(3)
    total.add([[math.inf, math.inf, 1.0], [1.0, -math.inf, 2.0]])
    total.add([[1.0, 1.0, 2.0**-1074]])
    assert total.values()[0] == math.inf and math.isnan(total.values()[1]) and total.values()[2] == 3
    total.add([[0.0, 0.0, 1.7e308], [0.0, 0.0, 1.7e308]])
    assert total.values()[2] == math.inf
    with pytest.raises(ValueError, match=r"shape \(n, 3\)"):
        total.add([1.0])


def test_a_model_is_evaluated_in_parts_without_a_change():
    model = nn.Sequential(
        nn.Linear(4, 8, generator=0), nn.BatchNorm1d(8), nn.Dropout(0.5, generator=1), nn.Linear(8, 4, generator=2)
    )
    before = {name: value.tolist() for name, value in model.state_dict().items()}
    x, chosen = SCORES.astype(np.float32), ["accuracy", "roc_auc", "confusion_matrix"]
    found = [metrics.evaluate(model, (x, LABELS), chosen, batch_size=size) for size in (1, 7, 60)]
    assert [f["roc_auc"] for f in found] == [found[0]["roc_auc"]] * 3
    assert all((f["confusion_matrix"] == found[0]["confusion_matrix"]).all() for f in found)
    assert before == {name: value.tolist() for name, value in model.state_dict().items()} and model.training


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="the label 4 of row 1 is not among 4 classes"):
        metrics.Accuracy().of(SCORES[:2], [0, 4])
    with pytest.raises(ValueError, match="the label -1 of row 0"):
        metrics.TopK(2).of(SCORES[:2], [-1, 0])
    with pytest.raises(ValueError, match=r"outputs of shape \(2, 4\) and targets of \(3,\) do not fit"):
        metrics.F1().of(SCORES[:2], [0, 1, 2])
    with pytest.raises(ValueError, match=r"outputs of shape \(2, 3\) and targets of \(2,\) differ"):
        metrics.MSE().of(np.zeros((2, 3)), np.zeros(2))
    with pytest.raises(ValueError, match=r"no metric 'acuracy'.*accuracy"):
        metrics.find("acuracy")
    with pytest.raises(ValueError, match="metrics of one name"):
        metrics.named(["mse", metrics.MSE()])
    assert metrics.MSE().of(sp.tensor([[1.0], [2.0]]), [1.0, 4.0]) == 2.0
