"""Names of other libraries: an unknown name of steep is answered with what to write, and that exists."""

import re

import numpy as np
import pytest
import steep as sp
from steep.elsewhere import WRITTEN


@pytest.mark.parametrize("name", WRITTEN)
def test_every_name_that_is_mentioned_exists(name):
    text = WRITTEN[name]
    assert not hasattr(sp, name), "steep has it under this name"
    with pytest.raises(AttributeError, match=re.escape(f"has no attribute {name!r}; here it is written {text}")):
        getattr(sp, name)
    for path in re.findall(r"\bsp((?:\.\w+)+)", text):
        thing = sp
        for part in path[1:].split("."):
            thing = getattr(thing, part)
    for member in re.findall(r"\bx\.(\w+)", text):
        assert hasattr(sp.Tensor, member)
    if "Generator(seed)" in text and (method := re.search(r"\)\.(\w+)", text)):
        assert hasattr(sp.random.Generator, method[1])


@pytest.mark.parametrize(
    "name, expected",
    [
        ("rand", lambda: sp.random.Generator(0).uniform(0, 1, (2, 3)).shape == (2, 3)),
        ("randn", lambda: sp.random.Generator(0).normal((2, 3)).shape == (2, 3)),
        ("logspace", lambda: np.allclose((10 ** sp.linspace(0, 2, 3)).numpy(), np.logspace(0, 2, 3))),
        ("rot90", lambda: np.array_equal(sp.flip(sp.tensor([[1, 2], [3, 4]]), axis=1).T.numpy(), [[2, 4], [1, 3]])),
        ("nan_to_num", lambda: sp.where(sp.isnan(sp.tensor([np.nan, 1.0])), 0.0, sp.tensor([np.nan, 1.0])).sum() == 1),
        ("fmod", lambda: float(-7.0 - 3.0 * sp.trunc(sp.tensor(-7.0) / 3.0)) == np.fmod(-7.0, 3.0)),
    ],
)
def test_what_is_written_computes_the_same(name, expected):
    assert name in WRITTEN and expected()


def test_misspelt_names_are_suggested_and_private_ones_are_not():
    with pytest.raises(AttributeError, match="did you mean 'reshape'"):
        _ = sp.reshpe
    with pytest.raises(AttributeError, match=r"no attribute '__nothing__'$"):
        _ = sp.__nothing__
    with pytest.raises(AttributeError, match=r"no attribute 'qqqqqqqqqqqq'$"):
        _ = sp.qqqqqqqqqqqq
