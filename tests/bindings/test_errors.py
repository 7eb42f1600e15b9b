"""Misuse: every mistake is an exception of a stated type, and its text names the op, the operands and the fix.

MISUSE is a table of (code, type, pieces of the message). Hostile sizes and a fuzzer follow, each in a process of its
own, so that a crash is a failure like any other.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import steep as sp

E = sp.GradientError
M23, M34, M45 = r"float32\(2, 3\)", r"float32\(3, 4\)", r"float32\(4, 5\)"

# (what runs, with a = ones (2, 3), b = ones (4, 5), i = arange (3), w = a leaf of (2, 3), y = (w * w).sum(), k = a kept
# product; exception; regular expressions that its message holds)
MISUSE = [
    # shapes
    ("a + b", ValueError, ["add", M23, M45, "do not broadcast", "axis -2 has sizes 2 and 4", "reshape or expand_dims"]),
    ("a @ b", ValueError, ["matmul", M23, M45, "inner sizes 3 and 4", "transpose"]),
    ("a @ sp.tensor(2.0)", ValueError, ["matmul", r"float32\(\)", "0-d", r"use \*"]),
    ("sp.concat([a, b])", ValueError, ["concat", M23, M45, "differ in an axis other than"]),
    ("sp.stack([a, b])", ValueError, ["stack", M23, M45, "one shape"]),
    ("sp.concat([])", ValueError, ["concat", "at least one tensor"]),
    ("sp.concat([sp.tensor(1.0)])", ValueError, ["concat", "0-d", r"stack\(\)"]),
    ("a.reshape(4, 2)", ValueError, ["reshape", M23, "6 elements", r"\(4, 2\)"]),
    ("a.reshape(-1, -1)", ValueError, ["reshape", "-1"]),
    ("a.reshape(-2, -3)", ValueError, ["reshape", "below 0"]),
    ("sp.broadcast_to(a, (3, 3))", ValueError, ["broadcast_to", M23, r"\(3, 3\)", "match or be 1"]),
    ("a.split(4, axis=1)", ValueError, ["split", M23, "axis 1", "4 parts do not divide"]),
    ("a.split(0)", ValueError, ["split", "0 parts"]),
    ("sp.outer(a, i)", ValueError, ["outer", M23, "1-d"]),
    ("sp.tensordot(a, b, 1)", ValueError, ["tensordot", M23, M45, "differ in the summed axes"]),
    ("sp.tensordot(a, a, ((0, 0), (0, 0)))", ValueError, ["tensordot", "twice"]),
    ("sp.tensordot(a, a, -1)", ValueError, ["tensordot", "-1"]),
    ("sp.tensordot(a, a, (0, 1, 0))", ValueError, ["tensordot", "pairs"]),
    ("sp.vecdot(a, b)", ValueError, ["vecdot", M23, M45, "summed axis"]),
    ("sp.einsum('ij,jk->ik', a, b)", ValueError, ["einsum", "letter 'j'", "3 and 4"]),
    ("sp.einsum('ij->ik', a)", ValueError, ["einsum", "'k' is in no operand"]),
    ("sp.einsum('ijk->i', a)", ValueError, ["einsum", "3 axes", "has 2"]),
    ("sp.einsum('i1', a)", ValueError, ["einsum", "'1'", "letters"]),
    ("sp.einsum('ij,jk', a)", ValueError, ["einsum", "2 operands", "1 were given"]),
    ("sp.einsum('......', a)", ValueError, ["einsum", r"\.\.\."]),
    ("sp.trace(i)", ValueError, ["trace", r"int64\(3,\)", "two dimensions"]),
    ("i.mT", ValueError, ["mT", r"int64\(3,\)", "two dimensions"]),
    ("sp.tril(i)", ValueError, ["tril", "two dimensions"]),
    ("a.pad((1, 2, 3))", ValueError, ["pad", "before, after", M23]),
    ("a.pad(-1)", ValueError, ["pad", "negative", "slice"]),
    ("a.pad(1, mode='spiral')", ValueError, ["pad", "spiral", "reflect"]),
    ("sp.zeros((0, 2)).pad(1, mode='edge')", ValueError, ["pad", r"float32\(0, 2\)", "empty"]),
    ("sp.random_bits(0, 0, (4,), 'int32')", TypeError, ["random_bits", "int32", "int64"]),
    ("a.tile(-1)", ValueError, ["tile", "negative"]),
    ("a.repeat(-1)", ValueError, ["repeat", "negative"]),
    ("a.repeat([1, 2, 3], axis=0)", ValueError, ["repeat", "3 repeats", "size 2"]),
    ("a.squeeze(axis=0)", ValueError, ["squeeze", M23, "size 2", "only size 1"]),
    ("a.topk(9)", ValueError, ["topk", "k = 9", "size 3", M23]),
    ("sp.zeros((0,)).max()", ValueError, ["max", r"float32\(0,\)", "no elements"]),
    ("sp.zeros((3, 0)).argmin(axis=1)", ValueError, ["argmin", r"float32\(3, 0\)", "no elements"]),
    ("sp.take(a, 0, axis=0).sort(axis=0).reshape(()) ", ValueError, ["reshape", r"float32\(3,\)"]),
    ("sp.tensor(1.0).sort()", ValueError, ["sort", r"float32\(\)", "0-d"]),
    ("sp.tensor([[1, 2], [3]])", (ValueError, TypeError), ["rectangle|inhomogeneous"]),
    ("bool(a)", ValueError, ["bool", M23, "ambiguous", r"\.any\(\)"]),
    ("a.item()", ValueError, ["item", M23, "one element"]),
    ("float(a)", ValueError, [M23, "one element"]),
    ("len(sp.tensor(1.0))", TypeError, ["len", "0-d"]),
    ("list(sp.tensor(1.0))", TypeError, ["iter", "0-d"]),
    # axes
    ("a.sum(axis=2)", IndexError, ["sum", "axis 2", "2 dimensions", "-2 to 1"]),
    ("a.sum(axis=(0, 0))", ValueError, ["sum", "axis 0", "twice"]),
    ("a.softmax(axis=-3)", IndexError, ["softmax", "axis -3"]),
    ("a.permute_dims(0)", ValueError, ["permute_dims", "each of the 2 axes", M23]),
    ("a.permute_dims((0, 0))", ValueError, ["permute_dims", "once"]),
    ("sp.expand_dims(a, (0, 0))", ValueError, ["expand_dims", "twice"]),
    ("sp.concat([a, a], axis=2)", IndexError, ["concat", "axis 2"]),
    ("a.max(axis='rows')", TypeError, ["max", "axis", "integer", "str"]),
    ("a.sum(axis=1.0)", TypeError, ["sum", "axis", "integer", "float"]),
    ("a.roll((1, 2, 3), axis=(0, 1))", ValueError, ["roll", "3 shifts for 2 axes"]),
    ("a.roll((1, 2))", ValueError, ["roll", "one number"]),
    # dtypes
    ("a & a", TypeError, ["bitwise_and", "float32", "astype"]),
    ("~a", TypeError, ["float32", "astype"]),
    ("sp.tensor(True) @ sp.tensor(True)", ValueError, ["matmul", r"bool\(\)"]),
    ("(a > 0) @ (a > 0).mT", TypeError, ["matmul", r"bool\(2, 3\)", "astype"]),
    ("(a > 0).max()", TypeError, ["max", r"bool\(", r"any\(\)"]),
    ("sp.negative(a > 0)", TypeError, ["negative", "bool", "astype"]),
    ("a.take(a)", TypeError, ["take", "integers", M23]),
    ("a[a]", IndexError, ["getitem", "integers or a bool mask", M23]),
    ("sp.one_hot(a, 3)", TypeError, ["one_hot", "integers", M23]),
    ("sp.one_hot(i, 0)", ValueError, ["one_hot", "num_classes", "0"]),
    ("a.astype('float16')", (TypeError, ValueError), ["float16", "float32"]),
    ("a.astype('complex64')", (TypeError, ValueError), ["complex64"]),
    ("sp.asarray(np.zeros(2, dtype='complex128'))", TypeError, ["dtypes", "float32", "astype"]),
    ("sp.asarray(np.array(['x']))", (TypeError, ValueError), ["."]),
    ("sp.tensor(object())", TypeError, ["expected a tensor", "object"]),
    ("sp.exp('x')", TypeError, ["expected a tensor", "str"]),
    ("sp.exp(None)", TypeError, ["expected a tensor", "NoneType"]),
    ("sp.uint8(300) if callable(sp.uint8) else sp.tensor([1], dtype='uint8') + 300", ValueError, ["300", "uint8"]),
    ("i + 2**70", ValueError, [str(2**70), "int64"]),
    # indices
    ("a[5]", IndexError, ["index 5", "axis 0", "size 2"]),
    ("a[0, 0, 0]", IndexError, ["3 indices", M23, "2 axes"]),
    ("a[..., ...]", IndexError, [r"one \.\.\."]),
    ("a[::0]", ValueError, ["step"]),
    ("a[[0, 7]]", IndexError, ["index 7", "size 2"]),
    ("a[np.ones(5, bool)]", IndexError, ["mask", r"bool\(5,\)", M23]),
    ("a['x']", (TypeError, IndexError), ["str"]),
    ("a.take(9, axis=0)", IndexError, ["take", "index 9", "size 2", "-2 to 1"]),
    ("a.take_along_axis(i, 0)", ValueError, ["take_along_axis", r"int64\(3,\)", M23]),
    ("a.scatter_add([[9, 0, 0]], a[:1])", IndexError, ["scatter_add", "index 9", "size 2"]),
    ("sp.one_hot([5], 3)", IndexError, ["one_hot", "index 5", "size 3"]),
    ("a.__setitem__(0, b)", ValueError, ["setitem", M45, "do not broadcast"]),
    ("a.__delitem__(0)", TypeError, ["cannot be deleted"]),
    # in place
    ("w.__iadd__(1)", E, [r"\+=", M23, "leaf", r"no_grad\(\)"]),
    ("(w * 2).__iadd__(1)", E, [r"\+=", M23, "part of a graph", "detach"]),
    ("w.__setitem__(0, 1.0)", E, ["setitem", "leaf", r"no_grad\(\)"]),
    ("a.__iadd__(w)", E, [r"\+=", "would lose its gradient", r"y = y \+ x"]),
    ("a.__iadd__(b)", ValueError, [r"\+=", M45, M23]),
    ("i.__itruediv__(2.0)", TypeError, ["/=", "float32", r"int64\(3,\)", "astype"]),
    ("i.__iadd__(a[0])", TypeError, [r"\+=", "astype"]),
    ("sp.broadcast_to(a, (2, 2, 3)).__iadd__(1)", ValueError, [r"\+=", "axis 0", "share memory", r"copy\(\)"]),
    ("sp.asarray(np.broadcast_to(1.0, (2,))).__iadd__(1)", ValueError, [r"\+=", "read-only|share memory"]),
    # gradients
    ("[y.backward(), y.backward()]", E, ["freed what it kept", "retain_graph=True"]),
    ("w.exp().backward()", E, ["backward", M23, "not a scalar", r"sum\(\)", "gradient="]),
    ("a.sum().backward()", E, ["backward", r"float32\(\)", "no graph", "requires_grad"]),
    ("y.detach().backward()", E, ["backward", "detach"]),
    ("i.sum().backward()", E, ["backward", r"int64\(\)", "no graph"]),
    ("(w > 0).any().backward()", E, ["backward", r"bool\(\)", "no graph", "greater"]),
    ("y.backward(b)", E, ["backward", M45, "shape"]),
    ("sp.tensor([1, 2], requires_grad=True)", E, ["requires_grad", r"int64\(2,\)", "float32 and float64"]),
    ("setattr(i, 'requires_grad', True)", E, ["requires_grad", r"int64\(3,\)"]),
    ("setattr(y, 'requires_grad', False)", E, ["requires_grad", "sum", "detach"]),
    ("setattr(w, 'grad', b)", ValueError, ["grad", M45, M23]),
    ("a.retain_grad()", E, ["retain_grad", M23, "no graph"]),
    ("sp.grad(lambda x: x * 2)(a)", E, ["scalar", r"\(2, 3\)", "jacobian"]),
    ("sp.grad(lambda x: x.sum())(i)", E, ["int64", "float32 or float64", "astype"]),
    ("sp.grad(lambda x: x.sum(), argnums=3)(a)", ValueError, ["argnums", "3", "1 were given"]),
    ("sp.jvp(lambda x: x, (a,), (b,))", E, ["tangent", r"\(4, 5\)", r"\(2, 3\)"]),
    ("sp.vjp(lambda x: x, a)[1](b)", E, ["cotangent", M45, M23]),
    ("sp.explain(1, 2)", TypeError, ["."]),
    # arguments
    ("sp.exp()", TypeError, ["exp", "needs x"]),
    ("sp.exp(a, b)", TypeError, ["exp", "at most 1"]),
    ("sp.exp(a, y=1)", TypeError, ["exp", "no parameter named y", r"\(x\)"]),
    ("sp.sum(a, x=a)", TypeError, ["sum", "x twice"]),
    ("sp.add(a)", TypeError, ["add", "needs x2", r"\(x1, x2\)"]),
    ("sp.elu(a, 'x')", TypeError, ["elu", "alpha", "a number", "str"]),
    ("sp.stack(a)", TypeError, ["stack", "arrays", "sequence"]),
    ("sp.concat(3)", TypeError, ["concat", "arrays", "sequence"]),
    ("a.reshape('x')", TypeError, ["reshape", "shape", "str"]),
    ("a.pad(1, 2)", TypeError, ["pad", "mode", "string"]),
    ("sp.Tensor()", TypeError, ["steep.tensor"]),
    ("sp.set_num_threads(0)", ValueError, ["at least 1", "0"]),
    ("pow(a, 2, 3)", TypeError, ["third argument"]),
    ("a.to_device('cuda')", ValueError, ["cuda", "cpu"]),
    ("range(3)[sp.tensor(1.5)]", TypeError, ["0-d integer", r"float32\(\)"]),
    ("sp.gradient_rule('nothing', 'guided').__enter__()", ValueError, ["nothing", "relu"]),
    ("sp.gradient_rule('relu', 'nothing').__enter__()", ValueError, ["nothing", "guided"]),
    ("sp.gradient_rule('exp', 'guided').__enter__()", ValueError, ["relu", "exp"]),
    ("sp.random.Generator(0).normal((-1,))", ValueError, ["negative|-1"]),
    ("sp.arange(0, 5, 0)", ValueError, ["arange", "step"]),
    ("sp.linspace(0, 1, -1)", ValueError, ["linspace", "-1"]),
    ("sp.no_such_op", AttributeError, ["no_such_op"]),
    ("hash(a) and {a: 1} and a.nothing", AttributeError, ["nothing"]),
]  # fmt: skip


def names():
    w = sp.tensor(np.ones((2, 3), "float32"), requires_grad=True)
    return {
        "sp": sp,
        "np": np,
        "a": sp.ones((2, 3)),
        "b": sp.ones((4, 5)),
        "i": sp.arange(3),
        "w": w,
        "y": (w * w).sum(),
    }


@pytest.mark.parametrize("code, kind, said", MISUSE, ids=[row[0][:50] for row in MISUSE])
def test_misuse_says_what_and_how(code, kind, said):
    with pytest.raises(kind) as caught:
        eval(code, names())
    message = str(caught.value)
    missing = [piece for piece in said if not re.search(piece, message)]
    assert not missing, f"{message!r} lacks {missing}"
    assert type(caught.value).__name__ != "RuntimeError"


def test_gradient_error_is_a_value_error_or_its_own_kind():
    assert issubclass(sp.GradientError, Exception)
    assert sp.GradientError.__module__.startswith("steep")


def test_a_saved_tensor_that_was_written_names_both_ops():
    x = sp.ones((2, 3))
    w = sp.tensor(np.ones((2, 3), "float32"), requires_grad=True)
    y = (w * x).sum()
    x += 1
    with pytest.raises(E) as caught:
        y.backward()
    for piece in ("multiply", r"\+=", M23):
        assert re.search(piece, str(caught.value)), str(caught.value)


# ---- hostile sizes: refused, or told that memory is short; nothing is written, nothing crashes ----

BIG = 2**62
HOSTILE = [
    f"sp.zeros(({BIG}, 8))", f"sp.zeros(({BIG},))", "sp.zeros((2**31, 2**31, 2**31))", "sp.zeros((-1,))",
    "sp.ones((3, -2))",
    f"sp.empty({BIG})", "sp.full((2**40, 2**10), 1.0)", "sp.zeros((10**30,))", f"sp.eye({2**40})",
    f"sp.eye(2, {2**61})",
    f"sp.arange({2**62})", f"sp.arange(-{2**63}, {2**63 - 1})",
    "sp.arange(1e300)",
    "sp.arange(float('nan'))", "sp.arange(0.0, float('inf'))", f"sp.linspace(0, 1, {2**62})",
    "sp.linspace(0, 1, 2**80)",
    f"x.reshape({BIG}, {BIG})", f"x.reshape(-1, {2**63 - 1})", f"sp.broadcast_to(x, ({BIG}, {BIG}, 2, 3))",
    f"sp.broadcast_to(x, ({2**40}, 2, 3)) + 1", f"sp.broadcast_to(x, ({2**61}, 2, 3)).sum() if 0 else 1 / 0",
    f"x.tile(({2**62}, 4))", f"x.tile(({2**61}, 2**61))", f"x.repeat({2**62})", f"x.repeat({2**63 - 1}, axis=0)",
    f"x.pad({2**62})", f"x.pad({2**63 - 1})", f"x.pad({2**62}, mode='edge')", f"x.pad({2**41}, mode='reflect')",
    f"sp.one_hot(sp.arange(2), {2**62})", f"sp.one_hot(sp.arange(2), {2**63 - 1})", f"x.expand_dims({2**63 - 1})",
    f"x.sum(axis={2**63 - 1})", f"x.sum(axis=-{2**63})", f"x.sum(axis={2**64})", f"x[{2**63 - 1}]", f"x[-{2**63}]",
    f"x.topk({2**63 - 1})", "x.topk(-1)", f"x.moveaxis({2**62}, 0)", f"x.flatten(-{2**63})", f"x.take({2**63 - 1})",
    f"x.take(-{2**63})", f"x.split({2**63 - 1})", "x.split(-1)", f"sp.tensordot(x, x, {2**31})",
    f"sp.tensordot(x, x, {2**63 - 1})",
    "sp.einsum('ab,cd,ef,gh,ij->abcdefghij', [x] * 5)", "sp.einsum('a' * 50, x)", "sp.einsum('->' * 9, x)",
    f"sp.random_normal(0, 0, ({BIG}, 9))", "sp.random_normal(0, 0, (-1,))", "sp.random_uniform(2**70, 0, (2,))",
    f"sp._core._call_hidden('embed', [x], start=(0, 0), step=(1, 1), shape=({BIG}, {BIG}))",
    f"sp.set_num_threads({2**40})",
    "sp.broadcast_to(sp.ones((1, 1)), (2**22, 2**22)) @ sp.broadcast_to(sp.ones((1, 1)), (2**22, 2**22))",
    "sp.outer(sp.broadcast_to(sp.ones(1), (2**33,)), sp.broadcast_to(sp.ones(1), (2**33,)))",
]  # fmt: skip
HARMLESS = [
    f"sp.arange(0, {2**63 - 1}, -{2**62})",
    f"x.roll({2**63 - 1})", f"x.roll(-{2**63}, axis=0)", f"x.tril({2**63 - 1})", f"x.tril(-{2**63})",
    f"x.triu({2**63 - 1})",
    f"x[::{2**63 - 1}]", f"x[::-{2**63}]", f"x[-{2**63}:{2**63 - 1}]", f"x[{2**70}:-{2**70}:{2**70}]",
    f"x.split([{2**63 - 1}, -{2**63}])",
    f"sp.broadcast_to(x, ({2**40}, 2, 3))[5, 1, 2]", "x.tile(0)", "x.repeat(0)", f"sp.zeros((0, {2**62}))",
    f"sp.eye(3, k={2**63 - 1})",
    f"sp.eye(3, k=-{2**63})", f"sp.random_uniform({2**63 - 1}, {2**63 - 1}, (3,))", f"sp.arange({2**62}, {2**62} + 3)",
]  # fmt: skip

RUNNER = """
import sys, resource
import steep as sp
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
x = sp.ones((2, 3))
for line in sys.stdin.read().splitlines():
    try:
        eval(line)
        print("fine", flush=True)
    except Exception as e:
        print(type(e).__name__, "|", str(e).replace("\\n", " "), flush=True)
assert x.sum().item() == 6
"""


def run(lines, timeout=60):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", RUNNER], input="\n".join(lines), env=env, capture_output=True,
    text=True,
                          timeout=timeout)  # fmt: skip
    answers = done.stdout.splitlines()
    assert done.returncode == 0, (
        f"exit code {done.returncode} at {lines[min(len(answers), len(lines) - 1)]}: {done.stderr}"
    )
    return answers


def test_hostile_sizes_are_refused():
    allowed = ("MemoryError", "ValueError", "IndexError", "OverflowError", "TypeError", "ZeroDivisionError")
    for line, answer in zip(HOSTILE, run(HOSTILE), strict=True):
        kind, _, message = answer.partition(" | ")
        assert kind in allowed and message, (line, answer)


def test_extreme_arguments_that_mean_something_work():
    for line, answer in zip(HARMLESS, run(HARMLESS), strict=True):
        assert answer == "fine", (line, answer)


# ---- the fuzzer ----

CALLS = 20_000  # `python tests/fuzz_ops.py 1000000 SEED` is the long run of docs/trust.md, row 5


def test_random_calls_never_crash():
    """Each call returns or raises an exception with text, within 5 s, and the process lives on."""
    script = str(Path(__file__).resolve().parents[1] / "fuzz_ops.py")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, script, str(CALLS), "0"], env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, (done.returncode, done.stdout[-2000:], done.stderr[-3000:])
    assert f"{CALLS} calls" in done.stdout


def test_a_vector_of_the_wrong_length_is_named_as_it_was_given():
    with pytest.raises(ValueError, match=re.escape("float32(3,) @ float32(4, 2)")):
        sp.ones(3) @ sp.ones((4, 2))


@pytest.mark.parametrize("places", [(None, None), (None, ()), ((), None), (0, None), (None, 0)])
@pytest.mark.parametrize("shape", [(2, 3, 4), (0, 2, 1, 4, 5)])
def test_axes_that_have_to_be_named_are_not_none(places, shape):
    """None, as "all axes" for reductions, was read as axes that nobody had given: a result of any shape."""
    with pytest.raises(TypeError, match=r"moveaxis: (source|destination)"):
        sp.moveaxis(sp.zeros(shape), *places)
