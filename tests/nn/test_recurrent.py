"""Recurrent layers against their formulas in NumPy, gate by gate, and what they share with PyTorch's: names and shapes.

Start reading at ``STEPS``.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import steep as sp
from steep import nn

INPUTS, HIDDEN, LENGTH, BATCH = 5, 4, 6, 3
KINDS = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}
CELLS = {"RNN": nn.RNNCell, "LSTM": nn.LSTMCell, "GRU": nn.GRUCell}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rnn(x, h, of_input, of_state):
    return (np.tanh(of_input(x, 0) + of_state(h[0], 0)),)


def lstm(x, state, of_input, of_state):
    h, c = state
    i, f, g, o = (of_input(x, k) + of_state(h, k) for k in range(4))
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(x, state, of_input, of_state):
    (h,) = state
    r, z = (sigmoid(of_input(x, k) + of_state(h, k)) for k in range(2))
    n = np.tanh(of_input(x, 2) + r * of_state(h, 2))
    return ((1 - z) * n + z * h,)


STEPS = {"RNN": rnn, "LSTM": lstm, "GRU": gru}


def affine(weights, name, suffix):
    """Gate k of a linear map, by the parameters of this name."""
    matrix, bias = weights[f"weight_{name}{suffix}"], weights.get(f"bias_{name}{suffix}", 0)

    def apply(x, k):
        rows = slice(k * HIDDEN, (k + 1) * HIDDEN)
        return x @ matrix[rows].T + (bias[rows] if np.ndim(bias) else 0)

    return apply


def reference(kind, layer, x, lengths=None, first=None):
    """Output and last states for x (L, N, features), sequence by sequence."""
    weights = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    ends = [""] + ["_reverse"] * layer.bidirectional
    count = 2 if kind == "LSTM" else 1
    finals = [[] for _ in range(count)]
    for i in range(layer.num_layers):
        outputs = np.zeros((len(ends), *x.shape[:2], HIDDEN), x.dtype)
        for d, end in enumerate(ends):
            of_input, of_state = (affine(weights, name, f"_l{i}{end}") for name in ("ih", "hh"))
            last = np.zeros((count, x.shape[1], HIDDEN), x.dtype)
            for n in range(x.shape[1]):
                state = tuple(np.zeros(HIDDEN) if first is None else f[len(finals[0]), n] for f in first or [0] * count)
                steps = range(len(x) if lengths is None else lengths[n])
                for t in reversed(steps) if end else steps:
                    state = STEPS[kind](x[t, n], state, of_input, of_state)
                    outputs[d, t, n] = state[0]
                last[:, n] = state
            for final, value in zip(finals, last, strict=True):
                final.append(value)
        x = np.concatenate(outputs, -1)
    return x, [np.stack(f) for f in finals]


def states(state):
    return list(state) if isinstance(state, tuple) else [state]


def made(kind, *args, **options):
    return KINDS[kind](INPUTS, HIDDEN, *args, dtype="float64", generator=3, **options)


def given(seed=0):
    return np.random.default_rng(seed).standard_normal((LENGTH, BATCH, INPUTS))


@pytest.mark.parametrize("lengths", [None, [6, 1, 4], [0, 6, 2]])
@pytest.mark.parametrize(("layers", "both", "bias"), list(itertools.product((1, 2), (False, True), (False, True))))
@pytest.mark.parametrize("kind", KINDS)
def test_values(kind, layers, both, bias, lengths):
    layer = made(kind, num_layers=layers, bidirectional=both, bias=bias)
    expected, finals = reference(kind, layer, given(), lengths)
    found, state = layer(given(), lengths=lengths)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-14)
    for a, e in zip(states(state), finals, strict=True):
        np.testing.assert_allclose(a.numpy(), e, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_a_first_state_and_the_three_layouts(kind):
    layer, x = made(kind, num_layers=2, bidirectional=True), given()
    first = [given(k)[:4, :, :HIDDEN] for k in range(1, 3 if kind == "LSTM" else 2)]
    expected, finals = reference(kind, layer, x, first=first)
    state = tuple(first) if kind == "LSTM" else first[0]
    found, last = layer(x, state)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    for a, e in zip(states(last), finals, strict=True):
        np.testing.assert_allclose(a.numpy(), e, rtol=1e-12)
    layer.batch_first = True
    swapped, same = layer(x.swapaxes(0, 1), state)
    np.testing.assert_array_equal(swapped.numpy().swapaxes(0, 1), found.numpy())
    alone, of_one = layer(x[:, 1], tuple(f[:, 1] for f in first) if kind == "LSTM" else first[0][:, 1])
    np.testing.assert_allclose(alone.numpy(), found.numpy()[:, 1], rtol=1e-13)
    for one, a, b in zip(states(of_one), states(last), states(same), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
        np.testing.assert_allclose(one.numpy(), a.numpy()[:, 1], rtol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_is_one_step(kind):
    layer, cell = made(kind), CELLS[kind](INPUTS, HIDDEN, dtype="float64", generator=3)
    names = [name for name, _ in cell.named_parameters()]
    assert names == ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
    assert [f"{name}_l0" for name in names] == [name for name, _ in layer.named_parameters()]
    state, x = None, given()
    for t in range(LENGTH):
        state = cell(x[t], state)
    for a, e in zip(states(state), states(layer(x)[1]), strict=True):
        np.testing.assert_allclose(a.numpy(), e.numpy()[0], rtol=1e-12)
    assert states(cell(x[0, 0]))[0].shape == (HIDDEN,)


@pytest.mark.parametrize("kind", KINDS)
def test_names_and_shapes_of_parameters_are_those_of_pytorch(kind):
    layer = made(kind, 2, bidirectional=True)
    rows = {"RNN": 1, "GRU": 3, "LSTM": 4}[kind] * HIDDEN
    expected = {}
    for i, end in itertools.product(range(2), ("", "_reverse")):
        features = INPUTS if i == 0 else 2 * HIDDEN
        expected |= {f"weight_ih_l{i}{end}": (rows, features), f"weight_hh_l{i}{end}": (rows, HIDDEN)}
        expected |= {f"bias_ih_l{i}{end}": (rows,), f"bias_hh_l{i}{end}": (rows,)}
    assert {name: value.shape for name, value in layer.state_dict().items()} == expected
    assert list(layer.state_dict()) == list(expected)
    for value in layer.parameters():
        assert 0 < abs(value.detach().numpy()).max() <= HIDDEN**-0.5


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind):
    layer = KINDS[kind](2, 2, bidirectional=True, dtype="float64", generator=0)
    names, weights = zip(*layer.named_parameters(), strict=True)
    x = np.random.default_rng(0).standard_normal((3, 2, 2))

    def loss(x, *weights):
        for name, weight in zip(names, weights, strict=True):
            object.__setattr__(layer, name, weight)
        y, state = layer(x, lengths=[3, 2])
        return sp.sum(y * y) + sum(sp.sum(sp.sin(s)) for s in states(state))

    sp.check_grads(loss, (x, *(w.detach().numpy() for w in weights)), order=2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_compiled_layer(kind):
    layer, x = KINDS[kind](INPUTS, HIDDEN, 2, bidirectional=True, generator=0), sp.tensor(given().astype("float32"))
    step = sp.compile(lambda x: layer(x)[0])
    for scale in (1, 2, 3):
        np.testing.assert_allclose(step(x * scale).numpy(), layer(x * scale)[0].numpy(), rtol=1e-6, atol=1e-7)


def test_rnn_by_relu():
    layer = nn.RNN(2, 2, nonlinearity="relu", generator=0)
    assert (layer(np.random.default_rng(0).standard_normal((50, 9, 2)).astype("float32"))[0].numpy() == 0).any()


def test_dropout_lies_between_layers_and_in_training_alone():
    one, two = (nn.GRU(3, 4, n, dropout=1.0, generator=0) for n in (1, 2))
    x = np.ones((5, 2, 3), "float32")
    np.testing.assert_array_equal(one(x)[0].numpy(), one.eval()(x)[0].numpy())
    in_training, first = two(x)[0].numpy(), nn.GRU(4, 4, generator=1)
    assert not np.array_equal(in_training, two.eval()(x)[0].numpy())
    first.load_state_dict({k.replace("l1", "l0"): v for k, v in two.state_dict().items() if "l1" in k})
    np.testing.assert_array_equal(in_training, first(np.zeros((5, 2, 4), "float32"))[0].numpy())


def test_a_sequence_is_learnt():
    """The sum of what came so far, up to a sign: a state is needed."""
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], (12, 64, 1)).astype("float32")
    y = (np.cumsum(x, 0) > 0).astype("float32")
    layer, out = nn.LSTM(1, 16, generator=0), nn.Linear(16, 1, generator=1)
    optimizer = sp.optim.Adam([*layer.parameters(), *out.parameters()], lr=0.03)
    for _ in range(60):
        loss = nn.bce_with_logits(out(layer(x)[0]), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nn.LSTM(3, 4)(np.ones((5, 2, 2), "float32")), r"LSTM: the input has the shape \(5, 2, 2\)"),
        (lambda: nn.LSTM(3, 4, batch_first=True)(np.ones(3, "float32")), r"\(N, L, features\) with 3 features"),
        (lambda: nn.LSTM(3, 4)(np.ones((0, 2, 3), "float32")), "a sequence is empty"),
        (lambda: nn.GRU(3, 4)(np.ones((5, 2, 3), "float32"), np.ones((1, 2, 3))), r"it must be \(1, 2, 4\)"),
        (lambda: nn.GRU(3, 4)(np.ones((5, 2, 3), "float32"), lengths=[1]), r"they must be integers \(2,\)"),
        (lambda: nn.GRU(3, 4)(np.ones((5, 2, 3), "float32"), lengths=[1.0, 2.0]), "they must be integers"),
        (lambda: nn.GRU(3, 4)(np.ones((5, 2, 3), "float32"), lengths=[1, 6]), r"must lie in \[0, 5\]"),
        (lambda: nn.RNN(3, 4, nonlinearity="elu"), 'it must be "tanh" or "relu"'),
        (lambda: nn.RNN(3, 0), "hidden_size"),
        (lambda: nn.RNN(3, 4, dropout=2), "dropout"),
        (lambda: nn.LSTMCell(3, 4)(np.ones((2, 3), "float32"), np.ones((2, 4))), "pair of tensors"),
    ],
)
def test_refusals(call, words):
    with pytest.raises((ValueError, TypeError), match=words):
        call()
