"""A recipe: everything that determines a training run besides the network and the data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """Options of a training run; by default SGD with momentum and cosine decay of the learning rate.

    Noise and shifts make a network rely on strokes rather than single pixels. That helps for digits, with noise of .5
    say, and harms where classes differ in details, so there is no noise by default.

    Args:
        epochs: passes over the training data.
        batch_size: samples per step.
        lr: initial learning rate; the highest one of "one_cycle".
        momentum: momentum of SGD and RMSProp; not used by other optimisers.
        weight_decay: weight decay.
        noise: standard deviation of normal noise added to each batch.
        shift: maximum random shift of each image in pixels; inputs of fewer than 3 dimensions are not shifted.
        flip: whether to mirror images left to right with probability one half.
        seed: determines the order of samples and the augmentation.
        loss: a name of ``training.LOSSES``; ``fit`` takes functions too.
        optimizer: a name of ``training.OPTIMIZERS``; ``fit`` takes functions too.
        schedule: a name of ``training.SCHEDULES``.
        warmup: number of steps over which the rate rises linearly before the schedule begins.
        shards: a batch is computed in so many parts, a power of two, whose gradients are added in one binary tree: with
            less memory (gradient accumulation), or on several machines. The parts draw for themselves and have batch
            norms of their own, so the number is part of the recipe; how many ranks share them is not.
        clip: the norm to which longer gradients are scaled down, all parameters taken together; None for no limit.
        ema: decay of an exponential moving average of the weights, such as .999, which is what the run is validated by
            and returns; None for none.
        patience: epochs without improvement after which the run stops; the model then has the best epoch's weights.
            None to run to the end.
        monitor: which value of an epoch improves: "val_loss", "val_accuracy", "loss", ...; "val_loss" by default, or
            "loss" without a validation set.
        precision: a mode of ``sp.matmul_precision`` ("auto", "fma", "split", "bf16", ...); the current one if None.

    Example:
        >>> from steep.training import Recipe
        >>> Recipe(epochs=3).lr
        0.05
    """

    epochs: int = 40
    batch_size: int = 50
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 1e-3
    noise: float = 0.0
    shift: int = 1
    flip: bool = False
    seed: int = 0
    loss: str = "cross_entropy"
    optimizer: str = "sgd"
    schedule: str = "cosine"
    warmup: int = 0
    shards: int = 1
    clip: float | None = None
    ema: float | None = None
    patience: int | None = None
    monitor: str = ""
    precision: str | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for options that no run can have."""
        if self.shards < 1 or self.shards & (self.shards - 1):
            raise ValueError(f"Recipe: shards must be a power of two, got {self.shards}")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"Recipe: clip must be greater than 0, got {self.clip}")
        if self.ema is not None and not 0 <= self.ema < 1:
            raise ValueError(f"Recipe: ema must lie in [0, 1), got {self.ema}")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"Recipe: patience must be at least 1, got {self.patience}")
        if self.warmup < 0:
            raise ValueError(f"Recipe: warmup must not be negative, got {self.warmup}")


def described(recipe: Recipe) -> dict[str, Any]:
    """The options as a dict, as checkpoints hold them.

    Args:
        recipe: the recipe.

    Returns:
        A dict of plain values.
    """
    return asdict(recipe)


def differences(saved: Any, recipe: Recipe) -> dict[str, tuple[Any, Any]]:
    """The options in which a saved recipe differs; those that it lacks, of an older version, have their defaults.

    Args:
        saved: what ``described`` returned.
        recipe: another recipe.

    Returns:
        Pairs of a saved and another value, by name.
    """
    before = {**asdict(Recipe()), **(saved if isinstance(saved, dict) else {})}
    now = asdict(recipe)
    return {name: (before.get(name), now.get(name)) for name in {**before, **now} if before.get(name) != now.get(name)}
