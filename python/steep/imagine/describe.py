"""``describe``: words for a picture, by ascent on the embedding of a text; the prompt is a node like any other.

The mirror image of ``draw``: the picture is fixed, and what the text encoder would give for a text is optimised. Texts
cannot be optimised themselves, so the nearest words of a vocabulary are listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core, optim
from steep.ascent import latent, maximize, similarity
from steep.data import load
from steep.display import displayed
from steep.imagine.any_towers import AnyTowers, direction
from steep.imagine.drawing import ready
from steep.imagine.recipes import Say, quiet, text_features
from steep.zoo import Pretrained

NAMES = 0  # of a concept's three texts, the name


@displayed
@dataclass(frozen=True)
class Description:
    """What ``describe`` has found.

    Attributes:
        words: words of the vocabulary with their cosines to the embedding that was found, the nearest first.
        cosine: the similarity of picture and embedding.
        start_cosine: and before the ascent.
        vector: the embedding.
        history: the objective before each step.
    """

    words: list[tuple[str, float]]
    cosine: float
    start_cosine: float
    vector: NDArray[np.float32] = field(repr=False)
    history: list[float] = field(repr=False)


def describe(
    picture: Any,
    towers: str | AnyTowers = "emoji",
    vocabulary: Sequence[str] | None = None,
    *,
    steps: int = 200,
    prior: float = 0.02,
    lr: float = 0.01,
    top: int = 10,
    say: Say = quiet,
) -> Description:
    """Describes a picture: optimises the embedding of a text for similarity with it, and lists the nearest words.

    Args:
        picture: an image of any size, uint8 (H, W, 3) or what ``data.images.to_square`` takes.
        towers: two towers or their name; see ``imagine.scorer``.
        vocabulary: words or short texts; the names of 1,636 emoji if None.
        steps: number of steps of Adam.
        prior: factor of the squared distance of the embedding from the vocabulary's mean, in its deviations.
        lr: learning rate.
        top: number of words to list.
        say: called with what is being done, and how much of it.

    Returns:
        A ``Description``.

    Raises:
        ValueError: for a vocabulary of fewer than two texts, or a text without a word.
        FetchError: if what is needed cannot be downloaded.
    """
    found = ready(towers, say)
    words, features = _embedded(found, vocabulary, say)
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-3
    wanted = np.asarray(found.images([picture]))[0]

    def unlikely(vector: Any) -> Any:
        return _core.mean(((vector - mean) / deviation) ** 2) * prior

    goal = similarity(found.text_vectors, wanted)
    end = maximize(goal, latent(lambda v: v, mean[None], unlikely), steps, partial(optim.Adam, lr=lr))
    vector = np.asarray(end.image)[0]
    with _core.no_grad():
        scores = np.asarray(direction(_core.asarray(features - mean)) @ direction(_core.asarray(vector - mean)))
        start, last = (float(goal(each[None])) for each in (mean, vector))
    order = np.argsort(-scores, kind="stable")[:top]
    return Description([(words[i], float(scores[i])) for i in order], last, start, vector, end.history)


def _embedded(towers: AnyTowers, vocabulary: Sequence[str] | None, say: Say) -> tuple[list[str], NDArray[np.float32]]:
    """Texts with their embeddings, from which ``text_vectors`` makes vectors."""
    if vocabulary is not None and len(vocabulary) < 2:
        raise ValueError(f"describe: chooses among two words at least, got {list(vocabulary)}")
    model = towers.ready().model
    if vocabulary is None:
        emoji = load("emoji")
        words = [concept.name for concept in emoji.concepts]
        if isinstance(model, Pretrained) and model.source.name == "minilm":
            return words, text_features(emoji, say)[:, NAMES]
    else:
        words = list(vocabulary)
    return words, np.asarray(towers.ready()(words, lambda done, total: say("encoding words", done, total)))
