"""Landscapes and descents: what is computed about them, expressions, bad input, and the command ``steep descend``."""

import json
import math
import re
from functools import partial

import numpy as np
import pytest
import steep as sp
from steep import descent, optim, pictures

pytest.importorskip("PIL")
SMOOTH = [each for each in descent.LANDSCAPES if each.name not in ("abs", "step")]
NAMES = [each.name for each in descent.LANDSCAPES]


@pytest.mark.parametrize("landscape", SMOOTH, ids=lambda each: each.name)
def test_stated_minima_are_minima(landscape):
    assert landscape.source and landscape.formula and landscape.start in landscape.starts
    for point in landscape.minima:
        assert np.abs(landscape.gradient_at(point)).max() < 5e-5
        hessian = np.asarray(sp.hessian(landscape)(sp.tensor(point, dtype="float64")))
        assert np.linalg.eigvalsh(hessian).min() > 0


@pytest.mark.parametrize("landscape", descent.LANDSCAPES, ids=lambda each: each.name)
def test_many_points_at_once_have_the_values_and_gradients_of_each(landscape):
    rng = np.random.default_rng(0)
    low, high = np.array(landscape.domain).T
    points = rng.uniform(low, high, (7, landscape.dimensions))
    values, gradients = landscape.at(points), landscape.gradient_at(points)
    for point, value, gradient in zip(points, values, gradients, strict=True):
        x = sp.tensor(point)
        assert float(landscape(x)) == value and np.array_equal(np.asarray(sp.grad(landscape)(x)), gradient)


@pytest.mark.parametrize("landscape", SMOOTH, ids=lambda each: each.name)
def test_formulas_are_those_of_the_functions(landscape):
    text = re.sub(r"(\d|\)) (?=[a-z(])", r"\1*", landscape.formula)
    text = re.sub(r"\b([xy]) (?=[xy])", r"\1*", text)
    text = text.replace("pi x", "pi*x").replace("pi y", "pi*y")
    points = np.random.default_rng(1).uniform(-1, 1, (5, landscape.dimensions))
    assert np.allclose(descent.landscape(text).at(points), landscape.at(points), rtol=1e-12, atol=1e-12)


def test_every_optimiser_has_a_row():
    point, values = sp.ones((1, 2), dtype="float64"), sp.zeros(1, dtype="float64")
    settings = descent.paths.Settings(0.1)
    made = {type(method.make(point, values, settings)) for method in descent.METHODS}
    kinds = {kind for name, kind in vars(optim).items() if isinstance(kind, type) and issubclass(kind, optim.Optimizer)}
    assert made == kinds - {optim.Optimizer}


def test_paths_are_those_of_the_one_loop():
    landscape = descent.find("rosenbrock")
    (path,) = descent.descend(landscape, ["momentum"], steps=20, rate=0.0005)
    x, seen = sp.tensor(landscape.start, dtype="float64"), []
    make = partial(optim.SGD, lr=0.0005, momentum=0.9)
    optim.minimize(lambda v: (1 - v[0]) ** 2 + 100 * (v[1] - v[0] ** 2) ** 2, x, make,
                   20, callback=lambda p: seen.append(np.array(x)))  # fmt: skip
    assert np.array_equal(path.points[1:], seen) and path.steps == 20 and path.status == "finished"


def test_a_path_that_diverges_says_where():
    (path,) = descent.descend(descent.find("quadratic"), ["gradient descent"], steps=5000, rate=2.5)
    assert path.status == "diverged" and np.isfinite(path.points).all() and np.isfinite(path.values).all()
    assert re.search(r"at step \d+", path.message)


def test_kinks_are_found_by_differences_and_suspected_by_the_trace():
    assert [str(kink) for kink in descent.in_domain(descent.find("abs"))] == ["a kink at (0)"]
    assert [str(kink) for kink in descent.in_domain(descent.find("step"))] == ["a jump at (0)"]
    two = descent.landscape("abs(x - 0.5) + maximum(x, y)*2 + y**2", domain=((-1, 1), (-1, 1)))
    found = descent.in_domain(two)
    assert set(descent.suspects(two)) == {"abs", "maximum"} and len(found) >= 34
    assert all(abs(k.point[0] - 0.5) < 1e-6 or abs(k.point[0] - k.point[1]) < 1e-6 for k in found)
    assert not any(kink.jump for kink in found)
    wall = descent.landscape("where(x > 0.25, 1, 0)*(1 + y) + y**2")
    assert descent.suspects(wall) == ["where"]
    assert descent.described(descent.in_domain(wall), wall) == "differentiable except where x = 0.25 (jumps)"


@pytest.mark.parametrize("landscape", SMOOTH, ids=lambda each: each.name)
def test_smooth_landscapes_have_no_kink(landscape):
    assert not descent.in_domain(landscape) and not descent.suspects(landscape)


def test_bounds_and_norms_have_kinks():
    square = ((-2, 2), (-2, 2))
    bounded = descent.landscape(lambda x, y: sp.clip(x, -1.0, 1.0) ** 2 + y**2, square)
    assert set(descent.suspects(bounded)) == {"clip_low", "clip_high"}
    assert descent.suspects(descent.landscape(lambda x, y: sp.norm(sp.stack([x, y])), square)) == ["euclidean_norm"]


@pytest.mark.parametrize(
    "text, at, value",
    [
        ("x**2 + 10*y**2", (1, 2), 41),
        ("x^2", (3,), 9),
        ("-x + +1", (3,), -2),
        ("sin(pi*x)/2 - cos(x)%1", (0.5,), 0.5 - math.cos(0.5) % 1),
        ("where(x >= 1, abs(y), sqrt(x))", (4, -3), 3),
        ("maximum(x, 2) + hypot(x, y) + atan2(y, x)", (3, 4), 8 + math.atan2(4, 3)),
        ("(x > 0)*x", (2,), 2),
        ("2", (1,), None),
    ],
)
def test_expressions(text, at, value):
    if value is None:
        with pytest.raises(ValueError, match="constant"):
            descent.parse(text)
        return
    landscape = descent.landscape(text)
    assert float(landscape.at([at])[0]) == pytest.approx(value, abs=1e-12)


REFUSED = [
    "", "x +", "__import__('os').system('true')", "x.real", "x[0]", "lambda x: x", "z**2", "x if x else y", "open(x)",
    "x; y", "sin(x, y)", "sin(x=1)", "'a'*x", "x @ y", "x < 1 < 2", "x and y", "~x", "[x]", "1e400*x", "True*x",
    "x := 1", "sin", "x" * 3000, "(" * 500 + "x" + ")" * 500, "-" * 200 + "x", "f'{x}'", "x//2", "x << 1",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_what_is_no_expression_is_refused(text):
    with pytest.raises(ValueError, match=r"\w"):
        descent.landscape(text)


def test_powers_of_numbers_do_not_run_for_ever():
    assert np.isinf(descent.landscape("x + 9**9**9").at([[1.0]])).all()
    assert np.isnan(descent.landscape("x + (-8)**(1/3)").at([[1.0]])).all()  # a complex number in Python


def test_a_function_with_control_flow_is_evaluated_point_by_point():
    def steps(x, y):
        return x * 2 + y if float(x) > 0 else y * y

    landscape = descent.landscape(steps)
    assert landscape.dimensions == 2 and landscape.at([[1, 1], [-1, 3]]).tolist() == [3, 9]
    assert landscape.gradient_at([[1, 1], [-1, 3]]).tolist() == [[2, 1], [0, 6]]
    assert descent.suspects(landscape) == ["Python's control flow"]
    assert "where x = 0 (kinks and jumps)" in descent.described(descent.in_domain(landscape), landscape)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: descent.landscape(lambda x, y, z: x), "one or two variables"),
        (lambda: descent.landscape("x", domain=((1, 0),)), "finite ranges"),
        (lambda: descent.landscape("x", start=(1, 2)), "the start needs 1"),
        (lambda: descent.landscape("x*y", start=(1, math.nan)), "finite numbers"),
        (lambda: descent.descend(descent.landscape("log(x)", start=(-1,))), r"nan at the start \(-1\)"),
        (lambda: descent.descend(descent.landscape(lambda x: sp.stack([x, x]))), r"not scalar at \(1\)"),
        (lambda: descent.descend(descent.landscape(lambda x: "no")), r"not scalar at \(1\)"),
        (lambda: descent.find("rosenbrok"), "did you mean 'rosenbrock'"),
        (lambda: descent.descend(descent.find("abs"), ["adm"]), "did you mean 'adam"),
        (lambda: descent.descend(descent.find("abs"), ["momentum"], momentum=-1), "momentum must not be negative"),
    ],
)
def test_bad_landscapes_are_refused_with_the_place(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_where_a_path_stops_being_finite_or_differentiable_is_said():
    root = descent.landscape("sqrt(x) + y**2", domain=((-1, 2), (-1, 1)), start=(0.04, 0.5), rate=0.1)
    (path,) = descent.descend(root, ["gradient descent"])
    assert path.status == "diverged" and re.search(
        r"the value is not finite at \(-0\.\d+, 0\.4\), step 1", path.problem
    )
    verdict = descent.judge(root, paths=[path])
    assert "it is not finite at 33% of the domain, such as (-1, -1)" in verdict.differentiable
    edge = descent.landscape("sqrt(x)", domain=((0, 1),), start=(0.0,))
    (path,) = descent.descend(edge, ["gradient descent"])
    assert "the gradient is not finite at (0), step 0" in path.problem
    (path,) = descent.descend(descent.find("abs"), ["gradient descent"])
    assert path.problem == "not differentiable: a kink at (0), which step 4 crosses"
    (smooth,) = descent.descend(descent.find("quadratic"), ["gradient descent"])
    assert smooth.problem == ""


def ends_left_of_a_half(x, y):
    return x**2 + y**2 if float(x) > 0.5 else sp.stack([x, y])


def raises_left_of_a_half(x, y):
    return x**2 + y**2 if float(x) > 0.5 else 1 / 0


def numbers_left_of_a_half(x, y):
    return x**2 + y**2 if float(x) > 0.5 else float(y)


@pytest.mark.parametrize(
    "function, said",
    [
        (ends_left_of_a_half, r"is not scalar at \(0\.\d+, 0\.\d+\): it returned shape \(2,\)"),
        (raises_left_of_a_half, r"raised ZeroDivisionError at \(0\.\d+, 0\.\d+\): division by zero"),
        (numbers_left_of_a_half, r"no gradient at \(0\.\d+, 0\.\d+\)"),
    ],
)
def test_a_function_that_gives_no_number_where_a_path_goes_is_drawn_and_says_where(function, said):
    landscape = descent.landscape(function, rate=0.1)
    paths = descent.descend(landscape, ["gradient descent", "adam"], steps=30)
    for path in paths:
        assert path.status == "refused" and path.steps >= 1 and re.search(said, path.problem), path.problem
    verdict = descent.judge(landscape, paths=paths)
    assert function is numbers_left_of_a_half or "it is not finite at" in verdict.differentiable
    assert any(re.search(said, text) for _, text in verdict.outcomes)
    assert descent.draw.picture(landscape, paths).dtype == np.uint8


@pytest.mark.parametrize("text", ["x > 0", "floor(x) > y"])
def test_what_has_no_graph_is_refused_to_methods_that_need_gradients(text):
    paths = descent.descend(
        descent.landscape(text), ["gradient descent", "l-bfgs", "newton-cg", "nelder-mead"], steps=3
    )
    assert [path.status == "refused" for path in paths] == [True, True, True, False]
    assert all("no gradient at (1" in path.message for path in paths[:3])


def test_an_exception_at_the_start_names_the_place_and_what_was_raised():
    def fails(x):
        raise KeyError("boom")

    with pytest.raises(ValueError, match=r"fails raised KeyError at \(1\): 'boom'"):
        descent.descend(descent.landscape(fails))


def test_the_tip_of_a_cone_is_found_though_no_line_of_the_grid_meets_it():
    verdict = descent.judge(descent.landscape("sqrt(x**2 + y**2)"), steps=5)
    assert verdict.differentiable.startswith("differentiable except at (0, 0) (kinks)")


def test_values_beyond_all_bounds_are_drawn_without_a_warning():
    tower = descent.landscape("exp(exp(exp(x)))", domain=((-3, 3),), start=(0.1,))
    paths = descent.descend(tower, ["gradient descent", "l-bfgs"], steps=5)
    assert descent.draw.picture(tower, paths).ndim == 3
    assert "not finite at" in descent.judge(tower, paths=paths).differentiable


def test_the_same_arguments_give_the_same_bytes():
    landscape = descent.find("himmelblau")

    def drawn(seed):
        paths = descent.descend(landscape, ["gradient descent", "cma-es", "random search"], steps=15, seed=seed)
        film = pictures.gif(descent.draw.film(landscape, paths, frames=4))
        return pictures.png(descent.draw.picture(landscape, paths)), film

    assert drawn(3) == drawn(3) and drawn(3)[0] != drawn(4)[0]


def page_of(text):
    (data,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)
    return json.loads(data)


def test_the_page_holds_a_path_of_steep_for_every_position_of_its_sliders():
    landscape = descent.find("double_well")
    verdict = descent.judge(landscape, paths=descent.descend(landscape, ["momentum", "l-bfgs"], steps=10))
    text = descent.page(verdict, ["momentum", "l-bfgs"], steps=10)
    assert not re.search(r"https?://", text.replace("doi.org", "")) and "<script src" not in text
    data = page_of(text)
    assert len(data["runs"]) == 7 * 5 * 5 + 5
    for r, m, s in ((0, 0, 1), (6, 4, 2), (3, 3, 4)):
        (path,) = descent.descend(landscape, ["momentum"], steps=10, start=data["start"][s], rate=data["rate"][r],
                                  momentum=data["momentum"][m])  # fmt: skip
        told = data["runs"][f"momentum|{r}|{m}|{s}"]
        assert np.allclose([p[0] for p in told["p"]], path.points[:, 0], rtol=1e-3)
        assert np.allclose(told["v"], path.values, rtol=1e-3, atol=1e-9)


def test_the_page_says_where_and_lets_no_name_end_its_script():
    own = descent.landscape(lambda x: sp.sqrt(x), domain=((-1, 1),), start=(0.3,), name="</script><b>")
    verdict = descent.judge(own, paths=descent.descend(own, ["gradient descent"], steps=30, rate=1.0))
    text = descent.page(verdict, ["gradient descent"], steps=30)
    assert "<b>" not in text.split("</style>")[-1].split('id="data"')[1].split("</script>")[0]
    assert any("not finite at (-" in run.get("w", "") for run in page_of(text)["runs"].values())


# ---- the command ----


def test_the_command_draws_and_tells(command, tmp_path):
    code, out, err = command("descend", "double_well", "--methods", "gradient descent,momentum", "--steps", "300")
    assert code == 0 and err == "" and "differentiable everywhere in the domain" in out
    assert "higher minimum (0.9456)" in out and "at the minimum (-1.047)" in out
    first = (tmp_path / "descend.png").read_bytes()
    code, out, _ = command(
        "descend", "double_well", "--methods", "gradient descent,momentum", "--steps", "300", "--json"
    )
    told = json.loads(out)
    assert first == (tmp_path / "descend.png").read_bytes() and first[1:4] == b"PNG"
    assert [path["method"] for path in told["paths"]] == ["gradient descent", "momentum"]
    assert told["minima"][0]["point"] == pytest.approx([-1.046681], abs=1e-5)


def test_the_command_takes_an_expression_and_writes_films_and_pages(command, tmp_path):
    words = ("descend", "--expr", "abs(x) + 2*y**2", "--domain=-2,2,-1,1", "--start", "1.5,0.5", "--methods", "adam",
             "--steps", "20")  # fmt: skip
    for ending in ("gif", "html"):
        code, out, err = command(*words, "-o", f"it.{ending}", "--rate", "0.1", "--seed", "1", "--threads", "1")
        assert code == 0, err
        assert "differentiable except where x = 0 (kinks); the trace has abs" in out
        assert (tmp_path / f"it.{ending}").stat().st_size > 1000


@pytest.mark.parametrize("view", ["rates", "stability", "orders"])
def test_the_other_views(command, tmp_path, view):
    code, out, err = command("descend", "--view", view, "--json")
    assert code == 0 and json.loads(out)["view"] == view and (tmp_path / "descend.png").exists(), err
    code, out, err = command("descend", "--view", view)
    assert code == 0 and len(out.splitlines()) >= 5


def test_the_command_lists_its_landscapes(command, tmp_path):
    code, out, _ = command("descend", "--list")
    assert code == 0 and all(name in out for name in NAMES) and not list(tmp_path.iterdir())
    assert [each["name"] for each in json.loads(command("descend", "--list", "--json")[1])] == NAMES


@pytest.mark.parametrize(
    "words",
    [
        ("nowhere",),
        ("--expr", "import os"),
        ("--expr", "x", "--domain", "1"),
        ("--expr", "x", "--domain", "1,a"),
        ("--expr", "log(x)", "--start", "-1"),
        ("--view", "nothing"),
        ("--view", "rates", "-o", "it.gif"),
        ("-o", "it.txt"),
        ("--methods", "none"),
        ("--steps", "-1"),
        ("--momentum", "x"),
        ("--rate", "nan"),
    ],
)
def test_bad_usage_of_the_command_exits_two(command, words, tmp_path):
    code, out, err = command("descend", *words)
    assert code == 2 and out == "" and err and "Traceback" not in err and not list(tmp_path.iterdir())
