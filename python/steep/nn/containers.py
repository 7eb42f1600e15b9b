"""Containers: layers in sequence, in parallel, or with a residual connection.

All three hold named layers as attributes, so that ``model.activations(x, "block.conv")`` finds them. Start reading at
``_Named``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from steep import _core
from steep._core import Tensor
from steep.nn.layers import Dropout, Flatten
from steep.nn.module import Module

Layer = Callable[[Any], Any]
SHORTCUT = "shortcut"  # its name among the layers of a ``Residual``


class _Named(Module):
    """Layers in order: ``(Linear(2, 3), sp.relu)`` are named "0", "1", ...; ``{"hidden": Linear(2, 3)}`` by key.

    Args:
        layers: the layers, or a dict of layers by name.
    """

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
        """The layers in order, with their names.

        Yields:
            Pairs of a name and a layer.
        """
        return ((name, getattr(self, name)) for name in self._order)

    def __iter__(self) -> Iterator[Layer]:
        return (layer for _, layer in self.named_layers())

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: int) -> Layer:
        """The layer at ``index``.

        Args:
            index: position of the layer.

        Returns:
            The layer.

        Raises:
            IndexError: outside the sequence.
        """
        layer: Layer = getattr(self, self._order[index])
        return layer


class Sequential(_Named):
    """Layers applied one after another; any callable can be a layer.

    Args:
        layers: the layers, or a dict of layers by name. Layers without names are named "0", "1", ...

    Raises:
        TypeError: for a layer that cannot be called.
        ValueError: for a name that cannot be that of a layer.

    Example:
        >>> model = sp.nn.Sequential({"hidden": sp.nn.Linear(4, 3, generator=0), "act": sp.relu})
        >>> model(sp.ones((2, 4))).shape
        (2, 3)
    """

    def forward(self, x: Any) -> Any:
        """Applies the layers in order.

        Args:
            x: input of the first layer.

        Returns:
            The output of the last layer.
        """
        return self._fold(x)

    def unnormalised(self) -> Callable[[Any], Any]:
        """The layers before a final ``Softmax`` or ``Sigmoid``, or the model itself if there is none."""
        layers = list(self)
        at = next((i for i in reversed(range(len(layers))) if not isinstance(layers[i], Flatten | Dropout)), -1)
        last = layers[at] if layers else None
        if type(self).forward is not Sequential.forward or not isinstance(last, Module):
            return self
        before = last.unnormalised()
        return self if before is last else lambda x: _fold([*layers[:at], before, *layers[at + 1 :]], x)

    def _up_to(self, wanted: list[Module]) -> Callable[[Any], Any]:
        """The layers up to the last one that contains a wanted module, so that later ones need not fit the input."""
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
    """Branches with a common input, whose outputs are concatenated along ``axis``.

    Args:
        branches: the branches, or a dict of branches by name.
        axis: the axis of concatenation.

    Raises:
        TypeError: for a branch that cannot be called.

    References:
        Szegedy et al. 2015, "Going deeper with convolutions", arXiv:1409.4842.

    Example:
        >>> both = sp.nn.Concat({"a": sp.nn.Linear(4, 3, generator=0), "b": sp.nn.Linear(4, 2, generator=1)})
        >>> both(sp.ones((1, 4))).shape
        (1, 5)
    """

    def __init__(self, *branches: Layer | Mapping[str, Layer], axis: int = 1) -> None:
        self.axis = axis
        super().__init__(*branches)

    def forward(self, x: Any) -> Tensor:
        """Applies the branches and concatenates their outputs.

        Args:
            x: input of all branches.

        Returns:
            A tensor.

        Raises:
            ValueError: if the outputs differ in another dimension.
        """
        return _core.concat([branch(x) for branch in self], axis=self.axis)


class Residual(_Named):
    """A residual connection: ``x + f(x)``, where f applies the layers in order and keeps the shape.

    Args:
        layers: the layers, or a dict of layers by name.
        shortcut: a layer that x goes through, where f changes the shape: ``shortcut(x) + f(x)``. None for x itself.

    Raises:
        TypeError: for a layer that cannot be called.
        ValueError: for a layer named "shortcut" beside a shortcut.

    References:
        He et al. 2016, "Deep residual learning for image recognition", arXiv:1512.03385.

    Example:
        >>> sp.nn.Residual(sp.nn.Linear(4, 4, generator=0), sp.relu)(sp.ones((2, 4))).shape
        (2, 4)
    """

    def __init__(self, *layers: Layer | Mapping[str, Layer], shortcut: Layer | None = None) -> None:
        super().__init__(*layers)
        self._projects = shortcut is not None
        if self._projects and SHORTCUT in self._order:
            raise ValueError(f"Residual: {SHORTCUT!r} cannot be the name of a layer and of the shortcut")
        if self._projects:
            self._add(SHORTCUT, shortcut)

    def forward(self, x: Any) -> Any:
        """Adds the output of the layers to the input, or to what the shortcut makes of it.

        Args:
            x: a tensor.

        Returns:
            A tensor of the shape that the layers give.
        """
        shortcut = self.shortcut_layer()
        return (x if shortcut is None else shortcut(x)) + self._fold(x)

    def shortcut_layer(self) -> Layer | None:
        """The layer that the input goes through beside the others, or None."""
        return getattr(self, SHORTCUT) if self._projects else None
