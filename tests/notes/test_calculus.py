"""Row 102 of docs/notes.md: the exercises of Dive into Deep Learning, 2.4 and 2.5. docs/calculus.md runs them all."""

import numpy as np
import steep as sp
from numeric import arr, variable


def test_row_102_the_difference_quotients_that_the_book_prints():
    quotients = [(3 * (1 + h) ** 2 - 4 * (1 + h) + 1) / h for h in (0.1, 0.01, 0.001, 0.0001, 0.00001)]
    assert [f"{q:.5f}" for q in quotients] == ["2.30000", "2.03000", "2.00300", "2.00030", "2.00003"]
    assert float(sp.grad(lambda x: 3 * x**2 - 4 * x)(variable(1.0))) == 2


def test_row_102_gradients_that_the_book_prints():
    x = variable(np.arange(4.0))
    y = 2 * (x @ x)
    y.backward()
    assert float(y) == 28 and arr(x.grad).tolist() == [0, 4, 8, 12]
    x.grad = None
    (x * x).sum().backward()
    assert arr(x.grad).tolist() == [0, 2, 4, 6]


def test_row_102_detaching_and_control_flow():
    x = variable(np.arange(4.0))
    u = (x * x).detach()
    (u * x).sum().backward()
    assert np.array_equal(arr(x.grad), arr(u))

    def flow(a):
        b = a * 2
        while sp.norm(b) < 1000:
            b = b * 2
        return b if b.sum() > 0 else 100 * b

    for value in (0.37, -1.6, 250.0, -4000.0):
        a = variable(value)
        d = flow(a)
        d.backward()
        assert float(a.grad) == float(d) / value
