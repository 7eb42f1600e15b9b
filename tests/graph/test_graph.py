"""The graph: what it keeps and lets go, in what order it is walked, and what happens when it is misused.

Saved tensors and writes, backward() and its flags, counts of rules, chains of a million nodes, tapes, custom rules,
checkpoints and anomaly detection. Threads, forks and Ctrl-C are in test_process.py.
"""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import steep as sp

CHAIN = 1_000_000


def leaf(values, dtype="float64"):
    return sp.tensor(np.asarray(values, dtype=dtype), requires_grad=True)


def rules_run(f):
    before = sp._core._rules_run()
    f()
    return sp._core._rules_run() - before


# ---- saved tensors ----


@pytest.mark.parametrize("write", [lambda x: x.__iadd__(1), lambda x: x.__setitem__(0, 5.0),
    lambda x: x[1:].__imul__(2),
                                   lambda x: x.__setitem__([0], 1.0)])  # fmt: skip
@pytest.mark.parametrize(
    "use", [lambda x, w: x * w, lambda x, w: sp.exp(x * 0 + x) * w, lambda x, w: (x + 0 * w).T @ w]
)
def test_a_saved_tensor_that_changed_is_refused(write, use):
    """By either path to its memory; a result that kept nothing of it is right."""
    x, w = sp.tensor([1.0, 2.0, 3.0], dtype="float64"), leaf([1.0, 1.0, 1.0])
    y = use(x, w).sum()
    expected = sp.grad(lambda w: use(sp.tensor([1.0, 2.0, 3.0], dtype="float64"), w).sum())(w).numpy()
    write(x)
    try:
        y.backward()
    except sp.GradientError as e:
        assert "multiply" in str(e) and ("+=" in str(e) or "setitem" in str(e) or "*=" in str(e))
    else:
        np.testing.assert_array_equal(w.grad.numpy(), expected)


def test_a_saved_output_that_changed_is_refused():
    w = leaf([1.0, 2.0])
    y = sp.exp(w)
    loss = y.sum()
    with pytest.raises(sp.GradientError):
        y += 1
    y.detach()[0] = 7.0
    with pytest.raises(sp.GradientError, match=r"exp.*setitem|setitem.*exp"):
        loss.backward()


def test_writing_before_use_and_after_backward_is_free():
    x, w = sp.tensor([1.0, 2.0]), leaf([1.0, 1.0], "float32")
    x += 1
    (x * w).sum().backward()
    x += 1
    assert w.grad.tolist() == [2.0, 3.0]


@pytest.mark.parametrize(
    "share", [sp.asarray, sp.from_dlpack, lambda a: sp.asarray(a)[::1], lambda a: sp.asarray(memoryview(a))]
)
def test_numpy_memory_behind_a_saved_tensor(share):
    """Editing the array after the graph saved it: the gradient is that of the values at the time, or an error."""
    a = np.array([1.0, 2.0, 3.0])
    x, w = share(a), leaf([1.0, 1.0, 1.0])
    y = (x * w).sum() + sp.exp(x * w).sum()
    expected = a + a * np.exp(a)
    a[:] = 100
    try:
        y.backward()
    except sp.GradientError:
        return
    np.testing.assert_allclose(w.grad.numpy(), expected, rtol=1e-14)


@pytest.mark.parametrize(
    "export", [np.asarray, lambda x: x.numpy(), np.from_dlpack, lambda x: np.asarray(memoryview(x))]
)
def test_arrays_exported_before_and_after_saving(export):
    """A writable array made of a tensor before or after a graph saves it cannot change the gradient silently."""
    x, w = sp.tensor([1.0, 2.0], dtype="float64"), leaf([1.0, 1.0])
    before = export(x)
    y = (x * w).sum()
    for make in (lambda: before, lambda: export(x)):
        try:
            array = make()
            array[0] = 50.0
        except (ValueError, BufferError, TypeError):
            continue
    try:
        y.backward()
    except sp.GradientError:
        return
    assert w.grad.tolist() == [1.0, 2.0]


# ---- backward() ----


def test_backward_twice_needs_retain_graph():
    w = leaf(3.0)
    y = w * w
    y.backward(retain_graph=True)
    y.backward()
    assert w.grad.item() == 12.0
    with pytest.raises(sp.GradientError, match=r"multiply.*retain_graph=True"):
        y.backward()
    assert w.grad.item() == 12.0


def test_grad_accumulates_is_its_own_and_holds_no_graph():
    w = leaf([1.0, 2.0])
    for _ in range(3):
        (w * 2).sum().backward()
    assert w.grad.tolist() == [6.0, 6.0]
    assert not w.grad.requires_grad and w.grad.made_by is None
    v = leaf([1.0, 2.0])
    (w + v).sum().backward()
    w.grad *= 0
    assert v.grad.tolist() == [1.0, 1.0]


def test_a_freed_part_is_named_and_the_rest_still_works():
    w = leaf([1.0])
    shared = sp.exp(w)
    (shared * 2).sum().backward()
    with pytest.raises(sp.GradientError, match="exp"):
        (shared * 3).sum().backward()


def test_leaves_and_intermediates():
    w = leaf([1.0, 2.0])
    mid = w * 3
    mid.retain_grad()
    (mid * mid).sum().backward()
    assert mid.grad.tolist() == [6.0, 12.0] and w.grad.tolist() == [18.0, 36.0]
    assert w.is_leaf and not mid.is_leaf and mid.made_by == "multiply" and w.made_by is None
    w.requires_grad = False
    assert not (w * 2).requires_grad


def test_a_cotangent_of_any_shape_that_fits():
    w = leaf([[1.0, 2.0], [3.0, 4.0]])
    (w * w).backward(np.array([[1.0, 0.0], [0.0, 2.0]]))
    assert w.grad.tolist() == [[2.0, 0.0], [0.0, 16.0]]


# ---- counts ----


@pytest.mark.parametrize("layers", [1, 2, 7, 40])
def test_a_chain_of_layers_runs_one_rule_a_layer(layers):
    """Exactly L vector-Jacobian products for L layers, not L (L + 1) / 2 (docs/notes.md, row 28)."""
    x = leaf([0.3])
    y = x
    for _ in range(layers):
        y = sp.tanh(y)
    assert rules_run(lambda: y.backward(sp.ones((1,), dtype="float64"))) == layers


def test_parameters_and_inputs_of_a_chain_share_the_walk():
    """L layers with a parameter each: L products for the activations and L for the parameters, minus the constant x."""
    weights = [leaf([0.5]) for _ in range(6)]
    y = sp.tensor([1.0], dtype="float64")
    for w in weights:
        y = y * w
    assert rules_run(lambda: y.backward(sp.ones((1,), dtype="float64"))) == 2 * 6 - 1


def test_a_diamond_visits_each_node_once():
    """Sixty diamonds in a row have 2**60 paths and 120 nodes."""
    x = leaf(1.0)
    y = x
    for _ in range(60):
        y = y * 0.5 + y * 0.5
    assert rules_run(y.backward) == 60 * 4
    assert x.grad.item() == 1.0


def test_what_the_targets_do_not_need_is_not_run():
    x, w = leaf(2.0), leaf(3.0)
    y = sp.exp(x) * sp.sin(w)
    assert (
        rules_run(lambda: sp._core._walk_backward([y], [sp.ones_like(y.detach())], [sp._core._node_of(w)], False, 0))
        == 2
    )


# ---- deep graphs ----


def build_walk_free(n):
    x = leaf(1.0, "float32")
    y = x
    for _ in range(n):
        y = y + 0.0
    y.backward()
    assert x.grad.item() == 1.0
    alive = sp._core.live_nodes()
    del y
    return alive


def test_a_chain_of_a_million_nodes():
    """Built, differentiated and freed by loops; about 200 bytes per node, and none is left."""
    before = sp._core.live_nodes()
    assert build_walk_free(CHAIN) >= CHAIN
    assert sp._core.live_nodes() == before


def test_a_deep_chain_on_a_small_stack():
    """A thread of 256 KB: the depth of a graph costs no stack."""
    old = threading.stack_size(256 * 1024)
    failed = []

    def work():
        try:
            build_walk_free(CHAIN // 4)
            x = leaf(1.0)
            y, diamond = x, x
            for _ in range(20_000):
                y = sp.sin(y)
                diamond = diamond * 0.5 + diamond * 0.5
            sp.jvp(lambda t: t * 2, (x,), (x.detach(),))
            sp.grad(lambda t: sum((t * i for i in range(2000)), t))(x)
            (y + diamond).backward()
        except BaseException as e:
            failed.append(e)

    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(old)
    assert not failed, failed


def test_memory_of_a_node():
    """At most 200 bytes for a node that keeps nothing (docs/trust.md, row 1), in a separate process."""
    code = """
import resource, steep as sp
x = sp.tensor(1.0, requires_grad=True)
y = x
def grow(n):
    global y
    for _ in range(n): y = y + 0.0
grow(50_000)
a = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
grow(500_000)
b = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((b - a) * 1024 / 500_000)
"""
    assert float(python(code).stdout) <= 320


def python(code, **more):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120, **more)
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    return done


def test_no_node_is_left():
    """After backward, exceptions, tapes, transforms, custom rules and checkpoints."""

    def everything():
        w = leaf([1.0, 2.0])
        (w * w).sum().backward()
        sp.grad(lambda x: sp.grad(lambda y: (y**3).sum())(x).sum())(w)
        sp.hessian(lambda x: (x**3).sum())(w)
        sp.jvp(sp.exp, (w,), (w.detach(),))
        with sp.GradientTape(persistent=True) as tape:
            tape.watch(w)
            y = sp.checkpoint(lambda x: sp.sin(x) * x)(w).sum()
        tape.gradient(y, w)
        with contextlib.suppress(sp.GradientError):
            (w * w).backward()
        with contextlib.suppress(ZeroDivisionError):
            sp.grad(lambda x: x.sum() + 1 / 0)(w)

    everything()
    gc.collect()
    before = sp._core.live_nodes()
    for _ in range(20):
        everything()
    gc.collect()
    assert sp._core.live_nodes() == before


# ---- tapes ----


def test_tapes_nest_to_third_order():
    x = sp.tensor(2.0, dtype="float64")
    with sp.GradientTape() as a:
        a.watch(x)
        with sp.GradientTape() as b:
            b.watch(x)
            with sp.GradientTape() as c:
                c.watch(x)
                y = x**4
            first = c.gradient(y, x)
        second = b.gradient(first, x)
    third = a.gradient(second, x)
    assert [g.item() for g in (first, second, third)] == [32.0, 48.0, 48.0]


def test_a_tape_watches_what_it_is_told():
    """Constants give None; requires_grad is watched by itself unless told not to; work before the tape is constant."""
    x, w = sp.tensor(3.0), leaf(2.0, "float32")
    before = w * 5
    with sp.GradientTape() as tape:
        y = x * w + before
    dx, dw, unused = tape.gradient(y, [x, w, leaf(1.0)])
    assert dx is None and unused is None and dw.item() == 3.0
    with sp.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        y = x * w
    assert [g if g is None else g.item() for g in tape.gradient(y, [x, w])] == [2.0, None]


def test_persistent_reset_and_stop_recording():
    x = sp.tensor(3.0)
    with sp.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        with tape.stop_recording():
            hidden = x * x
        z = y * y
    assert tape.gradient(y, x).item() == 6.0 and tape.gradient(z, x).item() == 108.0
    assert tape.gradient(hidden, x) is None
    assert tape.gradient(hidden, x, unconnected_gradients="zero").item() == 0.0
    with sp.GradientTape() as once:
        once.watch(x)
        y = x * x
        once.reset()
        once.watch(x)
        z = x * 5
    assert once.gradient(z, x).item() == 5.0
    with pytest.raises(sp.GradientError, match="persistent=True"):
        once.gradient(z, x)


def test_tape_jacobians():
    x = sp.tensor(np.arange(6.0).reshape(2, 3))
    with sp.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
    full = tape.jacobian(y, x)
    assert full.shape == (2, 3, 2, 3)
    batch = tape.batch_jacobian(y, x)
    np.testing.assert_array_equal(batch.numpy(), [np.diag(2 * row) for row in x.numpy()])


def test_a_tape_survives_an_exception_and_leaves_modes_alone():
    x = sp.tensor(3.0)
    with pytest.raises(ZeroDivisionError), sp.GradientTape() as tape:
        tape.watch(x)
        raise ZeroDivisionError
    assert not x.requires_grad and sp.is_grad_enabled()


# ---- rules of the user's ----


@sp.custom_vjp
def halved(x, scale):
    return sp.sin(x) * scale


halved.defvjp(
    lambda x, scale: (sp.sin(x) * scale, (x, scale)), lambda saved, g: (g * sp.cos(saved[0]) * saved[1] / 2, None)
)


def test_a_custom_rule_to_second_order_and_forward():
    x = sp.tensor(0.7, dtype="float64")
    f = lambda x: halved(x, 3.0)  # noqa: E731
    assert sp.grad(f)(x).item() == pytest.approx(1.5 * np.cos(0.7), abs=1e-15)
    assert sp.grad(sp.grad(f))(x).item() == pytest.approx(-1.5 * np.sin(0.7), abs=1e-15)
    assert sp.jvp(f, (x,), (sp.tensor(2.0, dtype="float64"),))[1].item() == pytest.approx(3 * np.cos(0.7), abs=1e-15)
    assert halved(x, 3.0).item() == pytest.approx(3 * np.sin(0.7), abs=1e-15)


def test_exceptions_in_rules_come_out_whole_and_modes_are_restored():
    @sp.custom_vjp
    def bad(x):
        return x * 2

    def fails(saved, g):
        raise KeyError("mine")

    bad.defvjp(lambda x: (x * 2, None), fails)
    w = leaf(1.0)
    with pytest.raises(KeyError, match="mine"):
        bad(w).backward()
    assert sp.is_grad_enabled() and w.grad is None
    with pytest.raises(KeyError), sp.no_grad():
        raise KeyError
    assert sp.is_grad_enabled()
    with pytest.raises(KeyError), sp.detect_anomaly():
        raise KeyError
    assert (w / 0.0).item() == np.inf
    with pytest.raises(KeyError), sp.gradient_rule("exp", lambda g, inputs, out: g * 0), sp.threads(3):
        raise KeyError
    assert sp.grad(sp.exp)(w).item() == pytest.approx(np.e, rel=1e-15)
    (w * 2).backward()
    assert w.grad.item() == 2.0


@pytest.mark.parametrize("returned", [(1, 2, 3), "x", sp.ones((7,))])
def test_a_rule_that_returns_nonsense_is_told_so(returned):
    @sp.custom_vjp
    def bad(x):
        return x * 2

    bad.defvjp(lambda x: (x * 2, None), lambda saved, g: returned)
    x = leaf([1.0, 2.0])  # held: the gradient of a leaf that nobody can ask is not worked out
    with pytest.raises((sp.GradientError, TypeError, ValueError)) as caught:
        bad(x).sum().backward()
    assert str(caught.value)


def test_an_op_level_rule():
    x = leaf([1.0, -2.0])
    with sp.gradient_rule("exp", lambda g, inputs, out: g * 10 + inputs[0] * 0 + out * 0):
        y = sp.exp(x).sum()
    y.backward()
    assert x.grad.tolist() == [10.0, 10.0]
    np.testing.assert_allclose(sp.grad(lambda x: sp.exp(x).sum())(x).numpy(), np.exp([1.0, -2.0]), rtol=1e-15)


def test_checkpoint_gives_the_same_gradients_and_keeps_less():
    """Arguments, captured tensors and parameters alike, to second order."""
    w, x = leaf([[0.1, 0.2], [0.3, -0.4]]), leaf([1.0, -2.0])

    def block(t):
        return sp.tanh(w @ t) * t

    found = []
    for f in (lambda t: block(t).sum(), lambda t: sp.checkpoint(block)(t).sum()):
        w.grad = x.grad = None
        f(x).backward()
        found.append([w.grad.numpy(), x.grad.numpy(), sp.hessian(f)(x).numpy()])
        f(x * 1).backward()
        found[-1].append(x.grad.numpy())
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_checkpoint_takes_arguments_of_any_kind():
    w = leaf([1.0, 2.0])
    y = sp.checkpoint(lambda t, n, named: t * n + named["b"])(w, 3, {"b": sp.tensor(1), "c": None})
    y.sum().backward()
    assert w.grad.tolist() == [3.0, 3.0]


def test_checkpoint_runs_again_in_backward():
    runs = []
    f = sp.checkpoint(lambda x: (runs.append(1), sp.sin(x))[1])
    y = f(leaf(1.0))
    assert len(runs) == 1
    y.backward()
    assert len(runs) == 2


# ---- diagnosis ----


def test_detect_anomaly_names_the_op_and_the_line():
    x = leaf([1.0, -1.0])
    with sp.detect_anomaly(), pytest.raises(sp.GradientError) as forward:
        sp.log(x)
    text = str(forward.value)
    assert "log" in text and "float64(2,)" in text and "test_graph.py" in text and "forward" in text
    with sp.detect_anomaly():
        x = leaf([0.0, 1.0])
        y = sp.sqrt(x).sum()
        with pytest.raises(sp.GradientError) as backward:
            y.backward()
    text = str(backward.value)
    assert "sqrt" in text and "backward" in text and "test_graph.py" in text


@pytest.mark.parametrize("y, said", [
    (lambda x: x.detach() * 2, "detach"), (lambda x: sp.argmax(x), "float"), (lambda x: sp.floor(x), "floor"),
    (lambda x: leaf(1.0) * 2, "does not depend"), (lambda x: sp.exp(x) * 2, "exp"), (lambda x: sp.tensor(1.0),
    "constants"),
])  # fmt: skip
def test_explain(y, said):
    x = leaf([1.0, 2.0])
    assert said in sp.explain(y(x), x)


def test_explain_no_grad():
    x = leaf([1.0])
    with sp.no_grad():
        y = x * 2
    assert "no_grad" in sp.explain(y, x)
