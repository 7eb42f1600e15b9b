"""Containers: layers one after the other, side by side, or beside a shortcut.

All three hold named layers as attributes, so that ``model.activations(x, "block.conv")`` finds them.
Start at ``_Named``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from steep import _core
from steep._core import Tensor
from steep.nn.layers import Dropout, Flatten
from steep.nn.module import Module

Layer = Callable[[Any], Any]


class _Named(Module):
    """Layers in order: ``(Linear(2, 3), sp.relu)`` are called "0", "1", ...; ``{"hidden": Linear(2, 3)}`` by key."""

    def __init__(self, *layers: Layer | Mapping[str, Layer]) -> None:
        named: Mapping[str, Any]
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            named = layers[0]
        else:
            named = {str(i): layer for i, layer in enumerate(layers)}
        for name, layer in named.items():
            self._add(name, layer)
        self._order = tuple(named)

    def _add(self, name: str, layer: Any) -> None:
        kind = type(self).__name__
        if not callable(layer):
            raise TypeError(f"{kind}: layer {name!r} is a {type(layer).__name__}, which cannot be called")
        if "." in name or hasattr(type(self), name):
            raise ValueError(f"{kind}: {name!r} cannot be the name of a layer")
        setattr(self, name, layer)

    def _fold(self, x: Any) -> Any:
        return _fold(self, x)

    def named_layers(self) -> Iterator[tuple[str, Layer]]:
        """The layers in order, each with its name."""
        return ((name, getattr(self, name)) for name in self._order)

    def __iter__(self) -> Iterator[Layer]:
        return (layer for _, layer in self.named_layers())

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: int) -> Layer:
        """The layer at ``index``; IndexError outside the sequence."""
        layer: Layer = getattr(self, self._order[index])
        return layer


class Sequential(_Named):
    """Layers applied one after the other, ``x_l = f_l(x_{l-1})``; any callable may stand among them.

    ``Sequential(Linear(2, 3), sp.relu)`` names its layers "0", "1", ...; ``Sequential({"hidden": Linear(2, 3)})`` by
    key.
    Source: notes table, row 25.
    """

    def forward(self, x: Any) -> Any:
        """The fold of the layers over ``x``."""
        return self._fold(x)

    def unnormalised(self) -> Callable[[Any], Any]:
        """The layers before a last ``Softmax`` or ``Sigmoid``, or the model itself if it has none."""
        layers = list(self)
        at = next((i for i in reversed(range(len(layers))) if not isinstance(layers[i], Flatten | Dropout)), -1)
        last = layers[at] if layers else None
        if type(self).forward is not Sequential.forward or not isinstance(last, Module):
            return self
        before = last.unnormalised()
        return self if before is last else lambda x: _fold([*layers[:at], before, *layers[at + 1 :]], x)

    def _up_to(self, wanted: list[Module]) -> Callable[[Any], Any]:
        """The layers up to the last one that holds a wanted module: networks of one input size look inside others."""
        if type(self).forward is not Sequential.forward or self in wanted:
            return self
        holders = [i for i, layer in enumerate(self) if isinstance(layer, Module) and _holds(layer, wanted)]
        first = list(self)[: holders[-1] + 1] if holders else list(self)
        return lambda x: _fold(first, x)


def _fold(layers: Iterable[Layer], x: Any) -> Any:
    for layer in layers:
        x = layer(x)
    return x


def _holds(layer: Module, wanted: list[Module]) -> bool:
    held = {id(module) for module in layer.modules()}
    return any(id(module) in held for module in wanted)


class Concat(_Named):
    """Branches that all take the same input, and whose outputs are joined along ``axis``; named as in ``Sequential``.

    ``Concat({"narrow": Conv2d(8, 4, 1), "wide": Conv2d(8, 4, 3, padding=1)})`` gives (N, 8, H, W). Raises ValueError if
    the outputs differ in another dimension. Source: Szegedy et al. 2014, arXiv:1409.4842.
    """

    def __init__(self, *branches: Layer | Mapping[str, Layer], axis: int = 1) -> None:
        self.axis = axis
        super().__init__(*branches)

    def forward(self, x: Any) -> Tensor:
        """The branches' outputs, joined along ``axis``."""
        return _core.concat([branch(x) for branch in self], axis=self.axis)


class Residual(_Named):
    """``x`` plus what the layers, one after the other, make of it; named as in ``Sequential``.

    The layers must keep the shape. Source: He et al. 2015, arXiv:1512.03385.
    """

    def forward(self, x: Any) -> Any:
        """The sum of ``x`` and the fold of the layers over it; keeps the shape."""
        return x + self._fold(x)
