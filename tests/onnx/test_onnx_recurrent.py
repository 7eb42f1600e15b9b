"""Recurrent layers written to ONNX files and read again; the operators' own options against formulas.

The node tests of the onnx package (``test_onnx_nodes.py``) check the forward direction; here are the others. Start
reading at ``Net``.
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import steep as sp
from onnx import TensorProto, helper, numpy_helper
from steep import nn

KINDS = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}


class Net(nn.Module):
    def __init__(self, kind, **options):
        self.first = nn.Linear(5, 6, generator=0)
        self.recurrent = KINDS[kind](6, 7, generator=1, **options)
        self.last = nn.Linear(7 * (2 if options.get("bidirectional") else 1), 3, generator=2)

    def forward(self, x):
        y, state = self.recurrent(self.first(x))
        c = state[1] if isinstance(state, tuple) else state
        return self.last(sp.tanh(y)) + sp.mean(c)


@pytest.mark.parametrize("shape", [(9, 2, 5), (9, 5)])
@pytest.mark.parametrize(
    "options", [{}, {"num_layers": 2}, {"num_layers": 2, "bidirectional": True}, {"bias": False}, {"batch_first": True}]
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_becomes_a_node_for_each_of_its_layers(kind, options, shape, tmp_path):
    model = Net(kind, **options).eval()
    x = np.random.default_rng(0).standard_normal(shape).astype("float32")
    path = tmp_path / "net.onnx"
    sp.onnx.save(model, path, x)
    again = sp.onnx.load(path)
    np.testing.assert_allclose(again(x).numpy(), model(x).numpy(), rtol=1e-5, atol=1e-6)
    nodes = [node.op_type for node in onnx.load(path).graph.node]
    assert nodes.count(kind) == options.get("num_layers", 1)
    gradient = sp.grad(lambda x: sp.sum(again(x) ** 2))(x)
    np.testing.assert_allclose(
        gradient.numpy(), sp.grad(lambda x: sp.sum(model(x) ** 2))(x).numpy(), rtol=1e-3, atol=1e-5
    )


def test_the_batch_stays_free(tmp_path):
    class Last(nn.Module):
        def __init__(self):
            self.recurrent = nn.LSTM(4, 3, bidirectional=True, batch_first=True, generator=0)

        def forward(self, x):
            return self.recurrent(x)[0][:, -1]

    x = np.random.default_rng(0).standard_normal((7, 6, 4)).astype("float32")
    sp.onnx.save(Last(), tmp_path / "last.onnx", x[:2])
    np.testing.assert_allclose(sp.onnx.load(tmp_path / "last.onnx")(x).numpy(), Last()(x).numpy(), rtol=1e-5, atol=1e-7)


def test_rnn_by_relu_and_a_layer_whose_result_is_a_pair(tmp_path):
    x = np.random.default_rng(0).standard_normal((5, 2, 5)).astype("float32")
    model = Net("RNN", nonlinearity="relu", bidirectional=True)
    sp.onnx.save(model, tmp_path / "relu.onnx", x)
    np.testing.assert_allclose(sp.onnx.load(tmp_path / "relu.onnx")(x).numpy(), model(x).numpy(), rtol=1e-5, atol=1e-6)
    for pair in (nn.LSTM(5, 3), nn.Sequential({"memory": nn.LSTM(5, 3)})):
        with pytest.raises(sp.onnx.UnsupportedError, match="returns a tuple, not one tensor"):
            sp.onnx.save(pair, tmp_path / "pair.onnx", x)


def loaded(op, arrays, outputs, **attributes):
    """A model of one node, whose first input is x; None for an input left out."""
    names = ["x", *(f"i{k}" if a is not None else "" for k, a in enumerate(arrays))]
    held = [numpy_helper.from_array(a, n) for a, n in zip(arrays, names[1:], strict=True) if a is not None]
    node = helper.make_node(op, names, outputs, name=op.lower(), **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, None, None])],
        [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs],
        held,
    )
    opsets = [helper.make_opsetid("", 14)]
    return sp.onnx.load(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def drawn(*shapes):
    rng = np.random.default_rng(5)
    return [rng.standard_normal(s).astype("float32") for s in shapes]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_lstm_in_reverse_with_lengths_peepholes_coupled_gates_and_clipping():
    x, w, r, b, p = drawn((4, 2, 3), (1, 8, 3), (1, 8, 2), (1, 16), (1, 6))
    lengths = np.array([4, 2], np.int32)
    model = loaded(
        "LSTM", [w, r, b, lengths, None, None, p], ["y", "h", "c"], hidden_size=2, direction="reverse", clip=0.7,
        input_forget=1,
    )  # fmt: skip
    y, h, c = (t.numpy() for t in model(x))
    expected = np.zeros((4, 1, 2, 2))
    for n in range(2):
        state, cell = np.zeros(2), np.zeros(2)
        for t in reversed(range(lengths[n])):
            gates = (w[0] @ x[t, n] + r[0] @ state + b[0, :8] + b[0, 8:]).astype("float64")
            i, o, _, g = np.split(gates, 4)
            look_i, look_o, _ = np.split(p[0], 3)
            i = sigmoid(np.clip(i + look_i * cell, -0.7, 0.7))
            cell = (1 - i) * cell + i * np.tanh(np.clip(g, -0.7, 0.7))
            state = sigmoid(np.clip(o + look_o * cell, -0.7, 0.7)) * np.tanh(np.clip(cell, -0.7, 0.7))
            expected[t, 0, n] = state
        np.testing.assert_allclose(h[0, n], state, rtol=1e-5)
        np.testing.assert_allclose(c[0, n], cell, rtol=1e-5)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("after", [0, 1])
def test_gru_in_both_directions_with_other_activations(after):
    x, w, r, b, h = drawn((3, 2, 3), (2, 6, 3), (2, 6, 2), (2, 12), (2, 2, 2))
    model = loaded(
        "GRU", [w, r, b, None, h], ["y", "h"], hidden_size=2, direction="bidirectional", linear_before_reset=after,
        activations=["HardSigmoid", "Softsign", "Sigmoid", "ScaledTanh"], activation_alpha=[0.3, 1.5],
        activation_beta=[0.4, 0.6],
    )  # fmt: skip
    functions = [
        (lambda v: np.clip(0.3 * v + 0.4, 0, 1), lambda v: v / (1 + abs(v))),
        (sigmoid, lambda v: 1.5 * np.tanh(0.6 * v)),
    ]
    y, last = (t.numpy() for t in model(x))
    for d, (f, g) in enumerate(functions):
        state = h[d].astype("float64")
        wz, wr, wh = np.split(w[d], 3)
        rz, rr, rh = np.split(r[d], 3)
        bz, br, bh, sz, sr, sh = np.split(b[d], 6)
        for t in reversed(range(3)) if d else range(3):
            z = f(x[t] @ wz.T + state @ rz.T + bz + sz)
            reset = f(x[t] @ wr.T + state @ rr.T + br + sr)
            of_state = reset * (state @ rh.T + sh) if after else (reset * state) @ rh.T + sh
            state = (1 - z) * g(x[t] @ wh.T + of_state + bh) + z * state
            np.testing.assert_allclose(y[t, d], state, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(last[d], state, rtol=1e-5, atol=1e-6)


def test_the_batch_first():
    x, w, r, h = drawn((2, 5, 3), (2, 4, 3), (2, 4, 4), (2, 2, 4))
    wide = {"hidden_size": 4, "direction": "bidirectional", "activations": ["Affine", "ThresholdedRelu"]}
    y, last = loaded("RNN", [w, r, None, None, h], ["y", "h"], layout=1, **wide)(x)
    swapped, same = loaded("RNN", [w, r, None, None, h.swapaxes(0, 1)], ["y", "h"], **wide)(x.swapaxes(0, 1))
    assert y.shape == (2, 5, 2, 4) and last.shape == (2, 2, 4)
    np.testing.assert_array_equal(y.numpy(), swapped.numpy().transpose(2, 0, 1, 3))
    np.testing.assert_array_equal(last.numpy(), same.numpy().swapaxes(0, 1))


def test_refusals():
    x, w, r = drawn((2, 5, 3), (1, 4, 3), (1, 4, 4))
    with pytest.raises(ValueError, match="not those of 2 directions"):
        loaded("RNN", [w, r], ["y"], hidden_size=4, direction="bidirectional")(x)
    with pytest.raises(sp.onnx.UnsupportedError, match="activations 'Swish' is not supported, only 'Relu', "):
        loaded("RNN", [w, r], ["y"], hidden_size=4, activations=["Swish"])
