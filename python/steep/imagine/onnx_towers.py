"""Two towers from a user's own ONNX files, such as CLIP's: an image encoder, a text encoder, and what lies beside them.

The tokenizer is in the text encoder's folder or the one above, and so is ``preprocessor_config.json``, which says what
the image encoder takes. Start reading at ``OnnxTowers``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from steep import _core, onnx
from steep._core import Tensor
from steep.imagine.any_towers import AnyTowers, direction
from steep.io.malformed import reading
from steep.text import TextEncoder, Tokenizer
from steep.zoo import Preprocessing

CONFIG = "preprocessor_config.json"
LENGTH = 77  # tokens of CLIP's text encoder
SCALE = 100.0  # of similarities, the largest that CLIP's training allows and its released networks have
CLIP = Preprocessing(
    224, (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711), margin=1.0
)  # Radford et al. 2021, in the released code


class OnnxTowers(AnyTowers):
    """Two encoders in ONNX files, used as ``Towers`` are: by ``search``, ``zero_shot`` and the commands.

    Args:
        image: path of the image encoder: from (n, 3, size, size) to vectors, as its output "image_embeds" or its only
            output of two dimensions.
        text: path of the text encoder: from numbers of tokens "input_ids" (and "attention_mask", if it takes one) to
            vectors, as its output "text_embeds" or its only output of two dimensions.
        folder: where tokenizer and ``preprocessor_config.json`` lie; beside the text encoder, or above it, if None.

    Attributes:
        way: from pictures to the image encoder's input; CLIP's if there is no ``preprocessor_config.json``.
        log_scale: the logarithm of the scale of similarities: of 100, which the files do not say.

    Raises:
        OSError: if a file cannot be read, or there is no tokenizer.
        ValueError: if a file is malformed, an encoder takes or gives something else, or both give vectors of other
            lengths.

    References:
        Radford et al. 2021, "Learning transferable visual models from natural language supervision", arXiv:2103.00020.
    """

    compiled = False  # what such a network computes may depend on its values

    def __init__(
        self, image: str | os.PathLike[str], text: str | os.PathLike[str], folder: str | os.PathLike[str] | None = None
    ) -> None:
        self.name = f"{Path(image).name}, {Path(text).name}"
        places = [Path(folder)] if folder is not None else [Path(text).parent, Path(text).parent.parent]
        self._image, self._text = _Encoder(image, "image"), _Encoder(text, "text")
        self.way = _preprocessing(places, self._image)
        length = _fixed(self._text.shape_of("input_ids"), 1)
        self._words = TextEncoder(_Words(self._text, length), _tokenizer(places), length or LENGTH)
        self.log_scale = _core.tensor(float(np.log(SCALE)), dtype=_core.float32)
        of_images = self.images([np.zeros((8, 8, 3), np.uint8)]).shape[1]
        of_texts = self._words.model(np.zeros((1, 2), np.int64)).shape[1]
        if of_images != of_texts:
            raise ValueError(f"{image} and {text} are of two models: vectors of {of_images} and {of_texts} numbers")

    def forward(self, x: Any) -> Tensor:
        """The vectors of the image encoder's inputs; differentiable.

        Args:
            x: inputs (n, 3, size, size).

        Returns:
            Vectors (n, size) of length 1.
        """
        return direction(self._raw(_core.asarray(x)))

    def text_vectors(self, features: Any) -> Tensor:
        """The vectors of texts from the encoder's outputs; differentiable.

        Args:
            features: a tensor (n, size).

        Returns:
            Vectors (n, size) of length 1.
        """
        return direction(_core.asarray(features))

    def _raw(self, x: Tensor) -> Tensor:
        """The encoder's outputs, for any number of pictures: one of a fixed number gets the last one again."""
        fixed, n = _fixed(self._image.shape_of(self._image.inputs[0]), 0), x.shape[0]
        if fixed is None:
            return self._image(x)
        filled = _core.concat([x, *[x[-1:]] * (-n % fixed)])
        return _core.concat([self._image(filled[i : i + fixed]) for i in range(0, filled.shape[0], fixed)])[:n]


class _Encoder:
    """A network of a file, and the output that holds its vectors.

    Args:
        path: the file.
        kind: "image" or "text".
    """

    def __init__(self, path: str | os.PathLike[str], kind: str) -> None:
        self.path, self.kind = path, kind
        self.model = onnx.load(path, requires_grad=False).eval()
        self.inputs = self.model.inputs

    def shape_of(self, name: str) -> Sequence[int | str | None]:
        """The declared sizes of an input."""
        if name not in self.inputs:
            raise ValueError(f"{self.path}: {self.kind} encoder without the input {name}: it takes {self.inputs}")
        return self.model.input_shapes[self.inputs.index(name)] or ()

    def __call__(self, *inputs: Any, **named: Any) -> Tensor:
        found = self.model(*inputs, **named)
        values = dict(zip(self.model.outputs, found if isinstance(found, tuple) else (found,), strict=True))
        chosen = values.get(f"{self.kind}_embeds")
        flat = [value for value in values.values() if value.ndim == 2] if chosen is None else [chosen]
        if len(flat) != 1:
            raise ValueError(
                f"{self.path}: one of the outputs is {self.kind}_embeds, or one alone has two dimensions; these are "
                + ", ".join(f"{name} {value.shape}" for name, value in values.items())
            )
        only: Tensor = flat[0]
        return only


class _Words:
    """A text encoder as a function of numbers of tokens (n, length), filled up to ``length`` where that is fixed."""

    def __init__(self, encoder: _Encoder, length: int | None) -> None:
        self.encoder, self.length = encoder, length
        strangers = set(encoder.inputs) - {"input_ids", "attention_mask"}
        if strangers:
            raise ValueError(
                f"{encoder.path}: a text encoder takes input_ids and attention_mask, not {sorted(strangers)}"
            )

    def __call__(self, ids: Any) -> Tensor:
        n, given = ids.shape
        more = (self.length or given) - given
        # The last token again, as CLIP's tokenizer does: it ends the text where it first occurs.
        filled = np.concatenate([ids, np.repeat(ids[:, -1:], more, axis=1)], axis=1)
        seen = np.concatenate([np.ones((n, given), np.int64), np.zeros((n, more), np.int64)], axis=1)
        named = {"input_ids": filled, "attention_mask": seen}
        return self.encoder(**{name: named[name] for name in self.encoder.inputs})


def _fixed(shape: Sequence[int | str | None], axis: int) -> int | None:
    """A declared size, None where any is allowed."""
    size = shape[axis] if len(shape) > axis else None
    return size if isinstance(size, int) else None


def _tokenizer(places: Iterable[Path]) -> Tokenizer:
    for place in places:
        try:
            return Tokenizer.from_file(place)
        except FileNotFoundError as error:
            missing = error
    raise FileNotFoundError(f"the text encoder's tokenizer: {missing}; put its tokenizer.json beside it")


def _preprocessing(places: Iterable[Path], image: _Encoder) -> Preprocessing:
    """What the configuration says, else what CLIP does, at the encoder's own size."""
    path = next((place / CONFIG for place in places if (place / CONFIG).is_file()), None)
    size = _fixed(image.shape_of(image.inputs[0]), 2)
    if path is None:
        return Preprocessing(size or CLIP.size, CLIP.mean, CLIP.std, margin=1.0)
    with reading(path, "a configuration of pictures"):
        options = json.loads(path.read_text("utf-8"))
        short = _side(options.get("size", CLIP.size))
        crop = _side(options["crop_size"]) if "crop_size" in options else short
        if size is not None and crop != size:
            raise ValueError(f"it says {crop} pixels, and {image.path} takes {size}")
        cropped = options.get("do_center_crop", True)
        mean, std = (tuple(map(float, options[name])) for name in ("image_mean", "image_std"))
        normal = options.get("do_normalize", True)
        return Preprocessing(
            crop,
            mean if normal else (0.0,) * 3,
            std if normal else (1.0,) * 3,
            margin=max(short, crop) / crop if cropped else 1.0,
        )


def _side(size: Any) -> int:
    """A size given as a number, or as a dict of the shortest edge or of height and width."""
    if isinstance(size, dict):
        size = size.get("shortest_edge", size.get("height"))
    if not isinstance(size, int):
        raise ValueError(f"a size is a number of pixels, got {size!r}")
    return size
