"""Commands on images and models as people have them: what an attack wrote is read again; files with channels last,
one output, probabilities or no weights."""

import json

import numpy as np
import pytest
import steep as sp

pytest.importorskip("typer")
pytest.importorskip("rich")
pytest.importorskip("PIL")
package = pytest.importorskip("onnx")

from PIL import Image  # noqa: E402

node = package.helper.make_node
PLAIN = ("--mean", "0", "--std", "1")
METHODS = ("fgsm", "pgd", "deepfool", "carlini_wagner", "ddn", "lbfgs")


def write(path, nodes, shape, weights=None):
    held = [package.numpy_helper.from_array(np.asarray(v), k) for k, v in (weights or {}).items()]
    infos = [[package.helper.make_tensor_value_info(n, 1, s)] for n, s in (("x", shape), ("y", None))]
    graph = package.helper.make_graph(nodes, "g", *infos, held)
    made = package.helper.make_model(graph, opset_imports=[package.helper.make_opsetid("", 17)], ir_version=10)
    path.write_bytes(made.SerializeToString())
    return path.name


def convolutional(path, ending=None, last=False, size=8):
    """A small classifier of images into 4 classes."""
    rng = np.random.default_rng(5)
    held = {"w": rng.normal(size=(6, 3, 3, 3)).astype("f4"), "fc": rng.normal(size=(6, 4)).astype("f4") * 4}
    first = [node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2])] if last else [node("Identity", ["x"], ["t"])]
    nodes = [*first, node("Conv", ["t", "w"], ["c"], name="conv"), node("Relu", ["c"], ["r"]),
             node("GlobalAveragePool", ["r"], ["g"]), node("Flatten", ["g"], ["f"]),
             node("MatMul", ["f", "fc"], ["z"]), node(ending or "Identity", ["z"], ["y"])]  # fmt: skip
    return write(path, nodes, ["N", size, size, 3] if last else ["N", 3, size, size], held)


@pytest.fixture(autouse=True)
def pictures(tmp_path):
    """A digit, and images of several shapes and modes."""
    digit = np.zeros((28, 28), np.uint8)
    digit[4:24, 13:16] = 255
    Image.fromarray(digit).save(tmp_path / "digit.png")
    colours = np.random.default_rng(3).integers(0, 256, (30, 41, 3)).astype(np.uint8)
    Image.fromarray(colours).save(tmp_path / "wide.png")
    Image.fromarray(colours[:8, :8]).save(tmp_path / "small.png")
    Image.new("L", (8, 8), 255).save(tmp_path / "white.png")


def attacked(command, picture, *words, output="out.png"):
    """What the attack says of its image, and what reading the file again gives."""
    model = words[: words.index("--method")]
    code, out, err = command("attack", picture, *words, "--output", output, "--json")
    assert out, err
    seen = json.loads(command("classify", output, *model, "--json")[1])["top"][0]
    return code, json.loads(out), seen


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("picture", ["digit.png", "wide.png", "small.png"])
def test_the_file_of_an_attack_is_read_as_it_says(method, picture, command):
    code, told, seen = attacked(command, picture, "--model", "digits_cnn", "--method", method)
    assert seen["class"] == told["predicted_after"]
    assert seen["probability"] == pytest.approx(told["probabilities"][1], abs=1e-6)
    assert (code == 0) == told["success"] == (told["predicted_after"] != told["predicted_before"])
    assert told["success"] or method in ("fgsm", "pgd")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ending", [None, "Softmax", "LogSoftmax", "Sigmoid"])
def test_the_file_of_an_attack_on_an_onnx_model_is_read_as_it_says(method, ending, command, tmp_path):
    name = convolutional(tmp_path / "m.onnx", ending)
    for picture in ("wide.png", "small.png"):
        code, told, seen = attacked(command, picture, "--model", name, *PLAIN, "--method", method)
        assert seen["class"] == told["predicted_after"]
        assert told["success"] == (code == 0) == (told["predicted_after"] != told["predicted_before"])
        assert told["certificate"]["findings"][0]["holds"]


@pytest.mark.parametrize("method", ["pgd", "ddn"])
def test_a_film_is_judged_in_its_own_colours(method, command):
    _, told, seen = attacked(command, "digit.png", "--model", "digits_cnn", "--method", method, output="out.gif")
    assert seen["class"] == told["predicted_after"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("eps", [0.1, 0.013])
def test_a_radius_holds_for_every_attack_and_for_the_bytes(method, eps, command, tmp_path):
    _, told, _ = attacked(command, "digit.png", "--model", "digits_cnn", "--method", method, "--eps", eps)
    limit = next(f for f in told["certificate"]["findings"] if "norm of the change" in f["what"])
    before, after = (np.asarray(Image.open(tmp_path / n).convert("L"), float) for n in ("digit.png", "out.png"))
    order = {"linf": np.inf, "l2": 2}[told["norm"]]
    assert limit["holds"] and limit["bound"] == pytest.approx(eps, rel=1e-4)
    assert told["distance"] == pytest.approx(np.linalg.norm((after - before).ravel() / 255, order))
    assert told["distance"] <= eps * (1 + 1e-6)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--method", "ddn", "--norm", "linf"), "ddn supports l2"),
        (("--method", "fgsm", "--norm", "l1"), "fgsm supports linf"),
        (("--method", "fgsm", "--steps", "3"), "fgsm is one step"),
    ],
)
def test_an_option_that_a_method_lacks_is_refused(words, said, command):
    code, out, err = command("attack", "digit.png", "--model", "digits_cnn", *words)
    assert code == 2 and not out and said in err


def test_steps_and_norm_reach_the_methods_that_have_them(command):
    words = ("attack", "digit.png", "--model", "digits_cnn", "--json", "--method")
    few = json.loads(command(*words, "deepfool", "--steps", "1")[1])
    wide = json.loads(command(*words, "deepfool", "--norm", "linf")[1])
    assert few["certificate"]["settings"]["steps"] == 1 and wide["norm"] == "linf" and wide["distance"] < 0.5


# -- models -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["Identity", "Sigmoid"])
@pytest.mark.parametrize("words", [("classify",), ("saliency",), ("attack",)], ids=lambda w: w[0])
def test_one_number_is_no_classification(ending, words, command, tmp_path):
    nodes = [node("ReduceMean", ["x"], ["m"], axes=[2, 3], keepdims=0), node(ending, ["m"], ["y"])]
    name = write(tmp_path / "m.onnx", nodes, ["N", 1, 8, 8])
    code, out, err = command(*words, "white.png", "--model", name, *PLAIN)
    assert code == 2 and not out and "gives one number for an image" in err and err.count("\n") == 1


def test_channels_last_are_given_last(command, tmp_path):
    name = write(tmp_path / "m.onnx", [node("ReduceMean", ["x"], ["y"], axes=[1, 2], keepdims=0)], ["N", 8, 8, 3])
    Image.new("RGB", (8, 8), (51, 255, 102)).save(tmp_path / "green.png")
    told = json.loads(command("classify", "green.png", "--model", name, *PLAIN, "--json", "--top", "9")[1])
    chances = np.exp([0.2, 1, 0.4]) / np.exp([0.2, 1, 0.4]).sum()
    assert [each["class"] for each in told["top"]] == [1, 2, 0]
    assert [each["probability"] for each in told["top"]] == pytest.approx(sorted(chances)[::-1], rel=1e-5)


COMMANDS = {
    "saliency": ("small.png", "--method", "grad_cam", "--layer", "conv"),
    "attack": ("small.png", "--method", "ddn"),
    "visualize": ("--class", "1", "--steps", "3"),
    "dream": ("small.png", "--layer", "conv", "--octaves", "1", "--jitter", "1", "--steps", "2"),
    "invert": ("small.png", "--layer", "conv", "--steps", "3"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_works_on_channels_last_as_on_channels_first(name, command, tmp_path):
    told = []
    for last in (False, True):
        model = convolutional(tmp_path / f"{last}.onnx", "Softmax", last)
        code, out, err = command(name, *COMMANDS[name], "--model", model, *PLAIN, "-o", f"{last}.png", "--json")
        assert out, err
        told.append((code, json.loads(out)["certificate"]["findings"]))
    assert told[0][0] == told[1][0] and told[0][1][0]["holds"] and told[1][1][0]["holds"]
    first, second = (np.asarray(Image.open(tmp_path / f"{last}.png"), int) for last in (False, True))
    assert first.shape == second.shape and abs(first - second).max() <= 2


@pytest.mark.parametrize("shape", [["N", 5, 8, 8], ["N", 8, 8, 5]])
def test_pictures_have_no_five_channels(shape, command, tmp_path):
    name = write(tmp_path / "m.onnx", [node("Flatten", ["x"], ["y"])], shape)
    code, out, err = command("classify", "small.png", "--model", name, *PLAIN)
    assert code == 2 and not out and "channels" in err and "images have 3" in err


def test_a_map_of_a_model_without_weights_says_that_it_was_not_checked(command, tmp_path):
    nodes = [node("GlobalAveragePool", ["x"], ["g"]), node("Flatten", ["g"], ["f"]), node("Mul", ["f", "f"], ["y"])]
    name = write(tmp_path / "m.onnx", nodes, ["N", 3, 8, 8])
    code, out, err = command("saliency", "small.png", "--model", name, *PLAIN, "--json")
    told = json.loads(out)
    assert code == 0 and (tmp_path / "saliency.png").exists(), err
    assert told["sanity"] == {"layers": [], "correlations": [], "passed": None}
    assert "not checked" in command("saliency", "small.png", "--model", name, *PLAIN)[1]
    for model in (lambda v: sp.mean(v, axis=(2, 3)), sp.nn.Flatten()):
        asked = sp.saliency.sanity.cascade(model, np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype("f4"), 0)
        assert not asked.checked and not asked.passed and np.isnan(asked.final)
        assert asked.verdict.startswith("not checked")
