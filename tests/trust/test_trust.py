"""What steep guarantees on errors and misuse: misuse, edited memory, deep graphs, threads, forks, exits, Ctrl-C.

Whatever could end the process runs in a process of its own, through ``run``. Numbers at section heads are rows of
docs/trust.md.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import steep as sp
from steep import _core

PREAMBLE = (
    "import gc, os, signal, sys, threading, time\nimport numpy as np\nimport steep as sp\nfrom steep import _core\n"
)


def run(code: str, timeout: float = 300, **env: str) -> str:
    """What ``code`` prints in a fresh interpreter, which must end well."""
    command = [sys.executable, "-c", PREAMBLE + code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env={**os.environ, **env})
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


def in_thread(work, stack: int = 256 * 1024):
    """Runs ``work`` on a thread with a small stack, and hands on its result or exception."""
    result: list = []

    def body():
        try:
            result.append(work())
        except BaseException as error:
            result.append(error)

    before = threading.stack_size(stack)
    thread = threading.Thread(target=body)
    thread.start()
    threading.stack_size(before)
    thread.join()
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]


def values(x) -> list:
    return x.detach().numpy().tolist()


# --- 1: deep graphs


def chain(x, n: int):
    for i in range(n):
        x = x * 1.0 if i % 2 else x + 1.0
    return x


def test_deep_chain_on_a_small_stack():
    def work():
        x = sp.tensor([1.0, 2.0], requires_grad=True)
        chain(x, 200_000).sum().backward()
        inner = sp.grad(lambda v: chain(v, 100_000).sum())(sp.tensor([3.0]))
        return values(x.grad), values(inner)

    assert in_thread(work) == ([1.0, 1.0], [1.0])


def test_deep_chain_dropped_by_an_exception():
    gc.collect()  # what earlier tests left in cycles
    before = sp.live_nodes()

    def work():
        y = chain(sp.tensor([1.0], requires_grad=True), 200_000)
        raise ValueError(y.ndim)

    with pytest.raises(ValueError):
        in_thread(work)
    gc.collect()
    assert sp.live_nodes() == before


def test_deep_chain_of_python_rules():
    identity = doubling(1.0)

    def work():
        x = sp.tensor([1.0], requires_grad=True)
        y = x
        for _ in range(20_000):
            y = identity(y)
        y.sum().backward()
        return values(x.grad)

    assert in_thread(work) == [1.0]


def test_deep_chain_of_checkpoints_is_linear_and_right():
    twice = sp.checkpoint(lambda v: v * 1.0)

    def work(n):
        x = sp.tensor([1.0], requires_grad=True)
        y = x
        for _ in range(n):
            y = twice(y)
        start = time.process_time()
        y.sum().backward()
        return values(x.grad), time.process_time() - start

    (gradient, short), (_, long) = in_thread(lambda: work(1_000)), in_thread(lambda: work(8_000))
    assert gradient == [1.0]
    assert long < 40 * short


def test_long_chain_of_grads_of_grads():
    x, g = sp.zeros((1,)), None
    g = x
    for _ in range(200_000):
        g.grad = sp.zeros((1,))
        g = g.grad
    del x, g


def test_forward_mode_through_differentiated_rules_is_linear():
    def seconds(n):
        def f(v):
            for _ in range(n):
                v = sp.softmax(v, axis=-1)
            return v

        start = time.process_time()
        sp.jvp(f, (sp.tensor([1.0, 2.0]),), (sp.tensor([1.0, 0.0]),))
        return time.process_time() - start

    seconds(100)
    assert seconds(4_000) < 40 * seconds(500)


# --- 2: misuse


def doubling(factor: float):
    @sp.custom_vjp
    def f(v):
        return v * factor

    f.defvjp(lambda v: (v * factor, None), lambda residuals, g: (g * factor,))
    return f


def test_leaving_a_mode_that_was_not_entered():
    for mode in (sp.no_grad(), sp.enable_grad()):
        with pytest.raises(ValueError, match="left without having been entered"):
            mode.__exit__(None, None, None)
    assert sp.is_grad_enabled()


def test_a_decorated_mode_is_each_threads_own():
    inside, leave = threading.Event(), threading.Event()

    @sp.no_grad()
    def quiet(first):
        if first:
            inside.set()
            leave.wait(5)

    thread = threading.Thread(target=quiet, args=(True,))
    thread.start()
    inside.wait(5)
    with sp.no_grad():
        quiet(False)
        leave.set()
        thread.join()
    assert sp.is_grad_enabled()


def test_lists_that_hold_themselves():
    endless: list = []
    endless.append(endless)
    with pytest.raises(RecursionError):
        sp.reshape(sp.zeros((4,)), endless)
    with pytest.raises((ValueError, TypeError)):
        sp.tensor(endless)


@pytest.mark.parametrize("shape", [(-1,), (-1, -1), (0, -1), (-1, 0)])
def test_negative_sizes(shape):
    for make in (
        lambda: sp.random.Generator(0).uniform(shape=shape),
        lambda: sp.zeros(shape),
        lambda: sp.broadcast_to(sp.zeros(()), shape),
    ):
        with pytest.raises(ValueError, match="negative"):
            make()


def test_sizes_and_steps_at_the_edge_of_64_bits():
    with pytest.raises((ValueError, MemoryError)):
        sp.arange(-(2**63), 2**63 - 1)
    x = sp.arange(3)
    assert values(x[:: -(2**63)]) == [2] and values(x[:: 2**70]) == [0] and values(x[-(10**30) : 10**30]) == [0, 1, 2]


def test_a_tensor_that_dies_while_its_gradient_is_on_the_way():
    x = sp.tensor([1.0, 2.0], requires_grad=True)
    box = [x]
    y = _core._record_rule("r", x, [x], lambda g: (box.clear(), [g])[1])
    del x
    y.sum().backward()


def test_a_watched_leaf_that_dies_or_gives_up_its_gradient():
    def loss(change):
        x = sp.tensor([1.0, 2.0], requires_grad=True)
        _core._watch(x)
        y = (x * x).sum()
        change(x)
        return y

    for change in (lambda x: None, lambda x: setattr(x, "requires_grad", False)):
        y = loss(change)
        fresh = [sp.ones((2,)) for _ in range(200)]
        y.backward()
        assert all(t.grad is None for t in fresh)


def test_rules_may_return_any_dtype():
    for dtype, given in (("float32", np.float64), ("float64", np.int32), ("float64", np.float32)):
        x = sp.tensor([1.0, 2.0, 3.0], dtype=dtype, requires_grad=True)
        y = _core._record_rule("r", x, [x], lambda g, given=given: [np.array([1, 2, 3], dtype=given)])
        (y.sum() + x.sum() + (x * 2).sum()).backward()
        assert values(x.grad) == [4.0, 5.0, 6.0]


def test_exceptions_in_rules_inside_nested_walks():
    @sp.custom_vjp
    def fragile(v):
        return v * 1.0

    def bwd(residuals, g):
        sp.grad(lambda v: fine(v).sum())(sp.tensor([1.0]))
        if armed:
            sp.grad(lambda v: fragile_inner(v).sum())(sp.tensor([1.0]))
        return (g,)

    @sp.custom_vjp
    def fragile_inner(v):
        return v * 1.0

    def explode(residuals, g):
        raise ZeroDivisionError

    fine = doubling(2.0)
    fragile.defvjp(lambda v: (v * 1.0, None), bwd)
    fragile_inner.defvjp(lambda v: (v * 1.0, None), explode)
    x = sp.tensor([1.0, 2.0], requires_grad=True)
    for armed in (True, False):
        y = (fragile(x * 3.0) + x).sum()
        if armed:
            with pytest.raises(ZeroDivisionError):
                y.backward()
        else:
            y.backward()
    assert values(x.grad) == [4.0, 4.0] and sp.is_grad_enabled()


def test_tapes_that_end_out_of_order_leave_no_watch_behind():
    x = sp.tensor([3.0])
    first, second = sp.GradientTape(), sp.GradientTape()
    first.__enter__()
    first.watch(x)
    second.__enter__()
    second.watch(x)
    y = (x * x).sum()
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert values(first.gradient(y, x)) == [6.0] and values(second.gradient(y, x)) == [6.0]
    assert not x.requires_grad


def test_checkpoint_of_a_leaf_and_of_what_it_reads():
    x, w = sp.tensor([2.0], requires_grad=True), sp.tensor([3.0], requires_grad=True)
    h = w * 1.0
    sp.checkpoint(lambda v, scale: (v * v * w * h * scale).sum())(x, scale=2.0).backward()
    assert values(x.grad) == [72.0] and values(w.grad) == [48.0]
    assert values(sp.grad(sp.grad(sp.checkpoint(lambda v: (v**3).sum())))(sp.tensor(2.0)).reshape(1)) == [12.0]


def test_what_ran_before_a_tape_is_constant_even_between_two_sources():
    w = sp.tensor([3.0], requires_grad=True)
    h = w * 2.0
    with sp.GradientTape() as tape:
        y = w * h
    assert [values(g) for g in tape.gradient(y, [w, h])] == [[6.0], [3.0]]


# --- 3: editing what a graph keeps, through every door

CUBE = sp.custom_vjp(lambda v: v**3)
CUBE.defvjp(lambda v: (v**3, v), lambda v, g: (3 * v * v * g,))


def guided(v):
    with sp.gradient_rule("multiply", lambda g, inputs, out: (g * inputs[1], g * inputs[0])):
        return (v * v * v).sum()


USES = {
    "op": lambda v: (v * v * v).sum(),
    "custom_vjp": lambda v: CUBE(v).sum(),
    "checkpoint": sp.checkpoint(lambda v: (v**3).sum()),
    "gradient_rule": guided,
}


def assign_all(x):
    with sp.no_grad():
        x[...] = 9.0


def add_in_place(x):
    with sp.no_grad():
        x += 1.0


def through_view(x):
    x.detach()[1:][:1] = 9.0


def through_numpy(x):
    x.numpy()[:] = 9.0


def through_memoryview(x):
    memoryview(x.detach())[0] = 9.0


def through_dlpack(x):
    np.from_dlpack(x.detach())[:] = 9.0


def through_asarray(x):
    sp.asarray(x.numpy())[...] = 9.0


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    "edit", [assign_all, add_in_place, through_view, through_numpy, through_memoryview, through_dlpack, through_asarray]
)
def test_editing_afterwards_is_refused_or_harmless(use, edit):
    x = sp.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = USES[use](x)
    try:
        edit(x)
        y.backward()
    except (ValueError, TypeError, BufferError, sp.GradientError, RuntimeError):
        return
    assert values(x.grad) == [3.0, 12.0, 27.0]


@pytest.mark.parametrize("use", USES)
def test_memory_exported_before_is_copied(use):
    def doors(x):
        yield x.numpy()
        yield np.asarray(memoryview(x))

    for i in range(2):
        x = sp.tensor([1.0, 2.0, 3.0])
        outside = list(doors(x))[i]
        x.requires_grad = True
        y = USES[use](x)
        outside[:] = 9.0
        y.backward()
        assert values(x.grad) == [3.0, 12.0, 27.0]


@pytest.mark.parametrize("disguise", ["plain", "readonly", "broadcast"])
def test_the_numpy_array_behind_a_tensor(disguise):
    a = np.array([2.0, 2.0, 2.0])
    seen = a if disguise == "plain" else np.broadcast_to(a[:1], (3,)) if disguise == "broadcast" else a.view()
    if disguise == "readonly":
        seen.flags.writeable = False
    w = sp.ones((3,), dtype=sp.float64)
    w.requires_grad = True
    y = (w * sp.asarray(seen)).sum()
    a[:] = 7.0
    y.backward()
    assert values(w.grad) == [2.0, 2.0, 2.0]


def test_grad_is_nobody_elses():
    x = sp.tensor([1.0, 2.0], requires_grad=True)
    seed = sp.tensor([1.0, 1.0])
    (x * 1.0).backward(seed)
    (x + x).backward(seed)
    x.grad[...] = 5.0
    assert values(seed) == [1.0, 1.0]
    held = x.grad
    (x * 1.0).backward(seed)
    assert values(held) == [5.0, 5.0] and values(x.grad) == [6.0, 6.0]


# --- 4: overlapping views


def random_view(rng, x):
    """The same random view of a tensor and of an array."""
    key = tuple(
        slice(int(rng.integers(0, n)), int(rng.integers(1, n + 1)), int(rng.choice([-2, -1, 1, 2]))) for n in x.shape
    )
    return (lambda t: t[key].T) if rng.integers(2) and x.ndim == 2 else (lambda t: t[key])


def test_random_overlaps_equal_copy_semantics():
    rng = np.random.default_rng(0)
    compared = 0
    while compared < int(os.environ.get("STEEP_OVERLAPS", "3000")):
        shape = tuple(rng.integers(2, 6, size=rng.integers(1, 3)))
        a = rng.standard_normal(shape)
        to, of = random_view(rng, a), random_view(rng, a)
        if to(a).shape != of(a).shape or to(a).size == 0:
            continue
        compared += 1
        expected, add = a.copy(), bool(rng.integers(2))
        to(expected)[...] = of(a) + to(a) if add else of(a)
        foreign = bool(rng.integers(2))
        memory = a.copy()
        x = sp.asarray(memory) if foreign else sp.tensor(a)
        source = of(sp.asarray(memory)) if foreign else of(x)
        target = to(x)
        if add:
            target += source
        else:
            target[...] = source
        np.testing.assert_array_equal(x.numpy(), expected)


# --- 5: foreign buffers


def test_buffers_that_are_no_plain_arrays():
    buffers = pytest.importorskip("_testbuffer")
    pointers = buffers.ndarray([1.0, 2.0, 3.0, 4.0], shape=[2, 2], format="d", flags=buffers.ND_PIL)
    pairs = buffers.ndarray([(1.0, 2), (3.0, 4)], shape=[2], format="fi")
    swapped = buffers.ndarray([1.0, 2.0], shape=[2], format=">f")
    for odd in (pointers, pairs, swapped):
        with pytest.raises((TypeError, BufferError, ValueError)):
            sp.asarray(odd)


# --- 10 to 13: forks, threads, exits, interpreters


def test_fork_while_threads_walk_graphs():
    code = """
x = sp.ones((500, 500)); x.requires_grad = True
(x @ x).sum().backward()
stop = False
def busy():
    while not stop: (x @ x).sum().backward()
worker = threading.Thread(target=busy); worker.start(); time.sleep(.1)
for i in range(int(os.environ.get("STEEP_FORKS", "100"))):
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        a = sp.tensor([2.0], requires_grad=True); (a * a).sum().backward()
        if i % 10 == 0: (a * sp.ones((300, 300)) @ sp.ones((300, 300))).sum().backward()
        os._exit(0 if a.grad.numpy()[0] >= 4 else 1)
    assert os.waitpid(pid, 0)[1] == 0, i
stop = True; worker.join(); print("good")
"""
    assert run(code, timeout=600) == "good"


GRAPHS = int(os.environ.get("STEEP_GRAPHS", "300"))  # of each thread


def test_threads_that_share_a_leaf():
    w = sp.tensor(np.linspace(-1, 1, 12).reshape(3, 4), requires_grad=True)
    x = sp.tensor(np.linspace(0, 2, 6).reshape(2, 3))
    f = doubling(2.0)

    def once():
        with sp.GradientTape() as tape:
            y = (f(sp.tanh(x @ w)) ** 2).sum()
        first = tape.gradient(y, w)
        return first.numpy().tobytes() + sp.grad(lambda v: (f(x @ v) ** 3).sum())(w).numpy().tobytes()

    expected, different = once(), []

    def work():
        different.extend(i for i in range(GRAPHS) if once() != expected)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not different and w.made_by is None and w.is_leaf


@pytest.mark.parametrize("body", ["(x @ x).sum().backward()", "f(x[:50, :50] @ x[:50, :50]).sum().backward()"])
def test_exit_while_daemon_threads_compute(body):
    code = f"""
f = sp.custom_vjp(lambda v: v * 2)
f.defvjp(lambda v: (v * 2, None), lambda r, g: (sum([g * 2 for _ in range(20)][:1]),))
def loop():
    x = sp.ones((400, 400)); x.requires_grad = True
    while True: {body}
for _ in range(4): threading.Thread(target=loop, daemon=True).start()
time.sleep(.2); print("leaving")
"""
    for _ in range(3):
        assert run(code) == "leaving"


def test_threads_that_end_with_a_rule_in_force():
    code = """
def work():
    kept.append(sp.gradient_rule("relu", lambda g, i, o: g)); kept[-1].__enter__()
kept = []
for _ in range(20):
    t = threading.Thread(target=work); t.start(); t.join()
kept.clear(); gc.collect(); sp.gradient_rule("relu", lambda g, i, o: g).__enter__(); print("good")
"""
    assert run(code) == "good"


@pytest.mark.parametrize("given", ["0", "-1", "x", "²", "9" * 30, "1" * 5000, "1.5"])
def test_bad_thread_counts_are_import_errors(given):
    code = "import steep"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "STEEP_NUM_THREADS": given}
    )
    assert done.returncode == 1 and "ImportError: STEEP_NUM_THREADS is" in done.stderr


def test_bad_instruction_sets_are_import_errors():
    done = subprocess.run(
        [sys.executable, "-c", "import steep"], capture_output=True, text=True, env={**os.environ, "STEEP_ISA": "foo"}
    )
    assert done.returncode == 1 and "ImportError: STEEP_ISA=foo is not one of" in done.stderr


def test_sub_interpreters_get_an_import_error():
    code = """
if sys.version_info < (3, 13):
    import _xxsubinterpreters as interpreters
    kinds = [{"isolated": True}, {"isolated": False}]
else:
    import _interpreters as interpreters
    kinds = [{"config": "isolated"}, {"config": "legacy"}]
inside = "import sys, steep._core"
for kind in kinds:
    made = interpreters.create(**kind)
    problem = None
    try: problem = interpreters.run_string(made, inside)
    except Exception as error: problem = error
    assert problem is not None, kind
    interpreters.destroy(made)
x = sp.tensor([2.0], requires_grad=True); (x * x).sum().backward(); assert x.grad.numpy()[0] == 4; print("good")
"""
    assert run(code) == "good"
