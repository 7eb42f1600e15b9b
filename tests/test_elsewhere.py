"""Names of other libraries: an unknown name of steep is answered with what to write, and that exists."""

import importlib
import re

import numpy as np
import pytest
import steep as sp
from steep.elsewhere import WRITTEN, WRITTEN_IN

NAMES = [(module, name) for module, names in WRITTEN_IN.items() for name in names]


@pytest.mark.parametrize("module, name", NAMES, ids=lambda v: v)
def test_every_name_that_is_mentioned_exists(module, name):
    text, package = WRITTEN_IN[module][name], importlib.import_module(module)
    assert not hasattr(package, name), "steep has it under this name"
    with pytest.raises(AttributeError, match=re.escape(f"has no attribute {name!r}; here it is written {text}")):
        getattr(package, name)
    for path in re.findall(r"\bsp((?:\.\w+)+)", text):
        thing = sp
        for part in path[1:].split("."):
            thing = getattr(thing, part)
    for member in re.findall(r"\bx\.(\w+)", text):
        assert hasattr(sp.Tensor, member)
    if "Generator(seed)" in text and (method := re.search(r"\)\.(\w+)", text)):
        assert hasattr(sp.random.Generator, method[1])


X, Y, Z = (sp.random.Generator(seed).normal((4, 5)) for seed in (1, 2, 3))
GIVEN = {
    "sp": sp, "x": X, "y": Y, "a": X, "p": Y, "n": Z, "b": Y, "d": sp.abs(X - Y), "var": Z * Z, "margin": 0.5,
    "lambd": 0.3, "threshold": 0.2, "value": -1.0, "eps": 1e-6, "weight": Y[0],
}  # fmt: skip
X_, Y_, Z_ = (t.numpy().astype(np.float64) for t in (X, Y, Z))


def _lengths(v):
    return np.sqrt((v * v).sum(-1))


# By the definition on the page of each in PyTorch's documentation.
FORMULAS = {
    "LogSigmoid": np.log(1 / (1 + np.exp(-X_))),
    "Softsign": X_ / (1 + np.abs(X_)),
    "Mish": X_ * np.tanh(np.log1p(np.exp(X_))),
    "SELU": 1.0507009873554804934 * np.where(X_ > 0, X_, 1.6732632423543772848 * (np.exp(X_) - 1)),
    "Hardtanh": np.minimum(np.maximum(X_, -1), 1),
    "Tanhshrink": X_ - np.tanh(X_),
    "Hardshrink": X_ * (np.abs(X_) > 0.3),
    "Softshrink": np.where(X_ > 0.3, X_ - 0.3, np.where(X_ < -0.3, X_ + 0.3, 0)),
    "Threshold": np.where(X_ > 0.2, X_, -1),
    "Softmin": np.exp(-X_) / np.exp(-X_).sum(-1, keepdims=True),
    "RMSNorm": X_ / np.sqrt((X_ * X_).mean(-1, keepdims=True) + 1e-6) * Y_[0],
    "PoissonNLLLoss": (np.exp(X_) - Y_ * X_).mean(),
    "SoftMarginLoss": np.log(1 + np.exp(-Y_ * X_)).mean(),
    "GaussianNLLLoss": (0.5 * (np.log(Z_ * Z_) + (X_ - Y_) ** 2 / (Z_ * Z_))).mean(),
    "TripletMarginLoss": np.maximum(_lengths(X_ - Y_) - _lengths(X_ - Z_) + 0.5, 0).mean(),
    "MarginRankingLoss": np.maximum(-Y_ * (X_ - Y_) + 0.5, 0).mean(),
    "CosineSimilarity": (X_ * Y_).sum(-1) / (_lengths(X_) * _lengths(Y_)),
    "PairwiseDistance": _lengths(X_ - Y_),
    "HuberLoss": np.where(np.abs(X_ - Y_) < 1, 0.5 * (X_ - Y_) ** 2, np.abs(X_ - Y_) - 0.5).mean(),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas_of_layers_and_losses(name):
    text = re.sub(r",? with .*", "", WRITTEN_IN["steep.nn"][name])
    np.testing.assert_allclose(eval(text, dict(GIVEN)).numpy(), FORMULAS[name], rtol=2e-5, atol=1e-6)


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
    with pytest.raises(AttributeError, match=r"module 'steep.nn' has no attribute 'Liner'; did you mean 'Linear'"):
        _ = sp.nn.Liner
