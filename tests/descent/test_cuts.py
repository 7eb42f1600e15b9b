"""Gradients that lack a part of the derivative: found by differences, named after what cuts them, said everywhere."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import steep as sp
from steep import descent


def without_graph(x, y):
    with sp.no_grad():
        z = sp.sin(y)
    return x**2 + z


def twice(x, y):
    with sp.no_grad():
        z = sp.exp(x)
    return x**2 + z + (x * y).detach()


@sp.custom_vjp
def half(x):
    return x * x


half.defvjp(lambda x: (x * x, x), lambda x, g: (g * x,))


CUT = {  # function, variable, gradient, difference, what cuts it
    "detach of one": (lambda x, y: x**2 + y.detach() ** 2, "y", 0, 2, "detach stops gradients"),
    "detach of a product": (lambda x, y: x**2 + y**2 + (x * y).detach(), "x", 2, 3, "detach stops gradients"),
    "all of it": (lambda x: x.detach() ** 2, "x", 0, 2, "detach stops gradients"),
    "no_grad": (without_graph, "y", 0, np.cos(1), "no_grad stops gradients"),
    "two of them": (twice, "x", 2, 3 + np.e, "no_grad and detach stop gradients"),
    "float": (lambda x, y: x**2 + float(y) ** 2, "y", 0, 2, r"float\(\) reads a value at .*test_cuts.py:\d+"),
    "item": (lambda x: x**2 * x.item(), "x", 2, 3, r"item\(\) reads a value at .*test_cuts.py:\d+"),
    "numpy": (lambda x, y: x**2 + sp.asarray(np.sin(y.numpy())), "y", 0, np.cos(1), r"numpy\(\) reads a value at"),
    "tolist": (lambda x: x**2 + 3 * x.tolist(), "x", 2, 5, r"(tolist|numpy)\(\) reads a value at"),
    "a comparison beside": (lambda x: sp.where(x > 0, x.detach(), x) + x**2, "x", 2, 3, "detach stops gradients"),
    "an integer beside": (lambda x: x.astype(sp.int64) * x + x.detach(), "x", 1, 2, "detach stops gradients"),
    "a wrong rule": (half, "x", 1, 2, "$"),
}  # fmt: skip


@pytest.mark.parametrize("name", CUT)
def test_a_cut_is_found_and_named(name):
    function, variable, gradient, difference, by = CUT[name]
    start = [1.0] * (2 if function.__code__.co_argcount == 2 else 1) if hasattr(function, "__code__") else [1.0]
    start = [1.3] if name == "an integer beside" else start
    own = descent.landscape(function, start=start)
    cut = descent.find_cut(own, np.array([start]))
    assert (cut.variable, cut.at, cut.point) == (variable, 0, tuple(start))
    np.testing.assert_allclose([cut.gradient, cut.difference], [gradient, difference], rtol=1e-4, atol=1e-12)
    assert re.match(by, cut.by), cut.by
    assert str(cut).startswith(f"the gradient is not the derivative: with respect to {variable} it is ")


@pytest.mark.parametrize("found", descent.LANDSCAPES, ids=lambda each: each.name)
def test_no_landscape_of_the_table_is_cut(found):
    points = np.random.default_rng(0).uniform(*np.array(found.domain).T, (32, found.dimensions))
    assert descent.find_cut(found, points) is None and descent.find_cut(found, np.array([found.start])) is None


@pytest.mark.parametrize(
    "function",
    [
        lambda x: sp.abs(x) + sp.relu(x - 0.3),
        lambda x: sp.floor(3 * x) + x**2,
        lambda x: (x > 0).astype(sp.float64) * x,
        lambda x: (3 * x).astype(sp.int64).astype(sp.float64) + x,
        lambda x: sp.where(x > 0, x**2, -x),
        lambda x: x if x.item() > 0 else 2 * x,  # Python's control flow, whose branches are differentiated
        lambda x: sp.sin(1e6 * x),
        lambda x: 1e9 + x,
        lambda x: 0 * x + 3,
        lambda x: sp.sqrt(x),
        lambda x: x.astype(sp.float32).astype(sp.float64) ** 2,
        lambda x: x + 1e-3 * np.random.default_rng().normal(),
        lambda x: x.detach() - x.detach() + x**2,
    ],
)
def test_what_is_no_cut_is_none(function):
    own = descent.landscape(function, domain=[(-1.5, 1.5)], start=[1.0])
    assert descent.find_cut(own, np.linspace(-1.5, 1.5, 31)[:, None]) is None


def test_the_paths_that_follow_gradients_say_so_and_the_verdict_does():
    own = descent.landscape(lambda x, y: x**2 + y.detach() ** 2, start=[1.0, 0.5])
    paths = descent.descend(own, ["gradient descent", "l-bfgs", "newton-cg", "nelder-mead"], steps=20)
    said = [path.problem for path in paths]
    assert [path.order for path in paths] == [1, 1, 2, 0]
    assert all(text.startswith("at step 0, the gradient is not the derivative: with respect to y") for text in said[:3])
    assert said[3] == "" and abs(paths[3].points[-1]).max() < 1e-2  # which asks for values alone, and finds the minimum
    verdict = descent.judge(own, paths=paths)
    assert verdict.cut.by == "detach stops gradients" and str(verdict.cut) in verdict.gradient
    page = descent.page(verdict, ["gradient descent"], steps=5)
    assert "detach stops gradients" in page and "the gradient is not the derivative" in page


def test_a_cut_far_from_the_start_is_found_on_the_path():
    def late(x):
        return sp.where(x > 0.5, x**2, x.detach() ** 2 + 0.25 * x)

    own = descent.landscape(late, domain=[(-2.0, 2.0)], start=[1.0])
    (path,) = descent.descend(own, ["gradient descent"], steps=30, rate=0.05)
    (step,) = re.findall(r"at step (\d+), the gradient is not the derivative", path.problem)
    assert int(step) > 3 and abs(path.points[int(step)]) <= 0.5


def test_the_command_says_that_there_is_none(tmp_path, monkeypatch, capsys):
    pytest.importorskip("typer")
    from steep.cli.app import run

    monkeypatch.setattr(
        "sys.argv", ["steep", "descend", "quadratic", "--steps", "3", "--json", "-o", str(tmp_path / "a.png")]
    )
    assert run() == 0
    assert json.loads(capsys.readouterr().out)["cut"] is None
