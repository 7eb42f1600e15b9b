"""``state_dict`` has PyTorch's names and shapes, so that weights go both ways; with PyTorch itself where it is there.

``NAMES`` is what PyTorch 2's layers answer, written down.
"""

from __future__ import annotations

import numpy as np
import pytest
import steep as sp
from steep import nn

NORM = {"weight": (4,), "bias": (4,)}
RUNNING = {"running_mean": (4,), "running_var": (4,)}
COUNTED = {**RUNNING, "num_batches_tracked": ()}
CONV = "stride=2, padding=1, dilation=1"
# A layer, the shape of an input, and the names and shapes of PyTorch's state. MultiheadAttention: batch_first=True.
NAMES = {
    "Linear(4, 3)": ((2, 4), {"weight": (3, 4), "bias": (3,)}),
    "Linear(4, 3, False)": ((2, 4), {"weight": (3, 4)}),
    f"Conv1d(2, 4, 3, {CONV})": ((2, 2, 6), {"weight": (4, 2, 3), "bias": (4,)}),
    f"Conv2d(2, 4, (3, 2), {CONV}, groups=2)": ((2, 2, 6, 6), {"weight": (4, 1, 3, 2), "bias": (4,)}),
    f"Conv3d(2, 4, 3, {CONV}, bias=False)": ((1, 2, 4, 4, 4), {"weight": (4, 2, 3, 3, 3)}),
    "ConvTranspose1d(2, 4, 3, 2, 1, 1)": ((2, 2, 6), {"weight": (2, 4, 3), "bias": (4,)}),
    "ConvTranspose2d(2, 4, 3, groups=2)": ((2, 2, 5, 5), {"weight": (2, 2, 3, 3), "bias": (4,)}),
    "ConvTranspose3d(2, 4, 2)": ((1, 2, 3, 3, 3), {"weight": (2, 4, 2, 2, 2), "bias": (4,)}),
    "BatchNorm1d(4)": ((5, 4), {**NORM, **COUNTED}),
    "BatchNorm2d(4)": ((5, 4, 3, 3), {**NORM, **COUNTED}),
    "BatchNorm3d(4)": ((5, 4, 2, 2, 2), {**NORM, **COUNTED}),
    "BatchNorm2d(4, affine=False)": ((5, 4, 3, 3), COUNTED),
    "BatchNorm2d(4, track_running_stats=False)": ((5, 4, 3, 3), NORM),
    "LayerNorm(4)": ((5, 4), NORM),
    "LayerNorm((3, 4))": ((2, 3, 4), {"weight": (3, 4), "bias": (3, 4)}),
    "GroupNorm(2, 4)": ((2, 4, 3), NORM),
    "InstanceNorm2d(4, affine=True)": ((2, 4, 3, 3), NORM),
    "InstanceNorm2d(4)": ((2, 4, 3, 3), {}),
    "PReLU(4)": ((2, 4), {"weight": (4,)}),
    "Embedding(4, 3)": (None, {"weight": (4, 3)}),
    "MultiheadAttention(8, 2)": (
        (2, 5, 8),
        {"in_proj_weight": (24, 8), "in_proj_bias": (24,), "out_proj.weight": (8, 8), "out_proj.bias": (8,)},
    ),
    "MultiheadAttention(8, 2, bias=False)": ((2, 5, 8), {"in_proj_weight": (24, 8), "out_proj.weight": (8, 8)}),
    "Sequential(Conv2d(1, 4, 3), BatchNorm2d(4), ReLU(), Flatten(), Dropout(), Linear(36, 2))": (
        (2, 1, 5, 5),
        {
            "0.weight": (4, 1, 3, 3),
            "0.bias": (4,),
            **{f"1.{name}": shape for name, shape in {**NORM, **COUNTED}.items()},
            "5.weight": (2, 36),
            "5.bias": (2,),
        },
    ),
    "Sequential(Sequential(Linear(4, 4), Tanh()), Linear(4, 2))": (
        (3, 4),
        {"0.0.weight": (4, 4), "0.0.bias": (4,), "1.weight": (2, 4), "1.bias": (2,)},
    ),
}


def made(text):
    return eval(text, vars(nn)).eval()


def counters(names):
    return {name for name in names if name.endswith("num_batches_tracked")}


def filled(shapes):
    """A state as PyTorch's ``{k: v.numpy() for k, v in state_dict().items()}`` has it."""
    rng = np.random.default_rng(0)
    floats = {name: np.abs(rng.normal(size=shape)).astype(np.float32) for name, shape in shapes.items()}
    return {name: np.asarray(3) if name in counters(shapes) else value for name, value in floats.items()}


def inputs(layer, shape):
    rng = np.random.default_rng(1)
    x = np.arange(3) if shape is None else rng.normal(size=shape).astype(np.float32)
    return (x, x, x) if type(layer).__name__ == "MultiheadAttention" else (x,)


@pytest.mark.parametrize("layer", NAMES)
def test_names_and_shapes_are_torchs(layer):
    names = NAMES[layer][1]
    found = {name: tensor.shape for name, tensor in made(layer).state_dict().items()}
    assert list(found.items()) == [(n, s) for n, s in names.items() if n not in counters(names)]


@pytest.mark.parametrize("layer", NAMES)
@pytest.mark.parametrize("by_file", [False, True])
def test_a_state_of_torchs_is_loaded(tmp_path, layer, by_file):
    state = filled(NAMES[layer][1])
    if by_file:
        sp.io.save(tmp_path / "net.safetensors", state)
    model = made(layer)
    model.load_state_dict(sp.io.load(tmp_path / "net.safetensors") if by_file else state)
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), state[name])


@pytest.mark.parametrize("layer", NAMES)
def test_outputs_are_torchs_both_ways(tmp_path, layer):
    torch = pytest.importorskip("torch")
    options = ", batch_first=True)" if "Multihead" in layer else ")"
    theirs, mine = eval(layer[:-1] + options, vars(torch.nn)).eval(), made(layer)
    mine.load_state_dict(filled(NAMES[layer][1]))
    theirs.load_state_dict({name: torch.from_dlpack(value) for name, value in mine.state_dict().items()})
    other = made(layer)
    other.load_state_dict(theirs.state_dict())
    given = inputs(mine, NAMES[layer][0])
    found = theirs(*map(torch.as_tensor, given))
    found = (found[0] if isinstance(found, tuple) else found).detach().numpy()
    for model in (mine, other):
        np.testing.assert_allclose(model(*given).detach().numpy(), found, rtol=1e-4, atol=1e-5)


def test_a_strict_error_lists_everything_and_writes_nothing():
    model = made("Sequential(Linear(4, 3), BatchNorm1d(3))")
    before = {name: tensor.tolist() for name, tensor in model.state_dict().items()}
    state = filled({"0.weight": (3, 5), "1.weight": (3,), "1.bias": (3,), "fc.bias": (2,), "1.running_var": (3,)})
    with pytest.raises(ValueError, match="missing") as caught:
        model.load_state_dict({**state, "1.bias": np.ones(3)})
    for part in (
        "missing ['0.bias', '1.running_mean']",
        "unexpected ['fc.bias']",
        "0.weight has shape (3, 4), got (3, 5)",
        "1.bias is float32, got float64",
    ):
        assert part in str(caught.value)
    assert {name: tensor.tolist() for name, tensor in model.state_dict().items()} == before


def test_a_counter_is_unexpected_where_pytorch_has_none():
    for text in ("Linear(4, 3)", "Sequential(Linear(4, 3))", "LayerNorm(4)"):
        state = made(text).state_dict() | {"num_batches_tracked": np.asarray(1)}
        with pytest.raises(ValueError, match=r"unexpected.*num_batches_tracked"):
            made(text).load_state_dict(state)


def test_missing_names_are_kept_if_not_strict():
    model = made("Linear(4, 3)")
    bias = model.bias.tolist()
    model.load_state_dict({"weight": np.ones((3, 4), np.float32), "scale": np.ones(1)}, strict=False)
    assert model.bias.tolist() == bias and (model.weight.numpy() == 1).all()
