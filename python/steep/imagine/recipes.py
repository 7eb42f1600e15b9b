"""What is trained on emoji: ``train_clip``, a small network from scratch, and heads on frozen trunks, by name.

Both hold out 245 concepts and the style Fluent, and are measured on these; only the judge of what ``draw`` draws, who
is measured on nothing, knows all pictures. Start reading at ``train_clip`` and ``FROZEN``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core, nn, zoo
from steep.data import Emoji, load
from steep.evaluation import evaluating
from steep.imagine.any_towers import in_batches, square
from steep.imagine.contrast import retrieval
from steep.imagine.kept import kept, kept_array, origin_of
from steep.imagine.towers import Cnn, Towers
from steep.imagine.train import Pairs, Settings, train
from steep.pictures import resized
from steep.text import encoder
from steep.zoo import Preprocessing
from steep.zoo.table import MINILM_FILE

HEADS = "2"  # of heads that are kept: increase it when how they are trained changes
SOFTEST = 16  # pixels a side of the least sharp pictures that heads are trained on
FOCUS = 24  # and of what they see of drawn ones, whose finest details are a generator's, not a thing's
SIDE = 160  # of the pictures that frozen trunks see
BOTH = 2  # of a concept's three texts, the one with name and keywords
Say = Callable[[str, int, int], object]


@dataclass(frozen=True)
class Frozen:
    """Two towers of which only two linear heads are trained, a row of ``FROZEN``.

    Attributes:
        model: a model of the zoo; its weights are not trained.
        last: the last of its layers that is used, whose outputs are the features.
        kept: name of the file in the cache that holds the features of all pictures.
        settings: how the heads are trained.
        everything: whether on all pictures, with nothing held out.
        features: number of the features.
        pooled: whether the features are means of the last layer's maps.
    """

    model: str
    last: str
    kept: str
    settings: Settings
    everything: bool = False
    features: int = 1280
    pooled: bool = False


FROZEN = {
    "emoji": Frozen("mobilenetv2_trunk", "features", "emoji_pictures", Settings(epochs=10, lr=1e-3, zoom=0.0)),
    "squeezenet": Frozen(
        "squeezenet1_1",
        "fire9",
        "emoji_pictures_squeezenet",
        Settings(epochs=10, lr=1e-3, zoom=0.0, seed=2),
        features=512,
        pooled=True,
    ),
    "judge": Frozen(
        "efficientnet_lite0", "flatten", "emoji_pictures_judge", Settings(epochs=10, lr=1e-3, zoom=0.0, seed=1), True
    ),
}


def quiet(what: str, done: int, total: int) -> None:
    """Says nothing of what is being done."""


@dataclass(frozen=True)
class Report:
    """Text to image: the share of texts whose own picture is among the nearest k, for each k.

    Attributes:
        new_concepts: of concepts that nothing was trained on, among the pictures of one style; the mean of two styles.
        new_style: of concepts that were trained on, among their pictures in a style that was not.
        losses: the loss of every step.
    """

    new_concepts: dict[int, float]
    new_style: dict[int, float]
    losses: list[float] = field(default_factory=list, repr=False)

    def plain(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {
            "new_concepts": {f"R@{k}": value for k, value in self.new_concepts.items()},
            "new_style": {f"R@{k}": value for k, value in self.new_style.items()},
        }


def train_clip(
    settings: Settings = Settings(),
    say: Say = quiet,
    callback: Callable[[int, int, float], object] = lambda step, steps, loss: None,
    checkpoint: Path | None = None,
    resume: bool = False,
) -> tuple[Towers, Report]:
    """Trains two towers on emoji: a small convolutional network from scratch, and a linear head on MiniLM.

    Args:
        settings: how.
        say: called with what is being done, and how much of it.
        callback: called with the step, their number, and the loss.
        checkpoint: a file to which the run is saved after each epoch.
        resume: whether to continue from it.

    Returns:
        The towers and what they retrieve.

    Raises:
        FetchError: if emoji or MiniLM cannot be downloaded.
    """
    emoji = load("emoji")
    texts = text_features(emoji, say)
    towers = small_towers(settings.seed)
    rows = training_rows(emoji)
    pairs = Pairs(emoji.pictures[rows], emoji.concept[rows], texts)
    losses = train(towers, pairs, settings, callback, checkpoint, resume)
    return towers, measured(towers, emoji, texts, emoji.pictures, losses)


def small_towers(seed: int = 0) -> Towers:
    """The untrained towers of ``train_clip``."""
    way = Preprocessing(64, (0.5,) * 3, (0.25,) * 3, margin=1.0)
    return Towers(Cnn(seed), way, 256, frozen=False, seed=seed, name="clip")


def emoji_scorer(say: Say = quiet) -> tuple[Towers, Report]:
    """The scorer "emoji" and what it retrieves."""
    return frozen_scorer("emoji", say)


def frozen_scorer(name: str, say: Say = quiet) -> tuple[Towers, Report]:
    """A scorer of ``FROZEN`` and what it retrieves, from the cache, or trained and kept there."""
    row = FROZEN[name]
    model = zoo.load(row.model)
    way = replace(model.preprocessing, size=SIDE, margin=1.0)

    def untrained() -> Towers:
        return Towers(_until(model, row), way, row.features, frozen=True, seed=row.settings.seed, name=name).eval()

    def read(path: Path) -> tuple[tuple[Towers, Report], dict[str, str]]:
        towers = untrained()
        about = towers.restore(path)
        return (towers, _read_report(about)), about

    def write(path: Path, made: tuple[Towers, Report], about: dict[str, str]) -> None:
        made[0].save(path, {**about, **_written_report(made[1])})

    origin = origin_of(MINILM_FILE.sha256, model.source.sha256, HEADS)
    return kept(f"towers_{name}", {"origin": origin}, read, lambda path: _trained(untrained(), row, say), write)


def _trained(towers: Towers, row: Frozen, say: Say) -> tuple[Towers, Report]:
    """Towers with heads trained on the features of pictures as they are and out of focus, and what they retrieve."""
    emoji = load("emoji")
    texts, pictures = text_features(emoji, say), picture_features(towers, emoji, say)
    rows = np.arange(len(emoji.pictures)) if row.everything else training_rows(emoji)
    both = np.concatenate([pictures[rows], picture_features(towers, emoji, say, soft=True)[rows]])
    losses = train(towers, Pairs(both, np.tile(emoji.concept[rows], 2), texts), row.settings,
                   lambda step, steps, loss: say("training the heads", step, steps))  # fmt: skip
    return towers, measured(towers, emoji, texts, pictures, losses)


def _until(model: zoo.Pretrained, row: Frozen) -> nn.Module:
    """The layers of a model up to the last that is used."""
    names = [name for name, _ in model.named_layers()]
    layers: dict[str, Any] = {name: model[i] for i, name in enumerate(names[: names.index(row.last) + 1])}
    pooling = {"pooled": nn.AdaptiveAvgPool2d(1), "features": nn.Flatten()} if row.pooled else {}
    return nn.Sequential({**layers, **pooling}).eval()


def training_rows(emoji: Emoji) -> NDArray[np.int64]:
    """The positions of the pictures that are trained on: neither of held-out concepts nor of the last style."""
    kept = ~emoji.held_out()[emoji.concept] & (emoji.style < len(emoji.styles) - 1)
    return np.flatnonzero(kept)


def measured(
    towers: Towers, emoji: Emoji, texts: NDArray[np.float32], pictures: NDArray[Any], losses: list[float]
) -> Report:
    """What towers retrieve of what was held out; ``pictures`` are squares, or features of a frozen trunk."""
    with _core.no_grad(), evaluating():
        wanted = np.asarray(towers.text_vectors(texts[:, BOTH]))
        frozen = pictures.ndim == 2
        vectors = np.asarray(towers(pictures)) if frozen else in_batches(towers, pictures)
    held, last = emoji.held_out(), len(emoji.styles) - 1
    old = [_found(vectors, wanted, emoji, held[emoji.concept] & (emoji.style == style)) for style in range(last)]
    new = _found(vectors, wanted, emoji, ~held[emoji.concept] & (emoji.style == last))
    return Report({k: float(np.mean([each[k] for each in old])) for k in old[0]}, new, losses)


def _found(vectors: NDArray[Any], wanted: NDArray[Any], emoji: Emoji, chosen: NDArray[np.bool_]) -> dict[int, float]:
    return retrieval(vectors[chosen], wanted[emoji.concept[chosen]], np.arange(int(chosen.sum())))


def text_features(emoji: Emoji, say: Say = quiet) -> NDArray[np.float32]:
    """MiniLM's vectors of the three English texts of every concept, (concepts, 3, 384); computed once and kept."""
    texts = [text for concept in emoji.concepts for text in concept.texts()]
    return kept_texts("emoji_texts", texts, "encoding texts", say).reshape(len(emoji.concepts), 3, -1)


def kept_texts(name: str, texts: list[str], what: str, say: Say) -> NDArray[np.float32]:
    """MiniLM's vectors of texts, (texts, 384); computed once and kept. ``what`` is told to ``say``."""

    def make() -> NDArray[Any]:
        return np.asarray(encoder()(texts, lambda done, total: say(what, done, total)))

    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    return kept_array(name, origin_of(MINILM_FILE.sha256, digest), make)


def picture_features(towers: Towers, emoji: Emoji, say: Say = quiet, soft: bool = False) -> NDArray[np.float32]:
    """The features of every picture by a trunk of ``FROZEN``, (pictures, features); computed once and kept.

    ``soft``: of pictures without their finest details, as generators draw them; without these in training the towers
    would not know a picture that is a little out of focus.
    """
    row = FROZEN[towers.name]

    def make() -> NDArray[Any]:
        given = [softened(picture, i) for i, picture in enumerate(emoji.pictures)] if soft else emoji.pictures
        squares = np.stack([square(picture, towers.way) for picture in given])
        trunk = nn.fuse_batch_norm(towers.trunk)
        with _core.no_grad(), evaluating():
            return in_batches(towers, squares, lambda done, total: say("encoding pictures", done, total), trunk)

    source = zoo.table.MODELS[row.model].source.sha256
    name = f"{row.kept}_soft" if soft else row.kept
    return kept_array(name, origin_of(source, str(len(emoji.pictures)), str(SIDE)), make)


def softened(picture: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """A picture reduced to between 16 and 31 pixels a side, which depends on its number."""
    side = SOFTEST + number * 7 % SOFTEST
    return resized(picture, side, side)


def _written_report(report: Report) -> dict[str, str]:
    return {
        f"{part} {k}": repr(value)
        for part, found in (("concepts", report.new_concepts), ("style", report.new_style))
        for k, value in found.items()
    }


def _read_report(about: dict[str, str]) -> Report:
    parts: dict[str, dict[int, float]] = {"concepts": {}, "style": {}}
    for key, value in about.items():
        part, _, k = key.partition(" ")
        if part in parts:
            parts[part][int(k)] = float(value)
    return Report(parts["concepts"], parts["style"])
