"""The flip-book of the worked example: small graphs, an expression of one's own, or the network on the image.

``report.flipbook`` makes the data; ``flipbook.js``, which it ships, shows them on the page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.descent.expression import MOST_CHARACTERS, parse
from steep.explore.asked import Asked
from steep.explore.desk import Desk
from steep.explore.jobs import Job
from steep.report.flipbook import MOST, flipbook_data
from steep.scores import class_scores, predicted

BOOKS = ("layers", "neuron", "expression", "network")
WORKED = """import numpy as np

import steep as sp


def two_layers(w0, w1):
    x0 = sp.asarray(np.array([1.0, 0.1]))
    x1 = w0 @ x0
    x2 = sp.tanh(x1)
    x3 = sp.vecdot(w1, x2)
    return 0.5 * (x3 - 0.5) ** 2


w0, w1 = np.array([[1.0, -3.0], [0.2, 1.0]]), np.array([1.0, -1.0])
sp.page(two_layers, sp.tensor(w0), sp.tensor(w1))"""
NEURON = """import steep as sp


def neuron(w, b):
    x = sp.tensor(0.5)
    return sp.square(sp.tanh(w * x + b) - 1.0)


sp.page(neuron, sp.tensor(2.0), sp.tensor(-0.5))"""


def two_layers(w0: Tensor, w1: Tensor) -> Tensor:
    """The network of two layers of the lecture on backpropagation, whose numbers docs/backpropagation.md works out."""
    x0 = _core.asarray(np.array([1.0, 0.1]))
    x1 = w0 @ x0
    x2 = _core.tanh(x1)
    x3 = _core.vecdot(w1, x2)
    return 0.5 * (x3 - 0.5) ** 2


def neuron(w: Tensor, b: Tensor) -> Tensor:
    """One neuron and its squared error."""
    x = _core.tensor(0.5)
    return _core.square(_core.tanh(w * x + b) - 1.0)


def book(desk: Desk, job: Job, asked: Asked) -> None:
    """Send the flip-book that was asked for, and the Python that writes it as a page."""
    data, code = MAKERS[asked.choice("book", BOOKS)](desk, asked)
    job.put({"kind": "book", "data": data, "code": code})


def _layers(desk: Desk, asked: Asked) -> tuple[dict[str, Any], str]:
    weights = (np.array([[1.0, -3.0], [0.2, 1.0]]), np.array([1.0, -1.0]))
    return flipbook_data(two_layers, *(_core.tensor(each) for each in weights)), WORKED


def _neuron(desk: Desk, asked: Asked) -> tuple[dict[str, Any], str]:
    return flipbook_data(neuron, _core.tensor(2.0), _core.tensor(-0.5)), NEURON


def _expression(desk: Desk, asked: Asked) -> tuple[dict[str, Any], str]:
    """An expression in x and y, which is parsed and never run as code."""
    text = asked.text("text", MOST_CHARACTERS)
    at = [asked.number(name, -1e6, 1e6, 1.0) for name in ("x", "y")]
    function = parse(text)
    count = function.__code__.co_argcount
    data = flipbook_data(function, *(_core.tensor(value, dtype=_core.float64) for value in at[:count]))
    numbers = "".join(f", sp.tensor({value!r}, dtype=sp.float64)" for value in at[:count])
    return data, f"import steep as sp\n\nsp.page(sp.descent.parse({text!r}){numbers})"


def _network(desk: Desk, asked: Asked) -> tuple[dict[str, Any], str]:
    """The network's score of the predicted class in the image."""
    desk.classes()
    shown, model = desk.shown(asked), desk.subject.model
    x = desk.subject.input(shown.square)
    target = int(predicted(model, x)[0])

    def score(image: Tensor) -> Tensor:
        return _core.sum(class_scores(model(image), target))

    code = desk.code(*desk.input_code(shown), f"sp.page(lambda image: model(image)[0, {target}], x, most={MOST})")
    return flipbook_data(score, x, most=MOST), code


MAKERS: dict[str, Callable[[Desk, Asked], tuple[dict[str, Any], str]]] = dict(
    zip(BOOKS, (_layers, _neuron, _expression, _network), strict=True)
)
