"""Evaluation mode for the calls of a thread: maps, attacks and ascent evaluate models in it without changing them.

No module is written to. So a model that is evaluated during training keeps its mode, its running statistics and its
generators, and another thread may train it meanwhile. ``Mode`` is what modules read; ``evaluated`` wraps functions.
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
    evaluating: bool = False


_state = _State()


@contextmanager
def evaluating() -> Iterator[None]:
    """Inside, every module called on this thread runs in evaluation mode."""
    before, _state.evaluating = _state.evaluating, True
    try:
        yield
    finally:
        _state.evaluating = before


def evaluating_now() -> tuple[object, str, bool]:
    """Where the thread's flag is stored, and its value; for guards of compiled steps.

    Returns:
        An object, the name of its attribute, and whether evaluation mode is forced.
    """
    return _state, "evaluating", _state.evaluating


def evaluated(fun: Callable[P, R]) -> Callable[P, R]:
    """``fun``, called inside ``evaluating``.

    Args:
        fun: a function.

    Returns:
        The wrapped function.
    """

    @wraps(fun, updated=())
    def run(*args: P.args, **options: P.kwargs) -> R:
        with evaluating():
            return fun(*args, **options)

    return run


class Mode:
    """The attribute ``training`` of modules: the value that was set, True at first, and False inside ``evaluating``."""

    def __get__(self, module: Any, owner: type) -> bool:
        if module is None:
            return True
        return not _state.evaluating and bool(vars(module).get("training", True))

    def __set__(self, module: Any, mode: bool) -> None:
        vars(module)["training"] = mode
