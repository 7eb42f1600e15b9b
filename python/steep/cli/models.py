"""What the commands on networks share: opening a model, reading an image, naming layers and classes.

``open_model`` takes a name of the zoo, an .onnx file, or .safetensors weights with a factory, and gives an ``Opened``.
Every fault is a ValueError or OSError, which ``app.py`` turns into one line and exit code 2.
"""

from __future__ import annotations

import hashlib
import importlib
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from steep import _core, io, zoo
from steep._core import Tensor
from steep.cli import screen
from steep.cli.images import Source
from steep.data import FetchError
from steep.demo.network import of_sizes
from steep.nn.module import Module
from steep.suggest import near
from steep.zoo import labels
from steep.zoo.table import TORCHVISION


def zoo_names(incomplete: str) -> list[str]:
    """The models of the zoo that a shell completes to."""
    return [name for name in zoo.names(images=True) if name.startswith(incomplete)]


TRAINED = ("hidden.weight", "hidden.bias", "scores.weight", "scores.bias")  # what steep train saves without a factory
Model = Annotated[
    str,
    typer.Option(
        "--model", help="A model of the zoo, an .onnx file, or .safetensors weights.", autocompletion=zoo_names
    ),
]
ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A model of the zoo, an .onnx file, or .safetensors weights.", autocompletion=zoo_names
    ),
]
Factory = Annotated[str, typer.Option(help='For .safetensors: "module:function" that makes the model.')]
Size = Annotated[int | None, typer.Option(min=1, help="Side of the model's input in pixels.")]
Channels = Annotated[str, typer.Option(help="Order of the channels: rgb, bgr or grey.")]
Mean = Annotated[str, typer.Option(help='Subtracted from pixels in [0, 1], such as "0.5" or "0.485,0.456,0.406".')]
Std = Annotated[str, typer.Option(help="Divisor of the difference, written like the mean.")]
Crop = Annotated[
    str,
    typer.Option(help="center: the middle of the image; none: all of it, resized to the model's square."),
]
Layout = Annotated[
    str, typer.Option(help="Of an .onnx file's input: nchw or nhwc (channels last); found from its shape by default.")
]
Classes = Annotated[str, typer.Option(help='A file with one class name per line, or "imagenet".')]


@dataclass(frozen=True)
class Opened:
    """A model in ``eval`` mode, its preprocessing, names of its classes if known, and its weights' sha256.

    ``read(source)`` reads an image as the model's input, (1, C, size, size).
    """

    name: str
    model: Module
    preprocessing: zoo.Preprocessing
    classes: tuple[str, ...] | None
    hash: str

    def read(self, image: Source) -> Tensor:
        """The image as the model's input. Raises OSError or ValueError naming the file."""
        return self.preprocessing.preprocess(image.read())

    @property
    def layers(self) -> list[str]:
        """The names of the layers, in order."""
        own = getattr(self.model, "layers", None)
        named = (name for name, _ in self.model.named_modules() if name)
        return list(own) if isinstance(own, list) else list(named)

    def layer(self, name: str) -> str:
        """``name`` if it is a layer of the model. Raises ValueError with suggestions."""
        if name not in self.layers:
            hint, first = near(name, self.layers) or ".", ", ".join(self.layers[:6])
            raise ValueError(f"{self.name} has no layer {name!r}{hint} It has {len(self.layers)}: {first}, ...")
        return name

    def label(self, number: int) -> str:
        """The name of a class, or its index if the names are not known."""
        return self.classes[number] if self.classes and number < len(self.classes) else str(number)

    def class_number(self, text: str, count: int) -> int:
        """The class that ``text``, an index or a name, denotes among ``count``. Raises ValueError with suggestions."""
        if text.isdecimal():
            if int(text) >= count:
                raise ValueError(f"{self.name} has the classes 0 to {count - 1}, not {text}")
            return int(text)
        names = self.classes or ()
        found = [number for number, name in enumerate(names) if name.lower() == text.lower()]
        if not found:
            hint = near(text, names) if names else "; its classes have no names: give an index"
            raise ValueError(f"{self.name} has no class {text!r}{hint}")
        if len(found) > 1:
            raise ValueError(f"several classes are called {text!r}: give one of the indices {found}")
        return found[0]


@dataclass(frozen=True)
class Input:
    """The preprocessing options; empty ones leave the model's own."""

    size: int | None = None
    channels: str = ""
    mean: str = ""
    std: str = ""
    crop: str = ""

    def over(self, way: zoo.Preprocessing) -> zoo.Preprocessing:
        """``way`` with these options replaced. Raises ValueError for text that is not numbers."""
        channels = self.channels or way.channels
        count = 1 if channels == "grey" else 3
        return replace(
            way,
            size=self.size or way.size,
            channels=channels,
            mean=_numbers("mean", self.mean, count) or _fitted(way.mean, count),
            std=_numbers("std", self.std, count) or _fitted(way.std, count),
            scale=1.0 if self.mean or self.std else way.scale,
            crop=self.crop or way.crop,
        )


def _numbers(name: str, text: str, count: int) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise ValueError(f"--{name} is a number, or {count} with commas between them, got {text!r}") from None
    if len(values) not in (0, 1, count):
        raise ValueError(f"--{name} is a number, or {count} with commas between them, got {text!r}")
    return values * count if len(values) == 1 else values


def _fitted(values: tuple[float, ...], count: int) -> tuple[float, ...]:
    return values if len(values) == count else (sum(values) / len(values),) * count


def open_model(spec: str, factory: str = "", given: Input = Input(), classes: str = "", layout: str = "") -> Opened:
    """The model that ``spec`` denotes: a name of the zoo, an .onnx file, or a .safetensors file with a ``factory``.

    ``given`` overrides its preprocessing, ``classes`` the names of its classes, ``layout`` the order of the axes that
    an .onnx file's shape suggests. Raises ValueError with suggestions for
    an unknown name, OSError for a file that cannot be read.
    """
    path = Path(spec)
    opener = OPENERS.get(path.suffix.lower())
    images = zoo.names(images=True)
    if opener is None and spec not in images:
        hint = near(spec, images) or "."
        raise ValueError(f"{spec!r} is no .onnx or .safetensors file and no model of the zoo{hint} "
                         f"The zoo has {', '.join(images)}")  # fmt: skip
    if factory and path.suffix.lower() != ".safetensors":
        raise ValueError("--factory goes with .safetensors weights only")
    if layout and path.suffix.lower() != ".onnx":
        raise ValueError("--layout goes with .onnx models only")
    if layout not in ("", *LAYOUTS):
        raise ValueError(f"--layout is {' or '.join(LAYOUTS)}, got {layout!r}")
    opened = opener(path, factory, layout) if opener else _from_zoo(spec)
    names = _class_names(classes) if classes else opened.classes
    return replace(opened, preprocessing=given.over(opened.preprocessing), classes=names)


def _from_zoo(name: str) -> Opened:
    model = zoo.load(name)
    try:
        classes = model.classes
    except FetchError as error:
        screen.err.print(f"steep: class names are not available: {str(error).splitlines()[0]}", markup=False)
        classes = None
    return Opened(name, model, model.preprocessing, classes, model.source.sha256)


LAYOUTS = ("nchw", "nhwc")


def _from_onnx(path: Path, _: str, layout: str) -> Opened:
    from steep import onnx

    model = onnx.load(path, requires_grad=False)
    shape = model.input_shapes[0] or ()
    if len(model.inputs) != 1 or len(shape) != 4:
        raise ValueError(f"{path} takes {dict(zip(model.inputs, model.input_shapes, strict=True))}, not one image")
    found = model.channels_last or (isinstance(shape[1], int) and shape[1] not in (1, 3) and shape[3] in (1, 3))
    last = layout == "nhwc" if layout else found
    channels, height = (shape[3], shape[1]) if last else shape[1:3]
    if isinstance(channels, int) and channels not in (1, 3):
        raise ValueError(f"{path} takes {channels} channels {shape}; images have 3, or 1 if they are grey")
    size = height if isinstance(height, int) and height > 0 else TORCHVISION.size
    grey = Input(channels="grey") if channels == 1 else Input()
    opened = ChannelsLast(model) if last else model
    return Opened(path.name, opened, grey.over(replace(TORCHVISION, size=size)), None, _sha256(path))


class ChannelsLast(Module):
    """A loaded model with inputs (n, height, width, channels), called with (n, channels, height, width)."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def forward(self, x: Tensor) -> Any:
        """The model's output for images with channels first."""
        return self.inner(_channels_behind(x))

    def activations(self, x: Any, names: Any = None) -> dict[str, Any]:
        """Values inside the model, by its names."""
        found: dict[str, Any] = self.inner.activations(_channels_behind(x), names)
        return found

    def unnormalised(self) -> Callable[[Any], Any]:
        """The function that gives the scores before a softmax."""
        before = self.inner.unnormalised()
        return self if before is self.inner else lambda x: before(_channels_behind(x))

    def astype(self, dtype: Any) -> ChannelsLast:
        """The model in another float type."""
        self.inner.astype(dtype)
        return self

    @property
    def layers(self) -> list[str]:
        """The names of the nodes."""
        names: list[str] = self.inner.layers
        return names

    @property
    def outputs(self) -> list[str]:
        """The names of the outputs."""
        names: list[str] = self.inner.outputs
        return names

    @property
    def initializers(self) -> dict[str, Tensor]:
        """The weights by their names in the file."""
        weights: dict[str, Tensor] = self.inner.initializers
        return weights


def _channels_behind(x: Any) -> Tensor:
    return _core.permute_dims(_core.asarray(x), (0, 2, 3, 1))


def _from_safetensors(path: Path, factory: str, _: str) -> Opened:
    weights = io.load(path)
    if not factory and weights.keys() != set(TRAINED):
        raise ValueError(f"{path} holds weights alone: --factory module:function says what makes the model")
    model = made(factory) if factory else _trained(weights)
    model.load_state_dict(weights)
    way = getattr(model, "preprocessing", TORCHVISION)
    return Opened(path.name, model.eval(), way, getattr(model, "classes", None), _sha256(path))


def _trained(weights: dict[str, Tensor]) -> Module:
    """The network of ``steep train`` without a factory, in the sizes of its weights; its images are square."""
    (hidden, inputs), classes = weights["hidden.weight"].shape, weights["scores.weight"].shape[0]
    size = math.isqrt(inputs)
    model = of_sizes(inputs, hidden, classes)
    vars(model)["preprocessing"] = zoo.Preprocessing(size, (0.0,), (1.0,), channels="grey", margin=1)
    return model


def made(factory: str) -> Module:
    """The result of the function named "module:function"; modules are searched in the current folder too."""
    module, _, function = factory.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        model = getattr(importlib.import_module(module), function)()
    except (Exception, SystemExit) as error:  # the user's code, which may raise anything
        raise ValueError(f"--factory {factory!r} makes no model (module:function): {error}") from None
    finally:
        sys.path.pop(0)
    if not isinstance(model, Module):
        raise ValueError(f"--factory {factory!r} makes a {type(model).__name__}, not a steep.nn.Module")
    return model


OPENERS: dict[str, Callable[[Path, str, str], Opened]] = {".onnx": _from_onnx, ".safetensors": _from_safetensors}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _class_names(source: str) -> tuple[str, ...]:
    if source == "imagenet":
        return labels.imagenet()
    return tuple(line.strip() for line in Path(source).read_text("utf-8").splitlines() if line.strip())


def class_scores(opened: Opened, x: Tensor) -> Tensor:
    """The model's scores for one input, (classes,).

    Raises ValueError if its output is not one finite score a class.
    """
    scores: Any = opened.model(x)
    if not isinstance(scores, Tensor) or scores.ndim != 2 or scores.shape[0] != 1:
        shape = scores.shape if isinstance(scores, Tensor) else type(scores).__name__
        raise ValueError(f"{opened.name} gives {shape} for one image, not (1, classes): it is not a classifier")
    if scores.shape[1] < 2:
        raise ValueError(f"{opened.name} gives one number for an image, {float(scores[0, 0]):.4g}, not a score for "
                         "each of two classes or more")  # fmt: skip
    if not bool(_core.all(_core.isfinite(scores))):
        raise ValueError(f"{opened.name} gives scores that are not finite")
    return scores[0]
