"""Compiled functions: every op's replay equals the eager call bit for bit, on other operands than were recorded.

The op table drives the first part; the second is about what a program may and may not contain. Start at ``replayed``.
"""

import itertools

import numpy as np
import optable
import pytest
import steep as sp
from test_ops import floats_of, function_of, parametrize, tensors

RUNS = optable.runs()
READS_VALUES = ("nonzero", "unique_all", "unique_counts", "unique_inverse", "unique_values", "repeat", "searchsorted")


def bits(tree):
    """The bytes of every tensor of a result."""
    return [(x.shape, x.dtype.name, x.detach().numpy().tobytes()) for x in sp.tree.leaves(tree)]


def replayed(f, first, second):
    """Results of the eager call and of a replay on ``second``, recorded on ``first``."""
    fast = sp.compile(f)
    try:
        fast(*tensors(first))
    except sp.CompileError:
        return None
    assert len(fast.programs) == 1
    got = bits(fast(*tensors(second)))
    assert len(fast.programs) == 1, "the second call was recorded again"
    return got, bits(f(*tensors(second)))


@parametrize("row, case, dtype", RUNS)
def test_values_of_every_op(row, case, dtype):
    first, second = (optable.operands(case, row, dtype, seed) for seed in (0, 1))
    function, kwargs = row.function, case.kwargs  # not the table, all of which a recording would look through
    results = replayed(lambda *args: function(*args, **kwargs), first, second)
    check(row, first, results)


def check(row, operands, results):
    """Equal, or refused for a reason: the op reads values, or is given a mask or sizes in a tensor."""
    if results is None:
        kinds = {a.dtype.name for a in operands if isinstance(a, np.ndarray)}
        assert row.name in READS_VALUES or "bool" in kinds or row.name == "split"
    else:
        assert results[0] == results[1]


@parametrize("row, case", [(r, c) for r, c, t in RUNS if t == "float32" and r.differentiable and c.grad])
def test_gradients_of_every_op(row, case):
    given = optable.operands(case, row, "float32")
    first, build = floats_of(given)
    second, _ = floats_of(optable.operands(case, row, "float32", 1))
    f = function_of(row, case, build)

    def gradients(*leaves):
        def loss(*inner):
            y = f(*inner)
            parts = y if isinstance(y, tuple) else (y,)
            return sum(((p * sp.cos(p)).sum() for p in parts), sp.tensor(0.0))

        return sp.value_and_grad(loss, tuple(range(len(leaves))))(*leaves)

    results = replayed(gradients, first, second)
    check(row, given, results)


# ---- training: 200 steps, eager and compiled, the same bits ----


def data(n=16, width=6, classes=3):
    rng = np.random.default_rng(0)
    return sp.tensor(rng.standard_normal((n, width)).astype("f4")), sp.tensor(rng.integers(0, classes, n))


def layers(*sizes):
    rng = np.random.default_rng(1)
    shapes = [s for i, o in itertools.pairwise(sizes) for s in ((i, o), (o,))]
    return [sp.tensor((rng.standard_normal(s) / 2).astype("f4"), requires_grad=True) for s in shapes]


def scores(params, x):
    for w, b in zip(params[:-2:2], params[1:-2:2], strict=True):
        x = sp.tanh(x @ w + b)
    return x @ params[-2] + params[-1]


def sgd_with_backward():
    """PyTorch's way: zero_grad, backward, step; the rate follows a schedule."""
    params, (x, labels) = layers(6, 8, 3), data()
    optimizer = sp.optim.SGD(params, lambda t: 0.1 / (1 + 0.01 * t), momentum=0.9, nesterov=True, weight_decay=1e-3)

    def step(x, labels):
        optimizer.zero_grad()
        loss = sp.nn.functional.cross_entropy(scores(params, x), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, (x, labels), lambda: [*params, *[p.grad for p in params], optimizer._steps]


def adam_with_a_tape():
    """TensorFlow's way, with noise from a generator on the inputs; the step closes over everything."""
    params, (x, labels) = layers(6, 5, 4, 3), data()
    optimizer, noise = sp.optim.Adam(params, 0.02), sp.random.Generator(3)

    def step():
        with sp.GradientTape() as tape:
            loss = -sp.log_softmax(scores(params, x + noise.normal((16, 6), std=0.1)))[sp.arange(16), labels].mean()
        optimizer.apply_gradients(zip(tape.gradient(loss, params), params, strict=True))
        return {"loss": loss.detach(), "pair": [loss.detach() * 2, None]}

    return step, (), lambda: [*params, noise._state, *optimizer._counts]


def ascent_with_grad():
    """JAX's way, by a transform, on an input: jitter, ascent along the sign, projection on a box."""
    params = layers(6, 8, 3)
    image = sp.tensor(np.zeros((1, 6), "f4"))
    shift = sp.random.Generator(5)

    def step(target):
        def objective(z):
            return sp.take(scores(params, z + shift.uniform((1, 6)) * 0.01), target, axis=1).sum() - 0.1 * (z * z).sum()

        value, gradient = sp.value_and_grad(objective)(image)
        with sp.no_grad():
            image[...] = sp.clip(image + 0.05 * sp.sign(gradient), -1.0, 1.0)
        return value, gradient

    return step, (sp.tensor([1]),), lambda: [image, shift._state]


@pytest.mark.parametrize("make", [sgd_with_backward, adam_with_a_tape, ascent_with_grad])
def test_training_runs_have_the_same_bits(make):
    eager, args, eager_state = make()
    plain, _, compiled_state = make()
    fast = sp.compile(plain)
    for at in range(200):
        assert bits(eager(*args)) == bits(fast(*args)), at
    assert bits(eager_state()) == bits(compiled_state())
    assert len(fast.programs) == (1 if make is not sgd_with_backward else len(fast.programs))


@pytest.mark.parametrize("make", [sgd_with_backward, adam_with_a_tape, ascent_with_grad])
def test_a_steady_loop_allocates_nothing(make):
    step, args, _ = make()
    fast = sp.compile(step)
    for _ in range(4):
        fast(*args)
    before = sp.memory_report()["allocations"]
    for _ in range(50):
        fast(*args)
    assert sp.memory_report()["allocations"] == before
