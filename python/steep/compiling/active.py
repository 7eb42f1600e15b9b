"""The recording in progress on this thread, and what steep's own objects tell it.

An optimiser's options are guarded by ``guard_options``; a value that Python computes for every step, such as a
scheduled learning rate, enters a program by ``host_value``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from steep import _core
from steep._core import Tensor

PLAIN = (bool, int, float, complex, str, bytes, type(None))


class Active(threading.local):
    """Guards, and functions to call before every replay; ``guards`` is None where nothing is recorded."""

    guards: list[Any] | None = None
    refresh: list[Callable[[], None]]


active = Active()


def guard_options(holder: Any) -> None:
    """While recording: the program holds as long as the plain attributes of ``holder`` stay what they are.

    Plain is a number, text, None, or a tuple of these.
    """
    if active.guards is not None:
        names = [name for name, value in vars(holder).items() if isinstance(value, (*PLAIN, tuple))]
        active.guards += [_core._Guard("attribute", holder, name) for name in names]


def host_value(ask: Callable[[], float]) -> float | Tensor:
    """``ask()``; while recording, a 0-d float64 tensor that holds what it returns before each replay."""
    if active.guards is None:
        return ask()
    cell = _core._cell(0.0)

    def refresh() -> None:
        _core._set_cell(cell, ask())

    with _core._unrecorded():
        refresh()
    active.refresh.append(refresh)
    return cell
