"""Does a saliency map depend on the weights? They are randomised layer by layer, and the map is recomputed.

A map that looks the same for an untrained network does not explain the trained one. Source: Adebayo et al. 2018,
"Sanity checks for saliency maps", arXiv:1810.03292.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core
from steep._core import Tensor
from steep.display import displayed
from steep.evaluation import evaluated
from steep.nn.module import Module
from steep.random import Generator
from steep.saliency.maps import gradient
from steep.scores import predicted

LIMIT = 0.2  # rank correlation with the map of the trained network above which a map does not pass


@displayed
@dataclass(frozen=True)
class Cascade:
    """Result of ``cascade``.

    Attributes:
        layers: names of the layers in the order in which they were randomised.
        correlations: Spearman's rank correlation with the original map after each, of absolute values, averaged over
            rows.
    """

    layers: list[str]
    correlations: list[float]

    @property
    def final(self) -> float:
        """The correlation with all layers randomised; NaN if there was nothing to randomise."""
        return self.correlations[-1] if self.correlations else float("nan")

    @property
    def checked(self) -> bool:
        """Whether there were weights to randomise."""
        return bool(self.layers)

    @property
    def passed(self) -> bool:
        """Whether the map depends on the weights: ``final`` is below .2; False if it was not checked."""
        return self.checked and self.final < LIMIT

    @property
    def verdict(self) -> str:
        """The result as one line of text."""
        if not self.checked:
            return "not checked: the model has no weights to make random"
        if self.passed:
            return f"depends on the weights (rank correlation {self.final:.2f} with a random network's map)"
        return f"hardly depends on the weights (rank correlation {self.final:.2f} with a random network's map)"


def cascade(
    model: Module,
    x: Any,
    target: Any = None,
    method: Callable[..., Tensor] = gradient,
    *,
    generator: Generator | None = None,
    stages: int | None = None,
    border: float = 1 / 7,
    **options: Any,
) -> Cascade:
    """Sanity check of a saliency map by cascading randomisation of the weights, from the last layer to the first.

    Weights are drawn normal with their own mean and standard deviation, while running statistics and other state are
    kept; afterwards, also after an error, the weights are restored. A map that hardly changes does not depend on what
    the network learned.

    Args:
        model: the module; one without weights is not ``checked``.
        x: inputs (n, ...).
        target: as in ``gradient``.
        method: the map, a function ``(model, x, target, **options)``.
        generator: source of the random weights; ``Generator(0)`` if None.
        stages: number of comparisons, the last with all layers randomised; one per layer if None.
        border: share of a map to leave out at each edge, since pixels there influence fewer neurons for any weights.
        options: keyword arguments of ``method``.

    Returns:
        A ``Cascade``.

    Raises:
        ValueError: for no rows, fewer than one stage, or a border of a half or more.

    References:
        Adebayo et al. 2018, "Sanity checks for saliency maps", arXiv:1810.03292.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> x = sp.random.Generator(0).uniform((2, 1, 28, 28))
        >>> sp.saliency.sanity.cascade(model, x, stages=1).passed
        True
    """
    if not 0 <= border < 0.5 or (stages is not None and stages < 1) or not len(x):
        raise ValueError(f"cascade: needs rows, a stage and a border below .5, got {len(x)}, {stages} and {border}")
    inputs, draw = _core.asarray(x), generator or Generator(0)
    chosen = predicted(model, inputs) if target is None else target
    layers = list(weights_by_layer(model)) if isinstance(model, Module) else []
    if not layers:
        return Cascade([], [])
    before, method = model.state_dict(), evaluated(method)
    original = np.asarray(method(model, inputs, chosen, **options))
    stops = {round((i + 1) * len(layers) / (stages or len(layers))) for i in range(stages or len(layers))}
    names, correlations = [], []
    try:
        for number, (name, tensors) in enumerate(layers, 1):
            for tensor in tensors:
                randomise(tensor, draw)
            if number in stops:
                again = np.asarray(method(model, inputs, chosen, **options))
                each = [
                    rank_correlation(_inner(a, border), _inner(b, border)) for a, b in zip(original, again, strict=True)
                ]
                names.append(name)
                correlations.append(float(np.mean(each)))
    finally:
        model.load_state_dict(before)
    return Cascade(names, correlations)


def _inner(map: NDArray[Any], border: float) -> NDArray[Any]:
    """One map (..., height, width) without its edges; one without positions as it is."""
    if map.ndim < 2:
        return map
    rows, columns = (slice(int(n * border), n - int(n * border)) for n in map.shape[-2:])
    return map[..., rows, columns]


def rank_correlation(a: Any, b: Any) -> float:
    """Spearman's rank correlation of the absolute values of two arrays.

    Args:
        a: an array.
        b: an array of the same size.

    Returns:
        A float; 0 if one of them is constant, 1 if both are, NaN if one has values that are not finite.

    Example:
        >>> sp.saliency.sanity.rank_correlation([1.0, -2.0, 3.0], [2.0, 4.0, 8.0])
        1.0
    """
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("nan")
    ranks = [_ranks(np.abs(np.asarray(v, np.float64)).reshape(-1)) for v in (a, b)]
    first, second = (r - r.mean() for r in ranks)
    size = np.sqrt((first @ first) * (second @ second))
    return float(first @ second / size) if size else float(not first.any() and not second.any())


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 0; equal values share the mean of theirs."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    means: NDArray[np.float64] = (ends - (counts + 1) / 2)[which]
    return means


def weights_by_layer(model: Module) -> Iterator[tuple[str, list[Tensor]]]:
    """The float tensors of each layer, in reverse order of the layers.

    Statistics (``named_statistics``) are not weights. In a model whose weights are buffers, such as one of the zoo, all
    others are weights.

    Args:
        model: the module.

    Yields:
        Pairs of a name and a list of tensors.
    """
    found: dict[str, list[Tensor]] = {}
    order = {name: i for i, name in enumerate(model.state_dict())}
    tensors = [*model.named_parameters(), *model.named_buffers()]
    measured = {name for name, _ in model.named_statistics()}
    for name, tensor in sorted(tensors, key=lambda pair: order[pair[0]]):
        layer, _, _ = name.rpartition(".")
        if name not in measured and tensor.dtype.name.startswith("float"):
            found.setdefault(name if layer in ("", "initializers") else layer, []).append(tensor)
    return reversed(list(found.items()))


def randomise(tensor: Tensor, draw: Generator) -> None:
    """Replaces the values of a tensor by normal draws with its own mean and standard deviation, in place.

    Args:
        tensor: the tensor.
        draw: source of the random numbers.
    """
    with _core.no_grad():
        mean, std = float(_core.mean(tensor)), float(_core.std(tensor))
        tensor[...] = draw.normal(tuple(tensor.shape), mean, std, dtype=tensor.dtype)
