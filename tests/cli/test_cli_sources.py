"""Where images come from and where files go: folders, standard input, transparency, crops, layouts, and messages about
what cannot be read, named or written."""

import io
import json
import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import steep as sp
from steep import io as files
from steep.suggest import near

pytest.importorskip("typer")
pytest.importorskip("rich")
pytest.importorskip("PIL")

from PIL import Image

MODEL = ("--model", "digits_cnn")
COMMANDS = {
    "classify": (),
    "saliency": ("--no-sanity",),
    "compare": ("--methods", "gradient"),
    "dream": ("--octaves", "1", "--jitter", "2", "--steps", "2"),
    "invert": ("--steps", "3", "--layer", "relu2"),
    "attack": ("--eps", "0.6"),
}
WRITING = [name for name in COMMANDS if name != "classify"]


def digit(at=13):
    picture = np.zeros((28, 28), np.uint8)
    picture[4:24, at : at + 3] = 255
    return Image.fromarray(picture)


def given(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))


def png(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path):
    """Two digits, one in a folder below, and a file that is no image."""
    made = tmp_path / "digits"
    (made / "more").mkdir(parents=True)
    digit().save(made / "one.png")
    digit(12).save(made / "more" / "two.png")
    (made / "broken.png").write_bytes(b"no image")
    return made


# -- folders and standard input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITING)
def test_a_folder_gives_a_file_for_each_image(name, folder, command, tmp_path):
    code, out, err = command(name, "digits", *COMMANDS[name], *MODEL, "-o", "made", "--json")
    told = json.loads(out)
    assert code == 0 and [each["image"] for each in told] == ["digits/more/two.png", "digits/one.png"], err
    assert "left out digits/broken.png" in err
    assert sorted(str(p.relative_to(tmp_path)) for p in (tmp_path / "made").rglob("*.png")) == [
        "made/more/two.png",
        "made/one.png",
    ]
    alone = command(name, "digits/one.png", *COMMANDS[name], *MODEL, "-o", "alone.png")
    assert alone[0] == 0 and (tmp_path / "alone.png").read_bytes() == (tmp_path / "made" / "one.png").read_bytes()


def test_the_extension_says_what_is_written_for_a_folder(folder, command, tmp_path):
    digit().save(folder / "one.jpg")
    assert command("saliency", "digits", *COMMANDS["saliency"], *MODEL, "-o", "maps.html")[0] == 0
    names = sorted(path.name for path in (tmp_path / "maps").iterdir() if path.is_file())
    assert names == ["one.html", "one.png.html"]
    assert command("saliency", "digits", *COMMANDS["saliency"], *MODEL)[0] == 0  # saliency.png by default
    assert (tmp_path / "saliency" / "more" / "two.png").is_file()


def test_classes_of_a_folder_are_printed_below_the_names(folder, command):
    code, out, _ = command("classify", "digits", *MODEL, "--top", "1")
    lines = out.splitlines()
    assert code == 0 and lines[0] == "digits/more/two.png" and "digits/one.png" in lines
    told = json.loads(command("classify", "digits", *MODEL, "--json")[1])
    assert [each["image"] for each in told] == ["digits/more/two.png", "digits/one.png"]


@pytest.mark.parametrize("name", COMMANDS)
def test_an_image_may_come_by_standard_input(name, command, monkeypatch, tmp_path):
    digit().save(tmp_path / "one.png")
    given(monkeypatch, (tmp_path / "one.png").read_bytes())
    output = () if name == "classify" else ("-o", "piped.png")
    code, out, err = command(name, "-", *COMMANDS[name], *MODEL, *output, "--json")
    assert code == 0, err
    output = () if name == "classify" else ("-o", "read.png")
    read = command(name, "one.png", *COMMANDS[name], *MODEL, *output, "--json")[1]
    told, known = json.loads(out), json.loads(read)
    assert told["image"] == "-" and {**told, "image": 0, "output": 0} == {**known, "image": 0, "output": 0}


@pytest.mark.parametrize("content, said", [(b"", "standard input is empty"), (b"text", "is not an image")])
def test_standard_input_without_an_image_says_so(content, said, command, monkeypatch):
    given(monkeypatch, content)
    code, out, err = command("classify", "-", *MODEL)
    assert code == 2 and not out and said in err and err.count("\n") == 1


def test_a_folder_without_images_is_refused(command, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.png").write_bytes(b"no image")
    assert "has no image (.png" in command("classify", "empty", *MODEL)[2]
    assert "has no image that can be read" in command("dream", "text", *MODEL)[2]
    assert "there is no file nowhere.png" in command("classify", "nowhere.png", *MODEL)[2]
    assert "--out goes with a folder" in command("saliency", "text/a.png", *MODEL, "--out", "maps")[2]


# -- transparency -----------------------------------------------------------------------------------------------------


def transparent(mode):
    """A black stroke on transparent black, which is black on white for the eye."""
    stroke = np.asarray(digit())
    rgba = np.zeros((28, 28, 4), np.uint8)
    rgba[..., 3] = stroke
    image = Image.fromarray(rgba, "RGBA")
    if mode == "P":
        made = Image.fromarray((stroke > 0).astype(np.uint8), "P")
        made.putpalette([90, 90, 90, 0, 0, 0])
        made.info["transparency"] = 0
        return made
    return image if mode == "RGBA" else image.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_images_are_put_on_white(mode, tmp_path):
    transparent(mode).save(tmp_path / "clear.png")
    read = sp.data.read_image(tmp_path / "clear.png")
    assert np.array_equal(read, 255 - np.asarray(digit())[..., None].repeat(3, 2))
    assert np.array_equal(read, sp.data.images.to_picture(np.asarray(transparent("RGBA"))))


def test_half_transparent_colours_are_mixed_with_white():
    half = np.zeros((1, 1, 4), np.uint8)
    half[..., 3] = 51
    assert sp.data.images.to_picture(half).tolist() == [[[204] * 3]]
    assert sp.data.images.to_picture(half / 255).tolist() == [[[204] * 3]]
    assert sp.data.read_image(png(Image.fromarray(half, "RGBA"))).tolist() == [[[204] * 3]]


# -- crops and layouts ------------------------------------------------------------------------------------------------


def test_a_whole_image_is_given_if_asked_for(command, tmp_path):
    way = sp.zoo.Preprocessing(28, (0.0,), (1.0,), channels="grey", crop="none")
    wide = np.zeros((28, 84), np.uint8)
    wide[:, :14] = 255  # at the left end, which the middle does not show
    assert float(sp.sum(way.preprocess(wide))) > 0 and way.preprocess(wide).shape == (1, 1, 28, 28)
    assert float(sp.sum(sp.zoo.Preprocessing(28, (0.0,), (1.0,), channels="grey").preprocess(wide))) == 0
    Image.fromarray(wide).save(tmp_path / "wide.png")
    for name, words in COMMANDS.items():
        output = () if name == "classify" else ("-o", f"{name}.png")
        code, _, err = command(name, "wide.png", *words, *MODEL, *output, "--crop", "none")
        assert code in (0, 1), err
    with Image.open(tmp_path / "attack.png") as made:
        assert made.size == (28, 28)
    code, _, err = command("classify", "wide.png", *MODEL, "--crop", "left")
    assert code == 2 and "crop is one of ['center', 'none'], got 'left'" in err


def averages(path, axes, shape):
    """An ONNX model that gives the means of the channels."""
    package = pytest.importorskip("onnx")
    helper = package.helper
    infos = [helper.make_tensor_value_info(name, 1, s) for name, s in (("x", shape), ("y", None))]
    nodes = [helper.make_node("ReduceMean", ["x"], ["y"], axes=axes, keepdims=0)]
    graph = helper.make_graph(nodes, "g", infos[:1], infos[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    path.write_bytes(made.SerializeToString())


@pytest.mark.parametrize("layout, axes", [("nhwc", [1, 2]), ("nchw", [2, 3])])
def test_the_layout_of_a_model_whose_shape_does_not_show_it(layout, axes, command, tmp_path):
    averages(tmp_path / "m.onnx", axes, ["N", 3, 3, 3])
    Image.new("RGB", (3, 3), (51, 255, 102)).save(tmp_path / "green.png")
    words = ("classify", "green.png", "--model", "m.onnx", "--mean", "0", "--std", "1", "--json")
    told = json.loads(command(*words, "--layout", layout)[1])
    chances = np.exp([0.2, 1, 0.4]) / np.exp([0.2, 1, 0.4]).sum()
    assert [each["class"] for each in told["top"]] == [1, 2, 0]
    assert [each["probability"] for each in told["top"]] == pytest.approx(sorted(chances)[::-1], rel=1e-5)


def test_a_layout_is_for_onnx_files_and_one_of_two(command, tmp_path):
    digit().save(tmp_path / "one.png")
    averages(tmp_path / "m.onnx", [2, 3], ["N", 3, 3, 3])
    assert "--layout goes with .onnx models only" in command("classify", "one.png", *MODEL, "--layout", "nhwc")[2]
    wrong = command("classify", "one.png", "--model", "m.onnx", "--layout", "hwcn")
    assert wrong[0] == 2 and "--layout is nchw or nhwc, got 'hwcn'" in wrong[2]


# -- messages ---------------------------------------------------------------------------------------------------------


def test_classes_that_contain_the_word_are_suggested():
    names = ["tabby", "crate", "tiger cat", "cart", "Egyptian cat", "Siamese cat", "catamaran", "house_cat"]
    hint = near("cat", names)
    assert all(each in hint for each in ("'Egyptian cat'", "'tiger cat'", "'house_cat'"))
    assert "crate" not in hint and "cart" not in hint
    assert near("egyptain cat", names).startswith("; did you mean 'Egyptian cat'")
    assert near("cats", names) and near("of 12", ["of 13"]) and not near("zebra", names)
    assert near("dog", [f"dog of{i} " for i in range(100)]).count(" or ") == 4


@pytest.mark.parametrize("kind", ["folder", "dangling"])
def test_errors_of_writing_name_the_file_that_was_asked_for(kind, tmp_path):
    target = tmp_path / "out.npz"
    if kind == "folder":
        target.mkdir()
        (target / "full").touch()
    else:
        target = tmp_path / "nowhere" / "out.npz"
    with pytest.raises(OSError) as caught:
        files.save(target, {"x": sp.ones(2)})
    assert caught.value.filename == str(target) and ".steep.tmp" not in str(caught.value)
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]


def test_a_long_name_can_be_written(tmp_path):
    target = tmp_path / ("n" * 240 + ".npz")
    files.save(target, {"x": sp.ones(2)})
    assert float(sp.sum(files.load(target)["x"])) == 2


@pytest.mark.parametrize("name", [*WRITING, "visualize", "report"])
def test_a_folder_that_may_not_be_written_to_is_named(name, command, tmp_path, monkeypatch):
    digit().save(tmp_path / "one.png")
    (tmp_path / "locked").mkdir(mode=0o500)
    real = os.access  # who runs the tests may be allowed to do everything
    monkeypatch.setattr(
        os, "access", lambda path, mode: not (mode & os.W_OK and "locked" in str(path)) and real(path, mode)
    )
    first = {"visualize": ("--class", "3", *MODEL), "report": ("digits_cnn",)}.get(name, ("one.png", *MODEL))
    code, out, err = command(name, *first, "-o", "locked/it.html")
    assert code == 2 and not out and err.count("\n") == 1
    assert f"the folder {tmp_path / 'locked'} may not be written to" in err and "tmp" not in err.replace(
        str(tmp_path), ""
    )


@pytest.mark.parametrize(
    "words",
    [("train", "--output", "locked/w.npz"), ("train", "--page", "locked/new/run.html"),
     ("train", "--checkpoint", "locked/run.npz"), ("train", "--log", "locked/run.csv"), ("demo", "--output", "locked"),
     ("saliency", "--text", "a cat", "--like", "a dog", "-o", "locked/words.html"),
     ("descend", "rosenbrock", "-o", "locked/path.png")],
    ids=" ".join,
)  # fmt: skip
def test_other_commands_name_it_before_any_work(words, command, tmp_path, monkeypatch):
    (tmp_path / "locked").mkdir()
    real = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: not (mode & os.W_OK and "locked" in str(path)) and real(path, mode)
    )
    code, out, err = command(*words)
    assert code == 2 and not out and err.count("\n") == 1
    assert f"the folder {tmp_path / 'locked'} may not be written to" in err


# -- the terminal -----------------------------------------------------------------------------------------------------


def test_the_shell_completes_commands_and_models(monkeypatch, command):
    for words, wanted in {"steep sal": "saliency", "steep classify --model squee": "squeezenet1_1",
                          "steep report digi": "digits_cnn"}.items():  # fmt: skip
        monkeypatch.setenv("_STEEP_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        code, out, _ = command()
        assert code == 0 and wanted in out.split(), words


def test_a_report_says_what_it_found(command, tmp_path):
    digit().save(tmp_path / "one.png")
    code, out, err = command("report", "digits_cnn", "--image", "one.png", "--steps", "2", "-o", "it.html", "--json")
    told, page = json.loads(out), (tmp_path / "it.html").read_text()
    assert code == 0 and told["parameters"] == 55_482 and told["predicted"] == 1, err
    assert told["layers"]["conv1"] == "1 × 16 × 28 × 28" and told["success"] and told["distance"] > 0
    assert len(told["units"]) == 6 and {"gradient", "guided_backprop", "occlusion"} < told["saliency"].keys()
    for title in ("Layers", "What activates some units", "What the answer depends on", "What changes the answer"):
        assert f"<h2>{title}</h2>" in page
    assert "original: one.png" in page


def test_methods_are_compared_by_their_checks(command, tmp_path):
    digit().save(tmp_path / "one.png")
    words = ("compare", "one.png", *MODEL, "--json")
    code, out, err = command(*words, "-o", "all.png")
    told = json.loads(out)
    assert code == 0 and len(told["methods"]) == 8 and told["class"] == 1, err
    assert all(isinstance(each["passed"], bool) for each in told["methods"].values())
    with Image.open(tmp_path / "all.png") as sheet:  # three in a row, with the original
        assert sheet.size == (3 * 28 + 4, 3 * 28 + 4)
    wrong = command(*words, "--methods", "gradient,grad_kam", "-o", "all.html")
    assert wrong[0] == 2 and "did you mean 'grad_cam'" in wrong[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("digits_cnn", "-o", "it.png"), "a report is written as .html"),
        (("digits",), "did you mean 'digits_cnn'"),
        (("digits_cnn", "-o", "nowhere/it.html"), "there is no folder nowhere"),
        (("digits_cnn", "--image", "nowhere.png"), "there is no file nowhere.png"),
    ],
)
def test_a_report_that_cannot_be_made_is_one_line(words, said, command):
    code, out, err = command("report", *words)
    assert code == 2 and not out and said in err and err.count("\n") == 1
