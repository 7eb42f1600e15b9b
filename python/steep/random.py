"""Random tensors from a counter: element i of a stream is a function of (seed, i) alone.

So a draw does not depend on threads or on how it is divided, and a generator's whole state is two numbers. They are
kept in a tensor that draws update in place, so that a compiled step draws new numbers at every call. The bits come from
Philox 4x32-10 (Salmon et al. 2011, doi:10.1145/2063384.2063405).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

from steep import _core
from steep._core import Tensor
from steep.elsewhere import answer_unknown_names

Shape: TypeAlias = int | tuple[int, ...] | list[int]

_WORD = 1 << 64


def _signed(word: int) -> int:
    word %= _WORD
    return word - _WORD if word >= _WORD // 2 else word


def _spread(seed: int) -> int:
    """Maps neighbouring seeds to distant keys: the finaliser of SplitMix64 (Steele et al. 2014,
    doi:10.1145/2660193.2660195).
    """
    z = (seed + 0x9E3779B97F4A7C15) % _WORD
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % _WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % _WORD
    return z ^ (z >> 31)


def _as_shape(shape: Shape) -> tuple[int, ...]:
    return tuple(operator.index(n) for n in shape) if isinstance(shape, tuple | list) else (operator.index(shape),)


def _whole(who: str, number: Any) -> int:
    """An integer, also from an integral float. Raises ValueError for other values, infinities and NaN included."""
    try:
        if int(number) == number:
            return int(number)
    except (OverflowError, ValueError):
        pass
    raise ValueError(f"{who} must be an integer, and is {number!r}")


def _float_dtype(who: str, dtype: Any) -> Any:
    found = _core.float32 if dtype is None else _core.dtype(dtype)
    if found.kind != "f":
        raise TypeError(f"{who}: draws floats, and cannot in {found}; integers() draws integers")
    return found


def _integer_dtype(first: int, end: int, dtype: Any) -> Any:
    """The dtype to draw first to end - 1 in; raises unless it is one of integers, or bool, that holds them."""
    from steep.array_api.dtypes import iinfo

    found = _core.int64 if dtype is None else _core.dtype(dtype)
    if found.kind == "f":
        raise TypeError(f"integers: cannot draw in {found}; name an integer dtype, and astype() afterwards")
    lowest, highest = (0, 1) if found == _core.bool else (iinfo(found).min, iinfo(found).max)
    if first < lowest or end - 1 > highest:
        raise ValueError(f"integers: {first} to {end - 1} do not fit in {found}, which holds {lowest} to {highest}")
    return found


# For each active ``observed_draws``: the state of each generator before its first draw.
_observers: ContextVar[tuple[dict[Generator, Tensor], ...]] = ContextVar("observers", default=())


@contextmanager
def observed_draws() -> Iterator[dict[Generator, Tensor]]:
    """Collects the generators used within the block, each with its state before its first draw."""
    states: dict[Generator, Tensor] = {}
    token = _observers.set((*_observers.get(), states))
    try:
        yield states
    finally:
        _observers.reset(token)


@contextmanager
def draws_again(states: dict[Generator, Tensor]) -> Iterator[None]:
    """Within the block the generators repeat their draws from ``states``; afterwards they continue where they were.

    Args:
        states: states of generators, as from ``observed_draws``.
    """
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
    """A stream of random numbers. Two generators of one seed give the same numbers, on any number of threads.

    Args:
        seed: an integer.

    Raises:
        ValueError: for a seed that is not an integer.

    References:
        Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", doi:10.1145/2063384.2063405.

    Example:
        >>> a, b = sp.random.Generator(0), sp.random.Generator(0)
        >>> bool((a.normal((3,)) == b.normal((3,))).all())
        True
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = _whole("Generator: seed", seed)
        self._state = _core.tensor([_signed(_spread(self.seed)), 0], dtype=_core.int64)

    @property
    def position(self) -> int:
        """How many numbers have been drawn."""
        return int(self._state[1]) % _WORD

    @position.setter
    def position(self, value: int) -> None:
        """Number of random numbers drawn so far."""
        self._state[1] = _signed(value)

    def __repr__(self) -> str:
        return f"Generator(seed={self.seed}, position={self.position})"

    def _draw(self, kind: str, shape: Shape, dtype: Any) -> Tensor:
        for states in _observers.get():
            if self not in states:
                states[self] = self._state.copy()
        drawn: Tensor = _core._random_draw(kind, self._state, _as_shape(shape), dtype)
        return drawn

    def uniform(self, low: float | Shape = 0.0, high: float = 1.0, shape: Shape = (), dtype: Any = None) -> Tensor:
        """Uniform on [low, high). ``uniform(shape)`` is uniform on [0, 1).

        Args:
            low: lower bound, or the shape.
            high: upper bound.
            shape: shape of the result.
            dtype: a float dtype; float32 if None.

        Returns:
            A tensor.

        Raises:
            ValueError: if low is above high, or their difference is not finite.
            TypeError: for an integer dtype.

        Example:
            >>> sp.random.Generator(0).uniform(-1.0, 1.0, (2, 3)).shape
            (2, 3)
        """
        start, shape = (0.0, low) if isinstance(low, tuple | list) else (low, shape)
        if not 0 <= high - start < math.inf:
            raise ValueError(f"uniform: no draw from [{start}, {high}); low must be at most high, and both finite")
        u = self._draw("random_uniform", shape, _float_dtype("uniform", dtype))
        return u if (start, high) == (0.0, 1.0) else u * (high - start) + start

    def normal(self, shape: Shape = (), mean: float = 0.0, std: float = 1.0, dtype: Any = None) -> Tensor:
        """Normally distributed.

        Args:
            shape: shape of the result.
            mean: the mean.
            std: the standard deviation.
            dtype: a float dtype; float32 if None.

        Returns:
            A tensor.

        Raises:
            ValueError: for a negative standard deviation.
            TypeError: for an integer dtype.

        Example:
            >>> sp.random.Generator(0).normal((2, 3)).shape
            (2, 3)
        """
        if not std >= 0:
            raise ValueError(f"normal: std must be at least 0, and is {std}")
        z = self._draw("random_normal", shape, _float_dtype("normal", dtype))
        return z if (mean, std) == (0.0, 1.0) else z * std + mean

    def integers(self, low: int, high: int | None = None, shape: Shape = (), dtype: Any = None) -> Tensor:
        """Uniform integers from low to high - 1, or from 0 to low - 1.

        Args:
            low: lower bound, or the upper bound if ``high`` is None.
            high: upper bound, exclusive.
            shape: shape of the result.
            dtype: an integer dtype or bool; int64 if None.

        Returns:
            A tensor.

        Raises:
            ValueError: for an empty range, more than 2**53 integers, or some that the dtype cannot represent.
            TypeError: for a float dtype.

        Example:
            >>> sp.random.Generator(0).integers(0, 10, (4,)).shape
            (4,)
        """
        first = 0 if high is None else _whole("integers: low", low)
        end = _whole("integers: high", low if high is None else high)
        if not 0 < end - first <= 1 << 53:
            raise ValueError(f"integers: no draw from [{first}, {end}); it needs 1 to 2**53 numbers")
        found = _integer_dtype(first, end, dtype)
        u = self._draw("random_uniform", shape, _core.float64)
        return _core.astype(_core.floor(u * (end - first)) + first, found)

    def permutation(self, n: int) -> Tensor:
        """A random permutation of 0 to n - 1.

        Args:
            n: number of elements.

        Returns:
            An int64 tensor (n,).

        Raises:
            ValueError: if n is negative or not an integer.

        Example:
            >>> sorted(sp.random.Generator(0).permutation(3).tolist())
            [0, 1, 2]
        """
        count = _whole("permutation: n", n)
        if count < 0:
            raise ValueError(f"permutation: n must be at least 0, and is {count}")
        return _core.argsort(self._draw("random_bits", (count,), None))

    def bernoulli(self, p: float, shape: Shape = ()) -> Tensor:
        """True with probability p.

        Args:
            p: the probability, in [0, 1].
            shape: shape of the result.

        Returns:
            A bool tensor.

        Raises:
            ValueError: for a p outside [0, 1].

        Example:
            >>> sp.random.Generator(0).bernoulli(1.0, (2,)).tolist()
            [True, True]
        """
        if not 0 <= p <= 1:
            raise ValueError(f"bernoulli: p is a probability, from 0 to 1, and is {p}")
        return self._draw("random_uniform", shape, None) < p

    def state(self) -> dict[str, int]:
        """The state, from which ``set_state`` continues.

        Returns:
            A dict of integers.
        """
        return {"seed": self.seed, "position": self.position}

    def set_state(self, state: dict[str, int]) -> None:
        """Continues from a state.

        Args:
            state: what ``state`` returned.
        """
        self.seed = int(state["seed"])
        self._state[0] = _signed(_spread(self.seed))
        self.position = int(state["position"])


answer_unknown_names(__name__)
