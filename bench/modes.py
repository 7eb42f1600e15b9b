"""Rates of float32 products and convolutions by each mode of ``sp.matmul_precision``, on one thread.

``python bench/modes.py`` prints the figures behind the choice of "auto" (csrc/ops/precision.cpp, correlate.cpp), in
GFLOP/s at the fastest of some runs; "auto" should be near the better of "fma" and "split" in every row from 256 rows
and 192 columns on. Convolutions are timed once more in a compiled function that keeps its weight rearranged. Then come
errors of a convolution: root mean square and maximum, over the sum of the magnitudes of an output's terms. Last, where
torch is installed, products of both libraries, alternately.
"""

from __future__ import annotations

import importlib
import time

import numpy as np
import steep as sp

MODES = ("auto", "fma", "split", "bf16", "winograd2", "winograd4")
PRODUCTS = [(m, k, k) for k in (512, 1024) for m in (1, 8, 64, 96, 128, 192, 256, 512, 1024)]  # rows, terms, columns
PRODUCTS += [(m, k, n) for k, n in ((512, 64), (512, 128), (33, 512), (64, 512)) for m in (128, 256, 1024)]
PRODUCTS += [(1024, 256, 256), (1024, 256, 1024)]
BESIDE_TORCH = [(512, 512, 512), (1024, 1024, 1024), (1024, 256, 1024), (256, 1024, 1024), (4096, 768, 3072)]
CONVOLUTIONS = [(64, 128, 112), (128, 256, 56), (256, 512, 28), (512, 512, 28), (512, 512, 14)]  # VGG16's, 3 x 3
ROUNDS, LEAST = 7, 0.01  # runs of at least so many seconds


def seconds(run, repeats):
    """Of a call, on average."""
    began = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - began) / repeats


def fastest(run):
    """Seconds of a call."""
    run()
    repeats = max(1, int(LEAST / seconds(run, 1)))
    return min(seconds(run, repeats) for _ in range(ROUNDS))


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


def in_mode(mode, run):
    """The call in a mode of steep."""

    def call():
        with sp.matmul_precision(mode), sp.no_grad():
            run()

    return call


def through_bfloat16(torch, run):
    """The call while torch may round float32 operands to bfloat16."""

    def call():
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"
        try:
            run()
        finally:
            torch.backends.mkldnn.matmul.fp32_precision = "ieee"

    return call


def print_beside_torch(torch):
    """Products of both libraries alternately: the fastest of nine blocks of each."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    for m, k, n in BESIDE_TORCH:
        arrays = [rng.standard_normal(s).astype(np.float32) for s in ((m, k), (k, n))]
        (x, w), (a, b) = map(sp.tensor, arrays), map(torch.tensor, arrays)
        c, d = a.bfloat16(), b.bfloat16()
        kept = sp.compile(lambda x, w=w: x @ w)
        jobs = {
            **{f"steep {mode}": in_mode(mode, lambda x=x, w=w: x @ w) for mode in ("split", "bf16")},
            **{f"{mode} kept": in_mode(mode, lambda x=x, kept=kept: kept(x)) for mode in ("split", "bf16")},
            "torch float32": lambda a=a, b=b: a @ b,
            "through bfloat16": through_bfloat16(torch, lambda a=a, b=b: a @ b),
            "bfloat16 tensors": lambda c=c, d=d: c @ d,
        }
        flops, found = 2 * m * k * n, {name: [] for name in jobs}
        for _ in range(9):
            for name, job in jobs.items():
                found[name].append(seconds(job, max(1, int(1e10 / flops))))
        rates = (f"{name} {flops / min(times) / 1e9:.0f}" for name, times in found.items())
        print(f"{m} x {k} @ {k} x {n}:", ", ".join(rates), flush=True)


def main():
    sp.set_num_threads(1)
    rng = np.random.default_rng(0)

    def operand(*shape):
        return sp.tensor(rng.standard_normal(shape), dtype="float32")

    print(f"{'GFLOP/s':32}", *(f"{mode:>8}" for mode in MODES))
    for m, k, n in PRODUCTS:
        a, b = operand(m, k), operand(k, n)
        show(f"{m} x {k} @ {k} x {n}", 2 * m * k * n, lambda a=a, b=b: a @ b)
        if k == n == 1024:
            show("    the second transposed", 2 * m * k * n, lambda a=a, b=b: a @ b.mT)
    for channels, filters, size in CONVOLUTIONS:
        x, w = operand(1, channels, size, size), operand(filters, channels, 3, 3)
        flops = 2 * filters * channels * 9 * size * size
        show(f"{channels} to {filters} at {size} x {size}", flops, lambda x=x, w=w: sp.conv2d(x, w, padding=1))
        step = sp.compile(lambda x, w=w: sp.conv2d(x, w, padding=1))
        show("    weight kept", flops, lambda x=x, step=step: step(x))
    print_errors(rng.standard_normal((1, 64, 58, 58)), rng.standard_normal((64, 64, 3, 3)))
    try:
        print_beside_torch(importlib.import_module("torch"))
    except ImportError:
        print("torch is not installed")


if __name__ == "__main__":
    main()
