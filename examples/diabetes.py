"""A table of numbers: the error of a small network beside scikit-learn's of the same size, by the same folds.

    python examples/diabetes.py

The data are scikit-learn's 442 patients with ten measurements each and how far diabetes had progressed a year later
(Efron et al. 2004, doi:10.1214/009053604000000067). Start reading at ``ours``.
"""

from __future__ import annotations

import time

import numpy as np
import steep as sp
from sklearn.datasets import load_diabetes
from sklearn.model_selection import KFold
from sklearn.neural_network import MLPRegressor
from steep import nn
from steep.training import Recipe, fit

HIDDEN, EPOCHS, BATCH, RATE = 32, 200, 32, 1e-3
Parts = tuple[np.ndarray, np.ndarray]


def ours(train: Parts, test: Parts, seed: int) -> float:
    """RMSE of steep's network."""
    model = nn.Sequential(nn.Linear(10, HIDDEN, generator=seed), nn.ReLU(), nn.Linear(HIDDEN, 1, generator=seed + 1000))
    recipe = Recipe(
        epochs=EPOCHS, batch_size=BATCH, lr=RATE, optimizer="adam", schedule="constant", weight_decay=0, loss="mse",
        seed=seed,
    )  # fmt: skip
    return fit(model, train, test, recipe, progress=False).test["rmse"]


def theirs(train: Parts, test: Parts, seed: int) -> float:
    """RMSE of scikit-learn's network of this size, with the same optimiser, rate, batches and epochs."""
    model = MLPRegressor(
        hidden_layer_sizes=(HIDDEN,), alpha=0, batch_size=BATCH, learning_rate_init=RATE, max_iter=EPOCHS,
        n_iter_no_change=EPOCHS,
        random_state=seed,
    )  # fmt: skip
    return float(np.sqrt(np.mean((model.fit(*train).predict(test[0]) - test[1]) ** 2)))


def main(folds: int = 5) -> dict[str, float]:
    """Prints and returns the mean error over folds of both, in the units of the target."""
    given = load_diabetes()
    columns = dict(zip(given.feature_names, given.data.T, strict=True))
    table = sp.data.table({**columns, "progression": given.target}, target="progression")
    x, y = (np.asarray(values, np.float32) for values in table.batch(np.arange(len(table))))
    mean, spread = y.mean(), y.std()
    y = (y - mean) / spread
    found = {"steep": [], "scikit-learn": []}
    seconds = dict.fromkeys(found, 0.0)
    for seed, (fitted, held) in enumerate(KFold(folds, shuffle=True, random_state=0).split(x)):
        for name, method in (("steep", ours), ("scikit-learn", theirs)):
            start = time.perf_counter()
            found[name].append(method((x[fitted], y[fitted]), (x[held], y[held]), seed) * spread)
            seconds[name] += time.perf_counter() - start
    for name, errors in found.items():
        print(
            f"{name}: RMSE {np.mean(errors):.2f} (folds {min(errors):.2f} to {max(errors):.2f}), {seconds[name]:.1f} s"
        )
    return {name: float(np.mean(errors)) for name, errors in found.items()}


if __name__ == "__main__":
    main()
