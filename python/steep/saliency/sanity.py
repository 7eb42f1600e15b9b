"""Does a map depend on the weights? They are made random layer by layer, from the scores down, and the map made again.

A map that looks the same for a network that knows nothing says nothing about the network. Source: Adebayo et al. 2018,
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
from steep.looking import looked
from steep.nn.module import Module
from steep.random import Generator
from steep.saliency.maps import gradient
from steep.scores import predicted

LIMIT = 0.2  # rank correlation with the map of the trained network, above which a map does not pass


@dataclass(frozen=True)
class Cascade:
    """``layers``: in the order in which they were made random; ``correlations``: after each, with the original map.

    Spearman's rank correlation of absolute values, the mean over rows. ``final``: with all layers random.
    """

    layers: list[str]
    correlations: list[float]

    @property
    def final(self) -> float:
        """The correlation with the map of a network that has no trained layer left; NaN where it was not checked."""
        return self.correlations[-1] if self.correlations else float("nan")

    @property
    def checked(self) -> bool:
        """Whether there were weights to make random."""
        return bool(self.layers)

    @property
    def passed(self) -> bool:
        """Whether the map depends on the weights: ``final`` is below .2; False where it was not checked."""
        return self.checked and self.final < LIMIT

    @property
    def verdict(self) -> str:
        """One line to stand beside a map."""
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
    """Make the weights of ``model`` random, last layer first, one layer more each time, and compare the maps.

    ``method(model, x, target, **options)`` is any map of this package. A layer's weights are drawn normal with the mean
    and standard deviation they had; running statistics and other state stay. With ``stages`` the map is made again only
    so often, the last time with all layers random. Of maps with positions, the share ``border`` at each edge does not
    count: pixels there reach fewer units, whatever the weights are, and that alone would make maps alike. The weights
    are as before afterwards, also after an error. A model without weights, such as a function, is not ``checked``.
    Raises ValueError for no rows, fewer than one stage, or a border of a half or more.
    """
    if not 0 <= border < 0.5 or (stages is not None and stages < 1) or not len(x):
        raise ValueError(f"cascade: needs rows, a stage and a border below .5, got {len(x)}, {stages} and {border}")
    inputs, draw = _core.asarray(x), generator or Generator(0)
    chosen = predicted(model, inputs) if target is None else target
    layers = list(weights_by_layer(model)) if isinstance(model, Module) else []
    if not layers:
        return Cascade([], [])
    before, method = model.state_dict(), looked(method)
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
    """Spearman's correlation of the absolute values of two arrays; 0 if one of them is constant, 1 if both are.

    NaN if one of them has values that are not finite: such a map passes no check.
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
    """The float tensors of each layer, the layers in the reverse of their order.

    What a module names in ``_statistics`` is no weight, nor is a buffer beside parameters of the same module. A model
    whose weights are held as buffers, such as one of the zoo, has no parameters, and there all others are weights.
    """
    found: dict[str, list[Tensor]] = {}
    order = {name: i for i, name in enumerate(model.state_dict())}
    tensors = [*model.named_parameters(), *model.named_buffers()]
    measured = _measured(model)
    for name, tensor in sorted(tensors, key=lambda pair: order[pair[0]]):
        layer, _, _ = name.rpartition(".")
        if name not in measured and tensor.dtype.name.startswith("float"):
            found.setdefault(name if layer in ("", "initializers") else layer, []).append(tensor)
    return reversed(list(found.items()))


def _measured(model: Module) -> set[str]:
    """The names of tensors that are state: listed by their module, or buffers beside its parameters."""
    names = set()
    for prefix, module in model.named_modules():
        own = [(name, leaf) for name, leaf in module._members() if isinstance(leaf, Tensor)]
        learned = any(leaf.requires_grad for _, leaf in own)
        for name, leaf in own:
            if name in module._statistics or (learned and not leaf.requires_grad):
                names.add(f"{prefix}.{name}" if prefix else name)
    return names


def randomise(tensor: Tensor, draw: Generator) -> None:
    """Values drawn normal with the tensor's own mean and standard deviation, in its place."""
    with _core.no_grad():
        mean, std = float(_core.mean(tensor)), float(_core.std(tensor))
        tensor[...] = draw.normal(tuple(tensor.shape), mean, std, dtype=tensor.dtype)
