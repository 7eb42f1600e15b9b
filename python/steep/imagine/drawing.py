"""``draw``: a picture for a sentence, by ascent on a generator's latents, judged by towers that it was not made for.

An ascent alone fools the tower that guides it: it gives a blot that the tower likes better than any real picture. So it
starts from the best of many likely latents, sees several changed views at each step, and pays for leaving where it
started; and beside the result stands its rank among real pictures, under the tower and under a judge that took no part.
Start reading at ``draw``.

Galatolo et al. 2021, "Generating images from caption and vice versa via CLIP-guided generative latent space search",
arXiv:2102.01645.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core, optim, pictures
from steep._core import Tensor
from steep.ascent import Parameterization, Term, compose, jitter, maximize, noise, rotate, scale, similarity
from steep.data import Emoji, load
from steep.evaluation import evaluating
from steep.imagine.generators import Generator, generator, rows_of
from steep.imagine.recipes import FROZEN, Say, picture_features, quiet
from steep.imagine.scorers import AnyTowers, scorer
from steep.imagine.towers import Towers
from steep.random import Generator as Source
from steep.tree import Tree

JUDGE = "judge"


@dataclass(frozen=True)
class Standing:
    """Where a picture stands among real ones, under one tower.

    Attributes:
        tower: its name.
        start_cosine: the similarity of prompt and picture before the ascent.
        cosine: and after it.
        best_real: the largest similarity that a real picture has.
        start_rank: 1 if the first picture was nearer to the prompt than every real one, 2 if one was nearer, ...
        rank: the same of the result.
        count: number of real pictures.
    """

    tower: str
    start_cosine: float
    cosine: float
    best_real: float
    start_rank: int
    rank: int
    count: int


@dataclass(frozen=True)
class Drawing:
    """What ``draw`` has drawn.

    Attributes:
        prompt: the sentence.
        picture: uint8 (height, width, 3).
        start: the picture from which the ascent started.
        standings: under the tower that guided the ascent, and under the judge.
        nearest: the most similar picture of the data, uint8 (64, 64, 3), by the mean square of pixels' differences.
        nearest_name: what it shows.
        history: the objective before each step, of all starts together.
        params: the parameters of the picture.
        frames: pictures on the way, if ``keep`` was given.
        settings: what else determines the picture.
    """

    prompt: str
    picture: NDArray[np.uint8] = field(repr=False)
    start: NDArray[np.uint8] = field(repr=False)
    standings: tuple[Standing, ...]
    nearest: NDArray[np.uint8] = field(repr=False)
    nearest_name: str
    history: list[float] = field(repr=False)
    params: Tree = field(repr=False)
    frames: list[NDArray[np.uint8]] = field(default_factory=list, repr=False)
    settings: dict[str, Any] = field(default_factory=dict)


def draw(
    prompt: str,
    scorer: str | AnyTowers = "emoji",
    generator: str | Generator = "emoji",
    *,
    steps: int = 50,
    seed: int = 0,
    judge: str | AnyTowers = JUDGE,
    candidates: int | None = None,
    starts: int | None = None,
    views: int = 4,
    prior: float = 0.15,
    lr: float | None = None,
    keep: int = 0,
    say: Say = quiet,
    callback: Callable[[optim.loop.Progress], object] | None = None,
) -> Drawing:
    """Draws a picture for a sentence: ascends on latents of a generator, from several starts, and keeps the best.

    Args:
        prompt: the sentence.
        scorer: the towers that guide the ascent, or their name; see ``imagine.scorer``.
        generator: a map to pictures, or its name; see ``imagine.generator``.
        steps: number of steps.
        seed: seed of everything that is drawn.
        judge: towers that take no part in the ascent, or their name.
        candidates: number of latents of which the best are taken; the generator's if None.
        starts: number of latents to ascend from, together; the generator's if None.
        views: number of randomly rotated, scaled and shifted views of each picture at a step.
        prior: factor of the generator's measure of how unlikely latents are.
        lr: learning rate of Adam; the generator's if None.
        keep: about how many pictures on the way to store in ``frames``.
        say: called with what is being done, and how much of it.
        callback: called with an ``optim.loop.Progress`` after each step; returning True stops the ascent.

    Returns:
        A ``Drawing``.

    Raises:
        ValueError: for a prompt that the text encoder cannot read, unknown names, or a generator of no pictures.
        FetchError: if what is needed cannot be downloaded.
    """
    made = named_generator(generator, say)
    starts = made.starts if starts is None else starts
    candidates = max(starts, made.candidates if candidates is None else candidates)
    if min(steps, starts, views) < 1:
        raise ValueError(f"draw: {steps} steps, {starts} starts and {views} views: each must be 1 at least")
    towers, judging = (ready(each, say) for each in (scorer, judge))
    wanted = prompt_vector(towers, prompt)
    source = Source(seed)
    begin = best_starts(made, towers, wanted, candidates, starts, source, say)
    look = some_views(views, source)
    end = maximize(
        guided(towers, wanted, views),
        near(begin, made.distance, prior),
        steps,
        partial(optim.Adam, lr=lr or made.rate),
        transform=look,
        callback=callback,
        keep=keep,
    )
    with _core.no_grad(), evaluating():
        scores = np.asarray(towers.encode(look(end.image))) @ wanted
        best = int(scores.reshape(views, -1).mean(axis=0).argmax())
        images = [image[best : best + 1] for image in (begin.image(), end.image)]
    emoji = load("emoji")
    standings = [standing(each, prompt, images, emoji, say) for each in (towers, judging)]
    before, after = (pictures.rgb(np.asarray(image)[0]) for image in images)
    nearest = nearest_picture(images[1], emoji)
    settings = {
        "generator": made.name, "scorer": towers.name, "judge": judging.name, "steps": steps, "seed": seed,
        "candidates": candidates, "starts": starts, "views": views, "prior": prior,
    }  # fmt: skip
    frames = [pictures.rgb(np.asarray(frame)[best]) for frame in end.frames]
    return Drawing(prompt, after, before, tuple(standings), emoji.pictures[nearest],
                   emoji.concepts[int(emoji.concept[nearest])].name, end.history, rows_of(end.params, [best]), frames,
                   settings)  # fmt: skip


def ready(towers: str | AnyTowers, say: Say = quiet) -> AnyTowers:
    """Towers, by name if they are a name."""
    return scorer(towers, say) if isinstance(towers, str) else towers


def named_generator(made: str | Generator, say: Say) -> Generator:
    """A generator, by name if it is a name."""
    return generator(made, say) if isinstance(made, str) else made


def prompt_vector(towers: AnyTowers, prompt: str) -> NDArray[np.float32]:
    """The vector of a prompt. Raises ValueError if the encoder cannot read all of it."""
    words = towers.ready()
    found = words.tokens(prompt)
    if found.cut:
        raise ValueError(
            f"the prompt has {len(found.ids) + found.cut} tokens, and the text encoder reads {words.length}: shorten it"
        )
    unknown = [token for token in found.tokens if token in ("[UNK]", "<unk>")]
    if unknown:
        raise ValueError(f"the prompt {prompt!r} has {len(unknown)} words that the text encoder does not know: "
                         "use English words")  # fmt: skip
    vector: NDArray[np.float32] = towers.texts(prompt)[0]
    return vector


def some_views(count: int, source: Source, size: int = 64) -> Callable[[Tensor], Tensor]:
    """A function that gives so many random views of each picture, one after the other."""

    def seen(x: Tensor) -> Tensor:
        return _core.concat([look(x) for _ in range(count)])

    look = compose(rotate(8.0, source), scale(0.1, source), jitter(max(1, size // 16), source), noise(0.02, source))
    return seen


def guided(towers: AnyTowers, wanted: NDArray[np.float32], views: int) -> Term:
    """The objective: the mean similarity of a picture's views with the prompt, summed over pictures."""
    return similarity(towers.encode, wanted) * (1 / views)


def near(begin: Parameterization, distance: Callable[[Any, Any], Tensor] | None, factor: float) -> Parameterization:
    """The same start, with the prior that parameters stay near it."""
    if distance is None:
        return begin
    first = begin.params
    return replace(begin, prior=lambda params: distance(params, first) * factor)


def best_starts(
    made: Generator, towers: AnyTowers, wanted: NDArray[np.float32], candidates: int, starts: int, source: Source,
    say: Say = quiet,
) -> Parameterization:  # fmt: skip
    """The ``starts`` of ``candidates`` parameters whose pictures are nearest to the prompt."""
    many = made.start(candidates, source)
    if candidates == starts:
        return many
    scores: list[NDArray[Any]] = []
    with _core.no_grad(), evaluating():
        for first in range(0, candidates, made.batch):
            last = min(first + made.batch, candidates)
            scores.append(np.asarray(towers.encode(many.render(rows_of(many.params, slice(first, last))))) @ wanted)
            say("looking for starts", last, candidates)
    order = np.argsort(-np.concatenate(scores), kind="stable")
    return Parameterization(rows_of(many.params, order[:starts]), many.render)


def real_vectors(towers: AnyTowers, emoji: Emoji, say: Say = quiet) -> NDArray[np.float32]:
    """The vectors of all real pictures."""
    if isinstance(towers, Towers) and towers.name in FROZEN:
        with _core.no_grad(), evaluating():
            return np.asarray(towers(picture_features(towers, emoji, say)))
    return towers.images(list(emoji.pictures), lambda done, total: say("encoding pictures", done, total))


def standing(towers: AnyTowers, prompt: str, images: list[Tensor], emoji: Emoji, say: Say = quiet) -> Standing:
    """Where the pictures before and after an ascent stand among all real ones."""
    wanted = prompt_vector(towers, prompt)
    real = real_vectors(towers, emoji, say) @ wanted
    with _core.no_grad(), evaluating():
        before, after = (float((np.asarray(towers.encode(image)) @ wanted)[0]) for image in images)
    ranks = [1 + int((real > cosine).sum()) for cosine in (before, after)]
    return Standing(towers.name, before, after, float(real.max()), ranks[0], ranks[1], len(real))


def nearest_picture(image: Tensor, emoji: Emoji) -> int:
    """The position of the real picture with the least mean square of pixels' differences from ``image``."""
    side = emoji.pictures.shape[1]
    small = np.asarray(pictures.resized(pictures.rgb(np.asarray(image)[0]), side, side), np.float32)
    squares = [float(((small - each) ** 2).mean()) for each in emoji.pictures]
    return int(np.argmin(squares))
