"""Row 8: the k-th allocation fails, for every k. ``python tests/trust/out_of_memory.py [PATH]``.

CPython's own switch (``_testcapi.set_nomemory``) refuses one allocation of Python's; each path is run again with the
next one refused, until it gets through untouched. What comes of it is the result or a MemoryError, and the next
gradient is right. Start reading at ``sweep``.
"""

from __future__ import annotations

import _testcapi  # type: ignore[import-not-found]
import faulthandler
import io
import sys
from collections.abc import Callable
from contextlib import redirect_stderr

import numpy as np
import steep as sp
from steep import optim

w = sp.tensor(np.linspace(-1, 1, 12).reshape(3, 4), dtype="float32", requires_grad=True)
x = sp.tensor(np.ones((2, 3)), dtype="float32")


def loss(v: sp.Tensor) -> sp.Tensor:
    return (sp.tanh(v @ w) ** 2).sum()


def eager() -> None:
    w.grad = None
    loss(x).backward()


def refused_part() -> None:
    """A function that cannot be compiled as it is: its recording is undone, and it runs plainly."""
    optim.minimize(lambda v: ((v - float(v.sum())) ** 2).sum(), sp.ones((3,)), optim.Adam, steps=1, capture=True)


replayed = sp.compile(loss)
PATHS: dict[str, Callable[[], object]] = {
    "eager": eager,
    "record": lambda: sp.compile(loss)(x),
    "replay": lambda: replayed(x),
    "gradient of a replay": lambda: replayed(x).backward(),
    "record a gradient": lambda: sp.compile(sp.grad(loss))(x),
    "second derivative": lambda: sp.grad(lambda v: (sp.grad(loss)(v) ** 2).sum())(x),
    "minimize": lambda: optim.minimize(
        lambda v: ((v - 1) ** 2).sum(), sp.ones((3,)), optim.Adam, steps=2, capture=True
    ),
    "what cannot be compiled": refused_part,
}


def gradient() -> bytes:
    w.grad = None
    loss(x).backward()
    found = w.grad
    assert found is not None
    return found.numpy().tobytes()


def attempt(work: Callable[[], object], k: int) -> bool:
    """Whether the work got through with its k-th allocation refused. SystemError is CPython's own word for some."""
    _testcapi.set_nomemory(k, k + 1)
    try:
        work()
        return True
    except (MemoryError, SystemError):
        return False
    finally:
        _testcapi.remove_mem_hooks()


def sweep(name: str, most: int = 20_000) -> int:
    """The number of allocations of a path, each of which was refused once."""
    work, untouched = PATHS[name], 0
    for _ in range(3):
        work()
    expected = gradient()
    for k in range(most):
        with redirect_stderr(io.StringIO()):  # what CPython prints of finalisers that found no memory
            untouched = untouched + 1 if attempt(work, k) else 0
        assert gradient() == expected, f"{name}: another gradient after allocation {k} was refused"
        if untouched == 40:
            return max(0, k - 40)
    return most


def main(names: list[str]) -> str:
    """The row's figure."""
    faulthandler.enable()
    sys.unraisablehook = lambda _: None
    found = {name: sweep(name) for name in names or PATHS}
    return ", ".join(f"{name} {count}" for name, count in found.items()) + " allocations refused, one at a time"


if __name__ == "__main__":
    print(main(sys.argv[1:]))
