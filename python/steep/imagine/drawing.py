"""``draw``: a picture for a sentence, by ascent on a generator's latents, judged by towers that it was not made for.

An ascent alone fools the tower that guides it: it gives a blot that the tower likes better than any real picture. So it
starts from the best of many likely latents, sees several changed views at each step, and pays for leaving the data, or
where it started; and beside the result stands its rank among real pictures, under the tower and under a judge that took
no part. Start reading at ``draw``.

Galatolo et al. 2021, "Generating images from caption and vice versa via CLIP-guided generative latent space search",
arXiv:2102.01645.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steep import _core, optim, pictures, tree
from steep._core import Tensor
from steep.ascent import Parameterization, Term, compose, jitter, maximize, noise, rotate, scale
from steep.data import Emoji, load
from steep.display import displayed
from steep.evaluation import evaluating
from steep.imagine.any_towers import BATCH, AnyTowers, pixels_of, resized
from steep.imagine.generators import Generator, drawn_pictures, generator, rows_of
from steep.imagine.recipes import BOTH, FOCUS, FROZEN, Say, picture_features, quiet, text_features
from steep.imagine.scorers import scorer
from steep.imagine.together import members_of, side_by_side
from steep.imagine.towers import Towers
from steep.random import Generator as Source
from steep.tree import Tree

EACH = 4  # candidates near the latent of one picture
VIEWS = 4  # of each by which it is chosen


@dataclass(frozen=True)
class Standing:
    """Where a picture stands among real ones, or other faces where there are no real ones, under one tower.

    Attributes:
        tower: its name.
        start_cosine: the similarity of prompt and picture before the ascent.
        cosine: and after it.
        best_real: the largest similarity that one of the others has.
        start_rank: 1 if the first picture was nearer to the prompt than every other, 2 if one was nearer, ...
        rank: the same of the result.
        count: number of the others.
        among: what they are.
        start_seen: the class that the tower saw in the first picture, with its probability; "" if it knows no classes.
        seen: the same of the result.
    """

    tower: str
    start_cosine: float
    cosine: float
    best_real: float
    start_rank: int
    rank: int
    count: int
    among: str = "real pictures"
    start_seen: str = ""
    seen: str = ""


@displayed
@dataclass(frozen=True)
class Drawing:
    """What ``draw`` has drawn.

    Attributes:
        prompt: the sentence.
        picture: uint8 (height, width, 3).
        start: the picture from which the ascent started.
        standings: under the tower that guided the ascent, and under the judge.
        nearest: the most similar of the pictures that it is ranked among, uint8 (height, width, 3), by the mean square
            of pixels' differences.
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
    scorer: str | AnyTowers | None = None,
    generator: str | Generator = "emoji",
    *,
    steps: int = 50,
    seed: int = 0,
    judge: str | AnyTowers | None = None,
    candidates: int | None = None,
    starts: int | None = None,
    views: int = 4,
    prior: float = 2.0,
    lr: float | None = None,
    keep: int = 0,
    say: Say = quiet,
    callback: Callable[[optim.loop.Progress], object] | None = None,
) -> Drawing:
    """Draws a picture for a sentence: ascends on latents of a generator, from several starts, and keeps the best.

    Args:
        prompt: the sentence.
        scorer: the towers that guide the ascent, or their name; see ``imagine.scorer``. None for the generator's own,
            "faces" of faces and otherwise "emoji".
        generator: a map to pictures, or its name; see ``imagine.generator``.
        steps: number of steps.
        seed: seed of everything that is drawn.
        judge: towers that take no part in the ascent, or their name; None for the generator's own.
        candidates: number of latents of which the best are taken; the generator's if None. Where the generator knows
            the latents of its data, four near each of those whose pictures fit the prompt best.
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
    towers, judging = ready(scorer or made.scorer, say), ready(judge or made.judge, say)
    wanted = prompt_vector(towers, prompt)
    source = Source(seed)
    begin, home = best_starts(made, towers, wanted, candidates, starts, source, say)
    look, value = some_views(views, source), contrasted(towers, wanted)
    end = maximize(
        Term(lambda x: _core.sum(value(x)) * (1 / views), "contrasted"),
        near(begin, home, made.distance, prior),
        steps,
        partial(optim.Adam, lr=lr or made.rate),
        transform=look,
        callback=callback,
        keep=keep,
    )
    with _core.no_grad(), evaluating():
        scores = np.asarray(value(look(end.image)))
        best = int(scores.reshape(views, -1).mean(axis=0).argmax())
        images = [image[best : best + 1] for image in (begin.image(), end.image)]
    others = ranked_among(made, say)
    standings = [standing(each, prompt, images, others, say) for each in (towers, judging)]
    before, after = (pictures.rgb(np.asarray(image)[0]) for image in images)
    nearest = nearest_picture(images[1], others.pictures)
    settings = {
        "generator": made.name, "scorer": towers.name, "judge": judging.name, "steps": steps, "seed": seed,
        "candidates": candidates, "starts": starts, "views": views, "prior": prior,
    }  # fmt: skip
    frames = [pictures.rgb(np.asarray(frame)[best]) for frame in end.frames]
    return Drawing(prompt, after, before, tuple(standings), others.pictures[nearest], others.name(nearest),
                   end.history, rows_of(end.params, [best]), frames, settings)  # fmt: skip


@displayed
class Others(NamedTuple):
    """What a drawn picture is ranked among: the real pictures of emoji, or other pictures of its generator."""

    pictures: NDArray[np.uint8]
    what: str
    emoji: Emoji | None = None

    def name(self, number: int) -> str:
        """What one of them shows."""
        if self.emoji is None:
            return f"number {number} of {len(self.pictures)} {self.what}"
        return self.emoji.concepts[int(self.emoji.concept[number])].name


def ranked_among(made: Generator, say: Say = quiet) -> Others:
    """What pictures of a generator are ranked among."""
    if made.others is not None:
        return Others(made.others(say), "random faces")
    emoji = load("emoji")
    return Others(emoji.pictures, "real pictures", emoji)


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

    look = compose(rotate(10.0, source), scale(0.15, source), jitter(max(1, size // 16), source), noise(0.03, source))
    return seen


def contrasted(towers: AnyTowers, wanted: NDArray[np.float32]) -> Callable[[Any], Tensor]:
    """A function of pictures: for each how near it is to the prompt, rather than to the texts of all concepts.

    It is what the towers were trained to increase, the logarithm of the prompt's probability among these, divided by
    their scale. A cosine alone grows as well with what is near every text. Of towers that were not trained on emoji it
    is what these say, the cosine if nothing else.
    """
    if not is_frozen(towers):
        return towers.objective(wanted)
    look, target = seen_by(towers), _core.asarray(wanted)
    scale = float(np.exp(float(towers.log_scale)))
    with _core.no_grad():
        others = np.asarray(towers.text_vectors(text_features(load("emoji"))[:, BOTH]))
    every = _core.asarray(np.ascontiguousarray(others.T))

    def value(x: Any) -> Tensor:
        vectors = look(x)
        return vectors @ target - _core.logsumexp((vectors @ every) * scale, axis=1) / scale

    return value


def near(
    begin: Parameterization, home: Tree, distance: Callable[[Any, Any], Tensor] | None, factor: float
) -> Parameterization:
    """The same start, with the prior that parameters are near ``home``."""
    if distance is None:
        return begin
    return replace(begin, prior=lambda params: distance(params, home) * factor)


def best_starts(
    made: Generator,
    towers: AnyTowers,
    wanted: NDArray[np.float32],
    candidates: int,
    starts: int,
    source: Source,
    say: Say = quiet,
) -> tuple[Parameterization, Tree]:
    """The candidates that fit the prompt best, and the parameters near which the prior holds them.

    Where the latents of data are known, candidates are near those of the pictures that fit best, and these are what the
    prior holds them near; otherwise candidates are likely parameters, and stay near themselves.
    """
    if made.latents is not None and made.moved is not None:
        emoji = load("emoji")
        if len(made.latents) == len(drawn_pictures(emoji)):
            return starts_near_pictures(made, towers, wanted, candidates, starts, source, emoji, say)
    many = made.start(candidates, source)
    if candidates == starts:
        return many, many.params
    order = np.argsort(-(vectors_of(many, made, towers, say) @ wanted), kind="stable")
    best = rows_of(many.params, order[:starts])
    return Parameterization(best, many.render), best


def starts_near_pictures(
    made: Generator,
    towers: AnyTowers,
    wanted: NDArray[np.float32],
    candidates: int,
    starts: int,
    source: Source,
    emoji: Emoji,
    say: Say = quiet,
) -> tuple[Parameterization, Tree]:
    """The best of latents near those of the pictures that fit the prompt best, and the latents of these pictures.

    What is drawn from a latent fools the towers more easily than a real picture, so both count: how well the picture
    fits, and how well several views do of what is drawn near its latent.
    """
    assert made.latents is not None and made.moved is not None
    fit = fitting(towers, wanted, emoji, say)[: len(made.latents)]
    order = np.argsort(-fit, kind="stable")
    places = np.repeat(order[: max(starts, -(-candidates // EACH))], EACH)
    latents, render = made.moved(made.latents[places], source), made.start(1, Source(0)).render
    look, value = some_views(VIEWS, source), contrasted(towers, wanted)
    drawn = in_parts(
        lambda first, last: value(look(render(_core.asarray(latents[first:last])))).reshape(VIEWS, -1).mean(axis=0),
        len(places),
        made.batch,
        lambda done: say("looking for starts", done, len(places)),
    )
    best = np.argsort(-(fit[places] + drawn), kind="stable")[:starts]
    return Parameterization(_core.asarray(latents[best]), render), _core.asarray(made.latents[places[best]])


def fitting(towers: AnyTowers, wanted: NDArray[np.float32], emoji: Emoji, say: Say) -> NDArray[np.float32]:
    """How well real pictures fit the prompt, as they are and, of towers that have learnt such ones, out of focus."""
    ways = (False, True) if is_frozen(towers) else (False,)
    vectors = [real_vectors(towers, emoji, say, soft) for soft in ways]
    scores: NDArray[np.float32] = np.sum(vectors, axis=0) @ wanted
    return scores


def vectors_of(many: Parameterization, made: Generator, towers: AnyTowers, say: Say) -> NDArray[np.float32]:
    """The vectors of the pictures of many parameters, (n, size)."""
    count = tree.leaves(many.params)[0].shape[0]
    return in_parts(
        lambda first, last: seen_by(towers)(many.render(rows_of(many.params, slice(first, last)))),
        count,
        made.batch,
        lambda done: say("looking for starts", done, count),
    )


def in_parts(
    run: Callable[[int, int], Tensor], count: int, batch: int, after: Callable[[int], object] = lambda done: None
) -> NDArray[np.float32]:
    """What ``run`` gives for rows from a first to before a last, of all ``count`` of them."""
    found = list[NDArray[Any]]()
    with _core.no_grad(), evaluating():
        for first in range(0, count, batch):
            last = min(first + batch, count)
            found.append(np.array(np.asarray(run(first, last))))
            after(last)
    return np.concatenate(found)


def is_frozen(towers: AnyTowers) -> bool:
    """Whether these are towers of ``FROZEN``, one or several together."""
    return all(isinstance(each, Towers) and each.name in FROZEN for each in members_of(towers))


def seen_by(towers: AnyTowers) -> Callable[[Any], Tensor]:
    """How towers see drawn pictures: out of focus, if they have learnt such pictures too."""
    if is_frozen(towers):
        return lambda pixels: towers.encode(resized(pixels, FOCUS))
    return towers.encode


def real_vectors(towers: AnyTowers, emoji: Emoji, say: Say = quiet, soft: bool = True) -> NDArray[np.float32]:
    """The vectors of all real pictures, seen as drawn ones are, or as they are."""
    if is_frozen(towers):
        members = [each for each in members_of(towers) if isinstance(each, Towers)]
        with _core.no_grad(), evaluating():
            found = [each(picture_features(each, emoji, say, soft)) for each in members]
            return np.asarray(found[0] if len(found) == 1 else side_by_side(found))
    return towers.images(list(emoji.pictures), lambda done, total: say("encoding pictures", done, total))


def standing(towers: AnyTowers, prompt: str, images: list[Tensor], others: Others, say: Say = quiet) -> Standing:
    """Where the pictures before and after an ascent stand among all others."""
    wanted = prompt_vector(towers, prompt)
    cosine, value = measures(towers, wanted)
    if others.emoji is not None:
        real = values = real_vectors(towers, others.emoji, say) @ wanted
        value = cosine
    else:
        real, values = (of_squares(measure, others.pictures) for measure in (cosine, value))
    with _core.no_grad(), evaluating():
        cosines, drawn = ([float(measure(image)[0]) for image in images] for measure in (cosine, value))
    ranks = [1 + int((values > each).sum()) for each in drawn]
    seen = [towers.seen(image) for image in images]
    return Standing(towers.name, cosines[0], cosines[1], float(real.max()), ranks[0], ranks[1], len(real), others.what,
                    seen[0], seen[1])  # fmt: skip


def measures(towers: AnyTowers, wanted: NDArray[np.float32]) -> tuple[Callable[[Any], Tensor], Callable[[Any], Tensor]]:
    """The cosine of pictures with a text, and what they are ranked by: the same, or the towers' own objective."""
    look, target = seen_by(towers), _core.asarray(wanted)

    def cosine(pixels: Any) -> Tensor:
        return look(pixels) @ target

    return cosine, cosine if is_frozen(towers) else towers.objective(wanted)


def of_squares(measure: Callable[[Any], Tensor], squares: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A measure of many pictures (n, height, width, 3)."""
    return in_parts(lambda first, last: measure(pixels_of(squares[first:last])), len(squares), BATCH)


def nearest_picture(image: Tensor, others: NDArray[np.uint8]) -> int:
    """The position of the picture with the least mean square of pixels' differences from ``image``."""
    small = np.asarray(pictures.resized(pictures.rgb(np.asarray(image)[0]), *others.shape[1:3]), np.float32)
    squares = [float(((small - each) ** 2).mean()) for each in others]
    return int(np.argmin(squares))
