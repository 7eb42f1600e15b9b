"""``train``: contrastive training of two towers on pairs of pictures and texts, by the one loop, resumable bit for bit.

A batch is drawn by position; pictures are augmented for a trunk that is trained, and features are computed once for one
that is not. Start reading at ``train``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core, compile, io, optim
from steep._core import Tensor
from steep.data import DataLoader, TensorDataset
from steep.display import displayed
from steep.imagine.any_towers import as_inputs
from steep.imagine.contrast import contrastive_loss
from steep.imagine.towers import Towers
from steep.optim.loop import Progress
from steep.random import Generator

MOST_SCALE = float(np.log(100.0))


@displayed
@dataclass(frozen=True)
class Pairs:
    """Pictures with texts.

    Attributes:
        pictures: squares uint8 (n, size, size, 3), or features float32 (n, features) of a frozen trunk.
        groups: what each shows, int64 (n,): pictures of one group are not negatives of one another.
        texts: features of texts float32 (groups, texts, 384); an epoch has every picture with every text of its group.
    """

    pictures: NDArray[Any]
    groups: NDArray[np.int64]
    texts: NDArray[np.float32]


@dataclass(frozen=True)
class Settings:
    """How towers are trained.

    Attributes:
        epochs: number of epochs.
        batch: number of pairs in a batch.
        lr: the largest learning rate, of a rise over the first tenth and a cosine after it.
        weight_decay: that of AdamW.
        zoom: pictures are scaled by 1 - zoom to 1 + zoom; 0 for no augmentation of pictures.
        rotate: and rotated by up to so many degrees.
        brighten: and made brighter or darker by up to this share.
        seed: seed of order, augmentation, and texts.
    """

    epochs: int = 10
    batch: int = 256
    lr: float = 2e-3
    weight_decay: float = 0.05
    zoom: float = 0.15
    rotate: float = 15.0
    brighten: float = 0.15
    seed: int = 0


def train(
    towers: Towers,
    pairs: Pairs,
    settings: Settings,
    callback: Callable[[int, int, float], object] = lambda step, steps, loss: None,
    checkpoint: Path | None = None,
    resume: bool = False,
) -> list[float]:
    """Trains towers in place.

    Args:
        towers: the towers.
        pairs: what they are trained on.
        settings: everything else that determines the run.
        callback: called with the step, their number, and the loss; returning True stops the run.
        checkpoint: a file to which the run is saved after each epoch.
        resume: whether to continue from it, with the bits of a run that was never interrupted.

    Returns:
        The loss of every step.

    Raises:
        ValueError: for a checkpoint of another run.
    """
    run = _Run(towers, pairs, settings)
    if resume and checkpoint is not None:
        run.load(checkpoint)

    def after(progress: Progress) -> object:
        run.losses.append(progress.value)
        if checkpoint is not None and len(run.losses) % len(run.loader) == 0:
            run.save(checkpoint)
        if len(run.losses) < run.steps:
            run.refill()
        return callback(len(run.losses), run.steps, progress.value)

    towers.train()
    if len(run.losses) < run.steps:
        run.refill()
    left = run.steps - len(run.losses)
    result = optim.minimize(run.loss, run.params, run.optimizer, left, callback=after, capture=True)
    towers.eval()
    if result.status == "diverged":
        raise ValueError(f"the training diverged after {len(run.losses)} steps: choose a smaller learning rate")
    return run.losses


def one_cycle(lr: float, steps: int) -> Callable[[Any], Any]:
    """A rise over the first tenth of the steps, then a cosine to 0."""
    rise = max(1, steps // 10)
    return optim.schedules.warmup(optim.schedules.cosine(lr, max(1, steps - rise)), rise)


class _Run:
    """The state of a run: the current batch, in tensors that are overwritten, and what a checkpoint holds."""

    def __init__(self, towers: Towers, pairs: Pairs, settings: Settings) -> None:
        self.towers, self.pairs, self.settings = towers, pairs, settings
        everything = TensorDataset(np.arange(len(pairs.groups) * pairs.texts.shape[1]))
        size = min(settings.batch, len(everything))
        self.loader = DataLoader(everything, size, shuffle=True, seed=settings.seed, drop_last=True)
        self.steps, self.losses = settings.epochs * len(self.loader), list[float]()
        self.params, self.source = towers.trained(), Generator(settings.seed + 1)
        rate = one_cycle(settings.lr, self.steps)
        self.optimizer = optim.AdamW(self.params, rate, weight_decay=settings.weight_decay)
        shape = pairs.pictures.shape[1:]
        input_shape = shape if len(shape) == 1 else (3, *shape[:2])
        self.x = _core.zeros((size, *input_shape), dtype=_core.float32)
        self.t = _core.zeros((size, pairs.texts.shape[-1]), dtype=_core.float32)
        self.g = _core.zeros((size,), dtype=_core.int64)
        self._stream = self._endless()
        self._moved = compile(moved)

    def loss(self, params: Any) -> Tensor:
        """The loss of the current batch."""
        scale = _core.exp(_core.minimum(self.towers.log_scale, MOST_SCALE))
        return contrastive_loss(self.towers(self.x), self.towers.text_vectors(self.t), scale, self.g)

    def refill(self) -> None:
        """Draws the next batch."""
        rows, which = np.divmod(np.asarray(next(self._stream)).astype(np.int64), self.pairs.texts.shape[1])
        groups = self.pairs.groups[rows]
        self.x[...] = self._pictures(rows)
        self.t[...] = self.pairs.texts[groups, which]
        self.g[...] = groups

    def _endless(self) -> Iterator[Any]:
        while True:
            yield from self.loader

    def _pictures(self, rows: NDArray[np.int64]) -> Tensor:
        chosen = self.pairs.pictures[rows]
        if chosen.ndim == 2:
            return _core.asarray(chosen)
        x = as_inputs(self.towers, chosen)
        return augmented(x, self.settings, self.source, self._moved) if self.settings.zoom else x

    def save(self, path: Path) -> None:
        """Writes the run, atomically."""
        extra = {"settings": asdict(self.settings), "losses": self.losses, "pairs": len(self.pairs.groups)}
        io.save_checkpoint(path, step=len(self.losses), extra=extra, **self._state())

    def load(self, path: Path) -> None:
        """Continues from a file."""
        extra = io.load_checkpoint(path, **self._state()).extra
        mine = asdict(self.settings), len(self.pairs.groups)
        if (extra.get("settings"), extra.get("pairs")) != mine:
            raise ValueError(f"{path} is of another run ({extra.get('settings')}): remove it, or use its settings")
        self.losses = extra["losses"]

    def _state(self) -> dict[str, Any]:
        return {"model": self.towers, "optimizer": self.optimizer, "generator": self.source, "loader": self.loader}


def moved(x: Tensor, matrix: Tensor, light: Tensor) -> Tensor:
    """Pictures read at the places that affine maps give, then made brighter or darker.

    Args:
        x: pictures (n, 3, size, size).
        matrix: maps (n, 2, 3), from a place on [-1, 1]^2, x first, to the place that is read.
        light: factors (n, 1, 1, 1).

    Returns:
        A tensor of the same shape.
    """
    n, size = x.shape[0], x.shape[-1]
    side = (np.arange(size) + 0.5) * 2 / size - 1
    places = np.stack([*np.meshgrid(side, side), np.ones((size, size))]).reshape(3, -1)
    grid = _core.reshape(_core.matmul(matrix, _core.asarray(places)), (n, 2, size, size))
    return _core.grid_sample(x, _core.permute_dims(grid, (0, 2, 3, 1)).astype(x.dtype), padding_mode="border") * light


def augmented(x: Tensor, settings: Settings, source: Generator, move: Callable[..., Tensor] = moved) -> Tensor:
    """Each picture of a batch zoomed, rotated, shifted, and made brighter or darker, by draws of its own.

    Args:
        x: inputs (n, 3, size, size).
        settings: how much.
        source: source of the random numbers.
        move: ``moved``, compiled or not.

    Returns:
        A tensor of the same shape, without gradient.
    """
    draws = np.asarray(source.uniform((5, x.shape[0])), np.float64) * 2 - 1
    angle, factor = draws[0] * settings.rotate * np.pi / 180, 1 / (1 + settings.zoom * draws[1])
    c, s = np.cos(angle) * factor, np.sin(angle) * factor
    matrix = np.stack([np.stack([c, -s, 0.1 * draws[2]], -1), np.stack([s, c, 0.1 * draws[3]], -1)], 1)
    light = (1 + settings.brighten * draws[4]).astype(np.float32).reshape(-1, 1, 1, 1)
    return move(x.detach(), _core.asarray(matrix), _core.asarray(light))
