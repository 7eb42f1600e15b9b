"""Recurrent operators: RNN, GRU and LSTM in one or both directions, with peepholes, clipping and lengths.

All three are a step along a sequence, ``steep.nn.recurrence.scan``; what differs is in their steps, where the standard
leaves the activation functions open. Start reading at ``_recurrent``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from steep import _core
from steep._core import Tensor
from steep.display import displayed
from steep.nn import functional
from steep.nn.recurrence import State, Step, scan
from steep.onnx.table import Node, Value, constant_like, op

Activation = Callable[[Tensor], Tensor]

# name: (function of x, alpha and beta; the default of alpha; the default of beta), None for a constant it has not.
ACTIVATIONS: dict[str, tuple[Callable[..., Tensor], float | None, float | None]] = {
    "Relu": (lambda x, a, b: _core.relu(x), None, None),
    "Tanh": (lambda x, a, b: _core.tanh(x), None, None),
    "Sigmoid": (lambda x, a, b: _core.sigmoid(x), None, None),
    "Affine": (lambda x, a, b: x * a + b, 1.0, 0.0),
    "LeakyRelu": (lambda x, a, b: _core.where(_core.less(x, 0), x * a, x), 0.01, None),
    "ThresholdedRelu": (lambda x, a, b: _core.where(_core.less(x, a), constant_like(0, x), x), 1.0, None),
    "ScaledTanh": (lambda x, a, b: _core.tanh(x * b) * a, 1.0, 1.0),
    "HardSigmoid": (lambda x, a, b: _core.clip(x * a + b, 0, 1), 0.2, 0.5),
    "Elu": (lambda x, a, b: _core.elu(x, a), 1.0, None),
    "Softsign": (lambda x, a, b: x / (1 + _core.abs(x)), None, None),
    "Softplus": (lambda x, a, b: _core.softplus(x), None, None),
}
FORMS = {"activations": tuple(ACTIVATIONS)}
DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


@displayed
@dataclass
class Weights:
    """Those of one direction: of the state, its bias or None, and peepholes or None; and the activation functions."""

    state: Tensor
    bias: Tensor | None
    peepholes: Tensor | None
    functions: list[Activation]


def _functions(node: Node, default: tuple[str, ...], directions: int) -> list[list[Activation]]:
    """The activation functions of each direction; constants are taken in order by those that have them."""
    names = (node["activations"] or default * directions)[: len(default) * directions]  # RNN's default is one too long
    if len(names) != len(default) * directions:
        raise ValueError(f"{len(names)} activations for {directions} directions of {len(default)} each")
    constants = iter(node["activation_alpha"] or ()), iter(node["activation_beta"] or ())
    found = [_function(name, node["clip"], *constants) for name in names]
    return [found[i * len(default) : (i + 1) * len(default)] for i in range(directions)]


def _function(name: str, limit: float | None, alphas: Iterator[float], betas: Iterator[float]) -> Activation:
    """One by name; its argument is clipped first, if there is a limit."""
    function, alpha, beta = ACTIVATIONS[name]
    a = None if alpha is None else next(alphas, alpha)
    b = None if beta is None else next(betas, beta)
    if not limit:
        return lambda x: function(x, a, b)
    return lambda x: function(_core.clip(x, -limit, limit), a, b)


def _direction(node: Node, w: Tensor) -> tuple[bool, ...]:
    directions = DIRECTIONS[node["direction"]]
    if w.shape[0] != len(directions):
        raise ValueError(f"weights {w.shape} are not those of {len(directions)} directions")
    return directions


def _recurrent(
    node: Node,
    make: Callable[[Node, Weights], Step],
    default: tuple[str, ...],
    inputs: tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None],
    first: list[Tensor | None],
    peepholes: Tensor | None = None,
) -> Value:
    """The outputs (L, directions, N, H) and the last states (directions, N, H), or N first if the layout says so."""
    x, w, r, b, lengths = inputs
    x = _core.swapaxes(x, 0, 1) if node["layout"] else x
    directions, hidden = _direction(node, w), r.shape[2]
    functions = _functions(node, default, len(directions))
    outputs, states = [], []
    for d, reverse in enumerate(directions):
        of_input, of_state = (None, None) if b is None else _core.split(b[d], 2)
        weights = Weights(r[d], of_state, None if peepholes is None else peepholes[d], functions[d])
        start = tuple(_first(node, state, d, x, hidden) for state in first)
        projected = functional.linear(x, w[d], of_input)
        y, last = scan(make(node, weights), projected, start, lengths, reverse)
        outputs.append(y)
        states.append(last)
    every = _core.stack(outputs, 1)
    final = [_core.stack(parts, 1 if node["layout"] else 0) for parts in zip(*states, strict=True)]
    return (_core.permute_dims(every, (2, 0, 1, 3)) if node["layout"] else every, *final)[: len(node.outputs)]


def _first(node: Node, state: Tensor | None, direction: int, x: Tensor, hidden: int) -> Tensor:
    if state is None:
        return _core.zeros((x.shape[1], hidden), dtype=x.dtype)
    return state[:, direction] if node["layout"] else state[direction]


def _rnn_step(node: Node, w: Weights) -> Step:
    (f,) = w.functions
    return lambda x, state: (f(x + functional.linear(state[0], w.state, w.bias)),)


def _gru_step(node: Node, w: Weights) -> Step:
    """Gates z, r and h; whether r is applied before the product with the weights, or after."""
    f, g = w.functions
    hidden = w.state.shape[1]
    gates, new = w.state[: 2 * hidden], w.state[2 * hidden :]
    gates_bias, new_bias = (None, None) if w.bias is None else (w.bias[: 2 * hidden], w.bias[2 * hidden :])

    def step(x: Tensor, state: State) -> State:
        (h,) = state
        z, r = _core.split(f(x[:, : 2 * hidden] + functional.linear(h, gates, gates_bias)), 2, -1)
        if node["linear_before_reset"]:
            of_state = r * functional.linear(h, new, new_bias)
        else:
            of_state = functional.linear(r * h, new, new_bias)
        n = g(x[:, 2 * hidden :] + of_state)
        return ((1 - z) * n + z * h,)

    return step


def _lstm_step(node: Node, w: Weights) -> Step:
    """Gates i, o, f and c."""
    f, g, h = w.functions
    look_i, look_o, look_f = (None,) * 3 if w.peepholes is None else _core.split(w.peepholes, 3)

    def seen(gate: Tensor, look: Tensor | None, c: Tensor) -> Tensor:
        return gate if look is None else gate + look * c

    def step(x: Tensor, state: State) -> State:
        before = state[1]
        i, o, forget, new = _core.split(x + functional.linear(state[0], w.state, w.bias), 4, -1)
        i = f(seen(i, look_i, before))
        forget = 1 - i if node["input_forget"] else f(seen(forget, look_f, before))
        c = forget * before + i * g(new)
        return f(seen(o, look_o, c)) * h(c), c

    return step


@op("RNN", since=7, forms=FORMS)
def rnn(
    node: Node, x: Tensor, w: Tensor, r: Tensor, b: Value = None, lengths: Value = None, first_h: Value = None
) -> Value:
    """h = f(W x + R h + b) along the sequence."""
    return _recurrent(node, _rnn_step, ("Tanh",), (x, w, r, b, lengths), [first_h])


@op("GRU", since=7, forms=FORMS)
def gru(
    node: Node, x: Tensor, w: Tensor, r: Tensor, b: Value = None, lengths: Value = None, first_h: Value = None
) -> Value:
    """Gated recurrent units."""
    return _recurrent(node, _gru_step, ("Sigmoid", "Tanh"), (x, w, r, b, lengths), [first_h])


@op("LSTM", since=7, forms=FORMS)
def lstm(
    node: Node,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Value = None,
    lengths: Value = None,
    first_h: Value = None,
    first_c: Value = None,
    peepholes: Value = None,
) -> Value:
    """Long short-term memory."""
    states = [first_h, first_c]
    return _recurrent(node, _lstm_step, ("Sigmoid", "Tanh", "Tanh"), (x, w, r, b, lengths), states, peepholes)
