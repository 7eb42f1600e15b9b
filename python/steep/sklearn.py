"""Estimators for scikit-learn: ``Classifier`` and ``Regressor`` train a network by ``training.fit``.

They follow scikit-learn's rules (its ``check_estimator`` passes), so pipelines, grid searches, cross-validation, joblib
and pickles work. This is the one module that imports scikit-learn. Start reading at ``_Network.fit``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, check_random_state, validate_data

from steep import _core, nn, training
from steep.data.dataset import TensorDataset
from steep.random import Generator
from steep.training.batches import class_weights

Make: TypeAlias = Callable[[int, int, int], nn.Module]
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "tanh": nn.Tanh, "logistic": nn.Sigmoid, "gelu": nn.GELU, "silu": nn.SiLU,
}  # fmt: skip
MOST = 200  # samples in a batch of size "auto"


class _Network(BaseEstimator):  # type: ignore[misc]
    """What both estimators share: the network, its training and its outputs."""

    def __init__(
        self,
        hidden: Sequence[int],
        activation: str,
        network: Make | None,
        epochs: int,
        batch_size: int | str,
        lr: float,
        optimizer: str,
        schedule: str,
        weight_decay: float,
        clip: float | None,
        validation_fraction: float,
        patience: int | None,
        dtype: str,
        random_state: Any,
    ) -> None:
        self.hidden, self.activation, self.network = hidden, activation, network
        self.epochs, self.batch_size, self.lr, self.optimizer = epochs, batch_size, lr, optimizer
        self.schedule, self.weight_decay, self.clip = schedule, weight_decay, clip
        self.validation_fraction, self.patience = validation_fraction, patience
        self.dtype, self.random_state = dtype, random_state

    def _train(self, x: NDArray[Any], y: NDArray[Any], weights: Any, outputs: int, loss: str) -> Any:
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        model = (self.network or self._layers)(x.shape[1], outputs, seed).astype(self.dtype)
        size = min(MOST, len(x)) if self.batch_size == "auto" else int(self.batch_size)
        recipe = training.Recipe(
            epochs=self.epochs, batch_size=size, lr=self.lr, optimizer=self.optimizer, schedule=self.schedule,
            weight_decay=self.weight_decay, clip=self.clip, patience=self.patience, loss=loss, seed=seed, shift=0,
        )  # fmt: skip
        arrays = (x, y) if weights is None else (x, y, np.asarray(weights, np.float64))
        train, validation = self._parts(arrays, seed)
        done = training.fit(model, train, None, recipe, validation=validation, progress=False)
        self.model_, self.loss_curve_, self.n_iter_ = done.model, done.losses, len(done.losses)
        return self

    def _parts(self, arrays: Any, seed: int) -> tuple[Any, Any]:
        if not self.validation_fraction:
            return arrays, None
        order = np.asarray(Generator(seed).permutation(len(arrays[0])))
        held = max(1, round(self.validation_fraction * len(order)))
        whole = TensorDataset(*arrays)
        return tuple(whole[order[held:]]), tuple(whole[order[:held]])

    def _layers(self, inputs: int, outputs: int, seed: int) -> nn.Module:
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {list(ACTIVATIONS)}, got {self.activation!r}")
        source, layers, width = Generator(seed), [], inputs
        for units in self.hidden:
            layers += [nn.Linear(width, units, generator=source), ACTIVATIONS[self.activation]()]
            width = units
        return nn.Sequential(*layers, nn.Linear(width, outputs, generator=source))

    def _outputs(self, X: Any) -> NDArray[Any]:
        check_is_fitted(self)
        x = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        with _core.no_grad():
            parts = [np.asarray(self.model_(_core.asarray(x[i : i + MOST].astype(self.dtype)))) for i in _starts(x)]
        return np.concatenate(parts).astype(np.float64)


def _starts(x: NDArray[Any]) -> range:
    return range(0, len(x), MOST)


class Classifier(ClassifierMixin, _Network):  # type: ignore[misc]
    """A network with hidden layers, or one of one's own, as a classifier of scikit-learn.

    Args:
        hidden: number of units of each hidden layer.
        activation: "relu", "tanh", "logistic", "gelu" or "silu".
        network: a function (inputs, outputs, seed) that makes a module from rows to scores, in place of the layers.
        epochs: passes over the data.
        batch_size: samples per step; "auto" for all, 200 at most.
        lr: initial learning rate.
        optimizer: a name of ``training.OPTIMIZERS``.
        schedule: a name of ``training.SCHEDULES``.
        weight_decay: weight decay.
        clip: the norm to which longer gradients are scaled down; None for no limit.
        validation_fraction: share of the data that is held out to be measured after each epoch; 0 for none.
        patience: epochs without improvement, of the held-out loss or else the loss, after which training stops and the
            best weights are taken; None to run to the end.
        dtype: dtype of the network, "float64" or "float32".
        class_weight: a dict of weights by class, "balanced", or None.
        random_state: a seed, a ``RandomState``, or None for another one at each call.

    Attributes:
        classes_: the classes, sorted.
        model_: the trained module.
        loss_curve_: the mean loss of each epoch.

    Example:
        >>> x, y = np.array([[0.0], [1.0], [2.0], [3.0]]), ["low", "low", "high", "high"]
        >>> sp.sklearn.Classifier(hidden=(8,), lr=0.05, random_state=0).fit(x, y).predict([[-1.0], [4.0]]).tolist()
        ['low', 'high']
    """

    def __init__(
        self,
        hidden: Sequence[int] = (100,),
        activation: str = "relu",
        network: Make | None = None,
        epochs: int = 200,
        batch_size: int | str = "auto",
        lr: float = 1e-2,
        optimizer: str = "adam",
        schedule: str = "cosine",
        weight_decay: float = 0.0,
        clip: float | None = None,
        validation_fraction: float = 0.0,
        patience: int | None = None,
        dtype: str = "float64",
        class_weight: Any = None,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            hidden, activation, network, epochs, batch_size, lr, optimizer, schedule, weight_decay, clip,
            validation_fraction, patience, dtype, random_state,
        )  # fmt: skip
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Classifier:
        """Trains a new network.

        Args:
            X: rows (n, features).
            y: classes (n,).
            sample_weight: weights (n,), or None.

        Returns:
            The estimator.
        """
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"Classifier needs samples of 2 classes at least, got one class: {self.classes_[0]!r}")
        weights = _normalised(X, sample_weight)
        given = self.class_weight
        if isinstance(given, dict):
            given = {i: given.get(name, 1.0) for i, name in enumerate(self.classes_.tolist())}
        per_class = class_weights(given, TensorDataset(X, labels))
        if per_class is not None:
            weights = per_class[labels].astype(np.float64) * (1.0 if weights is None else weights)
        done: Classifier = self._train(X, labels, weights, len(self.classes_), "cross_entropy")
        return done

    def decision_function(self, X: Any) -> NDArray[Any]:
        """The scores of rows: (n, classes); of two classes the difference (n,), positive for the second.

        Args:
            X: rows (n, features).

        Returns:
            A float64 array.
        """
        scores = self._outputs(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """The probability of each class.

        Args:
            X: rows (n, features).

        Returns:
            A float64 array (n, classes).
        """
        scores = self._outputs(X)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        chances: NDArray[Any] = powers / powers.sum(axis=1, keepdims=True)
        return chances

    def predict(self, X: Any) -> NDArray[Any]:
        """The class with the highest score.

        Args:
            X: rows (n, features).

        Returns:
            An array of classes (n,).
        """
        best = self._outputs(X).argmax(axis=1)
        found: NDArray[Any] = self.classes_[best]
        return found


class Regressor(RegressorMixin, _Network):  # type: ignore[misc]
    """A network with hidden layers, or one of one's own, as a regressor of scikit-learn, with one output or several.

    Targets are brought to mean 0 and standard deviation 1 for training.

    Args:
        hidden: number of units of each hidden layer.
        activation: "relu", "tanh", "logistic", "gelu" or "silu".
        network: a function (inputs, outputs, seed) that makes a module from rows to numbers, in place of the layers.
        epochs: passes over the data.
        batch_size: samples per step; "auto" for all, 200 at most.
        lr: initial learning rate.
        optimizer: a name of ``training.OPTIMIZERS``.
        schedule: a name of ``training.SCHEDULES``.
        weight_decay: weight decay.
        clip: the norm to which longer gradients are scaled down; None for no limit.
        validation_fraction: share of the data that is held out to be measured after each epoch; 0 for none.
        patience: epochs without improvement, of the held-out loss or else the loss, after which training stops and the
            best weights are taken; None to run to the end.
        dtype: dtype of the network, "float64" or "float32".
        loss: "mse" or "l1".
        random_state: a seed, a ``RandomState``, or None for another one at each call.

    Attributes:
        model_: the trained module.
        loss_curve_: the mean loss of each epoch.

    Example:
        >>> x = np.linspace(-1, 1, 20)[:, None]
        >>> model = sp.sklearn.Regressor(hidden=(), lr=0.1, random_state=0).fit(x, 3 * x[:, 0] + 1)
        >>> model.predict([[0.0], [1.0]]).round(2).tolist()
        [1.0, 4.0]
    """

    def __init__(
        self,
        hidden: Sequence[int] = (100,),
        activation: str = "relu",
        network: Make | None = None,
        epochs: int = 200,
        batch_size: int | str = "auto",
        lr: float = 1e-2,
        optimizer: str = "adam",
        schedule: str = "cosine",
        weight_decay: float = 0.0,
        clip: float | None = None,
        validation_fraction: float = 0.0,
        patience: int | None = None,
        dtype: str = "float64",
        loss: str = "mse",
        random_state: Any = None,
    ) -> None:
        super().__init__(
            hidden, activation, network, epochs, batch_size, lr, optimizer, schedule, weight_decay, clip,
            validation_fraction, patience, dtype, random_state,
        )  # fmt: skip
        self.loss = loss

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Regressor:
        """Trains a new network.

        Args:
            X: rows (n, features).
            y: targets (n,) or (n, outputs).
            sample_weight: weights (n,), or None.

        Returns:
            The estimator.
        """
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], multi_output=True, y_numeric=True)
        if self.loss not in ("mse", "l1"):
            raise ValueError(f"Regressor: loss must be 'mse' or 'l1', got {self.loss!r}")
        weights, columns = _normalised(X, sample_weight), y.reshape(len(y), -1).astype(np.float64)
        self._mean = np.average(columns, axis=0, weights=weights)
        spread = np.sqrt(np.average((columns - self._mean) ** 2, axis=0, weights=weights))
        self._spread, self._flat = np.where(spread > 0, spread, 1.0), y.ndim == 1
        scaled = (columns - self._mean) / self._spread
        done: Regressor = self._train(X, scaled, weights, columns.shape[1], self.loss)
        return done

    def predict(self, X: Any) -> NDArray[Any]:
        """The predicted targets.

        Args:
            X: rows (n, features).

        Returns:
            A float64 array (n,) or (n, outputs), as the targets were.
        """
        outputs = self._outputs(X)
        found: NDArray[Any] = outputs * self._spread + self._mean
        return found[:, 0] if self._flat else found

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn may expect of it."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _normalised(x: NDArray[Any], weights: Any) -> Any:
    """Weights of mean 1, so that a loss is their weighted mean; None for none."""
    if weights is None:
        return None
    found = _check_sample_weight(weights, x, dtype=np.float64)
    if not (found >= 0).all() or not found.sum() > 0:
        raise ValueError("sample_weight must not be negative, nor all zero")
    return found * len(found) / found.sum()
