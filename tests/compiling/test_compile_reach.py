"""Whatever a compiled function can reach: a change of it is noticed at the next call, whichever way the code reads it.

Each case returns a function, a change, and arguments if there are any but ``X``; before the change its value is 2 X,
and 5 X afterwards. ``test_compile_surroundings.py`` has what is changed from inside.
"""

import argparse
import array
import collections
import contextvars
import dataclasses
import enum
import functools
import operator
import os
import sys
import threading
import types
import weakref

import numpy as np
import pytest
import steep as sp

X = sp.tensor([1.0, 2.0])
GLOBAL = 2.0
CASES = []


def case(make):
    CASES.append(make)
    return make


def record(**values):
    return types.SimpleNamespace(**values)


class Holder:
    """A user's object."""

    def __init__(self, s=2.0):
        self.s = s


def module(name, **values):
    made = types.ModuleType(name)
    vars(made).update(values)
    return made


# ---- arguments ----


@case
def argument_that_is_an_object():
    c = Holder()
    return lambda x, c: x * c.s, lambda: setattr(c, "s", 5.0), (X, c)


@case
def argument_that_is_a_namespace():
    c = record(s=2.0)
    return lambda x, c: x * c.s, lambda: setattr(c, "s", 5.0), (X, c)


@case
def argument_that_is_a_set():
    c = {"a"}
    return lambda x, c: x * 2 if "a" in c else x * 5, c.clear, (X, c)


@case
def argument_that_is_a_layer():
    class Scale(sp.nn.Module):
        def __init__(self):
            self.k = 2.0

        def forward(self, x):
            return x * self.k

    m = Scale()
    return lambda m, x: m(x), lambda: setattr(m, "k", 5.0), (m, X)


# ---- attributes, by name and by text ----


def reads(read):
    """A case for a way to read the attribute ``s`` of an object."""
    for make in (Holder, lambda: record(s=2.0), lambda: argparse.Namespace(s=2.0)):

        def each(make=make):
            c = make()
            return lambda x: x * read(c), lambda: setattr(c, "s", 5.0)

        CASES.append(each)


reads(lambda c: c.s)
reads(lambda c: getattr(c, "s" * 1))
reads(lambda c: vars(c)["s"])
reads(lambda c: c.__dict__["s"])
reads(lambda c: operator.attrgetter("s")(c))
reads(operator.attrgetter("s"))


@case
def asdict():
    @dataclasses.dataclass
    class Options:
        s: float = 2.0

    c = Options()
    return lambda x: x * dataclasses.asdict(c)["s"], lambda: setattr(c, "s", 5.0)


@case
def class_pattern():
    class Options:
        __match_args__ = ("s",)

        def __init__(self):
            self.s = 2.0

    c = Options()

    def f(x):
        match c:
            case Options(s=value):
                return x * value

    return f, lambda: setattr(c, "s", 5.0)


@case
def deep_attribute():
    c = Holder(Holder(Holder(2.0)))
    return lambda x: x * c.s.s.s, lambda: setattr(c.s.s, "s", 5.0)


@case
def slot():
    class Slotted:
        __slots__ = ("s",)

    c = Slotted()
    c.s = 2.0
    return lambda x: x * getattr(c, "s" * 1), lambda: setattr(c, "s", 5.0)


@case
def attribute_that_comes_later():
    c = Holder()
    return lambda x: x * 5 if hasattr(c, "later") else x * 2, lambda: setattr(c, "later", True)


@case
def attribute_that_goes():
    class Options:
        s = 5.0

    c = Options()
    c.s = 2.0
    return lambda x: x * c.s, lambda: delattr(c, "s")


@case
def attribute_by_getattr_of_the_class():
    class Options:
        def __init__(self):
            self.__dict__["values"] = {"s": 2.0}

        def __getattr__(self, name):
            return self.values[name]

    c = Options()
    return lambda x: x * c.s, lambda: c.values.update(s=5.0)


@case
def attribute_of_a_function():
    def scaled(x):
        return x * scaled.s

    scaled.s = 2.0
    return lambda x: scaled(x), lambda: setattr(scaled, "s", 5.0)


@case
def name_of_an_op():
    c = record(name="multiply")
    return lambda x: getattr(sp, c.name)(x, 2), lambda: setattr(c, "name", "add")


# ---- classes ----


@case
def class_attribute():
    class Base:
        s = 2.0

    class Derived(Base):
        pass

    return lambda x: x * Derived.s, lambda: setattr(Base, "s", 5.0)


@case
def class_attribute_that_hides_the_base_s():
    class Base:
        s = 2.0

    class Derived(Base):
        pass

    c = Derived()
    return lambda x: x * c.s, lambda: setattr(Derived, "s", 5.0)


@case
def class_attribute_hidden_by_the_instance():
    class Options:
        s = 2.0

    c = Options()
    return lambda x: x * c.s, lambda: setattr(c, "s", 5.0)


@case
def static_method():
    class Options:
        @staticmethod
        def f(x):
            return x * 2

    return lambda x: Options.f(x), lambda: setattr(Options, "f", staticmethod(lambda x: x * 5))


@case
def class_method():
    class Options:
        s = 2.0

        @classmethod
        def f(cls, x):
            return x * cls.s

    return lambda x: Options.f(x), lambda: setattr(Options, "s", 5.0)


@case
def method_of_a_base_by_super():
    class Base:
        def f(self, x):
            return x * 2

    class Derived(Base):
        def f(self, x):
            return super().f(x)

    c = Derived()
    return lambda x: c.f(x), lambda: setattr(Base, "f", lambda self, x: x * 5)


@case
def bound_method():
    class Options(Holder):
        def f(self, x):
            return x * self.s

    c = Options()
    method = c.f
    return lambda x: method(x), lambda: setattr(c, "s", 5.0)


@case
def replaced_property():
    class Options:
        @property
        def s(self):
            return 2.0

    c = Options()
    return lambda x: x * c.s, lambda: setattr(Options, "s", property(lambda self: 5.0))


@case
def cached_property():
    class Options:
        @functools.cached_property
        def s(self):
            return 2.0

    c = Options()
    return lambda x: x * c.s, lambda: setattr(c, "s", 5.0)


@case
def descriptor():
    class Reads:
        value = 2.0

        def __get__(self, holder, cls):
            return self.value

    class Options:
        s = Reads()

    c = Options()
    return lambda x: x * c.s, lambda: setattr(vars(Options)["s"], "value", 5.0)


@case
def item_of_an_object():
    class Options(Holder):
        def __getitem__(self, key):
            return self.s

    c = Options()
    return lambda x: x * c[0], lambda: setattr(c, "s", 5.0)


@case
def member_of_an_enum():
    class Choice(enum.Enum):
        TWO, FIVE = 2.0, 5.0

    c = record(choice=Choice.TWO)
    return lambda x: x * c.choice.value, lambda: setattr(c, "choice", Choice.FIVE)


# ---- layers ----


@case
def forward_of_a_layer():
    m = sp.nn.Lambda(lambda x: x * 2) if hasattr(sp.nn, "Lambda") else sp.nn.Sequential()
    m.forward = lambda x: x * 2
    return lambda x: m(x), lambda: setattr(m, "forward", lambda x: x * 5)


@case
def forward_of_a_class_of_layers():
    class Double(sp.nn.Module):
        def forward(self, x):
            return x * 2

    m = Double()
    return lambda x: m(x), lambda: setattr(Double, "forward", lambda self, x: x * 5)


# ---- functions ----


@case
def code_of_a_function():
    def f(x):
        return x * 2

    return lambda x: f(x), lambda: setattr(f, "__code__", (lambda x: x * 5).__code__)


@case
def default_of_a_function_inside():
    def f(x, options={"s": 2.0}):  # noqa: B006
        return x * options["s"]

    return lambda x: f(x), lambda: f.__defaults__[0].update(s=5.0)


@case
def keyword_default():
    def f(x, *, s=2.0):
        return x * s

    return f, lambda: f.__kwdefaults__.update(s=5.0)


@case
def partial():
    options = {"s": 2.0}
    return functools.partial(lambda x, o: x * o["s"], o=options), lambda: options.update(s=5.0)


@case
def partial_inside():
    options = {"s": 2.0}
    f = functools.partial(lambda x, o: x * o["s"], o=options)
    return lambda x: f(x), lambda: options.update(s=5.0)


@case
def wrapped():
    options = {"s": 2.0}

    @functools.wraps(len)
    def f():
        return options["s"]

    return lambda x: x * f(), lambda: options.update(s=5.0)


@case
def single_dispatch():
    @functools.singledispatch
    def f(key):
        return 2.0

    return lambda x: x * f(1), lambda: f.register(int)(lambda key: 5.0)


@case
def compiled_inside():
    options = {"s": 2.0}
    f = sp.compile(lambda x: x * options["s"])
    return lambda x: f(x), lambda: options.update(s=5.0)


@case
def transformed_inside():
    options = collections.OrderedDict(s=1.0)
    f = sp.grad(lambda x: (x * x * options["s"]).sum())
    return lambda x: f(x), lambda: options.update(s=2.5)


# ---- modules ----


@case
def global_by_text():
    def change():
        global GLOBAL
        GLOBAL = 5.0

    return lambda x: x * globals()["GLOBAL"], change


@case
def submodule():
    m = module("package", sub=module("package.sub", s=2.0))
    return lambda x: x * m.sub.s, lambda: setattr(m.sub, "s", 5.0)


@case
def module_in_a_local_variable():
    m = module("settings", s=2.0)

    def f(x):
        here = m
        return x * here.s

    return f, lambda: setattr(m, "s", 5.0)


@case
def module_by_text():
    m = module("settings", s=2.0)
    return lambda x: x * getattr(m, "s" * 1), lambda: setattr(m, "s", 5.0)


@case
def imported_inside():
    m = sys.modules["reach_settings"] = module("reach_settings", s=2.0)

    def f(x):
        from reach_settings import s

        return x * s

    return f, lambda: setattr(m, "s", 5.0)


@case
def module_imported_inside():
    m = sys.modules["reach_options"] = module("reach_options", s=2.0)

    def f(x):
        import reach_options

        return x * reach_options.s

    return f, lambda: setattr(m, "s", 5.0)


# ---- containers ----


def holds(make, read=lambda c: c["s"], change=lambda c: operator.setitem(c, "s", 5.0)):
    """A case for a container that holds 2, and then 5."""

    def each():
        c = make()
        return lambda x: x * read(c), lambda: change(c)

    CASES.append(each)


def first(c):
    return c[0]


def replace_first(c):
    c[0] = type(c[0])(5)


holds(lambda: collections.UserDict(s=2.0))
holds(lambda: collections.ChainMap({}, {"s": 2.0}), change=lambda c: c.maps[1].update(s=5.0))
holds(dict, read=lambda c: c.get("s", 2.0))
holds(lambda: dict.fromkeys(range(5000), 2.0), lambda c: c[4999], lambda c: c.update({4999: 5.0}))
holds(lambda: collections.UserList([2.0]), first, replace_first)
holds(lambda: collections.deque([2.0], maxlen=1), first, lambda c: c.append(5.0))
holds(lambda: ([2.0],), lambda c: c[0][0], lambda c: c[0].__setitem__(0, 5.0))
holds(lambda: ([2.0],) * 3000, lambda c: c[2999][0], lambda c: c[0].__setitem__(0, 5.0))
holds(lambda: set(range(5000)), lambda c: 2 if 77 in c else 5, lambda c: c.discard(77))
holds(lambda: [frozenset({1})], lambda c: 2 if 1 in c[0] else 5, lambda c: c.__setitem__(0, frozenset()))
holds(lambda: collections.namedtuple("P", "s")([2.0]), lambda c: c.s[0], lambda c: c.s.__setitem__(0, 5.0))
holds(lambda: collections.OrderedDict(a=2.0, b=5.0), lambda c: next(iter(c.values())), lambda c: c.move_to_end("a"))
holds(lambda: array.array("d", [2.0]), first, replace_first)
holds(lambda: memoryview(bytearray([2])), first, replace_first)
holds(lambda: np.array([2]), lambda c: int(c[0]), replace_first)
holds(lambda: np.array([2.0, None], dtype=object), first, replace_first)
holds(lambda: np.r_[np.ones(1_000_000), 2.0], lambda c: float(c[-1]), lambda c: c.__setitem__(-1, 5.0))
holds(lambda: np.arange(2.0, 9)[::3], lambda c: float(c[0]), replace_first)


@case
def views_of_containers():
    options = {"s": 2.0}
    proxy, values = types.MappingProxyType(options), options.values()
    return lambda x: x * proxy["s"] * (next(iter(values)) / options["s"]), lambda: options.update(s=5.0)


@case
def subclass_of_a_dict():
    class Options(dict):
        pass

    c = Options(one=1.0)
    c.s = 2.0
    return lambda x: x * c["one"] * c.s, lambda: setattr(c, "s", 5.0)


@case
def environment():
    os.environ["STEEP_TEST_REACH"] = "2"
    return lambda x: x * float(os.environ["STEEP_TEST_REACH"]), lambda: os.environ.update(STEEP_TEST_REACH="5")


@case
def context_variable():
    c = contextvars.ContextVar("c", default=2.0)
    return lambda x: x * c.get(), lambda: c.set(5.0)


@case
def weak_reference():
    held = Holder()
    ref = weakref.ref(held)
    return lambda x: x * ref().s, lambda: setattr(held, "s", 5.0)


@case
def thread_local():
    c = threading.local()
    c.s = 2.0
    return lambda x: x * c.s, lambda: setattr(c, "s", 5.0)


@case
def array_that_is_an_operand_and_a_number():
    a = np.array([2.0, 1.0], "f4")
    return lambda x: x * (a / a[0]) * float(a[0]), lambda: a.__setitem__(slice(None), [5.0, 2.5])


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_a_change_reaches_the_next_call(make):
    f, change, *args = make()
    args = args[0] if args else (X,)
    fast = sp.compile(f)
    for _ in range(3):
        before = fast(*args)
    assert len(fast.programs) == 1
    change()
    after = [fast(*args) for _ in range(3)]
    wanted = f(*args).numpy().tolist()
    assert all(y.numpy().tolist() == wanted for y in after)
    assert before.numpy().tolist() != wanted
    assert len(fast.programs) == 2
