"""``Generator``: a map from parameters to pictures, and which parameters are likely; those by name, and ONNX files.

A generator that was trained draws from latents near its data; pixels, spectra and small networks of coordinates have no
data and start anywhere. All go to the one loop as an ``ascent.Parameterization``. Start reading at ``Generator``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from steep import _core, ascent, onnx, pictures, tree, zoo
from steep._core import Tensor
from steep.ascent import Parameterization
from steep.data import Emoji, load
from steep.display import displayed
from steep.evaluation import evaluating
from steep.imagine.decoder import DRAWN, Decoder, load_decoder, save_decoder, train_decoder
from steep.imagine.kept import kept, kept_array, origin_of
from steep.imagine.recipes import Say, quiet
from steep.io.malformed import reading
from steep.random import Generator as Source
from steep.suggest import near
from steep.tree import Tree
from steep.zoo.openvino import Graph

LAYOUT = "1"  # of the emoji generator that is kept: increase it when its recipe changes
SIDE = 64  # of pictures without a generator
OTHERS = 128  # of random ones that a face is ranked among
GUIDES = "emoji+squeezenet"  # of the emoji generator
NEAR = 0.35  # how far from those of pictures latents are drawn, in deviations of the prior
TRUNCATED = 0.7  # the factor of latents that are drawn from a normal distribution
STYLES = 0.5  # truncation of the styles of MobileStyleGAN, towards their mean
HALF, HAAR = "Add_754", 0.5  # its bands of 512 pixels before the last inverse Haar step, the first of them an image
Draw = Callable[[int, Source], Parameterization]


@displayed
@dataclass(frozen=True)
class Generator:
    """A map to pictures.

    Attributes:
        name: what it is called in messages.
        start: a function of a number and a source of random numbers, which gives so many likely parameters with their
            map to pictures (n, 3, height, width) in [0, 1]; rows of the parameters are independent.
        distance: a function of parameters and of those they shall be near, which says how unlikely each row is, summed
            over rows; None where nothing is known.
        rate: learning rate of Adam.
        candidates: number of parameters of which ``draw`` takes the best to start from.
        starts: number of these.
        batch: how many pictures are made at once while looking for them.
        latents: the latents of the pictures it was trained on; ``moved`` draws candidates near them.
        moved: a function of latents and a source of random numbers, which gives latents near them; None with no
            latents.
        scorer: the name of the towers that guide it if nothing else is said.
        judge: and of those that judge.
        others: a function that gives pictures of its own, uint8 (n, height, width, 3), among which one that is drawn is
            ranked; None where these are the real pictures of emoji.
    """

    name: str
    start: Draw
    distance: Callable[[Any, Any], Tensor] | None
    rate: float
    candidates: int = 256
    starts: int = 3
    batch: int = 32
    latents: NDArray[np.float32] | None = field(default=None, repr=False)
    moved: Callable[[NDArray[Any], Source], NDArray[np.float32]] | None = None
    scorer: str = "emoji"
    judge: str = "judge"
    others: Callable[[Say], NDArray[np.uint8]] | None = field(default=None, repr=False)

    def __call__(self, z: Any) -> Tensor:
        """The pictures of parameters; differentiable.

        Args:
            z: parameters, as ``start`` gives them.

        Returns:
            Pictures (n, 3, height, width) in [0, 1].
        """
        return self.start(1, Source(0)).render(z)


def rows_of(params: Tree, rows: Any) -> Tree:
    """Some rows of every leaf of parameters."""
    return tree.map(lambda leaf: _core.asarray(np.ascontiguousarray(np.asarray(leaf)[rows])), params)


def generator(name: str = "emoji", say: Say = quiet) -> Generator:
    """A map to pictures by name, or from an ONNX file.

    Args:
        name: "emoji", which is trained at first use, in some minutes, and kept; "dcgan_faces" or
            "mobilestylegan" of the zoo; "pixels",
            "fft" or "cppn", which are no generators but parameterizations without data; a .safetensors file of
            ``steep imagine --train generator``; or an .onnx file, from latents (n, size) or (n, size, 1, 1) of a
            normal distribution to pictures (n, 1 or 3, height, width) in [0, 1] or [-1, 1].
        say: called with what is being done, and how much of it.

    Returns:
        A ``Generator``.

    Raises:
        ValueError: for another name, or a file that is no generator of pictures.
        FetchError: if what it needs cannot be downloaded.

    Example:
        >>> sp.imagine.generator("fft").start(2, sp.random.Generator(0)).image().shape
        (2, 3, 64, 64)
    """
    if name in NAMED:
        return NAMED[name](say)
    suffix = Path(name).suffix.lower()
    if suffix == ".safetensors":
        return of_decoder(load_decoder(Path(name))[0], name)
    if suffix == ".onnx":
        return of_onnx(name)
    raise ValueError(
        f"there is no generator {name!r}{near(name, NAMED) or ''}: it is one of {', '.join(NAMED)}, "
        "a .safetensors file of `steep imagine --train generator`, or a file .onnx"
    )


# -- emoji ------------------------------------------------------------------------------------------------------------


def emoji_decoder(say: Say = quiet) -> Decoder:
    """The auto-decoder of emoji, from the cache, or trained and kept there; an interrupted training continues.

    Args:
        say: called with what is being done, and how much of it.

    Returns:
        The decoder.

    Raises:
        FetchError: if emoji cannot be downloaded.
    """

    def make(path: Path) -> Decoder:
        state = path.with_suffix(f".{LAYOUT}.state.safetensors")
        decoder, _ = train_decoder(
            drawn_pictures(load("emoji")),
            DRAWN,
            lambda step, steps, loss: say("training the generator", step, steps),
            state,
            state.is_file(),
        )
        return decoder

    def write(path: Path, decoder: Decoder, about: dict[str, str]) -> None:
        save_decoder(decoder, path, about)
        path.with_suffix(f".{LAYOUT}.state.safetensors").unlink(missing_ok=True)

    return kept("generator_emoji", {"layout": LAYOUT}, load_decoder, make, write)


def drawn_pictures(emoji: Emoji) -> NDArray[np.uint8]:
    """What the generator learns to draw: the flat styles, all but the last, whose shades would take it more time."""
    chosen: NDArray[np.uint8] = emoji.pictures[emoji.style < max(1, len(emoji.styles) - 1)]
    return chosen


def of_decoder(decoder: Decoder, name: str) -> Generator:
    """An auto-decoder as a generator: new latents are near those of pictures."""
    latents = np.asarray(decoder.latents.detach(), np.float64)
    spread = np.cov(latents.T) + 1e-4 * np.eye(latents.shape[1])
    root = np.linalg.cholesky(spread)
    precision = np.linalg.inv(spread).astype(np.float32)

    def moved(z: NDArray[Any], source: Source) -> NDArray[np.float32]:
        noise = np.asarray(source.normal(z.shape), np.float64) @ root.T
        near_them: NDArray[np.float32] = (z + NEAR * noise).astype(np.float32)
        return near_them

    def start(count: int, source: Source) -> Parameterization:
        places = np.asarray(source.integers(len(latents), shape=(count,)))
        return ascent.latent(decoder, moved(latents[places], source))

    def distance(z: Tensor, first: Tensor) -> Tensor:
        moved = z - first
        away: Tensor = _core.sum(moved * (moved @ precision)) / latents.shape[1]
        return away

    known = latents.astype(np.float32)
    return Generator(name, start, distance, rate=0.02, candidates=16, starts=1, latents=known, moved=moved,
                     scorer=GUIDES)  # fmt: skip


# -- latents of a normal distribution ---------------------------------------------------------------------------------


def of_normal_latents(
    name: str, render: Callable[[Any], Tensor], shape: tuple[int, ...], rate: float = 0.05, factor: float = TRUNCATED
) -> Generator:
    """A generator whose latents are normally distributed.

    Args:
        name: its name.
        render: from latents (n, *shape) to pictures.
        shape: shape of a latent.
        rate: learning rate.
        factor: truncation: the factor of latents that are drawn.

    Returns:
        A ``Generator``.
    """
    size = int(np.prod(shape))

    def start(count: int, source: Source) -> Parameterization:
        return ascent.latent(render, source.normal((count, *shape)) * factor)

    def distance(z: Tensor, first: Tensor) -> Tensor:
        return _core.sum((z - first) ** 2) / size

    return Generator(name, start, distance, rate)


def of_faces(made: Generator, count: int, source: str) -> Generator:
    """A generator of faces: guided and judged by networks of expressions, and ranked among random faces of its own.

    Args:
        made: the generator.
        count: number of these, which are drawn at first use and kept.
        source: the sha256 of its weights.

    Returns:
        A ``Generator``.
    """

    def others(say: Say) -> NDArray[np.uint8]:
        def make() -> NDArray[Any]:
            return random_pictures(made, count, say)

        return kept_array(f"{made.name}_{count}", origin_of(source, str(OTHERS)), make)

    return replace(made, scorer="faces", judge="faces_judge", others=others)


def random_pictures(made: Generator, count: int, say: Say = quiet) -> NDArray[np.uint8]:
    """Small pictures of random parameters, uint8 (count, side, side, 3), always the same."""
    many, found = made.start(count, Source(count)), list[NDArray[np.uint8]]()
    with _core.no_grad(), evaluating():
        for first in range(0, count, made.batch):
            last = min(first + made.batch, count)
            drawn = np.asarray(many.render(rows_of(many.params, slice(first, last))))
            side = min(OTHERS, drawn.shape[-1])
            found += [pictures.resized(pictures.rgb(each), side, side) for each in drawn]
            say("drawing others", last, count)
    return np.stack(found)


def _dcgan(say: Say) -> Generator:
    model = zoo.load("dcgan_faces")
    made = of_normal_latents("dcgan_faces", lambda z: (model(z) + 1) / 2, (100, 1, 1))
    return of_faces(made, 256, model.source.sha256)


def _mobilestylegan(say: Say) -> Generator:
    """Faces of 512 pixels from styles, the latents after the mapping, in which directions mean more."""
    model = zoo.load("mobilestylegan")
    mapping, synthesis = cast(tuple[Graph, Graph], tuple(model))
    with _core.no_grad():
        styles = np.concatenate([np.asarray(mapping(z)) for z in Source(0).normal((16, 256, 512))])
    mean, deviation = styles.mean(axis=0), styles.std(axis=0)

    def start(count: int, source: Source) -> Parameterization:
        with _core.no_grad():
            styles = mapping(source.normal((count, 512)))
        return ascent.latent(render, mean + STYLES * (styles - mean))

    def render(w: Any) -> Tensor:
        image: Tensor = (synthesis(w, HALF)[:, :3] * HAAR + 1) / 2
        return image

    def distance(w: Tensor, first: Tensor) -> Tensor:
        return _core.sum(((w - first) / deviation) ** 2) / len(mean)

    made = Generator("mobilestylegan", start, distance, 0.03, candidates=8, starts=1, batch=2)
    return of_faces(made, 32, model.source.sha256)


def of_onnx(path: str) -> Generator:
    """A generator in an ONNX file; see ``generator``.

    Args:
        path: the file.

    Returns:
        A ``Generator``.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it does not map latents to pictures.
    """
    model = onnx.load(path, requires_grad=False).eval()
    with reading(path, "a generator"):
        shape = model.input_shapes[0] or () if len(model.inputs) == 1 else ()
        rest = [size for size in shape[1:] if isinstance(size, int)]
        if len(rest) != len(shape) - 1 or not rest or int(np.prod(rest)) != rest[0]:
            given = dict(zip(model.inputs, model.input_shapes, strict=True))
            raise ValueError(f"a generator takes latents (n, size) or (n, size, 1, 1), this one {given}")
        batch = shape[0] if isinstance(shape[0], int) else None
        shown = _in_parts(model, batch)
        low, high = _range(shown(Source(0).normal((batch or 2, *rest))))
    return of_normal_latents(Path(path).name, lambda z: _three((shown(z) - low) / (high - low)), tuple(rest))


def _in_parts(model: Callable[[Any], Any], batch: int | None) -> Callable[[Any], Tensor]:
    """A model of a fixed batch size as one of any."""
    if batch is None:
        return model

    def run(z: Any) -> Tensor:
        n = z.shape[0]
        more = -n % batch
        filled = _core.concat([z, *[z[-1:]] * more]) if more else z
        return _core.concat([model(filled[i : i + batch]) for i in range(0, n + more, batch)])[:n]

    return run


def _range(drawn: Any) -> tuple[float, float]:
    """The values of black and white. Raises ValueError if these are no pictures."""
    if not isinstance(drawn, Tensor) or drawn.ndim != 4 or drawn.shape[1] not in (1, 3):
        told = drawn.shape if isinstance(drawn, Tensor) else f"{len(drawn)} outputs"
        raise ValueError(f"its output is no picture: pictures are (n, 1 or 3, height, width), got {told}")
    with _core.no_grad():
        values = np.asarray(drawn)
    least, most = float(values.min()), float(values.max())
    if not (np.isfinite(least) and np.isfinite(most)) or least < -1.5 or most > 1.5:
        raise ValueError(f"its output is no picture in [0, 1] or [-1, 1]: values go from {least:.3g} to {most:.3g}")
    return (-1.0, 1.0) if least < -0.05 else (0.0, 1.0)


def _three(drawn: Tensor) -> Tensor:
    return _core.concat([drawn] * 3, axis=1) if drawn.shape[1] == 1 else drawn


# -- without a generator ----------------------------------------------------------------------------------------------


def _free(name: str, start: Draw, rate: float) -> Callable[[Say], Generator]:
    return lambda say: Generator(name, start, None, rate, candidates=4)


def _pixels(count: int, source: Source) -> Parameterization:
    return ascent.pixels((count, 3, SIDE, SIDE), source, std=0.1).then(_core.sigmoid)


def _spectrum(count: int, source: Source) -> Parameterization:
    return ascent.color_decorrelated(ascent.fft((count, 3, SIDE, SIDE), source)).then(_core.sigmoid)


NAMED: dict[str, Callable[[Say], Generator]] = {
    "emoji": lambda say: of_decoder(emoji_decoder(say), "emoji"),
    "dcgan_faces": _dcgan,
    "mobilestylegan": _mobilestylegan,
    "pixels": _free("pixels", _pixels, 0.05),
    "fft": _free("fft", _spectrum, 0.05),
    "cppn": _free("cppn", lambda count, source: ascent.cppn((count, 3, SIDE, SIDE), source), 0.005),
}
