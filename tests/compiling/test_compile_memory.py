"""Compiled functions and memory: constants written in part, alternating tensors, threads, cycles, errors half way.

Each test is a program that once gave other bits than the plain function, or grew. Start at ``same_as_plain``.
"""

import contextlib
import gc
import threading
import weakref

import numpy as np
import pytest
import steep as sp
from steep import ascent, attack, nn, saliency
from steep.random import Generator
from test_compile import bits

rng = np.random.default_rng(11)


def normal(*shape):
    return sp.tensor(rng.standard_normal(shape).astype("f4"))


def same_as_plain(f, *calls):
    """Whether replays give what the function gives, on each tuple of arguments."""
    fast = sp.compile(f)
    return all(bits(fast(*args)) == bits(f(*args)) for args in calls)


# ---- constants of the function that it writes to ----


def test_a_part_of_a_constant_of_equal_elements_is_written():
    def f(x):
        ones, halves = sp.ones(4), sp.full((3,), 1.5)
        ones[1] = x.sum()
        halves[0] += x[0]
        return ones, halves

    assert same_as_plain(f, *[(normal(3),) for _ in range(3)])


def test_a_constant_is_written_at_positions():
    def f(x, at):
        zeros, twos, sums = sp.zeros(5), sp.ones(5) * 2, sp.zeros(5)
        zeros[at] = x
        twos[at] = x
        sums[at] += x
        return zeros, twos, sums

    assert same_as_plain(f, *[(normal(3), sp.tensor(at)) for at in ([0, 2, 4], [1, 2, 3], [4, 0, 1])])


@pytest.mark.parametrize("op", [sp.sum, sp.prod, sp.max])
def test_leading_axes_of_what_is_one_value_everywhere(op):
    def f(x):
        whole = sp.zeros((3, 33, 5))
        whole[...] = x[0]
        return op(whole * 1.5, axis=(0, 1)), op(whole.copy(), axis=(0, 1))

    assert same_as_plain(f, *[(normal(2) * 0.7,) for _ in range(3)])


def test_a_traceback_that_dies_while_another_call_is_recorded():
    def refuses(x):
        raise ValueError("no")

    kept = []
    with pytest.raises(ValueError, match="no") as caught:
        sp.compile(refuses)(normal(2))
    kept.append(caught)
    drop = kept.clear
    del caught

    def f(x):
        drop()
        gc.collect()
        sums = sp.zeros(3)
        sums += x
        sums[0] = 1
        return sums

    assert same_as_plain(f, *[(normal(3),) for _ in range(3)])


def test_groups_that_would_wait_for_each_other():
    def f(x, y):
        a, b = x * 2, y + 1
        c, d = sp.cumulative_sum(a), sp.cumulative_sum(b)
        return a * d, b + c

    assert same_as_plain(f, *[(normal(6), normal(6)) for _ in range(3)])


def test_results_share_memory_as_the_function_s_do():
    w = sp.tensor([1.0, 2.0, 3.0], requires_grad=True)

    def step(x):
        w.grad = None
        (w * x).sum().backward()
        y = x * 2
        return y[1:], y, y, w.grad

    fast = sp.compile(step)
    for _ in range(4):
        x = normal(3)
        part, y, again, grad = fast(x)
        part[...] = 0.0
        grad *= 3
        assert bits(y) == bits(again) == bits(sp.where(sp.arange(3) == 0, x * 2, 0.0))
        assert bits(w.grad) == bits(x * 3)


# ---- steady loops ----


def allocations(call, times=20):
    for _ in range(5):
        call()
    before = sp.memory_report()["allocations"]
    for _ in range(times):
        call()
    return sp.memory_report()["allocations"] - before


def test_a_gradient_that_accumulates_alternates_between_blocks():
    w, x = normal(50), normal(50)
    w.requires_grad = True
    assert allocations(sp.compile(lambda: (w * x).sum().backward())) == 0


def test_a_result_that_is_the_next_argument_alternates_between_blocks():
    step, x = sp.compile(lambda x: x * 0.5), normal(50)

    def call():
        nonlocal x
        x = step(x)

    assert allocations(call) == 0


def test_a_layer_that_holds_its_compiled_step_is_let_go():
    class Model(sp.nn.Module):
        def __init__(self):
            self.weight = normal(3)
            self.weight.requires_grad = True
            self.optimizer = sp.optim.SGD([self.weight], lambda t: 0.1)
            self.optimizer.fast = self.fast = sp.compile(self.step)

        def step(self):
            self.optimizer.zero_grad()
            (self.weight * self.weight).sum().backward()
            self.optimizer.step()

    model = Model()
    for _ in range(3):
        model.fast()
    seen = weakref.ref(model.optimizer), weakref.ref(model)
    del model
    gc.collect()
    assert [ref() for ref in seen] == [None, None]


def resident():
    gc.collect()
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * 4096


def bytes_a_call(call, times):
    """The least growth of four stretches: a leak shows in each, what the interpreter's own heap does in one or two."""
    for _ in range(2000):
        call()
    live, grown = sp.memory_report()["live_bytes"], []
    for _ in range(4):
        before = resident()
        for _ in range(times // 4):
            call()
        grown.append((resident() - before) / (times // 4))
    assert sp.memory_report()["live_bytes"] == live
    return min(grown)


def raises(error, call):
    def run():
        with contextlib.suppress(error):
            call()
            raise AssertionError("it did not raise")

    return run


def test_fifty_thousand_steps_grow_by_less_than_a_byte_each():
    w = sp.tensor(rng.standard_normal((6, 3)).astype("f4"), requires_grad=True)
    optimizer, noise = sp.optim.Adam([w], 0.01), sp.random.Generator(1)
    x, labels = normal(16, 6), sp.tensor(rng.integers(0, 3, 16))

    def step():
        optimizer.zero_grad()
        loss = sp.nn.functional.cross_entropy(sp.tanh((x + noise.normal((16, 6))) @ w), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    assert bytes_a_call(sp.compile(step), 50_000) < 1


def test_errors_of_replays_and_recordings_leave_nothing_behind():
    def refuses(x):
        sp.zeros(100).__iadd__(x.sum())
        raise KeyError("x")

    take, x, far = sp.compile(lambda x, at: sp.take(x * 2, at)), normal(100), sp.tensor([100])
    take(x, sp.tensor([1]))
    assert bytes_a_call(raises(IndexError, lambda: take(x, far)), 50_000) < 1
    assert bytes_a_call(raises(KeyError, lambda: sp.compile(refuses)(x)), 2000) < 200  # fragments, no tensors
    assert not sp._core._is_recording()


# ---- errors and threads ----


def test_an_index_out_of_range_leaves_what_comes_after_as_it_was():
    w = normal(100, 8)

    def f(x, at):
        y = sp.take(x * 2, at, axis=0)
        w.__iadd__(x * 2)
        return y

    fast = sp.compile(f)
    x = normal(100, 8)
    fast(x, sp.tensor([1]))
    before = bits(w)
    with pytest.raises(IndexError):
        fast(x, sp.tensor([1000]))
    assert bits(w) == before


def test_numbers_are_told_apart_by_their_bits():
    fast, x = sp.compile(lambda x, s: (x * s, sp.copysign(x, s))), sp.tensor([1.0])
    for s in (0.0, -0.0, float("nan"), float("nan"), float("inf")):
        assert bits(fast(x, s)) == bits((x * s, sp.copysign(x, s)))
    assert len(fast.programs) == 4


def test_threads_that_share_a_compiled_function():
    rates = sp.optim.SGD([sp.tensor([0.0], requires_grad=True)], lambda t: 0.1)

    def f(x, scale):
        return {"y": sp.tanh(x @ x) * scale, "rate": rates._rate(rates.lr) * 1.0}

    fast, wrong = sp.compile(f), []
    scale = sp.tensor(3.0)

    def work(seed):
        x = sp.tensor(np.random.default_rng(seed).standard_normal((150, 150)).astype("f4"))
        wanted = bits(sp.tanh(x @ x) * scale)
        for _ in range(60):
            if bits(fast(x, scale)["y"]) != wanted:
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


# ---- one arena for programs that do not run at the same time ----


def products(x, w):
    """Each product is a temporary, and long enough that other threads run meanwhile."""
    for _ in range(4):
        x = sp.tanh(x @ w)
    return x.sum(axis=0)


def test_programs_share_an_arena():
    x, w = normal(60, 70), normal(70, 70)
    fast = [sp.compile(lambda x, w: products(x, w)) for _ in range(3)]
    for call in fast:
        call(x, w)
    assert len({call.program._arena for call in fast}) == 1 and fast[0].program.arena_bytes >= 60 * 70 * 4
    for _ in range(2):
        for i, call in enumerate(fast):
            assert bits(call(x + i, w)) == bits(products(x + i, w))


def test_a_small_program_does_not_keep_the_arena_of_a_large_one():
    w, large, small = normal(70, 70), sp.compile(products), sp.compile(products)
    large(normal(6000, 70), w)
    small(normal(3, 70), w)
    assert small.program._arena != large.program._arena and small.program.arena_bytes > 0


def test_programs_of_several_threads_have_an_arena_each_while_they_run():
    inputs, w, wrong = [normal(300, 500) for _ in range(3)], normal(500, 500) / 20, []
    wanted = [bits(products(x, w)) for x in inputs]
    fast = [sp.compile(lambda x, w: products(x, w)) for _ in inputs]
    for call, x in zip(fast, inputs, strict=True):
        call(x, w)
    assert len({call.program._arena for call in fast}) == 1

    def work(i):
        wrong.extend(i for _ in range(30) if bits(fast[i](inputs[i], w)) != wanted[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


# ---- compiled steps are freed when they are done with ----

NET = nn.Sequential({"conv": nn.Conv2d(1, 8, 3, padding=1, generator=0), "relu": nn.ReLU(), "flatten": nn.Flatten(),
                     "scores": nn.Linear(8 * 64, 3, generator=1)}).eval()  # fmt: skip
X = np.random.default_rng(0).random((2, 1, 8, 8)).astype("f4")
RUNS = {
    "compile": lambda: sp.compile(lambda x: sp.sum(NET(x)))(sp.tensor(X, requires_grad=True)).backward(),
    "maximize": lambda: ascent.maximize(ascent.channel(NET, "conv", 0), X, 3, warm_start=1, keep=1),
    "refused": lambda: ascent.maximize(lambda x: sp.sum(NET(x)) * float(sp.sum(x)), X, 2),
    "deepdream": lambda: ascent.deepdream(NET, "conv", X, octaves=1, steps=2, jitter=2),
    "pgd": lambda: attack.pgd(NET, X, [0, 1], 0.1, steps=2, generator=Generator(0), restarts=2),
    "deepfool": lambda: attack.deepfool(NET, X, [0, 1], steps=2),
    "ddn": lambda: attack.ddn(NET, X, [0, 1], steps=2),
    "carlini_wagner": lambda: attack.carlini_wagner(NET, X, [0, 1], steps=2, searches=2),
    "lbfgs": lambda: attack.lbfgs(NET, X, [0, 1], steps=2, searches=2),
    "smoothgrad": lambda: saliency.smoothgrad(NET, X, samples=2),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_run_holds_no_memory_until_cycles_are_looked_for(run):
    """Programs own their temporaries: of large networks, a few that wait for Python's collector fill the memory."""
    run()
    gc.collect()
    gc.disable()
    try:
        before = sp._core.memory_report()["live_bytes"]
        run()
        assert sp._core.memory_report()["live_bytes"] == before
    finally:
        gc.enable()


def test_a_second_derivative_outlives_the_compiled_function():
    x = sp.tensor([0.5, 2.0], requires_grad=True)
    weight = sp.tensor([3.0, 5.0], requires_grad=True)

    def derivative():
        fast = sp.compile(lambda x: sp.sum(weight * x**3))
        fast(x)
        return sp.grad(lambda v: fast(v))

    second = sp.grad(lambda v: sp.sum(derivative()(v)))(x)
    assert np.allclose(np.asarray(second), np.asarray(weight.detach() * 6 * x.detach()))


def test_recording_holds_no_more_than_its_lines_do():
    """Temporaries that the function has released are freed while it is recorded: 64 of 4 MB, of which two live."""
    mb = 1 << 20

    def chain(x):
        for _ in range(64):
            x = sp.sin(x)
        return x

    x = sp.ones(mb)
    compiled = sp.compile(chain)
    sp.reset_peak_memory()
    before = sp.memory_report()["live_bytes"]
    first = compiled(x)
    assert sp.memory_report()["peak_bytes"] - before < 60 * mb
    np.testing.assert_array_equal(compiled(x).numpy(), first.numpy())


def test_memory_used_again_while_recording_is_not_taken_for_what_it_was():
    """A constant and a result of an op may lie where a freed temporary did."""

    def mixed(x):
        total = sp.zeros(x.shape)
        for i in range(24):
            constant = sp.full(x.shape, float(i))
            total = total + sp.sin(x + constant) * constant
        return total

    x = sp.linspace(0.0, 1.0, 1 << 19)
    compiled = sp.compile(mixed)
    np.testing.assert_array_equal(compiled(x).numpy(), mixed(x).numpy())
    np.testing.assert_array_equal(compiled(x * 2).numpy(), mixed(x * 2).numpy())


def test_equal_results_share_memory_only_where_the_function_s_do():
    """Passes merge equal computations and drop copies; a caller who writes into one result must not change another."""
    constant = normal(3)

    def f(x):
        y, z = x * 2, x * 2
        return y, z, y.copy(), z[1:], y, constant.copy(), constant

    fast, x = sp.compile(f), normal(3)
    for _ in range(3):
        for written in range(6):
            found, wanted = fast(x), f(x)
            found[written][...] = 7
            wanted[written][...] = 7
            assert [bits(t) for t in found] == [bits(t) for t in wanted], written


def test_a_gradient_and_a_result_share_memory_only_where_the_function_s_do():
    w = sp.tensor([1.0, 2.0], requires_grad=True)

    def f(x):
        w.grad = x * 3
        return x * 3, w.grad

    fast = sp.compile(f)
    for _ in range(3):
        other, same = fast(sp.ones(2))
        other[...] = 7
        assert w.grad.tolist() == [3.0, 3.0]
        same[...] = 5
        assert w.grad.tolist() == [5.0, 5.0] and other.tolist() == [7.0, 7.0]
