"""Objectives inside a network: functions of a layer's activations, as terms of the input.

Layers are addressed by the names of ``model.activations`` (an ``nn.Module`` or an ONNX model); no hooks are needed.
Activations are (n, channels, ...) or (n, channels); the rows of a batch are independent, except in ``diversity``. Two
terms of one model cost one pass in a compiled run, since repeated operations are merged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.ascent.term import Term
from steep.evaluation import evaluating

Reduce = Callable[[Tensor, tuple[int, ...]], Tensor]

REDUCTIONS: dict[str, Reduce] = {
    "mean": lambda a, axes: _core.mean(a, axis=axes),
    "sum": lambda a, axes: _core.sum(a, axis=axes),
    "max": lambda a, axes: _core.max(a, axis=axes),
    "l2": lambda a, axes: _core.norm(a, axis=axes),
}


def activation(model: Any, layer: str, x: Any) -> Tensor:
    """The output of a layer while ``model`` runs on ``x``; differentiable.

    Args:
        model: an ``nn.Module`` or ONNX model, anything with ``activations(x, names)``.
        layer: name of a layer, as in ``model.activations``.
        x: inputs of the model, (n, ...).

    Returns:
        The activations, (n, channels, ...).

    Raises:
        TypeError: for a model without ``activations``.
        ValueError: for an unknown layer, or one that does not return a tensor with a batch and channels.
    """
    if not hasattr(model, "activations"):
        raise TypeError(f"layers are found by model.activations, which {type(model).__name__} lacks: pass an nn.Module "
                        "or an ONNX model")  # fmt: skip
    with evaluating():
        found = model.activations(x, layer)[layer]
    if not isinstance(found, Tensor) or found.ndim < 2:
        what = f"shape {found.shape}" if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"layer {layer!r} gives {what}; an objective needs (n, channels, ...)")
    return found


def neuron(model: Any, layer: str, index: Any, position: Sequence[int] | None = None) -> Term:
    """Objective: one neuron, the activation of a channel at one position, summed over the batch.

    Args:
        model: an ``nn.Module`` or ONNX model, anything with ``activations(x, names)``.
        layer: name of a layer, as in ``model.activations``.
        index: the channel, or one for each row of the batch.
        position: index along the remaining dimensions; the middle if None.

    Returns:
        A ``Term``. Calling it raises IndexError for a channel or position that the layer does not have.

    References:
        Erhan et al. 2009, "Visualizing higher-layer features of a deep network", technical report 1341, Université de
        Montréal.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> sp.ascent.neuron(model, "relu2", 3)(sp.zeros((1, 1, 28, 28))).shape
        ()
    """

    def value(x: Any) -> Tensor:
        chosen = _channels(activation(model, layer, x), index, layer)
        at = [n // 2 for n in chosen.shape[1:]] if position is None else list(position)
        _check_position(at, chosen.shape[1:], layer)
        return _core.sum(chosen[(slice(None), *at)])

    return Term(value, f"neuron({layer}, {index})")


def channel(model: Any, layer: str, index: Any, reduce: str = "mean", border: int = 0) -> Term:
    """Objective: one feature map, reduced over its positions and summed over the batch.

    Args:
        model: an ``nn.Module`` or ONNX model, anything with ``activations(x, names)``.
        layer: name of a layer, as in ``model.activations``.
        index: the channel, or one for each row of the batch.
        reduce: reduction over positions: "mean", "sum", "max" or "l2".
        border: positions to leave out at each edge, as in Keras's example, where it is 2.

    Returns:
        A ``Term``. Calling it raises IndexError for a channel that the layer does not have.

    Raises:
        ValueError: for another reduction or a negative border.

    References:
        Erhan et al. 2009; Chollet 2020, "Visualizing what convnets learn", keras.io.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> sp.ascent.channel(model, "relu2", [0, 1], reduce="max")(sp.zeros((2, 1, 28, 28))).shape
        ()
    """
    how = _reduction(reduce)
    if border < 0:
        raise ValueError(f"channel: the border must not be negative, got {border}")

    def value(x: Any) -> Tensor:
        chosen = _channels(activation(model, layer, x), index, layer)
        inner = (slice(None), *(slice(border, n - border) for n in chosen.shape[1:]))
        if border and 0 in chosen[inner].shape:
            raise ValueError(f"layer {layer!r} gives {chosen.shape[1:]} positions; a border of {border} leaves none")
        return _core.sum(how(chosen[inner], tuple(range(1, chosen.ndim))))

    return Term(value, f"channel({layer}, {index})")


def layer(model: Any, layer: str, reduce: str = "l2") -> Term:
    """Objective: a whole layer, reduced over all activations and summed over the batch.

    Args:
        model: an ``nn.Module`` or ONNX model, anything with ``activations(x, names)``.
        layer: name of a layer, as in ``model.activations``.
        reduce: "l2" (DeepDream's choice), "mean", "sum" or "max".

    Returns:
        A ``Term``.

    Raises:
        ValueError: for another reduction.

    References:
        Mordvintsev et al. 2015, "Inceptionism: going deeper into neural networks".

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> sp.ascent.layer(model, "relu1")(sp.zeros((1, 1, 28, 28))).shape
        ()
    """
    how = _reduction(reduce)

    def value(x: Any) -> Tensor:
        a = activation(model, layer, x)
        return _core.sum(how(a, tuple(range(1, a.ndim))))

    return Term(value, f"layer({layer})")


def direction(model: Any, layer: str, vector: Any, power: float = 0.0) -> Term:
    """Objective: activations along a direction, the mean over positions of the dot product, summed over the batch.

    Args:
        model: an ``nn.Module`` or ONNX model, anything with ``activations(x, names)``.
        layer: name of a layer, as in ``model.activations``.
        vector: the direction, (channels,), or (channels, ...) with one value per position.
        power: exponent of the cosine by which the dot product is multiplied; values above 0 penalise activations in
            other directions.

    Returns:
        A ``Term``. Calling it raises ValueError for a vector of another shape.

    References:
        Olah et al. 2017, "Feature visualization", doi:10.23915/distill.00007; Carter et al. 2019, "Activation atlas",
        doi:10.23915/distill.00015.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> sp.ascent.direction(model, "fc1", sp.ones(64))(sp.zeros((1, 1, 28, 28))).shape
        ()
    """
    wanted = _core.asarray(vector)

    def value(x: Any) -> Tensor:
        a = activation(model, layer, x)
        along = wanted.astype(a.dtype)
        if tuple(along.shape) not in (tuple(a.shape[1:2]), tuple(a.shape[1:])):
            shapes = f"{a.shape[1:2]} or {a.shape[1:]}"
            raise ValueError(f"a direction in layer {layer!r} has shape {shapes}, got {along.shape}")
        along = _core.reshape(along, tuple(along.shape) + (1,) * (a.ndim - 1 - along.ndim))
        dots = _compared(a, along, 1, power)
        return _core.sum(_core.mean(dots, axis=tuple(range(1, dots.ndim))) if dots.ndim > 1 else dots)

    return Term(value, f"direction({layer})")


def caricature(model: Any, layer: str, image: Any, power: float = 1.0) -> Term:
    """Objective: the dot product with the activations of an image, which exaggerates what the layer represents in it.

    Args:
        model: an ``nn.Module`` or ONNX model, anything with ``activations(x, names)``.
        layer: name of a layer, as in ``model.activations``.
        image: the images (n, ...) whose activations are the directions.
        power: exponent of the cosine by which the dot product is multiplied.

    Returns:
        A ``Term``, summed over the batch.

    References:
        Olah et al. 2018, "The building blocks of interpretability", doi:10.23915/distill.00010.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> image = sp.ones((1, 1, 28, 28))
        >>> sp.ascent.caricature(model, "relu2", image)(image).shape
        ()
    """
    wanted = _constant(model, layer, image)

    def value(x: Any) -> Tensor:
        a = activation(model, layer, x)
        return _core.sum(_compared(a, wanted, tuple(range(1, a.ndim)), power))

    return Term(value, f"caricature({layer})")


def guided_by(model: Any, layer: str, guide: Any) -> Term:
    """Objective of guided DeepDream: the dot product of each position with the best matching position of a guide image.

    The matches are recomputed at each step, and treated as constants while differentiating.

    Args:
        model: an ``nn.Module`` or ONNX model, anything with ``activations(x, names)``.
        layer: name of a layer, as in ``model.activations``.
        guide: one image, (1, ...).

    Returns:
        A ``Term``, summed over the batch.

    Raises:
        ValueError: for a batch of guides.

    References:
        Mordvintsev et al. 2015, github.com/google/deepdream.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> image = sp.ones((1, 1, 28, 28))
        >>> sp.ascent.guided_by(model, "relu2", image)(image).shape
        ()
    """
    wanted = _constant(model, layer, guide)
    if wanted.shape[0] != 1:
        raise ValueError(f"a guide is one image, got a batch of {wanted.shape[0]}")
    columns = _core.reshape(wanted, (wanted.shape[1], -1))

    def value(x: Any) -> Tensor:
        a = activation(model, layer, x)
        return _core.sum(_core.max(_core.matrix_transpose(_core.reshape(a, (*a.shape[:2], -1))) @ columns, axis=-1))

    return Term(value, f"guided_by({layer})")


def inversion(model: Any, layer: str, image: Any) -> Term:
    """Objective: minus the relative squared distance to the activations of an image, summed over the batch.

    Args:
        model: an ``nn.Module`` or ONNX model, anything with ``activations(x, names)``.
        layer: name of a layer, as in ``model.activations``.
        image: the images (n, ...) to be matched; used only through their activations.

    Returns:
        A ``Term``.

    Raises:
        ValueError: if all activations of an image are zero.

    References:
        Mahendran and Vedaldi 2015, "Understanding deep image representations by inverting them", arXiv:1412.0035.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> image = sp.ones((1, 1, 28, 28))
        >>> abs(float(sp.ascent.inversion(model, "relu1", image)(image)))
        0.0
    """
    wanted = _constant(model, layer, image)
    axes = tuple(range(1, wanted.ndim))
    scale = _core.sum(_core.square(wanted), axis=axes)
    if not bool(_core.all(scale > 0)):
        raise ValueError(f"inversion: layer {layer!r} has only zero activations for the image")

    def value(x: Any) -> Tensor:
        off = activation(model, layer, x) - wanted
        return -_core.sum(_core.sum(_core.square(off), axis=axes) / scale)

    return Term(value, f"inversion({layer})")


def diversity(model: Any, layer: str) -> Term:
    """Objective: minus the mean cosine between the Gram matrices of each pair of rows, for a batch of different images.

    Args:
        model: an ``nn.Module`` or ONNX model, anything with ``activations(x, names)``.
        layer: name of a layer, as in ``model.activations``.

    Returns:
        A ``Term``. Calling it raises ValueError for fewer than 2 rows.

    References:
        Olah et al. 2017, "Feature visualization", doi:10.23915/distill.00007.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> sp.ascent.diversity(model, "relu2")(sp.random.Generator(0).uniform((2, 1, 28, 28))).shape
        ()
    """

    def value(x: Any) -> Tensor:
        grams = _core.reshape(gram(activation(model, layer, x)), (x.shape[0], -1))
        n = grams.shape[0]
        if n < 2:
            raise ValueError("diversity needs a batch of at least 2 images")
        unit = _unit(grams, 1)
        together = unit @ unit.T
        return -(_core.sum(together) - _core.trace(together)) / (n * (n - 1))

    return Term(value, f"diversity({layer})")


def similarity(encoder: Callable[[Any], Tensor], wanted: Any) -> Term:
    """Objective: the cosine similarity of ``encoder(x)`` to an embedding, summed over the batch.

    With an image encoder and the embedding of a text it is the score of CLIP-guided synthesis; the image may be
    ``latent(generator, z)``.

    Args:
        encoder: a function from inputs to embeddings (n, features).
        wanted: the embedding, (features,) or (n, features).

    Returns:
        A ``Term``.

    References:
        Radford et al. 2021, "Learning transferable visual models from natural language supervision", arXiv:2103.00020.

    Example:
        >>> close = sp.ascent.similarity(lambda x: x, [3.0, 4.0])
        >>> float(close([[6.0, 8.0]]))
        1.0
    """
    target = _core.asarray(wanted)
    return Term(lambda x: _core.sum(_core.vecdot(_unit(encoder(x), -1), _unit(target, -1))), "similarity")


def gram(a: Tensor) -> Tensor:
    """Gram matrices: products of channels averaged over positions.

    Args:
        a: activations (n, channels, ...).

    Returns:
        A tensor (n, channels, channels).
    """
    flat = _core.reshape(a, (*a.shape[:2], -1))
    return flat @ _core.matrix_transpose(flat) / flat.shape[-1]


# -- inside -----------------------------------------------------------------------------------------------------------


def _constant(model: Any, layer: str, image: Any) -> Tensor:
    """The activations of an image, detached."""
    with _core.no_grad():
        return activation(model, layer, _core.asarray(image)).detach()


def _reduction(name: str) -> Reduce:
    if name not in REDUCTIONS:
        raise ValueError(f"reduce must be one of {list(REDUCTIONS)}, got {name!r}")
    return REDUCTIONS[name]


def _channels(a: Tensor, index: Any, layer: str) -> Tensor:
    """The selected channel of each row: (n, ...)."""
    numbers = np.asarray(index)
    count = a.shape[1]
    if numbers.dtype.kind not in "iu" or numbers.ndim > 1:
        raise TypeError(f"a channel is an integer, or one for each row; got {index!r}")
    if numbers.size and not (numbers.min() >= 0 and numbers.max() < count):
        raise IndexError(f"channel {numbers.tolist()} is not among the {count} of layer {layer!r}, 0 to {count - 1}")
    if numbers.ndim == 0:
        return a[:, int(numbers)]
    if len(numbers) != a.shape[0]:
        raise ValueError(f"{len(numbers)} channels for a batch of {a.shape[0]}; give one, or one for each row")
    return a[np.arange(a.shape[0]), numbers]


def _check_position(at: list[int], shape: tuple[int, ...], layer: str) -> None:
    if len(at) != len(shape) or not all(0 <= i < n for i, n in zip(at, shape, strict=True)):
        raise IndexError(f"position {tuple(at)} is not in layer {layer!r}, whose maps have shape {tuple(shape)}")


def _compared(a: Tensor, b: Tensor, axes: int | tuple[int, ...], power: float) -> Tensor:
    """Dot products along ``axes``, times the cosine (at least .1) to ``power``."""
    dots = _core.sum(a * b, axis=axes)
    if not power:
        return dots
    lengths = _core.norm(a, axis=axes) * _core.norm(b, axis=tuple(i - a.ndim for i in _tuple(axes)))
    return dots * _core.maximum(dots / (lengths + 1e-6), 0.1) ** power


def _tuple(axes: int | tuple[int, ...]) -> tuple[int, ...]:
    return axes if isinstance(axes, tuple) else (axes,)


def _unit(x: Tensor, axis: int) -> Tensor:
    length = _core.norm(x, axis=axis, keepdims=True)
    return x / _core.where(length > 0, length, _core.ones_like(length))
