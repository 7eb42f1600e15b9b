"""Convolutions whose outputs have few positions, and their gradients, beside torch on one thread.

    .venv-bench/bin/python bench/small_maps.py [PART OF A NAME]

Both run alternately in one process. Three figures each: the least time of steep and of torch in milliseconds, and their
ratio. The gradients are a backward pass less its forward pass. Start reading at ``CASES``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ["STEEP_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import steep as sp
import torch

# name: (images, weight, what the call is given)
CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "8x8 by 7x7": ((32, 64, 8, 8), (128, 64, 7, 7), {}),
    "7x7 by 3x3": ((8, 512, 7, 7), (512, 512, 3, 3), {"padding": 1}),
    "4x4 by 3x3": ((32, 512, 4, 4), (512, 512, 3, 3), {"padding": 1}),
    "4x4 by 3x3, 128 channels": ((64, 128, 4, 4), (128, 128, 3, 3), {"padding": 1}),
    "2x2 by 3x3": ((32, 512, 2, 2), (512, 512, 3, 3), {"padding": 1}),
    "8x8 by 4x4, stride 2": ((32, 256, 8, 8), (512, 256, 4, 4), {"padding": 1, "stride": 2}),
    "9x9 by 3x3, dilation 4": ((32, 128, 9, 9), (128, 128, 3, 3), {"dilation": 4}),
    "4x4 by 1x1": ((32, 512, 4, 4), (512, 512, 1, 1), {}),
    "8 by 5": ((64, 256, 8), (256, 256, 5), {"padding": 2}),
    "1 by 3": ((64, 256, 1), (256, 256, 3), {"padding": 1}),
    "2x4x4 by 3x3x3": ((16, 128, 2, 4, 4), (128, 128, 3, 3, 3), {"padding": 1}),
    "4x4 by 4x4, 8 groups": ((32, 256, 4, 4), (256, 32, 4, 4), {"groups": 8}),
    "4x4 by 3x3, 8 groups": ((32, 256, 4, 4), (256, 32, 3, 3), {"groups": 8, "padding": 1}),
}
TRANSPOSED: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "2x2 by 7x7": ((32, 64, 2, 2), (64, 64, 7, 7), {}),
    "3x3 by 9x9": ((32, 64, 3, 3), (64, 64, 9, 9), {}),
    "4x4 by 4x4": ((32, 256, 4, 4), (256, 128, 4, 4), {}),
    "4x4 by 4x4, stride 2": ((32, 512, 4, 4), (512, 256, 4, 4), {"stride": 2, "padding": 1}),
    "8x8 by 4x4, stride 2": ((32, 256, 8, 8), (256, 128, 4, 4), {"stride": 2, "padding": 1}),
    "2x2 by 2x2, stride 2": ((32, 256, 2, 2), (256, 128, 2, 2), {"stride": 2}),
    "4 by 8, stride 4": ((64, 256, 4), (256, 128, 8), {"stride": 4, "padding": 2}),
    "1x1 by 4x4, 8 groups": ((32, 256, 1, 1), (256, 32, 4, 4), {"groups": 8}),
}


OURS = [getattr(sp, f"{kind}{n}d") for kind in ("conv", "conv_transpose") for n in (1, 2, 3)]


def steps(call: Callable[..., Any], x: Any, weight: Any, how: dict[str, Any]) -> list[Callable[[], Any]]:
    """Forward, and a step for either gradient: of steep or torch, by the function that is given."""
    tensor: Any = sp.tensor if call in OURS else torch.tensor
    plain, kernel = tensor(x), tensor(weight)
    g = tensor(np.random.default_rng(1).standard_normal(tuple(call(plain, kernel, **how).shape)).astype(np.float32))
    by_x, by_weight = tensor(x, requires_grad=True), tensor(weight, requires_grad=True)

    def backward(leaf: Any, *operands: Any) -> None:
        leaf.grad = None
        call(*operands, **how).backward(g)

    return [
        lambda: call(plain, kernel, **how),
        lambda: backward(by_x, by_x, kernel),
        lambda: backward(by_weight, plain, by_weight),
    ]


def least(functions: list[Callable[[], Any]], seconds: float = 1.0) -> list[float]:
    """The least time of each in milliseconds, by turns."""
    for f in functions:
        f()
    best, end = [float("inf")] * len(functions), time.perf_counter() + seconds
    while time.perf_counter() < end or max(best) == float("inf"):
        for i, f in enumerate(functions):
            start = time.perf_counter()
            f()
            best[i] = min(best[i], 1e3 * (time.perf_counter() - start))
    return best


def main(part: str) -> None:
    torch.set_num_threads(1)
    print(f"{'':32}{'forward':>24}{'image':>24}{'weight':>24}")
    for kind, cases in (("conv", CASES), ("conv_transpose", TRANSPOSED)):
        for name, (image, kernel, how) in cases.items():
            label = name if kind == "conv" else f"transposed {name}"
            if part not in label:
                continue
            rng = np.random.default_rng(0)
            x, weight = (rng.standard_normal(s).astype(np.float32) for s in (image, kernel))
            which = f"{kind}{len(image) - 2}d"
            ours = steps(getattr(sp, which), x, weight, how)
            theirs = steps(getattr(torch.nn.functional, which), x, weight, how)
            found = least([*ours, *theirs])
            line = f"{label:32}"
            for i in range(3):
                a, b = (found[i + at] - (found[at] if i else 0) for at in (0, 3))
                line += f"{a:9.2f}{b:9.2f}{a / b:6.2f}"
            print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
