"""Random tensors from a counter: element i of a stream is a function of (seed, i) alone.

So a draw does not depend on threads or on how it is split, and a generator's whole state is two numbers. They live in
a tensor that draws move on in place, so that a compiled step draws fresh numbers at every call. The bits come from
Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

from steep import _core
from steep._core import Tensor

Shape: TypeAlias = int | tuple[int, ...] | list[int]

_WORD = 1 << 64


def _signed(word: int) -> int:
    word %= _WORD
    return word - _WORD if word >= _WORD // 2 else word


def _spread(seed: int) -> int:
    """Neighbouring seeds to distant keys: the finaliser of SplitMix64 (Steele et al. 2014)."""
    z = (seed + 0x9E3779B97F4A7C15) % _WORD
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % _WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % _WORD
    return z ^ (z >> 31)


def _as_shape(shape: Shape) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)


# Of the calls that run now and want to know who draws: the state of each generator before its first draw.
_observers: ContextVar[tuple[dict[Generator, Tensor], ...]] = ContextVar("observers", default=())


@contextmanager
def observed_draws() -> Iterator[dict[Generator, Tensor]]:
    """Gathers the generators that are drawn from within the block, each with its state from before."""
    states: dict[Generator, Tensor] = {}
    token = _observers.set((*_observers.get(), states))
    try:
        yield states
    finally:
        _observers.reset(token)


@contextmanager
def draws_again(states: dict[Generator, Tensor]) -> Iterator[None]:
    """Within the block the generators draw what they drew from ``states``; afterwards they go on where they were."""
    now = {generator: generator._state.copy() for generator in states}
    _put(states)
    try:
        yield
    finally:
        _put(now)


def _put(states: dict[Generator, Tensor]) -> None:
    with _core.no_grad():
        for generator, state in states.items():
            generator._state[:] = state


class Generator:
    """A stream of random numbers. Two generators of one seed give the same numbers, on any number of threads."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = int(seed)
        self._state = _core.tensor([_signed(_spread(self.seed)), 0], dtype=_core.int64)

    @property
    def position(self) -> int:
        """How many numbers have been drawn."""
        return int(self._state[1]) % _WORD

    @position.setter
    def position(self, value: int) -> None:
        self._state[1] = _signed(value)

    def __repr__(self) -> str:
        return f"Generator(seed={self.seed}, position={self.position})"

    def _draw(self, kind: str, shape: Shape, dtype: Any) -> Tensor:
        for states in _observers.get():
            if self not in states:
                states[self] = self._state.copy()
        drawn: Tensor = _core.random_draw(kind, self._state, _as_shape(shape), dtype)
        return drawn

    def uniform(self, low: float | Shape = 0.0, high: float = 1.0, shape: Shape = (), dtype: Any = None) -> Tensor:
        """Uniform on [low, high), float32 unless said otherwise. ``uniform(shape)`` is uniform on [0, 1)."""
        start, shape = (0.0, low) if isinstance(low, tuple | list) else (low, shape)
        u = self._draw("random_uniform", shape, dtype)
        return u if (start, high) == (0.0, 1.0) else u * (high - start) + start

    def normal(self, shape: Shape = (), mean: float = 0.0, std: float = 1.0, dtype: Any = None) -> Tensor:
        """Normal with the given mean and standard deviation, float32 unless said otherwise."""
        z = self._draw("random_normal", shape, dtype)
        return z if (mean, std) == (0.0, 1.0) else z * std + mean

    def integers(self, low: int, high: int | None = None, shape: Shape = (), dtype: Any = None) -> Tensor:
        """Whole numbers from low to high - 1, or from 0 to low - 1; int64 unless said otherwise.

        Raises ValueError if there are none, or more than 2**53.
        """
        first, end = (0, low) if high is None else (low, high)
        if not 0 < end - first <= 1 << 53:
            raise ValueError(f"integers: no draw from [{first}, {end}); it needs 1 to 2**53 numbers")
        u = self._draw("random_uniform", shape, _core.float64)
        return _core.astype(_core.floor(u * (end - first)) + first, dtype or _core.int64)

    def permutation(self, n: int) -> Tensor:
        """0 to n - 1 in random order, int64."""
        return _core.argsort(self._draw("random_bits", (n,), None))

    def bernoulli(self, p: float, shape: Shape = ()) -> Tensor:
        """True with probability p, bool: a dropout mask keeps with 1 - p."""
        return self._draw("random_uniform", shape, None) < p

    def state(self) -> dict[str, int]:
        """What ``set_state`` needs to go on from here."""
        return {"seed": self.seed, "position": self.position}

    def set_state(self, state: dict[str, int]) -> None:
        """Goes on from where ``state`` was taken."""
        self.seed = int(state["seed"])
        self._state[0] = _signed(_spread(self.seed))
        self.position = int(state["position"])
