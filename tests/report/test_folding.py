"""Large graphs on a page: what repeats becomes blocks, whose values and gradients are those of the nodes inside."""

from collections import defaultdict

import numpy as np
import pytest
import steep as sp
from steep import _core, nn
from steep.report.flipbook import MOST, flipbook_data
from steep.report.folding import folded
from steep.report.nodes import read_graph


def items_of(y):
    return read_graph(y, _core.ones_like(y.detach()), {})


def unrolled(steps, size=3):
    draw = sp.random.Generator(0)
    wx, wh, b = (draw.normal(shape, std=0.4) for shape in ((2, size), (size, size), (size,)))
    for each in (wx, wh, b):
        each.requires_grad = True
    h = sp.zeros((1, size))
    for _ in range(steps):
        h = sp.tanh(draw.normal((1, 2)) @ wx + h @ wh + b)
    return sp.sum(h * h), (wx, wh, b)


def lstm(steps):
    draw = sp.random.Generator(1)
    w = draw.normal((5, 12), std=0.5)
    w.requires_grad = True
    h, c = sp.zeros((1, 3)), sp.zeros((1, 3))
    for _ in range(steps):
        gates = sp.concat([draw.normal((1, 2)), h], axis=1) @ w
        i, f, o, g = (gates[:, 3 * k : 3 * k + 3] for k in range(4))
        c = sp.sigmoid(f) * c + sp.sigmoid(i) * sp.tanh(g)
        h = sp.sigmoid(o) * sp.tanh(c)
    return sp.sum(h)


def uneven(length):
    """A chain in which hardly anything repeats."""
    x = sp.tensor([0.5, 0.25], requires_grad=True)
    ops = (sp.sin, sp.cos, sp.tanh, sp.exp, sp.negative)
    for i in np.random.default_rng(0).integers(0, 5, length):
        x = ops[i](x)
    return sp.sum(x)


def layers(count):
    model = nn.Sequential(*(part for i in range(count) for part in (nn.Linear(4 + i, 5 + i, generator=i), nn.ReLU())))
    return sp.sum(model(sp.ones((2, 4))))


def test_the_steps_of_a_loop_are_a_block_each():
    loss, weights = unrolled(100)
    items = items_of(loss)
    shown = folded(items, MOST)
    blocks = [item for item in shown if item.inside]
    assert len(items) > MOST >= sum(item.op != "constant" for item in shown)
    assert len(blocks) >= 97 and {len(block.inside) for block in blocks} == {5}
    assert [block.op for block in blocks[:2]] == ["repeat 2/99", "repeat 3/99"]
    assert all(block.results[0].op == "tanh" and len(block.results) == 1 for block in blocks)
    assert [item.gradient.shape for item in shown if item.op == "leaf"] == [each.shape for each in weights]


@pytest.mark.parametrize(
    ("make", "most"),
    [
        (lambda: unrolled(100)[0], MOST),
        (lambda: unrolled(100)[0], 60),
        (lambda: unrolled(1000)[0], MOST),
        (lambda: lstm(60), 100),
        (lambda: uneven(700), MOST),
        (lambda: uneven(50), 8),
        (lambda: layers(90), MOST),
    ],
)
def test_the_gradient_of_everything_is_what_its_users_hand_on(make, most):
    items = items_of(make())
    shown = folded(items, most)
    assert sum(item.op != "constant" for item in shown) <= most and any(item.inside for item in shown)
    assert sum(len(item.inside) or bool(item.inputs) for item in shown) == sum(bool(item.inputs) for item in items)
    place = {id(item): i for i, item in enumerate(shown)}
    handed = defaultdict(list)
    for i, item in enumerate(shown):
        assert all(place[id(source)] < i for source in item.inputs)
        for source, part in zip(item.inputs, item.parts, strict=False):
            handed[id(source)].append(part)
    for item in shown[:-1]:
        if item.gradient is not None and len(item.results) < 2:
            total = sum(np.asarray(part, np.float64) for part in handed[id(item)])
            np.testing.assert_allclose(total, np.asarray(item.gradient), rtol=1e-4, atol=1e-6)


def test_the_data_say_what_is_folded():
    loss, _ = unrolled(100)
    data = flipbook_data(loss)
    assert "nodes are folded into 97 blocks" in data["folded"] and f"most={len(items_of(loss))}" in data["folded"]
    block = next(node["block"] for node in data["nodes"] if node["block"])
    assert block["count"] == 5 and dict(block["ops"]) == {"matmul": 2, "add": 2, "tanh": 1} and not block["others"]
    assert len(data["backward"]) == sum(node["gradient"] is not None for node in data["nodes"])
    small = flipbook_data(unrolled(3)[0])
    assert small["folded"] == "" and not any(node["block"] for node in small["nodes"])


def unfolded(data):
    """The nodes of a page when all its blocks are unfolded: op, value, gradient, and what goes to which input."""
    every = [*data["nodes"], *data["inside"]]
    order = [k for i, node in enumerate(data["nodes"]) for k in (node["block"] or {}).get("inside", ()) or [i]]
    assert len(set(order)) == len(order) and set(range(len(data["nodes"]), len(every))) <= set(order)
    place, found = {number: at for at, number in enumerate(order)}, []
    for node in (every[number] for number in order):
        sources = node["inputs"] if node["sources"] is None else node["sources"]
        assert all(place[k] < len(found) for k in sources), "inputs come before users"
        parts = [every[k]["gradient"] if part == "gradient" else part
                 for k, part in zip(sources, node["parts"], strict=False)]  # fmt: skip
        operands = [(every[k]["op"], str(every[k]["value"])) for k in sources]
        if sources:
            found.append((node["op"], str(node["value"]), str(node["gradient"]), operands, str(parts)))
        else:
            found.append(None)
    return [each for each in found if each]


@pytest.mark.parametrize(
    ("make", "most"),
    [
        (lambda: unrolled(100)[0], MOST),
        (lambda: unrolled(100)[0], 60),
        (lambda: lstm(60), 100),
        (lambda: uneven(700), MOST),
        (lambda: uneven(50), 8),
        (lambda: layers(90), MOST),
        (lambda: unrolled(20, size=40)[0], 40),
    ],
)
def test_with_all_blocks_unfolded_a_page_has_every_node(make, most):
    loss = make()
    few, all = flipbook_data(loss, most=most), flipbook_data(loss, most=10**6)
    assert few["inside"] and not all["inside"] and "; + shows the nodes of one. " in few["folded"]
    assert unfolded(few) == unfolded(all)


def test_a_page_holds_no_more_than_it_can_show(monkeypatch):
    from steep.report import flipbook

    monkeypatch.setattr(flipbook, "HELD", 30)
    loss, _ = unrolled(100)
    data = flipbook_data(loss)
    blocks = [node["block"] for node in data["nodes"] if node["block"]]
    held = [block for block in blocks if block["inside"]]
    assert 0 < len(held) < len(blocks) and len(data["inside"]) <= 30 and blocks[: len(held)] == held
    assert f"+ shows the nodes of one of the first {len(held)}." in data["folded"]
    assert len(unfolded(data)) > sum(bool(node["inputs"]) for node in data["nodes"])
    monkeypatch.setattr(flipbook, "DRAWN", 3)
    data = flipbook_data(loss)
    assert not data["inside"] and "+" not in data["folded"]


def test_a_block_shows_the_lines_of_a_function_and_its_other_results():
    def walk(x):
        y = x
        for _ in range(200):
            x = sp.sin(y) * 0.5
            y = sp.cos(x) + x
        return sp.sum(x * y)

    data = flipbook_data(walk, sp.ones(2))
    blocks = [node["block"] for node in data["nodes"] if node["block"]]
    assert len(blocks) > 150 and len(data["nodes"]) <= MOST
    assert [line["text"] for line in blocks[0]["lines"]] == ["x = sp.sin(y) * 0.5", "y = sp.cos(x) + x"]
    assert all(node["name"] in ("y", "") for node in data["nodes"] if node["block"])
    cell = flipbook_data(lstm(60), most=100)
    others = [each for node in cell["nodes"] if node["block"] for each in node["block"]["others"]]
    assert others and all(each["value"] and each["gradient"] for each in others)


def test_a_small_graph_stays_as_it_is_and_a_single_node_is_no_block():
    items = items_of(unrolled(4)[0])
    assert folded(items, MOST) is items
    chain = sp.tensor(1.0, requires_grad=True)
    for _ in range(400):
        chain = chain + 1.0
    assert all(len(item.inside) != 1 for item in folded(items_of(chain), MOST))


def test_pictures_that_stand_twice_are_written_once():
    images = sp.random.Generator(0).uniform((2, 3, 30, 30))
    data = flipbook_data(lambda x: sp.sum(sp.tanh(sp.sin(x)) ** 2), images)
    parts = {node["op"]: node["parts"] for node in data["nodes"] if node["inputs"]}
    assert parts["tanh"] == ["gradient"] and parts["sin"] == ["gradient"]
    both = flipbook_data(lambda x: sp.sum(sp.tanh(x) * x), images)
    assert [node["parts"][0]["kind"] for node in both["nodes"] if node["op"] == "tanh"] == ["picture"]
