"""Recurrences: a step from one state to the next, applied along a sequence.

A step takes what the inputs contribute to the gates and a state, a tuple of tensors (N, hidden), and returns the next
state, whose first tensor is the output. The layers of ``recurrent.py`` and the operators of ONNX use the same
``scan``. Start reading there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from steep import _core
from steep._core import Tensor
from steep.nn import functional

State: TypeAlias = tuple[Tensor, ...]
Step: TypeAlias = Callable[[Tensor, State], State]


def scan(step: Step, inputs: Tensor, state: State, lengths: Any = None, reverse: bool = False) -> tuple[Tensor, State]:
    """Applies a step along a sequence.

    Args:
        step: from ``(inputs[t], state)`` to the next state.
        inputs: a tensor (L, N, ...), L at least 1.
        state: the first state.
        lengths: how many elements of each sequence count, integers (N,); None for all. Beyond them the state stays as
            it is and outputs are zero, so a reversed scan begins at the end of each sequence.
        reverse: whether to begin at the last element.

    Returns:
        The outputs in the order of the inputs, (L, N, ...), and the last state.
    """
    parts = _core.unstack(inputs)
    live = None if lengths is None else _core.unstack(_live(lengths, len(parts)))
    outputs: list[Tensor] = list(parts)
    for t in reversed(range(len(parts))) if reverse else range(len(parts)):
        new = step(parts[t], state)
        outputs[t] = new[0]
        if live is not None:
            outputs[t] = _core.where(live[t], new[0], _core.zeros_like(new[0]))
            new = tuple(_core.where(live[t], after, before) for before, after in zip(state, new, strict=True))
        state = new
    return _core.stack(outputs), state


def _live(lengths: Any, count: int) -> Tensor:
    """Which of ``count`` elements count, (count, N, 1)."""
    ends = _core.reshape(_core.asarray(lengths), (1, -1, 1))
    return _core.less(_core.reshape(_core.arange(count, dtype=_core.int64), (-1, 1, 1)), ends)


def rnn_step(inputs: Tensor, state: State, weight: Tensor, bias: Tensor | None, activation: Any = _core.tanh) -> State:
    """``h = activation(inputs + h @ weight.T + bias)``."""
    return (activation(inputs + functional.linear(state[0], weight, bias)),)


def lstm_step(inputs: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
    """The gates are i (write), f (keep), g (new value) and o (output), in this order.

    ``c = sigmoid(f) * c + sigmoid(i) * tanh(g)``, ``h = sigmoid(o) * tanh(c)``.
    """
    i, f, g, o = _core.split(inputs + functional.linear(state[0], weight, bias), 4, -1)
    c = _core.sigmoid(f) * state[1] + _core.sigmoid(i) * _core.tanh(g)
    return _core.sigmoid(o) * _core.tanh(c), c


def gru_step(inputs: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
    """The gates are r (reset), z (update) and n (new value), in this order; r is applied after the product.

    ``n = tanh(inputs_n + sigmoid(r) * (h @ weight_n.T + bias_n))``, ``h = n + sigmoid(z) * (h - n)``.
    """
    (h,) = state
    of_input = _core.split(inputs, 3, -1)
    of_state = _core.split(functional.linear(h, weight, bias), 3, -1)
    r, z = (_core.sigmoid(a + b) for a, b in zip(of_input[:2], of_state[:2], strict=True))
    n = _core.tanh(of_input[2] + r * of_state[2])
    return (n + z * (h - n),)
