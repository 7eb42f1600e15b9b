"""Metrics: against their definitions, written out, and the same bits however the data are divided."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import steep as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from steep import metrics, nn, training

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


# ---- weights of samples ----

COUNTS = RNG.integers(0, 4, 60)
FLOATS = np.exp(3 * RNG.normal(size=60))
OF_CLASSES = ["accuracy", "top2", "precision", "recall", "f1", "roc_auc", "confusion_matrix"]
CHOSEN = {
    **{name: (lambda name=name: metrics.find(name), SCORES, LABELS) for name in OF_CLASSES},
    **{f"f1 {a}": (lambda a=a: metrics.F1(a), SCORES, LABELS) for a in ("micro", "weighted")},
    **{f"{a} binary": (lambda a=a: metrics.F1(a), SCORES[:, 0], LABELS % 2) for a in ("binary",)},
    "roc_auc binary": (metrics.ROCAUC, SCORES[:, 0], LABELS % 2),
    **{name: (lambda name=name: metrics.find(name), *WIDE) for name in ("mse", "rmse", "mae", "r2")},
}


@pytest.mark.parametrize("name", CHOSEN)
def test_integer_weights_are_repetitions(name):
    make, outputs, targets = CHOSEN[name]
    repeated = make().of(np.repeat(outputs, COUNTS, axis=0), np.repeat(targets, COUNTS, axis=0))
    np.testing.assert_allclose(make().of(outputs, targets, COUNTS), repeated, rtol=1e-13)
    np.testing.assert_array_equal(make().of(outputs, targets, np.ones(60)), make().of(outputs, targets))


@pytest.mark.parametrize("name", CHOSEN)
def test_weighted_metrics_have_the_same_bits_for_any_batch_and_order(name):
    make, outputs, targets = CHOSEN[name]
    expected = np.asarray(make().of(outputs, targets, FLOATS)).tobytes()
    for size in (1, 7, 59):
        metric = make()
        for first in range(0, 60, size):
            part = slice(first, first + size)
            metric.update(outputs[part], targets[part], FLOATS[part])
        assert np.asarray(metric.value()).tobytes() == expected
    if name not in ("r2",):  # which is computed from the first target
        order = np.random.default_rng(1).permutation(60)
        assert np.asarray(make().of(outputs[order], targets[order], FLOATS[order])).tobytes() == expected


def test_weighted_metrics_are_those_of_scikit_learn():
    sk = pytest.importorskip("sklearn.metrics")
    w, two = {"sample_weight": FLOATS}, LABELS % 2
    outputs, targets = WIDE
    pairs = [
        (metrics.Accuracy().of(SCORES, LABELS, FLOATS), sk.accuracy_score(LABELS, PREDICTED, **w)),
        (metrics.TopK(2).of(SCORES, LABELS, FLOATS), (ORDER[:, :2] == LABELS[:, None]).any(1) @ FLOATS / FLOATS.sum()),
        (metrics.ROCAUC().of(SCORES[:, 0], two, FLOATS), sk.roc_auc_score(two, SCORES[:, 0], **w)),
        (metrics.MSE().of(*WIDE, FLOATS), sk.mean_squared_error(targets, outputs, **w)),
        (metrics.MAE().of(*WIDE, FLOATS), sk.mean_absolute_error(targets, outputs, **w)),
        (metrics.R2().of(*WIDE, FLOATS), sk.r2_score(targets, outputs, **w)),
    ]
    for average in ("macro", "micro", "weighted"):
        for mine, theirs in ((metrics.F1, sk.f1_score), (metrics.Precision, sk.precision_score)):
            found = mine(average).of(SCORES, LABELS, FLOATS)
            pairs.append((found, theirs(LABELS, PREDICTED, average=average, zero_division=0, **w)))
    for found, wanted in pairs:
        assert found == pytest.approx(wanted, rel=1e-10)
    matrix = metrics.ConfusionMatrix().of(SCORES, LABELS, FLOATS)
    np.testing.assert_allclose(matrix, sk.confusion_matrix(LABELS, PREDICTED, **w), rtol=1e-12)


@pytest.mark.parametrize("name", CHOSEN)
@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (np.ones(59), r"60 rows need weights of shape \(60,\), got \(59,\)"),
        (np.ones((60, 1)), "60 rows need weights"),
        (np.r_[np.ones(59), -1.0], "the weight -1.0 of row 59 is not"),
        (np.r_[np.ones(59), math.nan], "the weight nan of row 59 is not"),
    ],
)
def test_wrong_weights_are_refused_with_their_number(name, weights, words):
    make, outputs, targets = CHOSEN[name]
    with pytest.raises(ValueError, match=words):
        make().of(outputs, targets, weights)


def test_rows_of_no_weight_alone_give_no_number():
    for name, (make, outputs, targets) in CHOSEN.items():
        value = make().of(outputs, targets, np.zeros(60))
        assert name == "confusion_matrix" or math.isnan(value), name


def test_weights_of_data_go_to_weighted_metrics_alone():
    data_ = SCORES.astype(np.float32), LABELS, FLOATS.astype(np.float32)
    chosen = ["accuracy", "weighted_accuracy", metrics.Weighted(metrics.TopK(2)), "weighted_top3"]
    for size in (1, 9, 60):
        found = metrics.evaluate(lambda x: x, data_, chosen, size)
        assert list(found) == ["accuracy", "weighted_accuracy", "weighted_topk", "weighted_top3"]
        assert found["accuracy"] == metrics.Accuracy().of(*data_[:2])
        assert found["weighted_accuracy"] == metrics.Accuracy().of(*data_)
        assert found["weighted_topk"] == metrics.TopK(2).of(*data_)
    plain = metrics.evaluate(lambda x: x, data_[:2], ["accuracy", "weighted_accuracy"])
    assert plain["accuracy"] == plain["weighted_accuracy"]
    assert not metrics.find("weighted_rmse").larger_is_better
    with pytest.raises(ValueError, match="no metric 'acuracy'"):
        metrics.find("weighted_acuracy")


def test_fit_validates_by_weighted_metrics():
    data_ = SCORES.astype(np.float32), LABELS, FLOATS.astype(np.float32)
    recipe = training.Recipe(epochs=1, batch_size=20, monitor="val_weighted_accuracy")
    done = training.fit(nn.Linear(4, 4, generator=0), data_, data_, recipe, validation=data_,
                        metrics=["accuracy", "weighted_accuracy"])  # fmt: skip
    wanted = metrics.Accuracy().of(done.model(data_[0]), *data_[1:])
    assert done.test["weighted_accuracy"] == wanted == done.best["val_weighted_accuracy"] != done.test["accuracy"]
