"""Looking at a model without touching it: maps, attacks and ascent run it in evaluation mode, however they reach it.

No module is written to. So a model that is looked at in the middle of training keeps its mode, its running statistics
and its generators, and another thread may train it meanwhile. ``Mode`` is what modules read; ``looked`` is what those
who look put around the functions they evaluate.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class _State(threading.local):
    looking: bool = False


_state = _State()


@contextmanager
def looking() -> Iterator[None]:
    """Inside, every module that runs on this thread runs in evaluation mode."""
    before, _state.looking = _state.looking, True
    try:
        yield
    finally:
        _state.looking = before


def looking_now() -> tuple[object, str, bool]:
    """Where it stands whether this thread is looking, and whether it is: for guards of compiled steps."""
    return _state, "looking", _state.looking


def looked(fun: Callable[P, R]) -> Callable[P, R]:
    """``fun``, inside ``looking``."""

    @wraps(fun, updated=())
    def run(*args: P.args, **options: P.kwargs) -> R:
        with looking():
            return fun(*args, **options)

    return run


class Mode:
    """The attribute ``training`` of modules: what was set, True at first, and False while they are looked at."""

    def __get__(self, module: Any, owner: type) -> bool:
        if module is None:
            return True
        return not _state.looking and bool(vars(module).get("training", True))

    def __set__(self, module: Any, mode: bool) -> None:
        vars(module)["training"] = mode
