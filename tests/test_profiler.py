"""What sp.profile() says: which ops ran, of which pass and line, how much they compute, eager and compiled."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
import steep as sp
from steep.flops import MOVES, PRODUCTS, flops


def a_step(w, x):
    return sp.relu(x @ w).sum()


def lines_of(p, name):
    return {one.line for event in p.events for one in event.operations if one.name == name}


def test_eager_ops_are_noted_with_pass_shapes_and_line():
    w, x = sp.ones((3, 4), requires_grad=True), sp.ones((2, 3))
    with sp.profile() as p:
        a_step(w, x).backward()
    forward = [event for event in p.events if event.phase == "forward"]
    assert [event.name for event in forward] == ["matmul", "relu", "sum"]
    product = forward[0].operations[0]
    assert [each.shape for each in product.inputs] == [(2, 3), (3, 4)] and product.output.shape == (2, 4)
    assert product.output.dtype == sp.float32 and product.flops == 48 and product.nbytes == 4 * (6 + 12 + 8)
    backward = [event for event in p.events if event.phase == "backward"]
    assert {event.rule for event in backward} >= {"matmul", "relu"}
    assert any(event.name == "matmul" and event.flops == 48 for event in backward)
    line = a_step.__code__.co_firstlineno + 1
    assert lines_of(p, "matmul") == {f"{__file__}:{line}"}  # the gradient's too, which backward() asked for
    assert all(0 <= a.begin <= a.end <= b.begin for a, b in zip(p.events, p.events[1:], strict=False))
    assert p.seconds <= p.events[-1].end and p.elapsed > 0


def test_compiled_steps_are_noted_with_what_is_fused():
    step = sp.compile(lambda w, x: sp.tanh(sp.relu(x @ w) * 2 + 1))
    w, x = sp.ones((64, 64)), sp.ones((64, 64))
    step(w, x)
    with sp.profile() as p:
        step(w, x)
    assert {event.phase for event in p.events} == {"compiled"}
    names = [one.name for event in p.events for one in event.operations]
    assert sorted(names) == ["add", "matmul", "multiply", "relu", "tanh"] and len(p.events) < len(names)
    assert sum(event.flops for event in p.events) == 2 * 64**3 + 4 * 64**2
    (line,) = lines_of(p, "matmul")
    assert line.endswith(f"{__file__}:{step.__wrapped__.__code__.co_firstlineno}")


def test_a_recording_is_noted_as_the_eager_run_that_it_is():
    step = sp.compile(lambda x: sp.tanh(x) + 1)
    with sp.profile() as p:
        step(sp.ones(3))
    assert [event.name for event in p.events if event.phase == "forward"][:2] == ["tanh", "add"]


def test_results_do_not_depend_on_it():
    w, x = sp.random.Generator(0).normal((5, 6)), sp.random.Generator(1).normal((7, 5))
    plain = sp.value_and_grad(a_step)(w, x)
    with sp.profile():
        noted = sp.value_and_grad(a_step)(w, x)
    assert [np.asarray(a).tobytes() for a in plain] == [np.asarray(a).tobytes() for a in noted]


def test_writes_in_place_optimisers_and_layers_are_noted():
    model = sp.nn.Linear(4, 3, generator=0)
    optimizer = sp.optim.SGD(model.parameters(), lr=0.1)
    with sp.profile() as p:
        model(sp.ones((2, 4))).sum().backward()
        optimizer.step()
    line = test_writes_in_place_optimisers_and_layers_are_noted.__code__.co_firstlineno + 4
    assert lines_of(p, "matmul") == {f"{__file__}:{line}"}
    assert any(one.line.endswith(f":{line + 1}") for event in p.events for one in event.operations)


def test_only_within_the_block_and_on_the_thread_that_entered_it():
    done = threading.Thread(target=lambda: sp.ones(3) + 1)
    with sp.profile() as p:
        done.start()
        done.join()
        y = sp.ones(3) * 2
    y = y + 1
    assert [event.name for event in p.events] == ["multiply"]


def test_a_block_within_a_block_is_refused_and_the_outer_one_goes_on():
    with sp.profile() as p:
        with pytest.raises(ValueError, match="being profiled already"), sp.profile():
            pass
        y = sp.ones(3) * 2
    assert y.shape == (3,) and [event.name for event in p.events] == ["multiply"]


def test_an_error_ends_the_block_with_what_ran_before():
    with pytest.raises(ValueError, match="matmul"), sp.profile() as p:
        sp.exp(sp.ones((2, 3))) @ sp.ones((2, 3))
    assert [event.name for event in p.events] == ["exp"]
    with sp.profile() as again:
        sp.exp(sp.ones(2))
    assert len(again.events) == 1


def test_rows_tables_and_traces(tmp_path):
    w, x = sp.ones((3, 4), requires_grad=True), sp.ones((2, 3))
    step = sp.compile(lambda x: sp.tanh(x) * 2)
    step(x)
    with sp.profile() as p:
        a_step(w, x).backward()
        step(x)
    for what in ("op", "line", "phase"):
        rows = p.by(what)
        assert sum(row.seconds for row in rows) == pytest.approx(p.seconds)
        assert sum(row.flops for row in rows) == pytest.approx(sum(event.flops for event in p.events))
    assert {row.name for row in p.by("phase")} == {"forward", "backward", "compiled"}
    text = p.table("op", limit=2)
    assert "matmul" in str(p) and "more)" in text and "FLOP/s in a product" in text and len(repr(p)) < 100
    assert "test_profiler.py" in p.table("line")
    with pytest.raises(ValueError, match="op, line, phase"):
        p.by("layer")
    p.save(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert len(trace) == len(p.events) and {one["ph"] for one in trace} == {"X"}
    assert "tanh + multiply" in {one["name"] for one in trace} and trace[0]["args"]["flops"] == 48


def test_an_empty_block_and_empty_tensors():
    with sp.profile() as p:
        pass
    assert p.events == [] and p.by("op") == [] and p.seconds == 0 and " in 0 ops" in p.table()
    with sp.profile() as p:
        sp.zeros((0, 3)) @ sp.ones((3, 2))
    assert p.events[0].flops == 0 and p.table()


def test_every_name_of_the_tables_of_flops_is_an_op():
    names = {row["name"] for row in sp._core._op_table()}
    assert set(PRODUCTS) <= names and set(MOVES) <= names


def test_operations_of_convolutions_and_attention_by_hand():
    x, w = sp.ones((2, 3, 8, 8)), sp.ones((5, 3, 3, 3), requires_grad=True)
    with sp.profile() as p:
        x.requires_grad = True
        sp.conv2d(x, w).sum().backward()
    named = {one.name: one for event in p.events for one in event.operations}
    per_pass = 2 * 2 * 5 * 6 * 6 * 27
    assert named["conv"].flops == named["conv_input"].flops == named["conv_weight"].flops == per_pass
    q, v = sp.ones((2, 4, 6, 8)), sp.ones((2, 4, 6, 10))
    assert flops("attention_blocks", [q, q, v], v) == 2 * 2 * 4 * 6 * 6 * 18
    assert flops("attention_gradient", [v, q, q, v], v) == 2 * 2 * 4 * 6 * 6 * (3 * 8 + 2 * 10)
