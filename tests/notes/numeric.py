"""Central differences and arrays, for the rows of docs/notes.md: independent of the engine's own checks."""

import numpy as np
import steep as sp


def arr(tensor):
    """The values of a tensor, copied."""
    return tensor.detach().numpy().copy()


def variable(value, dtype=np.float64):
    """A leaf that requires a gradient."""
    return sp.tensor(np.asarray(value, dtype), requires_grad=True)


def differences(fun, tensor, step=1e-6):
    """Central differences of the scalar ``fun()`` with respect to every element of ``tensor``, varied in place."""
    result = np.empty(tensor.shape)
    for index in np.ndindex(*tensor.shape):
        values = []
        for sign in (1, -1):
            with sp.no_grad():
                tensor[index] = float(tensor[index]) + sign * step
                values.append(float(fun()))
                tensor[index] = float(tensor[index]) - sign * step
        result[index] = (values[0] - values[1]) / (2 * step)
    return result
