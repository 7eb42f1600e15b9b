"""Bodies inside of nodes, sequences, functions of a model's own, and detectors: values, gradients, names, refusals."""

import numpy as np
import pytest
import steep as sp

package = pytest.importorskip("onnx")
T, helper, node = package.TensorProto, package.helper, package.helper.make_node
RNG = np.random.default_rng(0)
arr = np.asarray


def info(name, kind=T.FLOAT, shape=None):
    return helper.make_tensor_value_info(name, kind, shape)


def number(name, value, kind=T.INT64):
    return helper.make_tensor(name, kind, [], [value])


def body(nodes, inputs=(), outputs=("o",), weights=(), name="b"):
    kinds = {"keep": T.BOOL, "goes": T.BOOL, "i": T.INT64}
    return helper.make_graph(nodes, name, [info(n, kinds.get(n, T.FLOAT)) for n in inputs],
                             [info(n, kinds.get(n, T.FLOAT)) for n in outputs], list(weights))  # fmt: skip


def content(nodes, weights=(), inputs=(("x", T.FLOAT, [None, 3]),), outputs=("y",), functions=(), opset=20):
    graph = helper.make_graph(nodes, "g", [info(*each) for each in inputs], [info(n) for n in outputs], list(weights))
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=list(functions), ir_version=10).SerializeToString()


W = RNG.normal(size=(3, 3)).astype("f4")
WEIGHT = package.numpy_helper.from_array(W, "w")
X = RNG.normal(size=(2, 3)).astype("f4")


def branches():
    """x @ w where there are more than two rows, else -x; the weight is of the graph around."""
    many = body([node("MatMul", ["x", "w"], ["o"])])
    few = body([node("Neg", ["x"], ["o"])])
    nodes = [node("Shape", ["x"], ["s"], start=0, end=1), node("ReduceSum", ["s"], ["n"], keepdims=0),
             node("Greater", ["n", "two"], ["c"]), node("If", ["c"], ["h"], then_branch=many, else_branch=few),
             node("Exp", ["h"], ["y"])]  # fmt: skip
    return content(nodes, [WEIGHT, number("two", 2)])


def test_a_branch_that_follows_from_shapes_is_taken_eagerly_and_compiled():
    model = sp.onnx.load(branches())
    run = sp.compile(model)
    for x in (X, np.tile(X, (2, 1)), X):
        expected = np.exp(x @ W if len(x) > 2 else -x)
        np.testing.assert_allclose(arr(model(x)), expected, rtol=1e-5)
        np.testing.assert_allclose(arr(run(sp.tensor(x))), expected, rtol=1e-5)
    x = np.tile(X, (2, 1))
    loss = sp.sum(model(x))
    loss.backward()
    np.testing.assert_allclose(arr(model.initializers["w"].grad), x.T @ np.exp(x @ W), rtol=1e-4)
    assert list(model.initializers) == ["w"]


def test_a_branch_on_values_runs_eagerly_and_is_refused_by_a_program():
    yes, no = (body([node(op, ["x"], ["o"])]) for op in ("Exp", "Neg"))
    nodes = [node("ReduceSum", ["x"], ["n"], keepdims=0), node("Greater", ["n", "zero"], ["c"]),
             node("If", ["c"], ["y"], then_branch=yes, else_branch=no)]  # fmt: skip
    model = sp.onnx.load(content(nodes, [number("zero", 0.0, T.FLOAT)]))
    up, down = np.abs(X), -np.abs(X)
    assert np.array_equal(arr(model(down)), -down) and np.allclose(arr(model(up)), np.exp(up))
    assert np.allclose(arr(sp.grad(lambda v: sp.sum(model(v)))(sp.tensor(up))), np.exp(up))
    with pytest.raises(sp.CompileError, match="depends on values"):
        sp.compile(model)(sp.tensor(up))


def looped(most=4, nodes=None, extra=()):
    """h = tanh(h @ w) + i, as often as ``most`` says; every h as well."""
    nodes = nodes or [node("MatMul", ["h", "w"], ["p"]), node("Tanh", ["p"], ["t"]),
                      node("Cast", ["i"], ["f"], to=T.FLOAT), node("Add", ["t", "f"], ["next"]),
                      node("Identity", ["goes"], ["keep"]), node("Identity", ["next"], ["each"])]  # fmt: skip
    inner = body([*nodes, *extra], ["i", "goes", "h"], ["keep", "next", "each"])
    weights = [WEIGHT] if most is None else [WEIGHT, number("m", most)]
    loop = node("Loop", ["" if most is None else "m", "", "x"], ["y", "all"], body=inner)
    return content([loop], weights, outputs=["y", "all"])


def unrolled(x, most=4):
    h, every = x, []
    for i in range(most):
        h = np.tanh(h @ W) + i
        every.append(h)
    return h, np.stack(every)


def test_a_loop_carries_values_and_stacks_what_it_gives():
    model = sp.onnx.load(looped())
    for found in (model(X), sp.compile(model)(sp.tensor(X))):
        for got, want in zip(found, unrolled(X), strict=True):
            np.testing.assert_allclose(arr(got), want, rtol=1e-5)
    gradient = arr(sp.grad(lambda v: sp.sum(model(v)[0]))(sp.tensor(X)))
    step = 1e-6
    for at in np.ndindex(X.shape):
        moved = X.astype("f8")
        moved[at] += step
        rise = unrolled(moved)[0].sum() - unrolled(X.astype("f8"))[0].sum()
        assert abs(rise / step - gradient[at]) < 1e-4


def test_a_loop_ends_when_its_body_says_so():
    stop = [node("ReduceMax", ["next"], ["largest"], keepdims=0), node("Less", ["largest", "limit"], ["keep"])]
    nodes = [node("Add", ["h", "one"], ["next"]), node("Identity", ["next"], ["each"])]
    inner = body([*nodes, *stop], ["i", "goes", "h"], ["keep", "next", "each"],
                 [number("one", 1.0, T.FLOAT), number("limit", 5.0, T.FLOAT)])  # fmt: skip
    model = sp.onnx.load(content([node("Loop", ["", "", "x"], ["y", "all"], body=inner)], outputs=["y", "all"]))
    y, every = model(np.zeros((2, 3), "f4"))
    assert np.array_equal(arr(y), np.full((2, 3), 5)) and every.shape == (5, 2, 3)
    with pytest.raises(sp.CompileError, match="depends on values"):
        sp.compile(model)(sp.zeros((2, 3)))


def test_a_body_that_gives_another_number_of_outputs_is_named():
    inner = body([node("Identity", ["goes"], ["keep"])], ["i", "goes", "h"], ["keep"])
    loop = node("Loop", ["m", "", "x"], ["y"], body=inner, name="again")
    for most, words in ((1, "0 outputs, and it has 1"), (2, "'body' takes 3 inputs, and gets 2")):
        with pytest.raises(ValueError, match=rf"node 'again' \(Loop\).*{words}"):
            sp.onnx.load(content([loop], [number("m", most)]))(X)


def test_a_loop_of_no_iterations_gives_what_it_was_given():
    y, every = sp.onnx.load(looped(0))(X)
    assert np.array_equal(arr(y), X) and every.shape[0] == 0 and every.dtype == sp.float32


def test_bodies_inside_of_bodies_see_what_is_around_them():
    inner = body([node("MatMul", ["h", "w"], ["o"])])
    outer = [node("Greater", ["i", "zero"], ["late"]),
             node("If", ["late"], ["next"], then_branch=inner, else_branch=body([node("Identity", ["h"], ["o"])])),
             node("Identity", ["goes"], ["keep"]), node("Identity", ["next"], ["each"])]  # fmt: skip
    graph = package.load_from_string(looped(3, outer))
    graph.graph.initializer.append(number("zero", 0))
    model = sp.onnx.load(graph.SerializeToString())
    np.testing.assert_allclose(arr(model(X)[0]), X @ W @ W, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("back", [0, 1])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_scan_runs_over_an_axis_in_both_directions(back, axis):
    inner = body(
        [node("Add", ["h", "v"], ["next"]), node("Mul", ["next", "v"], ["each"])], ["h", "v"], ["next", "each"]
    )
    made = node("Scan", ["h0", "x"], ["y", "all"], body=inner, num_scan_inputs=1, scan_input_axes=[axis],
                scan_input_directions=[back], scan_output_axes=[1], scan_output_directions=[back])  # fmt: skip
    start = helper.make_tensor("h0", T.FLOAT, [2], [0, 0])
    model = sp.onnx.load(content([made], [start], [("x", T.FLOAT, [None, None])], ["y", "all"]))
    x = RNG.normal(size=(5, 2) if axis == 0 else (2, 5)).astype("f4")
    items = list(np.moveaxis(x, axis, 0))[:: -1 if back else 1]
    sums = np.cumsum(items, axis=0)
    each = (sums * items)[:: -1 if back else 1].T
    for found in (model(x), sp.compile(model)(sp.tensor(x))):
        np.testing.assert_allclose(arr(found[0]), sums[-1], rtol=1e-5)
        np.testing.assert_allclose(arr(found[1]), each, rtol=1e-5)
    gradient = arr(sp.grad(lambda v: sp.sum(model(v)[0]))(sp.tensor(x)))
    assert np.array_equal(gradient, np.ones_like(x))


def test_sequences_are_split_changed_and_joined():
    nodes = [
        node("SplitToSequence", ["x", "two"], ["s"], axis=0), node("SequenceAt", ["s", "last"], ["t"]),
        node("SequenceInsert", ["s", "t", "zero"], ["u"]), node("SequenceErase", ["u"], ["v"]),
        node("SequenceLength", ["v"], ["n"]), node("ConcatFromSequence", ["v"], ["y"], axis=0),
    ]  # fmt: skip
    weights = [number("two", 2), number("last", -1), number("zero", 0)]
    made = package.load_from_string(content(nodes, weights, outputs=["y", "n"]))
    made.graph.output[1].type.tensor_type.elem_type = T.INT64
    model = sp.onnx.load(made.SerializeToString())
    x = RNG.normal(size=(5, 3)).astype("f4")
    y, n = model(x)
    assert n.item() == 3 and np.array_equal(arr(y), np.concatenate([x[4:], x[:4]]))
    assert np.array_equal(arr(sp.grad(lambda v: sp.sum(model(v)[0]))(sp.tensor(x))), np.ones_like(x))


def test_a_sequence_where_a_tensor_is_needed_is_named():
    made = content([node("SequenceConstruct", ["x"], ["s"]), node("Exp", ["s"], ["y"], name="power")])
    with pytest.raises(ValueError, match=r"node 'power' \(Exp\) with inputs \(a sequence of 1\)"):
        sp.onnx.load(made)(X)


def test_functions_of_the_models_own_are_put_in_place():
    ops = [helper.make_opsetid("", 20), helper.make_opsetid("own", 1)]
    twice = helper.make_function("own", "Twice", ["a"], ["b"], [node("Add", ["a", "a"], ["b"])], ops)
    calls = [node("Twice", [a], [b], domain="own") for a, b in ("ac", "cb")]
    four = helper.make_function("own", "Four", ["a"], ["b"], calls, ops)
    made = content([node("Four", ["x"], ["h"], domain="own"), node("Exp", ["h"], ["y"])], functions=[twice, four])
    model = sp.onnx.load(made)
    np.testing.assert_allclose(arr(model(X)), np.exp(4 * X), rtol=1e-5)
    assert sp.onnx.report(made).operators == {"Add": 2, "Exp": 1}


def test_what_a_body_lacks_is_reported_beside_the_rest():
    inner = body([node("STFT", ["x"] * 3, ["o"])])
    nodes = [node("If", ["c"], ["h"], then_branch=inner, else_branch=inner), node("Det", ["h"], ["y"])]
    made = content(nodes, [number("c", 1, T.BOOL)])
    assert set(sp.onnx.report(made).unsupported) == {"STFT", "Det"}


def test_a_model_with_bodies_is_saved_again(tmp_path):
    x = np.tile(X, (2, 1))
    for made in (branches(), looped()):
        model = sp.onnx.load(made)
        sp.onnx.save(model, tmp_path / "again.onnx", sp.tensor(X))
        found, again = model(x), sp.onnx.load(tmp_path / "again.onnx")(x)
        for one, other in zip(sp.tree.leaves(found), sp.tree.leaves(again), strict=True):
            assert np.array_equal(arr(one), arr(other))


def test_boxes_that_overlap_better_ones_are_dropped():
    boxes = np.float32([[[0, 0, 1, 1], [0, 0.1, 1, 1.1], [0, -0.1, 1, 0.9], [0, 10, 1, 11], [1, 12, 0, 11]]])
    scores = np.float32([[[0.9, 0.75, 0.6, 0.95, 0.5], [0, 0, 0, 0, 1]]])
    weights = [number("m", 3), number("o", 0.5, T.FLOAT), number("l", 0.3, T.FLOAT)]
    made = content([node("NonMaxSuppression", ["b", "s", "m", "o", "l"], ["y"])], weights,
                   [("b", T.FLOAT, [1, 5, 4]), ("s", T.FLOAT, [1, 2, 5])])  # fmt: skip
    assert arr(sp.onnx.load(made)(boxes, scores)).tolist() == [[0, 0, 3], [0, 0, 0], [0, 0, 4], [0, 1, 4]]


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_maps_are_sampled_in_boxes_with_gradients(mode):
    boxes = [helper.make_tensor("r", T.FLOAT, [2, 4], [0, 0, 6, 4, 1.5, 2, 5, 7]),
             helper.make_tensor("i", T.INT64, [2], [1, 0])]  # fmt: skip
    made = node("RoiAlign", ["x", "r", "i"], ["y"], output_height=2, output_width=3, sampling_ratio=2, mode=mode)
    made = content([made], boxes, [("x", T.FLOAT, [2, 3, 8, 8])])
    model = sp.onnx.load(made).astype(sp.float64)
    x = RNG.normal(size=(2, 3, 8, 8))
    assert model(x).shape == (2, 3, 2, 3)
    sp.check_grads(model, (sp.tensor(x),))
    level = arr(model(np.ones_like(x)))
    assert mode == "max" or np.allclose(level, 1)
