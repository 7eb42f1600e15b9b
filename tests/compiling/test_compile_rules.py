"""What a compiled function may rely on and what it refuses, memory that it gives away, and random programs.

Start at ``test_random_programs``, which tries the passes on what nobody thought of.
"""

import gc

import numpy as np
import pytest
import steep as sp
from steep import nn
from test_compile import bits

rng = np.random.default_rng(7)


def normal(*shape, dtype="f4"):
    return sp.tensor(rng.standard_normal(shape).astype(dtype))


# ---- values of tensors are not known while recording ----

ASK = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x.sum()),
    "int": lambda x: int(x.sum()),
    "bool": lambda x: 1 if (x > 0).all() else 0,
    "numpy": lambda x: x.numpy(),
    "array": lambda x: np.asarray(x),
    "tolist": lambda x: x.tolist(),
    "repr": lambda x: repr(x),
    "mask": lambda x: x[x > 0],
    "nonzero": lambda x: sp.nonzero(x),
    "index": lambda x: [1, 2, 3][sp.argmax(x)],
    "dlpack": lambda x: np.from_dlpack(x),
}


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
def test_asking_for_a_value_names_the_line(ask):
    fast = sp.compile(lambda x: ask(x * 2))
    with pytest.raises(sp.CompileError, match=r"test_compile_rules\.py:\d+"):
        fast(normal(3))
    assert not sp._core._is_recording()
    assert float(sp.tensor(2.0)) == 2.0


def test_values_that_cannot_change_may_be_asked_for():
    fast = sp.compile(lambda x: x * float(sp.arange(4).sum()) + int(sp.tensor([1, 2]).max()))
    for _ in range(3):
        x = normal(3)
        assert bits(fast(x)) == bits(x * 6.0 + 2)


# ---- guards ----


def test_other_layouts_are_recorded_anew():
    fast = sp.compile(lambda x: sp.tanh(x).sum(axis=0))
    for x in (normal(3, 4), normal(5, 4), normal(3, 4, dtype="f8"), normal(4, 3).T, normal(3, 4)):
        assert bits(fast(x)) == bits(sp.tanh(x).sum(axis=0))
    assert len(fast.programs) == 4


def test_plain_arguments_are_part_of_the_program():
    runs = []

    def f(x, scale, mode="a"):
        runs.append(1)
        return x * scale if mode == "a" else x + scale

    fast = sp.compile(f)
    x = normal(3)
    for scale, mode in ((2.0, "a"), (3.0, "a"), (2.0, "b"), (2.0, "a"), (3.0, "a")):
        assert bits(fast(x, scale, mode=mode)) == bits(x * scale if mode == "a" else x + scale)
    assert len(fast.programs) == len(runs) == 3
    assert fast(x, 2, mode="a").dtype == sp.float32  # 2 is not 2.0: an integer has a program of its own
    assert len(fast.programs) == 4


def test_a_number_the_function_closes_over_is_guarded():
    scale = 2.0

    def f(x):
        return x * scale

    fast = sp.compile(f)
    x = normal(3)
    assert bits(fast(x)) == bits(x * 2.0)
    scale = 3.0
    assert bits(fast(x)) == bits(x * 3.0)
    scale = 2.0
    assert bits(fast(x)) == bits(x * 2.0)
    assert len(fast.programs) == 2


def test_a_value_that_never_settles_is_refused_with_the_reason():
    rate = 0.0
    fast = sp.compile(lambda x: x * rate)
    with pytest.raises(sp.CompileError, match=r"rate was .* and is"):
        for _ in range(40):
            rate += 1.0
            fast(normal(2))


def test_a_rate_changed_by_hand_is_seen():
    def run(wrap):
        w = sp.tensor(np.ones(3, "f4"), requires_grad=True)
        optimizer = sp.optim.SGD([w], 0.5)

        def step():
            optimizer.zero_grad()
            (w * w).sum().backward()
            optimizer.step()

        step = wrap(step)
        for rate in (0.5, 0.5, 0.25, 0.25, 0.125):
            optimizer.lr = rate
            step()
        return bits(w)

    assert run(sp.compile) == run(lambda f: f)


def test_setting_a_variable_outside_is_refused():
    count, last = 0, sp.tensor(0.0)

    def counts(x):
        nonlocal count
        count += 1
        return x * 2

    def keeps(x):
        nonlocal last
        last = x * 2
        return last

    for f, name in ((counts, "count"), (keeps, "last")):
        with pytest.raises(sp.CompileError, match=f"sets '{name}'"):
            sp.compile(f)(normal(2))


def test_a_gradient_that_is_there_or_not():
    w = normal(3)
    w.requires_grad = True
    x = normal(3)

    def accumulate():
        (w * x).sum().backward()

    fast = sp.compile(accumulate)
    for times in range(1, 6):
        fast()
        np.testing.assert_array_equal(w.grad.numpy(), sum([x.numpy()] * times))
    w.grad = None
    fast()
    np.testing.assert_array_equal(w.grad.numpy(), x.numpy())


def test_an_argument_that_the_function_also_closes_over():
    target = normal(3)
    fast = sp.compile(lambda x: x - target)
    assert bits(fast(target)) == bits(target - target)
    x = normal(3)
    assert bits(fast(x)) == bits(x - target)
    assert bits(fast(target)) == bits(target - target)


def test_two_arguments_that_are_one():
    fast = sp.compile(lambda a, b: a * 2 + b)
    x, y = normal(4), normal(4)
    assert bits(fast(x, x)) == bits(x * 2 + x)
    assert bits(fast(x, y)) == bits(x * 2 + y)
    assert bits(fast(y, y)) == bits(y * 2 + y)


def test_no_grad_and_anomalies():
    fast = sp.compile(lambda x: sp.log(x))
    x = sp.tensor([1.0, -1.0])
    fast(x)
    with sp.no_grad():
        assert bits(fast(x)) == bits(sp.log(x))
    with sp.detect_anomaly(), pytest.raises(sp.GradientError, match="log"):
        fast(x)


def test_overridden_gradient_rules_are_run_as_they_are():
    f = sp.compile(sp.grad(lambda x: sp.relu(-x).sum()))
    x = sp.tensor([1.0, -1.0])
    plain = bits(f(x))
    with sp.gradient_rule("relu", "deconvnet"):
        assert bits(f(x)) == bits(sp.grad(lambda x: sp.relu(-x).sum())(x)) != plain
    assert bits(f(x)) == plain


# ---- memory that is given away, or written ----


def test_a_result_that_is_held_stays_what_it_was():
    fast = sp.compile(lambda x: x * 2)
    held = [fast(sp.tensor([float(i)])) for i in range(5)]
    assert [float(h[0]) for h in held] == [0, 2, 4, 6, 8]
    y = sp.tensor([1.0])
    for _ in range(5):
        y = fast(y)
    assert float(y[0]) == 32


def test_a_result_seen_by_numpy_stays_what_it_was():
    fast = sp.compile(lambda x: x * 2)
    fast(sp.tensor([0.0]))
    a = fast(sp.tensor([1.0])).numpy()
    fast(sp.tensor([2.0]))
    assert a[0] == 2


def test_known_tensors_are_returned_themselves():
    w = normal(3)
    fast = sp.compile(lambda x: (x, w, x[1:], x * 1))
    for _ in range(3):
        x = normal(3)
        same, captured, part, product = fast(x)
        x += 1
        assert bits(same) == bits(x)
        assert bits(part) == bits(x[1:])
        assert bits(captured) == bits(w)
        assert bits(product) != bits(x)


def test_writes_in_place_of_every_kind():
    def step(buffer, x, index):
        buffer[1] = x[0]
        buffer[:, 2] += 1
        buffer[index] *= 2
        part = buffer[0]
        part -= x[1]
        fresh = sp.zeros((3, 4))
        fresh += buffer
        fresh[::2] = 5
        buffer[...] = sp.flip(buffer, axis=0)
        return fresh, buffer.sum()

    eager, compiled = normal(3, 4), None
    compiled = eager.copy()
    fast = sp.compile(step)
    for _ in range(4):
        x, index = normal(2, 4), sp.tensor(rng.integers(0, 3, 2))
        assert bits(step(eager, x, index)) == bits(fast(compiled, x, index))
        assert bits(eager) == bits(compiled)
    assert len(fast.programs) == 1


def test_a_read_only_array_is_not_written():
    fast = sp.compile(lambda x: sp.asarray(x).__iadd__(1))
    fast(np.zeros(3, "f4"))
    frozen = np.zeros(3, "f4")
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        fast(frozen)
    assert not frozen.any()


def test_errors_of_a_replay_are_the_op_s():
    fast = sp.compile(lambda x, i: sp.take(x, i))
    x = normal(5)
    fast(x, sp.tensor([1, 2]))
    with pytest.raises(IndexError, match="index 9 is out of range"):
        fast(x, sp.tensor([1, 9]))
    assert bits(fast(x, sp.tensor([4, 0]))) == bits(sp.take(x, sp.tensor([4, 0])))


def test_modules_trees_and_keywords():
    model = sp.nn.Sequential(sp.nn.Linear(4, 8), sp.nn.Tanh(), sp.nn.Linear(8, 2))
    fast = sp.compile(lambda batch, *, scale: {"scores": model(batch["x"]) * scale, "n": [None, batch["y"] + 1]})
    for _ in range(3):
        batch = {"x": rng.standard_normal((3, 4)).astype("f4"), "y": normal(2)}
        got = fast(batch, scale=2.0)
        assert bits(got["scores"]) == bits(model(sp.asarray(batch["x"])) * 2.0)
        assert bits(got["n"][1]) == bits(batch["y"] + 1)
        assert got["n"][0] is None
    assert len(fast.programs) == 1
    whole = sp.compile(model)
    x = normal(3, 4)
    assert bits(whole(x)) == bits(whole(x)) == bits(model(x))


def test_compiled_inside_compiled():
    inner = sp.compile(lambda x: sp.tanh(x) * 2)
    outer = sp.compile(lambda x: inner(x) + inner(x * 2))
    x = normal(5)
    for _ in range(3):
        assert bits(outer(x)) == bits(sp.tanh(x) * 2 + sp.tanh(x * 2) * 2)


def test_what_is_recorded_is_let_go():
    gc.collect()
    before = sp.memory_report()["live_bytes"]
    fast = sp.compile(sp.value_and_grad(lambda x: (sp.tanh(x) * x).sum()))
    for n in (10, 1000, 100000):
        fast(normal(n))
        fast(normal(n))
    del fast
    gc.collect()
    assert sp.memory_report()["live_bytes"] == before


# ---- the program itself ----


def test_the_program_is_reported():
    fast = sp.compile(sp.value_and_grad(lambda x: (sp.tanh(x * 2) * 3 + x * 2).sum()))
    with pytest.raises(sp.CompileError, match="nothing is recorded"):
        fast.program  # noqa: B018
    fast(normal(1000))
    program = fast.program
    assert program.groups == 1 < program.instructions < program.recorded
    assert program.arena_bytes == 0 < program.temporary_bytes
    text = str(program)
    for word in ("group of", "tanh", "sum", "test_compile_rules.py", "argument a0", "repeated", "arena"):
        assert word in text
    assert "fused groups" in repr(program)


def test_dead_repeated_and_single_values():
    def f(x):
        sp.exp(x)  # not used
        return sp.tanh(x) + sp.tanh(x) * (sp.ones((1000,)) * 2 + x.sum() * 0)

    fast = sp.compile(f)
    x = normal(1000)
    fast(x)
    text = str(fast.program)
    assert "2 repeated, 1 of one value" in text
    assert text.count("tanh(") == 1
    assert "exp(" not in text


def test_bias_and_activation_run_with_their_product():
    w, b = normal(64, 96), normal(96)
    fast = sp.compile(lambda x: sp.relu(x @ w + b))
    for shape in ((32, 64), (5, 7, 64), (64,), (300, 64)):
        for _ in range(2):
            x = normal(*shape)
            assert bits(fast(x)) == bits(sp.relu(x @ w + b))
    assert all("part by part" in str(p) for p in fast.programs)
    transposed = sp.compile(lambda x: sp.tanh((w.T @ x.mT).mT + b) * (x @ w))
    for _ in range(3):
        x = normal(3, 40, 64)
        assert bits(transposed(x)) == bits(sp.tanh((w.T @ x.mT).mT + b) * (x @ w))


@pytest.mark.parametrize("groups, stride", [(1, 1), (1, 2), (4, 1), (8, 1)])
def test_activations_run_with_their_convolution(groups, stride):
    w, b = normal(16, 8 // groups, 3, 3), normal(16)

    def f(x):
        return sp.relu(sp.conv2d(x, w, b, stride=stride, padding=1, groups=groups)) * 2

    fast = sp.compile(f)
    for n in (3, 3, 1):
        x = normal(n, 8, 37, 41)
        assert bits(fast(x)) == bits(f(x))
    assert all("part by part" in str(p) for p in fast.programs)


@pytest.mark.parametrize("shape", [(7,), (5000,), (3, 4096), (9, 5000), (70, 33), (2, 3, 70000), (1, 1), (2049, 1)])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_folds_end_groups(shape, dtype):
    def f(x, b):
        y = sp.tanh(x * 2) + b
        return y.sum(), (y * y).sum(axis=-1), sp.max(y - 1, axis=-1, keepdims=True), sp.min(-y), y, y.sum(axis=0)

    fast = sp.compile(f)
    for _ in range(2):
        x, b = normal(*shape, dtype=dtype), normal(shape[-1], dtype=dtype)
        assert bits(fast(x, b)) == bits(f(x, b))


def test_bits_do_not_depend_on_threads():
    def f(x, b):
        y = sp.exp(sp.tanh(x + b) * 2)
        return y.sum(), y.sum(axis=-1), y * 2

    fast, x, b = sp.compile(f), normal(700, 1000), normal(1000)
    fast(x, b)
    seen = set()
    for n in (1, 2, 3, 4, 8):
        with sp.threads(n):
            seen.add(str(bits(fast(x, b))))
    assert len(seen) == 1


# ---- verify ----


def test_verify_accepts_what_is_right_and_leaves_one_step_behind():
    w = normal(4)
    w.requires_grad = True
    optimizer, noise = sp.optim.Adam([w], 0.1), sp.random.Generator(1)

    def step(x):
        optimizer.zero_grad()
        loss = ((w * x + noise.normal((4,))) ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss.detach()

    fast = sp.compile(step, verify=True)
    for _ in range(5):
        fast(normal(4))
    assert optimizer.steps == 5
    assert noise.position == 20


def test_verify_names_the_first_difference():
    fast = sp.compile(lambda x: sp.tanh(x) * sp.tensor(rng.standard_normal(3).astype("f4")), verify=True)
    fast(normal(3))
    with pytest.raises(sp.CompileError, match=r"instruction 1, \w+ at .*:\d+: it reads another tensor"):
        fast(normal(3))


def test_verify_sees_other_branches():
    turn = iter(range(9))
    fast = sp.compile(lambda x: sp.tanh(x) if next(turn) % 2 else sp.exp(x), verify=True)
    fast(normal(3))
    with pytest.raises(sp.CompileError, match="it was exp and is tanh"):
        fast(normal(3))


# ---- random programs ----

UNARY = [sp.tanh, sp.exp, sp.relu, sp.square, lambda v: v * 0.5, lambda v: 1 - v, sp.sign, sp.abs, lambda v: v + v]
PAIR = [sp.add, sp.multiply, sp.subtract, sp.maximum, lambda a, b: sp.where(a > b, a, b * 2)]
VIEW = [
    lambda v: v.T if v.ndim == 2 else v,
    lambda v: sp.flip(v, axis=0) if v.ndim else v,
    lambda v: sp.reshape(v, (-1,)),
    lambda v: v[1:] if v.ndim and v.shape[0] > 1 else v,
    lambda v: sp.broadcast_to(v, (2, *v.shape)) if v.ndim < 2 else v,
]
FOLD = [
    lambda v: v.sum(),
    lambda v: v.sum(axis=-1) if v.ndim else v,
    lambda v: v.sum(axis=0) if v.ndim else v,
    lambda v: sp.max(v, axis=-1, keepdims=True) if v.ndim and v.shape[-1] else v,
    lambda v: sp.softmax(v) if v.ndim else v,
    lambda v: v @ v.T if v.ndim == 2 and max(v.shape) < 200 else v,
]


def random_program(seed):
    """A function of two tensors: ops drawn at random on values drawn at random, some written in place."""

    def f(a, b):
        draw = np.random.default_rng(seed)
        values, state = [a, b], a.copy()
        for _ in range(int(draw.integers(4, 24))):
            v, other = (values[int(draw.integers(len(values)))] for _ in range(2))
            kind = draw.integers(10)
            if kind < 4:
                made = UNARY[int(draw.integers(len(UNARY)))](v)
            elif kind < 7:
                try:
                    np.broadcast_shapes(v.shape, other.shape)
                except ValueError:
                    continue
                made = PAIR[int(draw.integers(len(PAIR)))](v, other)
            elif kind < 8:
                made = VIEW[int(draw.integers(len(VIEW)))](v)
            elif kind < 9:
                made = FOLD[int(draw.integers(len(FOLD)))](v)
            else:
                state *= 0.5
                state[0] += 1.0
                if v.shape == state.shape:
                    state += v
                made = state + 0 if draw.integers(2) else state[:1]
            if made.size < 60000:
                values.append(made)
        return [*values[-4:], state]

    return f


@pytest.mark.parametrize("seed", range(150))
def test_random_programs(seed):
    shapes = [((3, 5), (5,)), ((40, 33), (40, 33)), ((7,), (7,)), ((1, 1), (1,)), ((9, 700), (9, 1))][seed % 5]
    f = random_program(seed)
    fast = sp.compile(f)
    with np.errstate(all="ignore"):
        fast(*(normal(*s) for s in shapes))
        for _ in range(2):
            args = [normal(*s) for s in shapes]
            assert bits(f(*args)) == bits(fast(*args))
    assert len(fast.programs) == 1


def test_an_embedding_is_recorded_and_still_checks_its_indices():
    table = sp.tensor(np.arange(12.0).reshape(4, 3), requires_grad=True)
    fast = sp.compile(lambda rows: nn.functional.embedding(rows, table) * 2)
    for rows in ([0, 3, 3], [1, 2, 0]):
        assert np.array_equal(np.asarray(fast(sp.tensor(rows)).detach()), np.asarray(table.detach())[rows] * 2)
    with pytest.raises(IndexError, match="4"):
        fast(sp.tensor([0, 4, 1]))
