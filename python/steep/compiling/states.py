"""What has a state that a run may advance and a replay would not: random generators of others, iterators.

Their states are compared before and after the recording only, since a program draws nothing from them.
"""

from __future__ import annotations

import pickle
import random
import sys
import warnings
from collections.abc import Iterator
from types import GeneratorType
from typing import Any

from steep.compiling.code import is_library


def is_advanced(value: Any) -> bool:
    """Whether using a value advances it."""
    if isinstance(value, Iterator):
        return is_library(type(value))
    return isinstance(value, (random.Random, *_numpy_generators()))


def state_of(value: Any) -> Any:
    """Numbers, text and identities that change when the value is advanced; None where they cannot be told."""
    if isinstance(value, random.Random):
        return None if isinstance(value, random.SystemRandom) else value.getstate()
    if isinstance(value, GeneratorType):
        frame = value.gi_frame
        return None if frame is None else (frame.f_lasti, *frame.f_locals.values())
    if isinstance(value, Iterator):
        return _iterator(value)
    return pickle.dumps(value.bit_generator.state if hasattr(value, "bit_generator") else value.get_state(legacy=False))


def _numpy_generators() -> tuple[type, ...]:
    module = sys.modules.get("numpy.random")
    return (module.Generator, module.RandomState) if module else ()


def _iterator(value: Any) -> Any:
    """By what would make it again, where the iterator says it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _frozen(value.__reduce__())
        except (TypeError, NotImplementedError):
            return None


def _frozen(state: Any) -> Any:
    if isinstance(state, (list, tuple)):
        return tuple(map(_frozen, state))
    return state_of(state) if isinstance(state, Iterator) else state
