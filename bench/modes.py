"""Rates of float32 products and convolutions by each mode of ``sp.matmul_precision``, on one thread.

``python bench/modes.py`` prints the figures behind the choice of "auto" (csrc/ops/precision.cpp, conv_run.cpp), in
GFLOP/s at the fastest of some runs; "auto" should be near the better of "fma" and "split" in every row. Convolutions
are timed once more in a compiled function that keeps its weight rearranged. Then errors of a convolution: root mean
square and maximum, over the sum of the magnitudes of an output's terms.
"""

from __future__ import annotations

import time

import numpy as np
import steep as sp

MODES = ("auto", "fma", "split", "bf16", "winograd2", "winograd4")
PRODUCTS = [(m, k, k) for k in (512, 1024) for m in (1, 8, 64, 128, 256, 512, 1024)]  # rows, terms, columns
PRODUCTS += [(1024, 256, 256), (1024, 256, 1024)]
CONVOLUTIONS = [(64, 128, 112), (128, 256, 56), (256, 512, 28), (512, 512, 28), (512, 512, 14)]  # VGG16's, 3 x 3
ROUNDS, LEAST = 7, 0.01  # runs of at least so many seconds


def fastest(run):
    """Seconds of a call."""
    run()
    began = time.perf_counter()
    run()
    repeats = max(1, int(LEAST / (time.perf_counter() - began)))
    found = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(repeats):
            run()
        found.append((time.perf_counter() - began) / repeats)
    return min(found)


def show(name, flops, run):
    """One row of the table."""
    rates = []
    for mode in MODES:
        with sp.matmul_precision(mode), sp.no_grad():
            rates.append(f"{flops / fastest(run) / 1e9:8.1f}")
    print(f"{name:32}", *rates, flush=True)


def print_errors(x, w):
    """Errors of a convolution in each mode."""
    narrow = [v.astype(np.float32) for v in (x, w)]
    wide = [v.astype(np.float64) for v in narrow]
    exact, terms = sp.conv2d(*wide).numpy(), sp.conv2d(*map(np.abs, wide)).numpy()
    for mode in MODES:
        with sp.matmul_precision(mode):
            off = np.abs(sp.conv2d(*narrow).numpy() - exact) / terms
        print(f"error of {mode:23} {np.sqrt((off**2).mean()):8.1e} {off.max():8.1e}")


def main():
    sp.set_num_threads(1)
    rng = np.random.default_rng(0)

    def operand(*shape):
        return sp.tensor(rng.standard_normal(shape), dtype="float32")

    print(f"{'GFLOP/s':32}", *(f"{mode:>8}" for mode in MODES))
    for m, k, n in PRODUCTS:
        a, b = operand(m, k), operand(k, n)
        show(f"{m} x {k} @ {k} x {n}", 2 * m * k * n, lambda a=a, b=b: a @ b)
    for channels, filters, size in CONVOLUTIONS:
        x, w = operand(1, channels, size, size), operand(filters, channels, 3, 3)
        flops = 2 * filters * channels * 9 * size * size
        show(f"{channels} to {filters} at {size} x {size}", flops, lambda x=x, w=w: sp.conv2d(x, w, padding=1))
        step = sp.compile(lambda x, w=w: sp.conv2d(x, w, padding=1))
        show("    weight kept", flops, lambda x=x, step=step: step(x))
    print_errors(rng.standard_normal((1, 64, 58, 58)), rng.standard_normal((64, 64, 3, 3)))


if __name__ == "__main__":
    main()
