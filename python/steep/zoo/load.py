"""``load``: a model of the zoo as a module with its weights and what one needs to use it."""

from __future__ import annotations

from typing import Any

from steep import _core, nn
from steep._core import Tensor
from steep.zoo.entry import Arrays, Entry
from steep.zoo.table import MODELS
from steep.zoo.weights import find, weights


class Pretrained(nn.Sequential):
    """A network with its weights: layers by name, and what one needs to use it.

    ``preprocessing``: from pictures to inputs and back. ``source``: package, file, sha256 and licence of the weights.
    """

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry.layers())
        self.preprocessing, self.source, self._labels = entry.preprocessing, entry.source, entry.labels

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes by number, fetched when first asked for; None if the outputs are not classes.

        Raises FetchError if they cannot be had.
        """
        return self._labels() if self._labels else None


def names() -> list[str]:
    """The names that ``load`` knows."""
    return list(MODELS)


def load(name: str, requires_grad: bool = False, dtype: Any = None) -> Pretrained:
    """The pretrained model called ``name``, in ``eval`` mode; its weights are fetched on demand and kept.

    ``requires_grad``: whether weights are parameters, to be trained; as buffers they cost no gradients. ``dtype``:
    float32 or another. Raises ValueError for an unknown name, suggesting near ones, and FetchError, which says which
    file to put where, if the weights cannot be had.
    """
    return assemble(find(name), weights(name), requires_grad, dtype)


def assemble(entry: Entry, arrays: Arrays, requires_grad: bool, dtype: Any) -> Pretrained:
    """The network of ``entry`` with ``arrays``, by layer and attribute, in the place of its first weights.

    Running statistics never require a gradient.
    """
    model = Pretrained(entry).eval()
    modules = dict(model.named_modules())
    for key, before in list(model._named(Tensor)):
        holder, _, attribute = key.rpartition(".")
        trained = requires_grad and before.requires_grad
        weight = _core.tensor(arrays[key], dtype=dtype or _core.float32, requires_grad=trained)
        setattr(modules[holder], attribute, weight)
    return model
