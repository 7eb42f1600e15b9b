"""What is easily overlooked: who keeps whom alive, and what a NumPy number says of its dtype."""

import numpy as np
import steep as sp


def test_a_leaf_that_nobody_holds_when_backward_arrives():
    x = sp.tensor([0.5], requires_grad=True)
    y = sp.sum(sp.sin(x))  # keeps x's values until its rule has run, and x by them
    del x
    y.backward()
    out = sp.tensor(0.5, requires_grad=True)
    for _ in range(5):
        out = sp.sin(out)
    out.backward()


def test_a_numpy_number_keeps_its_dtype_as_data_and_does_not_promote_as_operand():
    assert sp.tensor(np.float64(0.1)).dtype == sp.float64 and sp.asarray(np.float64(0.1)).dtype == sp.float64
    assert sp.tensor(np.float32(0.1)).dtype == sp.float32 and sp.tensor(0.1).dtype == sp.float32
    assert float(sp.tensor(np.float64(0.1))) == 0.1
    assert float(sp.tensor(0.1, dtype=sp.float64)) == 0.1 == float(sp.tensor(np.float64(0.1), dtype=sp.float64))
    assert (sp.tensor([1.0]) * np.float64(2)).dtype == sp.float32
