"""Arguments of another class than the one that is needed: refused by the parameter's name, with what to do instead."""

import numpy as np
import pytest
import steep as sp
from steep.training import fit

OTHERS = [None, 3, 2.5, "text", [1, 2], {"a": 1}, object(), lambda x: x, np.ones(2), sp.ones(2)]
NEEDS = {
    "fit: model must be a Module": lambda value: fit(value, None),
    "fuse_batch_norm: module must be a Module": sp.nn.fuse_batch_norm,
    "onnx.Model: graph must be a Graph": sp.onnx.Model,
    "fft: generator must be a Generator": lambda value: sp.ascent.fft((1, 3, 8, 8), value),
    "cppn: generator must be a Generator": lambda value: sp.ascent.cppn((1, 3, 8, 8), value),
    "color_decorrelated: start must be a Parameterization": sp.ascent.color_decorrelated,
}


@pytest.mark.parametrize("message", NEEDS)
def test_what_is_of_another_class_is_refused_by_name(message):
    for value in OTHERS:
        with pytest.raises(TypeError, match=f"^{message}, and got {type(value).__name__}"):
            NEEDS[message](value)


@pytest.mark.parametrize("make", [sp.optim.EMA, lambda params: sp.optim.clip_grad_norm(params, 1.0)])
def test_what_is_no_tensor_among_parameters(make):
    for value in (3, 2.5, "text", object(), np.ones(2)):
        with pytest.raises(TypeError, match="every one of params must be a Tensor, and got"):
            make([sp.ones(2), value])


def test_options_of_a_tokenizer_and_noise_for_pixels():
    with pytest.raises(TypeError, match="options must be a mapping, and got str; from_file opens"):
        sp.text.Tokenizer("tokenizer.json")
    with pytest.raises(TypeError, match="pixels: generator must be a Generator, and got int"):
        sp.ascent.pixels((1, 3, 8, 8), 0)


@pytest.mark.parametrize("keep", [sp.ones(2), 3, None, [3], [sp.ones(1)], object()])
def test_checkpoint_called_as_elsewhere_names_the_fix(keep):
    """PyTorch's checkpoint takes the function's arguments; this one gives a function."""
    with pytest.raises(TypeError, match=r"checkpoint: keep must be names of ops.*checkpoint\(f\)\(x\)"):
        sp.checkpoint(lambda x: x, keep)


@pytest.mark.parametrize("given", [[1, 4, 9], (1, 4, 9), np.array([1, 4, 9])])
def test_functions_written_in_python_take_what_the_others_take(given):
    assert sp.diff(given).tolist() == [3, 5]
    assert sp.diff(given, prepend=[0]).tolist() == [1, 3, 5]
    assert sp.stop_gradient(given).tolist() == [1, 4, 9]
    assert float(sp.stop_gradient(2.5)) == 2.5
