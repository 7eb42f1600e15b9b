"""What a compiled function sees around it: a change from outside is noticed, a change from inside refused.

Each row of ``CHANGES`` makes a function, and a change that must reach the next call.
"""

import numpy as np
import pytest
import steep as sp
from test_compile import bits

rng = np.random.default_rng(13)
SCALE = 2.0


def normal(*shape):
    return sp.tensor(rng.standard_normal(shape).astype("f4"))


class Plain:
    """A user's object: a number, a nested object, a tensor, a method, a property."""

    factor = 3.0

    def __init__(self):
        self.rate, self.weight = 2.0, normal(3)
        self.options = {"shift": [0.5, 1.0]}

    @property
    def twice(self):
        return self.rate * 2

    def helper(self, x):
        return x * self.twice

    def __call__(self, x):
        return x * self.rate

    def step(self, x):
        return self.helper(x) * self.weight + self.options["shift"][0] * self.factor


class Scaled(sp.nn.Module):
    def __init__(self):
        self.scale, self.inner = 2.0, sp.nn.Linear(3, 3)

    def forward(self, x):
        return self.inner(x) * self.scale


def global_in_a_nested_function():
    def change():
        global SCALE
        SCALE += 1.0

    return lambda x: sp.grad(lambda z: (z * z * SCALE).sum())(x), change


def transform_of_a_function():
    scale = [2.0]
    return sp.grad(lambda z: (z * z * scale[0]).sum()), lambda: scale.__setitem__(0, 3.0)


def on_object(change):
    def make():
        plain = Plain()
        return plain.step, lambda: change(plain)

    return make


class Slotted:
    __slots__ = ("rate", "unset")

    def __init__(self):
        self.rate = 2.0


def slots():
    slotted = Slotted()
    return lambda x: x * slotted.rate, lambda: setattr(slotted, "rate", 3.0)


def callable_object():
    plain = Plain()
    return plain, lambda: setattr(plain, "rate", 5.0)


def on_module(change, make_module=Scaled, closed_over=False):
    def make():
        module = make_module()
        return (lambda x: module(x) * 1.0) if closed_over else module, lambda: change(module)

    return make


def tensor_in_a_variable():
    weight = normal(3)

    def change():
        nonlocal weight
        weight = normal(3)

    return lambda x: x * weight, change


def dropout():
    return sp.nn.Sequential(sp.nn.Linear(3, 4), sp.nn.Dropout(0.5))


CHANGES = {
    "global": global_in_a_nested_function,
    "transform": transform_of_a_function,
    "attribute": on_object(lambda plain: setattr(plain, "rate", 5.0)),
    "slots": slots,
    "callable object": callable_object,
    "class attribute": on_object(lambda plain: setattr(plain, "factor", 5.0)),
    "nested list": on_object(lambda plain: plain.options["shift"].__setitem__(0, 7.0)),
    "nested dict": on_object(lambda plain: plain.options.__setitem__("shift", [8.0])),
    "tensor attribute": on_object(lambda plain: setattr(plain, "weight", normal(3))),
    "tensor variable": tensor_in_a_variable,
    "module number": on_module(lambda m: setattr(m, "scale", 3.0)),
    "module parameter": on_module(lambda m: setattr(m.inner, "weight", normal(3, 3))),
    "eval": on_module(lambda m: m.eval(), dropout),
    "eval, closed over": on_module(lambda m: m.eval(), dropout, closed_over=True),
}


@pytest.mark.parametrize("make", CHANGES.values(), ids=CHANGES)
def test_a_change_reaches_the_next_call(make):
    f, change = make()
    fast, x = sp.compile(f), normal(2, 3)
    fast(x)
    fast(x)
    change()
    assert bits(fast(x)) == bits(fast(x)) == bits(f(x))
    assert len(fast.programs) == 2


def test_a_frozen_parameter_gets_no_gradient():
    v, w = normal(3), normal(3)
    v.requires_grad = w.requires_grad = True

    def step(x):
        v.grad = w.grad = None
        (v * w * x).sum().backward()

    fast = sp.compile(step)
    fast(normal(3))
    v.grad, v.requires_grad = None, False
    fast(normal(3))
    assert v.grad is None
    assert w.grad is not None


def sets_an_attribute(plain, history, x):
    plain.weight = plain.weight - x
    return x


def makes_an_attribute(plain, history, x):
    plain.last = x * 2
    return x


def appends(plain, history, x):
    history.append(x * 2)
    return x


def replaces_an_entry(plain, history, x):
    history[0] = x * 2
    return x


@pytest.mark.parametrize(
    ("inner", "word"),
    [(sets_an_attribute, "'weight'"), (makes_an_attribute, "'last'"), (appends, "a list"), (replaces_an_entry, "list")],
)
def test_what_a_replay_would_not_do_is_refused(inner, word):
    plain, history = Plain(), [normal(3)]
    with pytest.raises(sp.CompileError, match=word):
        sp.compile(lambda x: inner(plain, history, x))(normal(3))


def test_a_list_that_counts_recordings_is_no_guard():
    runs = []

    def f(x):
        runs.append(1)
        return x * 2

    fast = sp.compile(f)
    for shape in (3, 4, 3, 4, 3):
        fast(normal(shape))
    assert len(runs) == len(fast.programs) == 2


def test_a_variable_without_a_value_and_a_large_list():
    data = [[float(i)] * 900 for i in range(900)]

    def f(x, first):
        return x * data[0][0] if first else x * later

    fast = sp.compile(f)
    for _ in range(40):
        fast(normal(3), True)
    later = 2.0
    assert bits(fast(sp.ones(3), False)) == bits(sp.ones(3) * later)


def test_what_is_not_named_may_change():
    plain = Plain()
    fast = sp.compile(plain.step)
    for i in range(5):
        plain.epoch = i
        fast(normal(3))
    assert len(fast.programs) == 1


def sets_last(total, held):
    held.last = total


def sets_first(total, held):
    held.seen[:] = [total]


REFUSALS = {
    "item": lambda total, held: total.item(),
    "attribute": sets_last,
    "element": lambda total, held: held.options.update(last=total),
    "list": lambda total, held: held.seen.append(total),
    "pop": lambda total, held: held.seen.pop(0),
    "slice": sets_first,
}


@pytest.mark.parametrize("refused", REFUSALS.values(), ids=REFUSALS)
def test_a_refused_run_leaves_nothing_behind(refused):
    """Generators, running statistics, tensors written in place, gradients, attributes and containers."""
    held = Plain()
    held.last, held.seen = normal(), [1, 2.5, "text"]
    held.norm, held.drop, held.source = sp.nn.BatchNorm2d(2), sp.nn.Dropout(0.5, generator=3), sp.random.Generator(4)
    half, total = sp.ones((2,), dtype=sp.bfloat16), sp.zeros(())
    x = sp.tensor(np.ones((3, 2, 2, 2), "f4") * np.arange(2, dtype="f4"), requires_grad=True)

    def state():
        tensors = [*held.norm.state_dict().values(), total, half.astype("float32"), held.last]
        return (bits(tensors), held.source.position, held.drop.generator.position, list(held.seen),
                set(held.options), x.grad is None)  # fmt: skip

    @sp.compile
    def step():
        y = held.drop(held.norm(x)) + held.source.normal((2, 2))
        total[...] = total + y.sum().detach()
        half[...] = half * 2
        y.sum().backward()
        refused(total * 2, held)

    before = state()
    with pytest.raises(sp.CompileError):
        step()
    assert state() == before


def test_a_variable_that_a_refused_run_set_first_has_no_value_again():
    @sp.compile
    def step(x):
        nonlocal found
        found = x * 2
        return found

    with pytest.raises(sp.CompileError, match="sets 'found'"):
        step(sp.ones(2))
    (cell,) = step.__wrapped__.__closure__
    with pytest.raises(ValueError, match="empty"):
        _ = cell.cell_contents
    found = None
