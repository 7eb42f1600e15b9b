"""Compiled functions and what lies outside of them: arrays that operations read, what a replay would not do, limits.

``test_compile_reach.py`` has the changes that are noticed.
"""

import array
import collections
import contextvars
import random

import numpy as np
import pytest
import steep as sp

X = sp.tensor([1.0, 2.0])


# ---- arrays that operations read ----


def test_an_array_that_is_an_operand_is_read_at_every_call():
    a = np.array([2.0, 3.0], "f4")
    fast = sp.compile(lambda x: x * a)
    for i in range(40):
        a[0] = i
        assert fast(X).numpy().tolist() == [i, 6.0]
    assert len(fast.programs) == 1


def test_a_large_array_is_an_operand_or_refused():
    a = np.ones(5_000_000, "f4")
    fast = sp.compile(lambda x: (x[0] * a)[:2])
    a[0] = 3.0
    assert fast(X).numpy().tolist() == [3.0, 1.0]
    with pytest.raises(sp.CompileError, match="20,000,000 bytes"):
        sp.compile(lambda x: x * float(a[0]))(X)


# ---- what a replay would not do ----


def counting():
    i = 0
    while True:
        i += 1
        yield i


DRAWS = {
    "NumPy's generator": lambda rng=np.random.default_rng(0): rng.normal(),
    "NumPy's global generator": lambda: np.random.rand(),
    "NumPy's RandomState": lambda rng=np.random.RandomState(0): rng.rand(),
    "Python's random": lambda: random.random(),
    "iterator": lambda it=iter([1.0, 2.0]): next(it),
    "zip": lambda it=zip([1.0, 2.0], [3.0, 4.0], strict=True): next(it)[1],
    "generator": lambda it=counting(): next(it),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_what_a_replay_would_not_draw_is_refused(draw):
    with pytest.raises(sp.CompileError, match="random generator of Python or NumPy, or advances an iterator"):
        sp.compile(lambda x: x * draw())(X)


def test_a_generator_that_is_not_drawn_from_may_move():
    fast = sp.compile(lambda x: x * np.float32(2) + sp.random.Generator(0).normal((2,)))
    for _ in range(3):
        fast(X)
        np.random.rand()
    assert len(fast.programs) == 1


def test_what_a_refused_run_changed_is_put_back():
    values, options, words, flags = [1.0], {"a": 1}, collections.OrderedDict(b=2), {1}

    def f(x):
        values.append(x)
        options["new"] = words["new"] = x
        flags.add(2)
        return x

    with pytest.raises(sp.CompileError, match="changes a"):
        sp.compile(f)(X)
    assert (values, options, words, flags) == ([1.0], {"a": 1}, {"b": 2}, {1})


def test_arrays_that_a_refused_run_changed_are_put_back():
    a, b, grown = np.arange(6.0).reshape(2, 3).T, array.array("d", [1.0, 2.0]), bytearray(b"ab")

    def f(x):
        a[1, 0] = b[0] = 7
        grown.extend(b"c")
        return x

    with pytest.raises(sp.CompileError, match="changes a"):
        sp.compile(f)(X)
    assert (a[1, 0], b[0], grown) == (1.0, 1.0, b"ab")


def test_a_chain_of_dicts_is_put_back_as_it_was():
    chain = collections.ChainMap({}, {"s": 2.0})
    with pytest.raises(sp.CompileError, match="changes a dict"):
        sp.compile(lambda x: (chain.update(s=3.0), x)[1])(X)
    assert chain.maps == [{}, {"s": 2.0}]


def test_a_context_variable_that_is_set_inside_is_named():
    variable = contextvars.ContextVar("variable", default=1.0)
    with pytest.raises(sp.CompileError, match="changes a context variable"):
        sp.compile(lambda x: (variable.set(2.0), x)[1])(X)


def test_a_function_that_reaches_too_much_is_refused():
    many = [[i] for i in range(60_000)]
    with pytest.raises(sp.CompileError, match="more than 50,000"):
        sp.compile(lambda x: x * many[0][0])(X)
