"""Kernels read nothing outside of their operands: arrays lie between two pages that no one may read.

Ends of rows and borders of images are read by partial vectors, or as whole vectors where the memory around them belongs
to the image (kernels/vec_part.h). One element too far is a segmentation fault here, in a process of its own.
"""

from __future__ import annotations

import ctypes
import mmap
import subprocess
import sys

import numpy as np
import pytest
import steep as sp

PAGE = mmap.PAGESIZE
_libc = ctypes.CDLL(None, use_errno=True)
_kept: list[mmap.mmap] = []  # for as long as the process lives, as their arrays do


def guarded(x, end):
    """A copy of x that ends, or begins, where a page without access does."""
    pages = -(-x.nbytes // PAGE) * PAGE
    memory = mmap.mmap(-1, pages + 2 * PAGE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for page in (address, address + PAGE + pages):
        assert _libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), 0) == 0
    at = PAGE + pages - x.nbytes if end else PAGE
    copy = np.frombuffer(memory, x.dtype, x.size, at).reshape(x.shape)
    copy[...] = x
    _kept.append(memory)
    return sp.asarray(copy, copy=False)


def random(draw, dtype, *shape):
    return draw.standard_normal(shape).astype(dtype)


def convolutions(draw, dtype, place):
    for channels, filters, groups in ((1, 8, 1), (3, 5, 1), (7, 7, 7), (16, 24, 1)):
        for size, kernel, stride, padding in ((7, 3, 1, 1), (13, 3, 2, 1), (18, 5, 1, 2), (9, 1, 1, 0), (11, 2, 3, 0)):
            x = place(random(draw, dtype, 2, channels, size, size + 2))
            w = place(random(draw, dtype, filters, channels // groups, kernel, kernel))
            x.requires_grad = w.requires_grad = True
            y = sp.conv2d(x, w, stride=stride, padding=padding, groups=groups)
            y.backward(place(random(draw, dtype, *y.shape)))
            if 2 * padding <= kernel:
                yield sp.max_pool2d(x.detach(), kernel, stride=stride, padding=padding)
                yield sp.avg_pool2d(x.detach(), kernel, stride=stride, padding=padding)


def other_convolutions(draw, dtype, place):
    for f, spatial in ((sp.conv1d, (37,)), (sp.conv3d, (3, 5, 9)), (sp.conv_transpose2d, (6, 11))):
        for stride, padding in ((1, 1), (2, 0), (3, 2)):
            x = place(random(draw, dtype, 3, 4, *spatial))
            w = place(random(draw, dtype, 4, 4, *(3 for _ in spatial)))
            x.requires_grad = w.requires_grad = True
            y = f(x, w, stride=stride, padding=padding)
            y.backward(place(random(draw, dtype, *y.shape)))
            yield y


def products(draw, dtype, place):
    for m, k, n in ((1, 33, 70), (5, 8, 9), (7, 65, 10), (64, 17, 31), (70, 40, 3)):
        a, b, wide = (place(random(draw, dtype, *s)) for s in ((m, k), (k, n), (n, k)))
        yield a @ b
        yield a @ wide.T
        yield b.T @ a.T
        yield wide @ a.T


def rows(draw, dtype, place):
    for n in (1, 2, 3, 5, 7, 10, 13, 31, 65, 100):
        x = place(random(draw, dtype, 3, n))
        for f in (sp.exp, sp.tanh, sp.sum, sp.max, sp.argmax, sp.sort, sp.argsort, sp.nonzero):
            yield f(x)
        for f in (sp.softmax, sp.logsumexp, sp.sum, sp.argmin, sp.cumulative_sum):
            yield f(x, axis=1)
            yield f(x, axis=0) if f is not sp.cumulative_sum else f(x.T, axis=1)
        yield x * x + x
        yield sp.layer_norm(x, (n,), place(random(draw, dtype, n)), place(random(draw, dtype, n)))


KINDS = {f.__name__: f for f in (convolutions, other_convolutions, products, rows)}


def in_a_process(code):
    code = f"import sys; sys.path[:0] = {sys.path!r}; import numpy as np, test_memory_bounds as t; {code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True)


def run(kind, dtype, end):
    for _ in KINDS[kind](np.random.default_rng(0), dtype, lambda x: guarded(x, end)):
        pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mprotect as Linux has it")
@pytest.mark.parametrize("end", [True, False], ids=["end", "begin"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_kernels_read_nothing_outside(kind, dtype, end):
    done = in_a_process(f"t.run({kind!r}, {dtype!r}, {end})")
    assert done.returncode == 0, done.stderr.decode()[-2000:]


def test_a_read_outside_is_noticed():
    beyond = "ctypes.string_at(ctypes.c_void_p(np.from_dlpack(x).ctypes.data + 20), 1)"
    done = in_a_process(f"import ctypes; x = t.guarded(np.zeros(5, 'f4'), True); {beyond}")
    assert done.returncode < 0
