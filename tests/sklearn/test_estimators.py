"""The estimators by scikit-learn's own rules, and in its pipelines, searches, pickles and processes."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")
import steep as sp
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from steep import nn
from steep.sklearn import Classifier, Regressor

IRIS = load_iris(return_X_y=True)


@pytest.mark.parametrize("kind", [Classifier, Regressor])
def test_every_check_of_scikit_learn_passes(kind):
    """No exception is listed. Skipped are those that want pandas or SciPy's own switch."""
    results = check_estimator(kind(), on_skip=None, on_fail=None)
    failed = {r["check_name"]: r["exception"] for r in results if r["status"] not in ("passed", "skipped")}
    assert not failed and sum(r["status"] == "passed" for r in results) > 50


def small(**options):
    return Classifier(hidden=(8,), epochs=60, batch_size=32, random_state=0, **options)


def test_a_search_over_a_pipeline_in_processes():
    search = GridSearchCV(make_pipeline(StandardScaler(), small()), {"classifier__lr": [1e-5, 0.03]}, cv=3, n_jobs=2)
    search.fit(*IRIS)
    assert search.best_params_ == {"classifier__lr": 0.03} and search.best_score_ > 0.93
    again = cross_val_score(search.best_estimator_, *IRIS, cv=3)
    assert again.mean() == search.best_score_


def test_the_same_seed_gives_the_same_bits_also_after_a_pickle():
    x, y = IRIS
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    one, other = small().fit(x, names), clone(small()).fit(x, names)
    assert np.array_equal(one.predict_proba(x), other.predict_proba(x))
    back = pickle.loads(pickle.dumps(one))
    assert np.array_equal(back.predict(x), one.predict(x)) and back.classes_.tolist() == sorted(set(names))
    assert np.allclose(one.predict_proba(x).sum(axis=1), 1) and one.decision_function(x).shape == (150, 3)


def test_a_network_of_ones_own_with_held_out_data():
    def make(inputs, outputs, seed):
        return nn.Sequential(nn.Linear(inputs, 5, generator=seed), nn.Tanh(), nn.Linear(5, outputs, generator=seed + 1))

    found = Classifier(network=make, validation_fraction=0.2, patience=5, epochs=300, lr=0.05, dtype="float32")
    found.set_params(random_state=3).fit(*IRIS)
    assert found.score(*IRIS) > 0.9 and found.n_iter_ < 300 and found.model_[0].weight.dtype == sp.float32


def test_weights_of_classes_and_samples():
    x, y = IRIS
    rare = np.flatnonzero((y != 1) | (np.arange(150) % 10 == 0))
    for weight in ("balanced", {1: 10.0}):
        plain, balanced = small().fit(x[rare], y[rare]), small(class_weight=weight).fit(x[rare], y[rare])
        assert (balanced.predict(x) == 1).sum() > (plain.predict(x) == 1).sum() - 1
    with pytest.raises(ValueError, match="must not be negative"):
        small().fit(x, y, sample_weight=-np.ones(150))


def test_diabetes_beside_a_constant():
    x, y = load_diabetes(return_X_y=True)
    scores = cross_val_score(Regressor((16,), validation_fraction=0.2, patience=10, random_state=0), x * 20, y, cv=3)
    assert scores.mean() > 0.35
    both = Regressor(hidden=(), lr=0.1, random_state=0).fit(x, np.stack([y, -y], axis=1))
    assert both.predict(x).shape == (442, 2) and np.corrcoef(both.predict(x).T)[0, 1] < -0.99


@pytest.mark.parametrize(
    "estimator, words",
    [
        (Classifier(activation="swish"), "activation must be one of"),
        (Classifier(optimizer="adams"), "no optimiser 'adams'"),
        (Regressor(loss="cross_entropy"), "loss must be 'mse' or 'l1'"),
    ],
)
def test_options_that_there_are_not(estimator, words):
    with pytest.raises(ValueError, match=words):
        estimator.fit(*IRIS)
