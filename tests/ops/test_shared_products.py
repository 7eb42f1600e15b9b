"""Gradients of a matrix that several small products share, as every step of a recurrent layer multiplies by one weight:
from the second product on they are put together and computed at once."""

from __future__ import annotations

import numpy as np
import pytest
import steep as sp

RNG = np.random.default_rng(11)
K, N = 24, 40

# How many rows each product has, and how each reads the matrix: by itself (K, N), or as the transposed of (N, K).
CASES = {
    "one": [(3, "w")],
    "two": [(3, "w"), (3, "w")],
    "many": [(4, "w")] * 9,
    "many, transposed": [(4, "w.T")] * 9,
    "both": [(4, "w"), (2, "w.T"), (5, "w"), (1, "w.T"), (3, "w.T")],
    "other rows": [(1, "w"), (7, "w"), (2, "w")],
    "a large one between": [(3, "w"), (500, "w"), (3, "w"), (4, "w")],
    "a large one last": [(3, "w.T"), (4, "w.T"), (500, "w.T")],
    "batches": [((2, 3), "w"), ((2, 3), "w"), (4, "w")],
    "vectors": [((), "w"), ((), "w"), (3, "w")],
    "none": [(0, "w"), (0, "w"), (2, "w")],
}


def drawn(*shape: int, dtype: str = "float64") -> np.ndarray:
    return RNG.standard_normal(shape).astype(dtype)


def example(name: str, dtype: str) -> tuple[np.ndarray, list, np.ndarray]:
    """The matrix, square where it is read both ways; what it is multiplied and weighted by; its gradient."""
    uses = CASES[name]
    both = len({way for _, way in uses}) > 1
    k, n = (K, K) if both else (K, N)
    w = drawn(*((n, k) if uses[0][1] == "w.T" else (k, n)), dtype=dtype)
    products, gradient = [], np.zeros(w.shape, "float64")
    for rows, way in uses:
        lead = rows if isinstance(rows, tuple) else (rows,)
        x, g = drawn(*lead, k, dtype=dtype), drawn(*lead, n, dtype=dtype)
        products.append((x, g, way))
        one = x.reshape(-1, k).astype("float64").T @ g.reshape(-1, n).astype("float64")
        gradient += one.T if way == "w.T" else one
    return w, products, gradient


def weighted(w: sp.Tensor, products: list) -> sp.Tensor:
    total = sp.zeros((), dtype=w.dtype)
    for x, g, way in products:
        y = sp.tensor(x) @ (w.mT if way == "w.T" else w)
        total = total + (y * sp.tensor(g)).sum()
    return total


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_the_gradient_is_the_sum_over_all_products(name: str, dtype: str) -> None:
    w, products, expected = example(name, dtype)
    tolerance = 1e-12 if dtype == "float64" else 2e-5 * len(products)
    found = sp.grad(lambda v: weighted(v, products))(sp.tensor(w))
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * 30)
    compiled = sp.compile(sp.grad(lambda v: weighted(v, products)))
    for _ in range(3):
        np.testing.assert_array_equal(compiled(sp.tensor(w)), found)
    leaf = sp.tensor(w, requires_grad=True)
    weighted(leaf, products).backward()
    np.testing.assert_array_equal(leaf.grad, found)


@pytest.mark.parametrize("name", ["many", "many, transposed", "both"])
def test_with_a_graph_and_in_forward_mode_it_is_the_same_but_for_rounding(name: str) -> None:
    w, products, expected = example(name, "float64")
    tangent = drawn(*w.shape)

    def along(v: sp.Tensor) -> sp.Tensor:
        return (sp.grad(lambda u: sp.tanh(weighted(u, products) * 0.01))(v) * sp.tensor(tangent)).sum()

    second = sp.grad(along)(sp.tensor(w))
    value = float(np.tanh(float(weighted(sp.tensor(w), products)) * 0.01))
    curvature = -2 * value * (1 - value**2) * 1e-4
    np.testing.assert_allclose(second, curvature * (expected * tangent).sum() * expected, rtol=1e-9, atol=1e-12)
    derivative = sp.jvp(lambda v: weighted(v, products), (sp.tensor(w),), (sp.tensor(tangent),))[1]
    np.testing.assert_allclose(float(derivative), (expected * tangent).sum(), rtol=1e-10)


def recurrence(w: sp.Tensor, x: np.ndarray, steps: int) -> sp.Tensor:
    h = sp.tensor(x)
    for _ in range(steps):
        h = sp.tanh(h @ w.mT)
    return (h * h).sum()


def test_the_steps_of_a_recurrence_take_two_products_for_their_weight() -> None:
    """The first product is computed as it comes, the others wait."""
    w, x, steps = sp.tensor(drawn(64, 64, dtype="float32") / 8, requires_grad=True), drawn(4, 64, dtype="float32"), 12
    with sp.profile() as p:
        recurrence(w, x, steps).backward()
    shapes = [each.output.shape for event in p.events for each in event.operations if each.name == "matmul"]
    assert shapes.count((64, 64)) == 2
    assert shapes.count((4, 64)) == 2 * steps - 1  # forward, and to every step but the first


def test_the_same_bits_on_any_number_of_threads() -> None:
    w, x = drawn(96, 96, dtype="float32") / 10, drawn(8, 96, dtype="float32")
    before, found = sp.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            sp.set_num_threads(threads)
            found.append(np.asarray(sp.grad(lambda v: recurrence(v, x, 20))(sp.tensor(w))).tobytes())
    finally:
        sp.set_num_threads(before)
    assert len(set(found)) == 1


def test_a_gradient_of_the_transposed_matrix_itself() -> None:
    """A view that is differentiated for its own sake is not looked through."""
    w, xs = sp.tensor(drawn(5, 6)), [drawn(2, 6) for _ in range(3)]

    def both(v: sp.Tensor) -> tuple[sp.Tensor, ...]:
        t = v.mT
        return sp.grad(lambda u: sum((sp.tensor(x) @ u).sum() for x in xs))(t), t

    gradient, _ = both(w)
    expected = sum(x.T @ np.ones((2, 5)) for x in xs)
    np.testing.assert_allclose(gradient, expected, rtol=1e-12)


def test_a_factor_that_was_written_since_is_refused() -> None:
    w = sp.tensor(drawn(K, N), requires_grad=True)
    xs = [sp.tensor(drawn(2, K)) for _ in range(3)]
    loss = sum((x @ w).sum() for x in xs)
    xs[0][...] = 0
    with pytest.raises(sp.GradientError):
        loss.backward()
