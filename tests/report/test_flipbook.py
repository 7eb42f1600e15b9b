"""The flip-book: what sp.page() says of a graph, for values computed before and for functions that it runs."""

import json
import re
import warnings

import numpy as np
import pytest
import steep as sp
from steep import nn
from steep.report.flipbook import MOST, flipbook_data

f64 = sp.float64


def nodes(data):
    """The nodes by name, or by op where they have none."""
    return {node["name"] or node["op"]: node for node in data["nodes"]}


def text(node, what="value"):
    return node[what]["text"]


# -- a value that was computed before ---------------------------------------------------------------------------------


def test_an_eager_loss_shows_every_value_and_gradient():
    w = sp.tensor(0.5, dtype=f64, requires_grad=True)
    b = sp.tensor(-1.0, dtype=f64, requires_grad=True)
    y = sp.tanh(w * 3.0 + b)
    found = nodes(flipbook_data(sp.square(y), variables={"w": w, "b": b, "y": y}))
    value = np.tanh(0.5)
    assert text(found["w"]) == "0.5" and text(found["b"]) == "-1"
    assert text(found["multiply"]) == "1.5" and found["multiply"]["origin"] == "computed again"
    assert text(found["add"]) == "0.5" and found["add"]["origin"] == "kept"
    assert text(found["y"]) == f"{value:.4g}" and found["y"]["op"] == "tanh"
    assert text(found["w"], "gradient") == f"{2 * value * (1 - value**2) * 3:.4g}"
    assert text(found["b"], "gradient") == f"{2 * value * (1 - value**2):.4g}"
    assert found["y"]["local"][0]["text"] == f"{1 - value**2:.4g}"


def test_what_no_rule_needs_is_not_kept_and_says_so():
    x = sp.tensor([1.0, 2.0], requires_grad=True)
    hidden = (x + sp.tensor([5.0, 6.0])) + sp.tensor([1.0, 1.0])
    data = flipbook_data(sp.sum(hidden))
    lost = [node for node in data["nodes"] if node["value"] is None]
    assert {node["op"] for node in lost} == {"constant", "add"} and all(node["origin"] == "" for node in lost)
    assert [node["where"] for node in data["nodes"]] == [None] * len(data["nodes"])
    named = nodes(flipbook_data(sp.sum(hidden), variables={"hidden": hidden}))
    assert named["hidden"]["origin"] == "variable" and named["hidden"]["value"]["rows"] == [["7", "9"]]


def test_anomaly_detection_keeps_the_lines():
    x = sp.tensor(2.0, requires_grad=True)
    with sp.detect_anomaly():
        loss = sp.exp(x)  # the line
    where = nodes(flipbook_data(loss))["loss"]["where"]
    assert where["file"] == "test_flipbook.py" and where["text"] == "loss = sp.exp(x)  # the line"


def test_gradients_are_those_of_backward():
    model = nn.Sequential(nn.Linear(6, 5, generator=0), nn.Tanh(), nn.Linear(5, 3, generator=1))
    x = sp.random.Generator(2).normal((4, 6))
    loss = nn.cross_entropy(model(x), sp.tensor([0, 1, 2, 0]))
    data = flipbook_data(loss, variables={"model": model})
    loss.backward()
    found = nodes(data)
    for name, parameter in model.named_parameters():
        shown = found[f"model.{name}"]["gradient"]
        assert shown["shape"] == list(parameter.shape)
        assert shown["max"] == f"{float(sp.max(parameter.grad)):.4g}", name
    assert data["backward"][0] == len(data["nodes"]) - 1


def test_tapes_and_transforms_put_nothing_into_the_way():
    x = sp.tensor(1.5, dtype=f64)
    with sp.GradientTape() as tape:
        tape.watch(x)
        y = sp.square(x)
        found = [node["op"] for node in flipbook_data(y)["nodes"]]
    assert found == ["leaf", "square"]


def test_a_gradient_has_a_graph_of_its_own():
    x = sp.tensor(2.0, dtype=f64, requires_grad=True)
    derivative = sp.grad(lambda v: v**3)(x)
    data = flipbook_data(derivative)
    assert text(data["nodes"][-1]) == "12" and text(nodes(data)["leaf"], "gradient") == "12"  # 3 x**2 and 6 x


# -- a function -------------------------------------------------------------------------------------------------------


def weigh(x, w):
    """A function with a line for each op."""
    hidden = sp.tanh(w @ x)
    moved = hidden + 1.0
    return sp.sum(moved)


def test_a_function_shows_the_line_and_value_of_every_node():
    w, x = sp.tensor([[1.0, 2.0]], dtype=f64), sp.tensor([0.1, 0.2], dtype=f64)
    data = flipbook_data(weigh, x, w)
    assert data["title"] == "The graph of weigh" and all(node["value"] for node in data["nodes"])
    lines = {node["op"]: node["where"]["text"] for node in data["nodes"] if node["where"]}
    assert lines["tanh"] == lines["matmul"] == "hidden = sp.tanh(w @ x)" and lines["add"] == "moved = hidden + 1.0"
    found = nodes(data)
    assert found["x"]["gradient"]["rows"][0] == [f"{(1 - np.tanh(0.5) ** 2) * v:.4g}" for v in (1, 2)]
    assert sp._core._is_watching() is False


def test_parameters_in_a_closure_have_their_names_and_are_not_changed():
    layer = nn.Linear(3, 2, generator=0)
    data = flipbook_data(lambda: sp.sum(layer(sp.ones((1, 3)))))
    assert {"layer.weight", "layer.bias"} <= nodes(data).keys()
    assert layer.weight.grad is None


def test_an_error_in_the_function_leaves_no_mode_behind():
    with pytest.raises(ZeroDivisionError):
        sp.page(lambda x: x / (1 // 0), sp.ones(2), path=None)
    assert sp._core._is_watching() is False


def test_a_compiled_function_is_shown_by_its_ops():
    fast = sp.compile(lambda x: sp.sum(sp.tanh(x)))
    fast(sp.ones(3))
    assert [node["op"] for node in flipbook_data(fast, sp.ones(3))["nodes"]] == ["leaf", "tanh", "sum"]


def test_values_are_those_of_the_time_even_if_memory_is_written_later():
    def reuse(x):
        scale = sp.tensor([2.0, 3.0])
        y = x + scale
        scale *= 100.0
        return sp.sum(y * scale)

    values = [
        node["value"]["rows"][0] for node in flipbook_data(reuse, sp.ones(2))["nodes"] if node["op"] == "constant"
    ]
    assert values == [["2", "3"], ["200", "300"]]


def test_rules_are_formulas_of_the_op_table():
    rules = {
        "tanh": lambda x: sp.sum(sp.tanh(x)),
        "exp": lambda x: sp.sum(sp.exp(x)),
        "multiply": lambda x: sp.sum(x * sp.tensor([2.0, 3.0])),
    }
    found = {op: nodes(flipbook_data(f, sp.ones(2)))[op]["rules"][0] for op, f in rules.items()}
    assert found["tanh"] == "g * (1 - y**2)"
    assert found["exp"] == "g * y" and found["multiply"] == "g * x2"


def test_a_rule_in_python_is_said_to_be_one():
    @sp.custom_vjp
    def double(x):
        return 2 * x

    double.defvjp(lambda x: (2 * x, None), lambda kept, g: (2 * g,))
    node = nodes(flipbook_data(double, sp.tensor(3.0)))["custom_vjp double"]
    assert node["own_rule"] and node["rules"] == [""] and node["parts"][0]["text"] == "2"
    with sp.gradient_rule("relu", "guided"):
        guided = nodes(flipbook_data(sp.relu, sp.tensor(3.0)))["relu"]
    assert guided["own_rule"]


# -- what is refused --------------------------------------------------------------------------------------------------


def freed():
    x = sp.tensor(1.0, requires_grad=True)
    y = sp.exp(x) * x
    y.backward()
    return y


def deep(length):
    x = sp.tensor(1.0, requires_grad=True)
    for _ in range(length):
        x = x + 1.0
    return x


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: 3.0, TypeError, "a tensor with a graph, or a function that returns one, and got a float"),
        (lambda: lambda: "text", TypeError, "got a str"),
        (lambda: sp.ones(3), sp.GradientError, r"float32\(3,\) has no graph"),
        (lambda: sp.ones(3, requires_grad=True) * 2, sp.GradientError, r"\(3,\) is not a scalar.*gradient="),
        (freed, sp.GradientError, "backward\\(\\) freed.*retain_graph=True"),
        (lambda: deep(120_000), ValueError, "more than 100,000 nodes"),
    ],
)
def test_what_has_no_page_says_why(make, error, said, tmp_path):
    with pytest.raises(error, match=said):
        sp.page(make(), path=tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_a_larger_page_and_a_gradient_can_be_asked_for():
    assert len(flipbook_data(deep(MOST), most=2 * MOST)["nodes"]) > MOST
    x = sp.tensor([1.0, 2.0], requires_grad=True)
    found = nodes(flipbook_data(x * x, gradient=[1.0, 10.0]))
    assert found["leaf"]["gradient"]["rows"] == [["2", "40"]]


# -- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_is_one_file_that_needs_no_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = sp.tensor(2.0, requires_grad=True)
    made = sp.page(sp.log(x) * x)
    assert made.path == "page.html" and (tmp_path / "page.html").read_text() == made
    assert repr(made) == "<page of 3 nodes, page.html>" and made._repr_html_().startswith("<iframe")
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|<link|src=\"(?!data:)|@import", made)
    stored = json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', made, re.S)[1])
    assert [node["op"] for node in stored["nodes"]] == ["leaf", "log", "multiply"]


def test_no_name_ends_the_script(tmp_path):
    x = sp.tensor(2.0, requires_grad=True)
    made = sp.page(sp.exp(x), path=None, title="</script><b>")
    assert "<b>" not in made and made.count("</script>") == 2


def test_values_that_are_not_finite_are_shown():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = sp.page(lambda x: sp.sum(sp.log(x)), sp.tensor([0.0, 1.0]), path=None)
    data = json.loads(re.search(r'type="application/json">(.*?)</script>', made, re.S)[1])
    assert text(data["nodes"][-1]) == "-inf" and data["nodes"][0]["gradient"]["rows"] == [["inf", "1"]]


def test_images_and_weights_are_pictures_with_a_scale():
    convolve = nn.Conv2d(3, 4, 3, generator=0)
    x = sp.random.Generator(0).uniform((1, 3, 20, 20))
    found = nodes(flipbook_data(lambda x: sp.mean(sp.relu(convolve(x))), x))
    assert found["x"]["value"]["colours"] == "grey" and "image of 20 × 20" in found["x"]["value"]["what"]
    weights = found["convolve.weight"]["gradient"]
    assert weights["kind"] == "picture" and weights["colours"] == "signed" and weights["labels"][1] == "0"
    assert weights["png"].startswith("data:image/png;base64,")


def test_a_function_of_python_numbers_as_grad_takes_them():
    def area(width, height):
        return width * sp.sin(height)

    data = sp.report.flipbook.flipbook_data(area, 2.0, 3.0)
    assert [node["op"] for node in data["nodes"] if node["inputs"]] == ["sin", "multiply"] and data["backward"]
    assert {"width", "height"} <= {node["name"] for node in data["nodes"]}


def test_a_file_given_as_an_argument_is_told_where_it_goes():
    with pytest.raises(TypeError, match="says where to write"):
        sp.page(sp.ones(3, requires_grad=True).sum(), "page.html")
