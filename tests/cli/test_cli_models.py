"""``steep classify`` and how commands open models: zoo, ONNX files, weights with a factory, and what can be wrong."""

import hashlib
import json
import sys

import numpy as np
import pytest
import steep as sp
from steep import nn

pytest.importorskip("typer")
pytest.importorskip("rich")
pytest.importorskip("PIL")

from PIL import Image
from steep.cli import models, screen, session
from steep.scores import as_probabilities

FACTORY = """
import steep as sp
from steep import nn

def tiny():
    return nn.Sequential({"conv": nn.Conv2d(3, 4, 3, generator=5), "relu": nn.ReLU(), "pool": nn.AdaptiveAvgPool2d(1),
                          "flatten": nn.Flatten()})

def wrong():
    return 3

def broken():
    raise TypeError("no luck")

def missing():
    raise KeyError("no key")

def leaves():
    raise SystemExit(7)

class Odd(nn.Module):
    def __init__(self, of):
        self.of = of
        vars(self).update(vars(tiny()))

    def forward(self, x):
        return self.of(self.pool(self.relu(self.conv(x))))

def fails():
    return Odd(lambda y: {}["no such key"])

def nan():
    return Odd(lambda y: y[..., 0, 0] * float("nan"))

def pair():
    return Odd(lambda y: (y, y))
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with an image, a factory, its weights, and the same model as ONNX, taking 3 x 8 x 8."""
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "cat.png")
    (tmp_path / "my_models.py").write_text(FACTORY)
    space: dict = {}
    exec(FACTORY, space)
    model = space["tiny"]()
    sp.io.save(tmp_path / "tiny.safetensors", model.state_dict())
    (tmp_path / "names.txt").write_text("ant\nbee\ncat\nant\n")
    yield tmp_path, model, picture
    sys.modules.pop("my_models", None)


def expected(model, picture, **options):
    way = sp.zoo.Preprocessing(**{"size": 8, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), **options})
    return np.asarray(sp.softmax(model(way.preprocess(picture)), axis=-1))[0]


def top(text):
    return {each["class"]: each["probability"] for each in json.loads(text)["top"]}


def test_weights_with_a_factory(command, folder):
    path, model, picture = folder
    words = ("classify", path / "cat.png", "--model", path / "tiny.safetensors", "--factory", "my_models:tiny")
    code, out, err = command(*words, "--size", 8, "--json", "--classes", "names.txt", "--threads", 1)
    wanted, result = expected(model, picture), json.loads(out)
    assert code == 0 and err == "" and [each["class"] for each in result["top"]] == np.argsort(-wanted).tolist()
    assert all(top(out)[i] == pytest.approx(wanted[i], abs=1e-6) for i in range(4))
    assert result["sha256"] == hashlib.sha256((path / "tiny.safetensors").read_bytes()).hexdigest()
    assert {each["class"]: each["name"] for each in result["top"]} == {0: "ant", 1: "bee", 2: "cat", 3: "ant"}
    code, out, _ = command(*words, "--size", 8, "--top", 2)
    assert code == 0 and len(out.splitlines()) == 3 and f"{wanted.max():.4f}" in out


@pytest.mark.parametrize(
    "words, options",
    [
        ((), {}),
        (("--channels", "bgr"), {"channels": "bgr"}),
        (("--mean", "0.5", "--std", "0.25"), {"mean": (0.5,) * 3, "std": (0.25,) * 3}),
        (("--mean", "0.1,0.2,0.3"), {"mean": (0.1, 0.2, 0.3)}),
    ],
)
def test_onnx_files_with_options(command, folder, words, options):
    pytest.importorskip("onnx")
    path, model, picture = folder
    sp.onnx.save(model, path / "tiny.onnx", sp.zeros((1, 3, 8, 8)))
    code, out, _ = command("classify", path / "cat.png", "--model", path / "tiny.onnx", "--json", *words)
    wanted = expected(model, picture, **options)
    assert code == 0 and all(top(out)[i] == pytest.approx(wanted[i], abs=1e-6) for i in range(4))


def test_onnx_files_of_grey_pictures_and_others(command, folder):
    pytest.importorskip("onnx")
    path, _, picture = folder
    grey = nn.Sequential(nn.Flatten(), nn.Linear(64, 3, generator=1), nn.Softmax())
    sp.onnx.save(grey, path / "grey.onnx", sp.zeros((1, 1, 8, 8)))
    code, out, _ = command("classify", path / "cat.png", "--model", "grey.onnx", "--json", "--mean", "0", "--std", "1")
    square = sp.zoo.Preprocessing(8, (0.0,), (1.0,), channels="grey").preprocess(picture)
    assert code == 0 and all(top(out)[i] == pytest.approx(float(grey(square)[0, i]), abs=1e-6) for i in range(3))
    sp.onnx.save(nn.Linear(4, 2, generator=1), path / "flat.onnx", sp.zeros((1, 4)))
    sp.onnx.save(nn.Conv2d(3, 2, 3, generator=1), path / "features.onnx", sp.zeros((1, 3, 8, 8)))
    for name, said in (("flat.onnx", "not one image"), ("features.onnx", "not a classifier")):
        code, out, err = command("classify", path / "cat.png", "--model", name)
        assert code == 2 and out == "" and said in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "words, said",
    [
        (("cat.png", "--model", "squeezenet"), "did you mean 'squeezenet1_1'?"),
        (("cat.png", "--model", "none.onnx"), "there is no file none.onnx"),
        (("cat.png", "--model", "broken.onnx"), "not an ONNX model"),
        (("cat.png", "--model", "broken.safetensors", "--factory", "my_models:tiny"), "broken.safetensors"),
        (("cat.png", "--model", "tiny.safetensors"), "--factory module:function"),
        (("cat.png", "--model", "tiny.safetensors", "--factory", "my_models:tinny"), "my_models:tinny"),
        (("cat.png", "--model", "tiny.safetensors", "--factory", "no_such_module:tiny"), "no_such_module"),
        (("cat.png", "--model", "tiny.safetensors", "--factory", ""), "--factory"),
        (("cat.png", "--model", "tiny.safetensors", "--factory", "my_models:wrong"), "makes a int"),
        (("cat.png", "--model", "tiny.safetensors", "--factory", "my_models:broken"), "no luck"),
        (("cat.png", "--model", "tiny.safetensors", "--factory", "my_models:missing"), "no key"),
        (("cat.png", "--model", "tiny.safetensors", "--factory", "my_models:leaves"), "makes no model"),
        (("cat.png", "--model", "tiny.safetensors", "--factory", "half_written:tiny"), "invalid syntax"),
        (("cat.png", "--model", "tiny.safetensors", "--factory", "my_models:fails", "--size", "8"), "no such key"),
        (("cat.png", "--model", "tiny.safetensors", "--factory", "my_models:nan", "--size", "8"), "not finite"),
        (("cat.png", "--model", "tiny.safetensors", "--factory", "my_models:pair", "--size", "8"), "gives tuple"),
        (("cut.png", *("--model", "tiny.safetensors", "--factory", "my_models:tiny", "--size", "8")), "cut.png: "),
        (("cat.png", *("--model", "tiny.safetensors", "--factory", "my_models:tiny", "--std", "nan")), "finite"),
        (("cat.png", *("--model", "tiny.safetensors", "--factory", "my_models:tiny", "--mean", "inf")), "finite"),
        (("cat.png", "--model", "squeezenet1_1", "--factory", "my_models:tiny"), "--factory goes with"),
        (("none.png", *("--model", "tiny.safetensors", "--factory", "my_models:tiny")), "there is no file none.png"),
        (
            ("my_models.py", *("--model", "tiny.safetensors", "--factory", "my_models:tiny")),
            "is not an image",
        ),
        (("cat.png", *("--model", "tiny.safetensors", "--factory", "my_models:tiny", "--mean", "a")), "--mean"),
        (("cat.png", *("--model", "tiny.safetensors", "--factory", "my_models:tiny", "--std", "1,2")), "--std"),
        (("cat.png", *("--model", "tiny.safetensors", "--factory", "my_models:tiny", "--std", "0")), "other than 0"),
        (("cat.png", *("--model", "tiny.safetensors", "--factory", "my_models:tiny", "--channels", "brg")), "bgr"),
        (("cat.png", *("--model", "tiny.safetensors", "--factory", "my_models:tiny", "--size", "1")), ""),
        (("cat.png", *("--model", "tiny.safetensors", "--factory", "my_models:tiny", "--classes", "no.txt")), "no.txt"),
    ],
)
def test_faults_are_one_line_and_exit_two(command, folder, words, said, monkeypatch):
    path, *_ = folder
    pytest.importorskip("onnx")
    for name in ("broken.onnx", "broken.safetensors"):
        (path / name).write_bytes(b"\xff\xff not a model")
    (path / "half_written.py").write_text("def tiny(:")
    (path / "cut.png").write_bytes((path / "cat.png").read_bytes()[:900])
    code, out, err = command("classify", *words)
    assert code == 2 and out == "" and said in err and err.startswith("steep: ") and err.count("\n") == 1


@pytest.mark.parametrize("of", ["fails", "nan", "pair"])
@pytest.mark.parametrize("words", [("attack",), ("saliency",), ("visualize", "--class", "0")], ids=lambda w: w[0])
def test_a_model_that_is_no_classifier_is_one_line_everywhere(command, folder, words, of):
    name, *options = words
    options += [] if name == "visualize" else ["cat.png"]
    code, out, err = command(name, *options, "--model", "tiny.safetensors", "--factory", f"my_models:{of}",
                             "--size", "8", "-o", "x.png")  # fmt: skip
    assert code == 2 and out == "" and err.startswith("steep: ") and err.count("\n") == 1
    assert any(said in err for said in ("no such key", "not finite", "gives tuple"))


def test_layers_of_any_name_have_their_progress(command, folder):
    path, *_ = folder
    (path / "braces.py").write_text(FACTORY.replace('"conv": nn', '"conv {0} [b]": nn'))
    model = nn.Sequential({"conv {0} [b]": nn.Conv2d(3, 4, 3, generator=5)})
    sp.io.save("braces.safetensors", model.state_dict())
    words = ("--model", "braces.safetensors", "--factory", "braces:tiny", "--size", "8", "--steps", "1")
    code, out, err = command("visualize", *words, "--layer", "conv {0} [b]", "-o", "x.png", "--json")
    assert code in (0, 1) and json.loads(out)["objective"] == "conv {0} [b]", err
    sys.modules.pop("braces", None)


def test_json_has_no_numbers_that_are_none(capsys):
    screen.print_json({"value": float("nan"), "more": [float("inf"), 1.5, None], "of": ("text", 2)})
    assert json.loads(capsys.readouterr().out) == {"value": None, "more": [None, 1.5, None], "of": ["text", 2]}


def opened(classes=None):
    model = nn.Sequential({"conv1": nn.Conv2d(3, 4, 3, generator=1), "relu1": nn.ReLU()})
    return models.Opened("tiny", model, sp.zoo.Preprocessing(8), classes, "")


def test_layers_and_classes_are_found_by_name_or_suggested():
    some = opened(("tabby", "Egyptian cat", "crane", "crane"))
    assert some.layer("relu1") == "relu1" and some.layers == ["conv1", "relu1"]
    with pytest.raises(ValueError, match=r"no layer 'conv2'; did you mean 'conv1'\? It has 2: conv1, relu1"):
        some.layer("conv2")
    assert some.class_number("1", 4) == some.class_number("egyptian CAT", 4) == 1 and some.label(1) == "Egyptian cat"
    for text, said in (
        ("egyptian", "did you mean 'Egyptian cat'"),
        ("crane", r"several .* \[2, 3\]"),
        ("4", "0 to 3, not 4"),
        ("-1", "no class"),
    ):
        with pytest.raises(ValueError, match=said):
            some.class_number(text, 4)
    with pytest.raises(ValueError, match="give an index"):
        opened().class_number("tabby", 4)
    assert opened().label(3) == "3"


def test_outputs_that_are_probabilities_are_not_squashed_again():
    chances = np.array([0.25, 0.5, 0.25])
    assert np.array_equal(as_probabilities(chances), chances)
    assert np.allclose(as_probabilities(np.log(chances) + 3), chances)
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Softmax())
    told = session.Session(lambda: models.Opened("soft", model, sp.zoo.Preprocessing(8), None, ""), 0, False)
    x = np.full((1, 3, 8, 8), [[[[0.0]], [[3.0]], [[1.0]]]], "f4")
    assert told.verdict(sp.asarray(x))[2] == float(model(x).max())


def test_classify_names_the_cat(command):
    try:
        cat = sp.data.photo("chelsea")
        assert sp.zoo.load("squeezenet1_1").classes
    except sp.data.FetchError as error:
        pytest.skip(str(error))
    Image.fromarray(cat).save("cat.png")
    code, out, _ = command("classify", "cat.png", "--json")
    best = json.loads(out)["top"]
    assert code == 0 and best[0]["name"] == "Egyptian cat" and best[0]["probability"] == pytest.approx(0.471, abs=2e-3)
    assert len(best) == 5
