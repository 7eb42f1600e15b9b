"""The commands that optimise inputs, on the network that ships: what they write and say, and what they refuse.

Images are the same bytes for a seed, on any number of threads, captured or not.
"""

import hashlib
import json

import numpy as np
import pytest
import steep as sp
from steep import nn

pytest.importorskip("typer")
pytest.importorskip("rich")
pytest.importorskip("PIL")

from PIL import Image
from steep.cli import certificate, output
from steep.cli.certificate import Certificate, Finding

MODEL = ("--model", "digits_cnn")
COMMANDS = {
    "visualize": ("--class", "3", "--steps", "20"),
    "saliency": ("digit.png", "--method", "integrated_gradients"),
    "dream": ("digit.png", "--octaves", "2", "--jitter", "4"),
    "invert": ("digit.png", "--layer", "relu2", "--steps", "20"),
    "attack": ("digit.png", "--method", "pgd", "--eps", "0.4"),
}


@pytest.fixture(autouse=True)
def digit(tmp_path):
    """An image of a digit in the folder where commands run."""
    picture = np.zeros((28, 28), np.uint8)
    picture[4:24, 13:16] = 255
    Image.fromarray(picture).save(tmp_path / "digit.png")


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_writes_a_picture_a_film_and_a_page_with_a_certificate(name, command, tmp_path):
    for ending in ("png", "gif", "html"):
        code, out, err = command(name, *COMMANDS[name], *MODEL, "--output", f"it.{ending}", "--json")
        told = json.loads(out)
        assert code == 0 and told["ok"] and told["certificate"]["holds"], (out, err)
        assert told["certificate"]["findings"][0]["what"].startswith("gradient against central differences")
        assert told["certificate"]["settings"]["seed"] == 0 and len(told["certificate"]["sha256"]) == 64
    with Image.open(tmp_path / "it.png") as picture:
        assert picture.size == (28, 28) and np.asarray(picture).std() > 1
    with Image.open(tmp_path / "it.gif") as film:
        assert film.n_frames == 1 if name in ("saliency", "attack") else film.n_frames > 5
    page = (tmp_path / "it.html").read_text()
    assert "sha256 of the weights" in page and "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_pictures_are_the_same_bytes_on_any_number_of_threads(name, command, tmp_path):
    hashes = set()
    for threads in (1, 2, 4):
        code, _, _ = command(name, *COMMANDS[name], *MODEL, "--output", "it.png", "--threads", threads, "--seed", 3)
        hashes.add(hashlib.sha256((tmp_path / "it.png").read_bytes()).hexdigest())
        assert code == 0
    assert len(hashes) == 1


def test_lines_for_people(command):
    code, out, _ = command("saliency", "digit.png", *MODEL, "--method", "guided_backprop", "-o", "map.png")
    assert code == 0 and "sanity: " in out and "predicted: " in out and out.rstrip().endswith("map.png")


@pytest.mark.parametrize("method", ["gradient", "grad_cam", "occlusion", "smoothgrad", "deconvnet"])
def test_every_map_states_its_verdict(method, command):
    code, out, _ = command("saliency", "digit.png", *MODEL, "--method", method, "--json")
    told = json.loads(out)
    assert code == 0 and len(told["sanity"]["correlations"]) == 4 and isinstance(told["sanity"]["passed"], bool)


@pytest.mark.parametrize("method", ["threshold", "graph_cut"])
def test_the_box_of_a_digit_is_drawn_and_told(method, command, tmp_path):
    words = ("saliency", "digit.png", *MODEL, "--method", "guided_backprop", "--no-sanity", "--json")
    code, out, _ = command(*words, "--box", method, "-o", "boxed.png")
    told = json.loads(out)
    assert (
        code == 0
        and told["box"]["bottom"] - told["box"]["top"] > 10
        and told["certificate"]["settings"]["box"] == method
    )
    with Image.open(tmp_path / "boxed.png") as picture:
        corner = picture.convert("RGB").getpixel((told["box"]["left"], told["box"]["top"]))
        assert corner == (0, 255, 0) and picture.size == (28, 28)
    assert "box" not in json.loads(command(*words)[1])


@pytest.mark.parametrize("method", ["fgsm", "deepfool", "carlini_wagner", "ddn", "lbfgs"])
def test_every_attack_tells_what_predicting_again_gave(method, command):
    radius = ("--eps", "0.5") if method == "fgsm" else ()
    words = ("attack", "digit.png", *MODEL, "--method", method, *radius, "--json")
    code, out, _ = command(*words)
    told = json.loads(out)
    assert code == 0 and told["success"] and told["predicted_after"] != told["predicted_before"] == 1
    code, out, _ = command(*words, "--target", "7")
    assert json.loads(out)["success"] == (json.loads(out)["predicted_after"] == 7) == (code == 0)


def test_the_gradient_that_is_certified_is_that_of_the_guided_dream(command):
    words = ("dream", "digit.png", *MODEL, "--octaves", "1", "--jitter", "2", "--json")
    plain, guided = (json.loads(command(*words, *more)[1]) for more in ((), ("--guide", "digit.png")))
    values = [told["certificate"]["findings"][0]["value"] for told in (plain, guided)]
    assert plain["ok"] and guided["ok"] and values[0] != values[1]


def test_an_attack_that_fails_says_so(command):
    code, out, _ = command("attack", "digit.png", *MODEL, "--eps", "0.0001")
    assert code == 1 and "the prediction held: try a larger --eps" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("visualize", "--layer", "conv9"), "did you mean 'conv"),
        (("visualize", "--layer", "conv2", "--channel", "99"), "has the channels 0 to"),
        (("visualize",), "choose an objective"),
        (("visualize", "--class", "12"), "has the classes 0 to 9"),
        (("visualize", "--class", "3", "-o", "it.jpg"), "the extension must be one of"),
        (("visualize", "--class", "3", "-o", "nowhere/it.png"), "there is no folder"),
        (("saliency", "digit.png", "--method", "gradeint"), "did you mean 'gradient'"),
        (("saliency", "digit.png", "--layer", "conv1"), "--layer is for grad_cam"),
        (("saliency", "digit.png", "--box", "graphcut"), "did you mean 'graph_cut'"),
        (("saliency", "nothing.png"), "nothing.png"),
        (("dream", "digit.png", "--octaves", "30"), "leave no pixels"),
        (("invert", "digit.png", "--layer", "relu9"), "did you mean 'relu"),
        (("attack", "digit.png", "--method", "deepfoal"), "did you mean 'deepfool'"),
        (("attack", "digit.png", "--norm", "l7"), "l7"),
        (("attack", "digit.png", "--target", "eleven"), "has no class 'eleven'"),
    ],
)
def test_what_is_refused_in_one_line(words, said, command):
    code, out, err = command(*words, *MODEL)
    assert code == 2 and out == "" and said in err and len(err.strip().splitlines()) <= 2, err


def test_a_finding_that_does_not_hold_fails_the_command():
    bad = Certificate("m", "0" * 64, {}, [Finding("gap", 0.3, 0.05), Finding("label", "cat")])
    assert not bad.holds and "NOT at most" in str(bad.findings[0]) and not Finding("gap", float("nan"), 1.0).holds
    result = output.Result("t", "t", [], bad)
    assert not result.ok and not bad.plain()["holds"]


def test_the_gradient_finding_finds_a_wrong_gradient():
    net = nn.Sequential(nn.Linear(6, 4, generator=0), nn.Tanh(), nn.Linear(4, 2, generator=1))
    x = sp.random.Generator(0).normal((1, 6))
    good = certificate.gradient_finding(net, lambda m: lambda v: sp.sum(m(v)[:, 1]), x, 0)
    assert good.holds and good.value < 1e-7

    @sp.custom_vjp
    def halved(v):
        return v * 1.0

    halved.defvjp(lambda v: (v * 1.0, None), lambda _, g: (g * 0.5,))
    bad = certificate.gradient_finding(net, lambda m: lambda v: sp.sum(m(halved(v))[:, 1]), x, 0)
    assert not bad.holds and bad.value == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("amplitude", [0.0, 1e-6, 1e-4, 1e-2, 1.0])
def test_the_gradient_of_a_flat_picture_is_not_called_wrong(amplitude):
    """Steps in proportion to next to no contrast would drown in rounding."""
    x = np.zeros((1, 1, 28, 28), np.float32)
    x[..., 10:14, 10] = amplitude
    net = sp.zoo.load("digits_cnn")
    found = certificate.gradient_finding(net, lambda m: sp.ascent.layer(m, "pool2"), sp.asarray(x), 1)
    assert found.holds and found.value < 1e-5


def test_the_gradient_finding_of_an_onnx_model_is_in_double_precision(tmp_path):
    pytest.importorskip("onnx")
    sp.onnx.save(sp.zoo.load("digits_cnn"), tmp_path / "net.onnx", sp.zeros((1, 1, 28, 28)))
    model, score = sp.onnx.load(tmp_path / "net.onnx", requires_grad=False), lambda m: lambda v: sp.sum(m(v)[:, 4])
    x = sp.random.Generator(0).uniform((1, 1, 28, 28))
    good = certificate.gradient_finding(model, score, x, 0)
    assert good.value < 1e-5 and good.bound == 1e-4 and model(x).dtype == sp.float32
    with sp.gradient_rule("relu", "guided"):
        assert not certificate.gradient_finding(model, score, x, 0).holds


def test_the_gradient_finding_of_a_model_that_casts_by_itself_is_in_single_precision():
    onnx = pytest.importorskip("onnx")
    make, weight = onnx.helper, sp.random.Generator(1).normal((6, 3)).numpy()
    sizes = [make.make_tensor_value_info(name, 1, [1, n]) for name, n in (("x", 6), ("y", 3))]
    nodes = [
        make.make_node("Cast", ["x"], ["c"], to=1),
        make.make_node("MatMul", ["c", "w"], ["m"]),
        make.make_node("Tanh", ["m"], ["y"]),
    ]
    graph = make.make_graph(nodes, "g", sizes[:1], sizes[1:], [onnx.numpy_helper.from_array(weight, "w")])
    file = make.make_model(graph, opset_imports=[make.make_opsetid("", 21)], ir_version=10).SerializeToString()
    model, score = sp.onnx.load(file, requires_grad=False), lambda m: lambda v: sp.sum(m(v)[:, 1])
    found = certificate.gradient_finding(model, score, sp.random.Generator(0).normal((1, 6)), 0)
    assert found.holds and found.bound == 0.05 and found.value < 0.01


@pytest.fixture
def folder(tmp_path):
    """Twenty pictures of digits, one file that is none, and one in a folder below."""
    top = tmp_path / "digits"
    (top / "below").mkdir(parents=True)
    images = (sp.data.digits().test.x[:21] * 255).astype(np.uint8)
    for i, image in enumerate(images):
        Image.fromarray(np.kron(image.reshape(8, 8), np.ones((3, 3), np.uint8))).save(top / f"{i:02d}.png")
    (top / "20.png").rename(top / "below" / "last.png")
    (top / "broken.png").write_bytes(b"no picture")
    return top


def maps_in(path):
    return [sp.io.load(file)["result"].numpy() for file in sorted(path.glob("*.safetensors"))]


@pytest.mark.parametrize("method", ["gradient", "smoothgrad", "grad_cam", "occlusion"])
def test_the_maps_of_a_folder(method, folder, command, tmp_path):
    code, out, err = command("saliency", folder, "--method", method, *MODEL, "--out", tmp_path / "maps", "--json")
    told = json.loads(out)
    assert code == 0 and (told["pictures"], told["left_out"], told["files"]) == (21, 1, 2), err
    assert "left out" in err and "broken.png" in err
    found, names = maps_in(tmp_path / "maps"), json.loads((tmp_path / "maps" / "pictures.json").read_text())
    assert sum(map(len, found)) == 21 and names[0] == "00.png" and names[-1] == "below/last.png"


def test_the_maps_of_a_folder_are_the_same_bits_by_several_processes_and_of_one_class(folder, command, tmp_path):
    options = ("--method", "integrated_gradients", "--class", "3", *MODEL, "--seed", "5")
    assert command("saliency", folder, *options, "--out", tmp_path / "here")[0] == 0
    assert command("saliency", folder, *options, "--out", tmp_path / "there", "--workers", "2")[0] == 0
    for a, b in zip(maps_in(tmp_path / "here"), maps_in(tmp_path / "there"), strict=True):
        np.testing.assert_array_equal(a, b)
    code, _, err = command("saliency", folder, "--method", "gradient", *MODEL, "--out", tmp_path / "here")
    assert code and "holds results of method" in err


def test_a_folder_without_pictures_is_refused(command, tmp_path):
    (tmp_path / "none").mkdir()
    code, _, err = command("saliency", tmp_path / "none", *MODEL, "--out", tmp_path / "maps")
    assert code and "has no picture" in err and not (tmp_path / "maps").exists()
