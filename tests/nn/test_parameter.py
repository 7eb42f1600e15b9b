"""``nn.Parameter``, as PyTorch's users write it, and the names of containers that plain Python replaces."""

from __future__ import annotations

import numpy as np
import pytest
import steep as sp
from steep import nn


class Scaled(nn.Module):
    def __init__(self, factor: object) -> None:
        self.factor = nn.Parameter(factor)
        self.fixed = nn.Parameter(np.ones(2), requires_grad=False)

    def forward(self, x: sp.Tensor) -> sp.Tensor:
        return x * self.factor


@pytest.mark.parametrize(
    "factor",
    [3.0, [1.0, 2.0], np.arange(4.0), np.float32(2), sp.ones((2, 3)), sp.ones(2, requires_grad=True) * 2],
    ids=["number", "list", "array", "scalar", "tensor", "result"],
)
def test_a_parameter_is_a_leaf_with_a_copy_of_its_data(factor: object) -> None:
    model = Scaled(factor)
    p = model.factor
    assert p.is_leaf and p.requires_grad and [name for name, _ in model.named_parameters()] == ["factor"]
    assert set(model.state_dict()) == {"factor", "fixed"}
    model(sp.ones(p.shape)).sum().backward()
    np.testing.assert_array_equal(p.grad.numpy(), np.ones(p.shape))
    if isinstance(factor, np.ndarray):
        factor[...] = 9
        assert not (p.detach().numpy() == 9).any()


@pytest.mark.parametrize("data", [1, [1, 2], np.arange(3), np.array([True])], ids=str)
def test_integers_are_refused(data: object) -> None:
    with pytest.raises(sp.GradientError, match="only bfloat16, float32 and float64"):
        nn.Parameter(data)


@pytest.mark.parametrize("name", ["ModuleList", "ModuleDict", "ParameterList", "ParameterDict"])
def test_a_container_of_pytorch_names_what_replaces_it(name: str) -> None:
    with pytest.raises(AttributeError, match="among a module's attributes is found as it is"):
        getattr(nn, name)
    assert not hasattr(nn, name)
