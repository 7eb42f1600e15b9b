"""No kernel computes with what an earlier call left in memory: neither its results nor its speed may depend on it.

Lanes beyond the end of a row are computed with and thrown away. Where they hold leftovers, results stay right but a
subnormal number or a signalling NaN there costs a hundred times a normal one, and sets the processor's exception flags.
So scratch memory and the cache of freed tensors are filled with such numbers, and the flags are read after each call.
"""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys

import numpy as np
import pytest
import steep as sp
from optable import ROWS
from test_bits import compute, digest, laid, products
from test_conv_paths import SHAPES, convolved, operands

pytestmark = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads MXCSR")

# Words that are signalling NaN, or subnormal, as float32, or two of them as a float64.
WORDS = {"float32": (0x7FA00000, 0x00000123), "float64": (0x7FF40000, 0x00000123)}
INVALID, DENORMAL = 0x01, 0x02
MXCSR = 28  # its place in the 32 bytes of fenv_t
LIBM = ctypes.CDLL("libm.so.6") if platform.system() == "Linux" else None
CACHED = [2**i for i in range(6, 23)]  # sizes in bytes of freed blocks to fill


def flags(clear: bool = False) -> int:
    """The exception flags among INVALID and DENORMAL that are set in this thread."""
    env = (ctypes.c_uint8 * 32)()
    LIBM.fegetenv(env)
    word = ctypes.cast(ctypes.byref(env, MXCSR), ctypes.POINTER(ctypes.c_uint32))
    found = word[0] & (INVALID | DENORMAL)
    if clear:
        word[0] &= ~0x3F
        LIBM.fesetenv(env)
    return found


def leave(word: int) -> None:
    """Fills scratch memory, and blocks of tensors that are then freed."""
    sp._core._fill_scratch(word, 1 << 22)
    for size in CACHED:
        blocks = [sp.tensor(np.full(size // 4, word, np.int32)) for _ in range(4 if size < 1 << 18 else 2)]
        del blocks


def flags_of(call, word):
    """What `call` returns and the flags that it sets with `word` everywhere in unused memory."""
    with sp.threads(1):
        leave(word)
        flags(clear=True)
        found = call()
        return found, flags()


def check(call, dtype):
    with sp.threads(1):
        expected = call()
    _, own = flags_of(call, 0)  # a division's unused lanes are 0 / 0
    for word in WORDS[dtype]:
        found, raised = flags_of(call, word)
        assert digest(found) == digest(expected)
        assert not raised & ~own, f"flags {raised:#x} with {word:#010x} in unused memory"


def test_the_flags_are_read():
    a = sp.tensor(np.full(64, 1e-40, np.float32))
    flags(clear=True)
    assert not flags()
    _ = a * 1.5
    assert flags() == DENORMAL


@pytest.mark.parametrize("mode", ["fma", "split", "bf16"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SHAPES)
def test_convolutions(name, dtype, mode):
    given = operands(name, dtype)
    with sp.matmul_precision(mode):
        check(lambda: convolved(*given), dtype)


LAYOUTS = [(a, b) for a in (False, True) for b in (False, True)]


@pytest.mark.parametrize("mode", ["fma", "split", "bf16"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products(dtype, mode):
    with sp.matmul_precision(mode):
        for layout in LAYOUTS:
            for a, b, _ in products(dtype, layout):
                x, y = laid(a, layout[0]), laid(b, layout[1])
                check(lambda x=x, y=y: [(x @ y).numpy()], dtype)


# In-place rows write into what requires a gradient here, which is refused.
CALLS = [
    (row, case, t)
    for row in ROWS
    for case in row.cases[:4] + row.big
    for t in ("float32", "float64")
    if t in row.dtypes and not row.name.startswith("setitem")
]


@pytest.mark.parametrize("row, case, dtype", CALLS, ids=lambda v: getattr(v, "name", None))
def test_every_op(row, case, dtype):
    check(lambda: compute(row, case, dtype), dtype)


def drawn_convolution(seed):
    """A convolution of random shape, and how it is called: one to three dimensions, transposed or not."""
    rng = np.random.default_rng(seed)
    n, transposed = int(rng.integers(1, 4)), bool(rng.integers(2))
    groups, stride, dilation = (int(rng.integers(1, most)) for most in (3, 4, 3))
    channels, rows = (groups * int(rng.integers(1, 24)) for _ in range(2))
    kernel = rng.integers(1, 5, n)
    sizes = (kernel - 1) * dilation + 1 + rng.integers(0, (40, 14, 6)[n - 1], n)
    x = rng.standard_normal((int(rng.integers(1, 4)), channels, *sizes))
    weight = rng.standard_normal(
        (channels, rows // groups, *kernel) if transposed else (rows, channels // groups, *kernel)
    )
    how = {"stride": stride, "padding": int(rng.integers(0, kernel.min())), "dilation": dilation, "groups": groups}
    return getattr(sp, f"conv_transpose{n}d" if transposed else f"conv{n}d"), x, weight, how


def gradients(f, x, weight, how, dtype):
    x, weight = (sp.tensor(a.astype(dtype), requires_grad=True) for a in (x, weight))
    y = f(x, weight, **how)
    (y * y).sum().backward()
    return [y.detach().numpy(), x.grad.numpy(), weight.grad.numpy()]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_convolutions_of_random_shapes(dtype, compiled):
    for seed in range(40):
        f, x, weight, how = drawn_convolution(seed)
        if compiled:
            fast = sp.compile(sp.value_and_grad(lambda a, b, f=f, how=how: (f(a, b, **how) ** 2).sum(), argnums=(0, 1)))
            given = [sp.tensor(a.astype(dtype)) for a in (x, weight)]
            check(lambda fast=fast, given=given: [t.numpy() for t in sp.tree.leaves(fast(*given))], dtype)
        else:
            check(lambda f=f, x=x, w=weight, how=how: gradients(f, x, w, how, dtype), dtype)


@pytest.mark.parametrize("isa", ["baseline", "avx2"])
def test_convolutions_on_other_instruction_sets(isa):
    """Vectors of other widths leave other lanes over."""
    if isa not in sp._core._isas()[1].split():
        pytest.skip("not on this processor")
    here = os.path.dirname(os.path.abspath(__file__))
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{here}/test_stale_memory.py", "-k"]
    done = subprocess.run(
        [*run, "test_convolutions and not instruction"],
        env={**os.environ, "STEEP_ISA": isa},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
