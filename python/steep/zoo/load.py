"""``load``: a model of the zoo as a module with its weights, preprocessing and class names."""

from __future__ import annotations

from typing import Any

from steep import _core, nn
from steep.zoo.entry import Arrays, Entry
from steep.zoo.preprocessing import Preprocessing
from steep.zoo.table import MODELS
from steep.zoo.weights import find, weights


class Pretrained(nn.Sequential):
    """A network with its weights.

    Args:
        entry: the row of the model.

    Attributes:
        preprocessing: from images to inputs and back; of a network whose input is no image, reading it is an error.
        source: package, file, sha256 and licence of the weights.
    """

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry.layers())
        self.source, self._way, self._labels = entry.source, entry.preprocessing, entry.labels

    @property
    def preprocessing(self) -> Preprocessing:
        """From images to inputs and back. Raises ValueError if the inputs are no images."""
        if self._way is None:
            raise ValueError(f"the inputs of {self.source.name} are no images: it has no preprocessing")
        return self._way

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes, downloaded at first use; None if the outputs are not classes."""
        return self._labels() if self._labels else None


def names(images: bool = False) -> list[str]:
    """The names that ``load`` knows.

    Args:
        images: whether to leave out networks whose inputs are no images.

    Returns:
        A list of strings.

    Example:
        >>> "digits_cnn" in sp.zoo.names()
        True
    """
    return [name for name, entry in MODELS.items() if entry.preprocessing or not images]


def load(name: str, requires_grad: bool = False, dtype: Any = None) -> Pretrained:
    """A pretrained model in evaluation mode; its weights are downloaded on demand and cached.

    Args:
        name: name of the model.
        requires_grad: whether weights are parameters, to be trained; as buffers they cost no gradients.
        dtype: a float dtype; float32 if None.

    Returns:
        A ``Pretrained``.

    Raises:
        ValueError: for an unknown name, with suggestions.
        FetchError: if the weights cannot be downloaded; it says which file to put where.

    Example:
        >>> sp.zoo.load("digits_cnn")(sp.zeros((1, 1, 28, 28))).shape
        (1, 10)
    """
    return assemble(find(name), weights(name), requires_grad, dtype)


def assemble(entry: Entry, arrays: Arrays, requires_grad: bool, dtype: Any) -> Pretrained:
    """The network of an entry with given weights. Running statistics never require a gradient.

    Args:
        entry: the row of the model.
        arrays: weights by layer and attribute.
        requires_grad: whether weights are parameters.
        dtype: a float dtype.

    Returns:
        A ``Pretrained``.
    """
    model = Pretrained(entry).eval()
    modules = dict(model.named_modules())
    for key, before in [*model.named_parameters(), *model.named_buffers()]:
        holder, _, attribute = key.rpartition(".")
        trained = requires_grad and before.requires_grad
        weight = _core.tensor(arrays[key], dtype=dtype or _core.float32, requires_grad=trained)
        setattr(modules[holder], attribute, weight)
    return model
