"""Row 15: importing and using steep leaves denormals, rounding and exceptions of the processor as they were."""

from __future__ import annotations

import ctypes
import threading

import numpy as np

TINY = np.float64(5e-324)


def state() -> tuple[float, int, int]:
    library = ctypes.CDLL(None)
    return float(TINY + TINY), library.fegetround(), library.fegetexcept()


def main() -> str:
    """The row's figure."""
    before = state()
    import steep as sp

    x = sp.tensor(np.linspace(-1, 1, 400 * 400).reshape(400, 400), dtype="float32", requires_grad=True)
    found = []
    for n in (1, 4):
        sp.set_num_threads(n)
        (sp.exp(x @ x) / sp.sqrt(sp.abs(x))).sum().backward()
        thread = threading.Thread(target=lambda: found.append(state()))
        thread.start()
        thread.join()
    assert state() == before and found == [before, before]
    assert (sp.tensor(5e-324, dtype="float64") * 2).item() == 1e-323
    return f"denormals, rounding and exceptions as before import: {before}"


if __name__ == "__main__":
    print(main())
