"""Powers that are products and roots: the same bits whatever holds the exponent, IEEE 754's special values, integers.

NumPy's powers are the reference; a power that is a product is within two units in the last place of it.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
import steep as sp

EXPONENTS = (2, 3, 4, 0.5, -0.5, -1, -2)
EDGES = (0.0, -0.0, 1.0, -1.0, 0.5, -3.0, 1e-30, 1e30, np.inf, -np.inf, np.nan)


def bases(dtype):
    drawn = np.random.default_rng(0).standard_normal(1000) * 4
    return np.concatenate([np.array(EDGES), drawn, np.abs(drawn)]).astype(dtype)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("exponent", EXPONENTS)
def test_a_power_has_the_bits_of_its_exponent_in_an_array(exponent, dtype):
    x = bases(dtype)
    many = np.full(x.shape, exponent, dtype)
    many[::3] = 1.7  # the neighbours in a vector take the general way
    array = (sp.tensor(x) ** sp.tensor(many)).numpy()
    number = (sp.tensor(x) ** exponent).numpy()
    np.testing.assert_array_equal(number[1::3], array[1::3])
    np.testing.assert_array_equal(number, sp.pow(sp.tensor(x), exponent).numpy())
    in_place = sp.tensor(x)
    in_place **= exponent
    np.testing.assert_array_equal(number, in_place.numpy())
    np.testing.assert_array_equal(number, sp.compile(lambda t: t**exponent)(sp.tensor(x)).numpy())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("exponent", EXPONENTS)
def test_powers_are_numpys_within_two_units(exponent, dtype):
    x = bases(dtype)
    right, got = np.power(x, np.full(x.shape, exponent, dtype)), (sp.tensor(x) ** exponent).numpy()
    special = ~np.isfinite(right) | (right == 0)
    np.testing.assert_array_equal(got[special], right[special])
    np.testing.assert_array_equal(np.signbit(got[right == 0]), np.signbit(right[right == 0]))
    assert (np.abs(got - right)[~special] <= 2 * np.spacing(np.abs(right[~special]))).all()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_two_operands_at_the_edges(dtype):
    a, b = (m.ravel().astype(dtype) for m in np.meshgrid(EDGES + (7.0, -2.0, 2.5), EDGES + (7.0, -2.0, 2.5)))
    for name in ("pow", "arctan2", "hypot", "nextafter", "copysign"):
        right = getattr(np, "power" if name == "pow" else name)(a, b)
        got = getattr(sp, "atan2" if name == "arctan2" else name)(sp.tensor(a), sp.tensor(b)).numpy()
        np.testing.assert_allclose(got, right, rtol=4 * np.finfo(dtype).eps, err_msg=name)
        zero = right == 0
        np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(right[zero]), err_msg=name)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
@pytest.mark.parametrize("exponent", [2, 3, 4])
def test_powers_of_integers_wrap_around(exponent, dtype):
    x = np.random.default_rng(1).integers(0, 120, 500).astype(dtype) * np.array(3, dtype)
    with np.errstate(over="ignore"):
        right = np.power(x, np.array(exponent, dtype))
    np.testing.assert_array_equal((sp.tensor(x) ** exponent).numpy(), right)


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_derivatives_to_third_order(exponent):
    at, factor = np.array([0.7, 1.9]), 1.0

    def derivative(f):
        return sp.grad(lambda t: f(t).sum())

    f = lambda t: t**exponent  # noqa: E731
    for order in range(1, 4):
        f, factor = derivative(f), factor * (exponent - order + 1)
        np.testing.assert_allclose(f(sp.tensor(at)).numpy(), factor * at ** (exponent - order), rtol=1e-12)


# Quotients up to the largest that a vector computes, next to integers, and beyond.
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floor_quotients_and_remainders_are_pythons(dtype):
    rng = np.random.default_rng(2)
    b = (rng.standard_normal(4000) * 3).astype(dtype)
    n = np.round(10 ** rng.uniform(0, 10, 4000))
    a = (n * b).astype(dtype)
    a[::2] = np.nextafter(a[::2], np.asarray(rng.choice([-np.inf, np.inf], 2000), dtype))
    a, b = np.concatenate([a, a, -a]), np.concatenate([b, -b, b])
    exact_floor = np.array([float(x) // float(y) for x, y in zip(a, b, strict=True)])
    exact_rest = np.array([float(x) % float(y) for x, y in zip(a, b, strict=True)])
    np.testing.assert_array_equal((sp.tensor(a) // sp.tensor(b)).numpy(), exact_floor.astype(dtype))
    np.testing.assert_array_equal((sp.tensor(a) % sp.tensor(b)).numpy(), exact_rest.astype(dtype))


def test_log10_and_log2_are_exact_at_powers():
    tens = np.array([10.0**k for k in range(23)])
    np.testing.assert_array_equal(sp.log10(sp.tensor(tens)).numpy(), np.arange(23.0))
    twos = 2.0 ** np.arange(-1074, 1024)
    np.testing.assert_array_equal(sp.log2(sp.tensor(twos)).numpy(), np.arange(-1074.0, 1024))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_angles_that_people_know(dtype):
    angles = {
        ("atan", 1.0): 4,
        ("atan", np.inf): 2,
        ("asin", 1.0): 2,
        ("asin", 0.5): 6,
        ("acos", 0.0): 2,
        ("acos", -1.0): 1,
    }
    for (name, x), part in angles.items():
        assert getattr(sp, name)(sp.tensor(np.array(x, dtype))).numpy() == np.asarray(np.pi / part, dtype), (name, x)
    assert sp.acos(sp.tensor(np.array(1.0, dtype))).item() == 0


def units_off(got: float, right: Decimal) -> float:
    """The error in units in the last place of the right result."""
    unit = Decimal(2) ** (math.frexp(float(right))[1] - 53)
    return float(abs(Decimal(got) - right) / unit)


def test_powers_of_doubles_are_within_six_tenths_of_a_unit():
    """Small and large bases, exponents up to where the result overflows, and bases next to 1."""
    rng = np.random.default_rng(4)
    near = 1 + rng.uniform(-1e-6, 1e-6, 100), rng.uniform(-1e8, 1e8, 100)
    usual = rng.uniform(0, 100, 200), rng.uniform(-20, 20, 200)
    wide = np.exp(rng.uniform(-600, 600, 100)), rng.uniform(-1, 1, 100)
    steep = rng.uniform(0.5, 2, 200), rng.uniform(-900, 900, 200)
    a, b = (np.concatenate(parts) for parts in zip(near, usual, wide, steep, strict=True))
    got = sp.pow(sp.tensor(a), sp.tensor(b)).numpy()
    with localcontext() as context:
        context.prec = 60
        exact = [(Decimal(x).ln() * Decimal(y)).exp() for x, y in zip(a.tolist(), b.tolist(), strict=True)]
        worst = max(units_off(y, e) for y, e in zip(got.tolist(), exact, strict=True))
    assert 0.4 < worst <= 0.6


def test_powers_that_a_double_holds_are_exact():
    pairs = [(a, b) for a in range(2, 40) for b in range(1, 53) if a**b <= 2**53]
    pairs += [(10, k) for k in range(23)] + [(2, k) for k in range(-1074, 1024)]
    a, b = (np.array(part, float) for part in zip(*pairs, strict=True))
    expected = [math.ldexp(1, y) if x == 2 else float(x**y) for x, y in pairs]
    np.testing.assert_array_equal(sp.pow(sp.tensor(a), sp.tensor(b)).numpy(), expected)


@pytest.mark.parametrize("most", [1e3, 1e9, 1e15, 1e18])
def test_remainders_of_doubles_are_exact(most):
    """Quotients below and above what a vector takes."""
    rng = np.random.default_rng(5)
    b = rng.uniform(-10, 10, 500)
    a = b * rng.uniform(-most, most, 500)
    rest = (sp.tensor(a) % sp.tensor(b)).numpy()
    for x, y, r in zip(a.tolist(), b.tolist(), rest.tolist(), strict=True):
        exact = Fraction(x) - Fraction(y) * (Fraction(x) // Fraction(y))
        assert r == float(exact)
    whole = (sp.tensor(a) // sp.tensor(b)).numpy()
    exact = [Fraction(x) // Fraction(y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert [q for q, e in zip(whole.tolist(), exact, strict=True) if abs(e) <= 2**53] == [
        e for e in exact if abs(e) <= 2**53
    ]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", ["floor_divide", "remainder", "pow"])
def test_a_result_does_not_depend_on_its_neighbours(op, dtype):
    """Infinities, zeros and large quotients stand between the others, which take another way by themselves."""
    rng = np.random.default_rng(6)
    b = rng.uniform(-10, 10, 400)
    a = b * rng.uniform(-1, 1, 400) * 10 ** rng.uniform(0, 18, 400)
    a[::7], b[::11], b[::13] = np.inf, 0, np.nan
    x, y = a.astype(dtype), b.astype(dtype)
    f = getattr(sp, op)
    alone = np.array([f(sp.tensor(x[i : i + 1]), sp.tensor(y[i : i + 1])).item() for i in range(len(x))], dtype)
    np.testing.assert_array_equal(f(sp.tensor(x), sp.tensor(y)).numpy(), alone)
