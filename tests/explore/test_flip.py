"""The flip-book of the page: its graphs, and that its Python writes the same."""

from __future__ import annotations

import pytest
from explore_client import digit

pytest.importorskip("PIL")


@pytest.mark.parametrize(
    ("asked", "ops"),
    [
        ({"book": "layers"}, {"matmul", "tanh"}),
        ({"book": "neuron"}, {"multiply", "tanh", "square"}),
        ({"book": "expression", "text": "sin(x) * y", "x": 0.5, "y": 2}, {"sin", "multiply"}),
        ({"book": "expression", "text": "exp(x)", "x": 0.5}, {"exp"}),
        ({"book": "network"}, {"conv", "relu"}),
    ],
)
def test_a_book_has_the_graph_and_its_code_writes_the_same(client, asked, ops, tmp_path, monkeypatch):
    last, _ = client.job("book", picture=client.picture(), **asked)[-1]
    assert last["kind"] == "book", last
    found = {node["op"] for node in last["data"]["nodes"]}
    assert ops <= found, found
    assert last["data"]["backward"]
    assert not [node["where"] for node in last["data"]["nodes"] if node["where"]]  # no line of the server's threads
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digit.png").write_bytes(digit())
    exec(last["code"], {})
    assert "flipbook" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("text", ["__import__('os')", "x.__class__", "z", "", "x +", "1", "x" * 3000])
def test_an_expression_is_parsed_and_never_run(client, text):
    last, _ = client.job("book", book="expression", text=text, x=1, y=1)[-1]
    assert last["kind"] == "error"
