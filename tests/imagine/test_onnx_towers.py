"""Two encoders of a user's own in ONNX files, laid out as CLIP's: what lies beside them, fixed and free sizes."""

import json

import numpy as np
import pytest
import steep as sp
from steep.imagine.onnx_towers import CLIP, SCALE

onnx = pytest.importorskip("onnx")
from onnx import TensorProto as T  # noqa: E402
from onnx import helper, numpy_helper  # noqa: E402

WORDS = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "red": 3, "green": 4, "blue": 5, "a": 6}
COLOURS = {"red": (250, 5, 5), "green": (5, 250, 5), "blue": (5, 5, 250)}


def written(path, nodes, inputs, outputs, values):
    """An ONNX file."""
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "encoder", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def image_encoder(path, batch="n", side=6, name="image_embeds", hidden=True):
    """The mean of each channel; beside it, as in exports of transformers, a hidden state of three dimensions."""
    nodes = [helper.make_node("ReduceMean", ["pixel_values"], [name], axes=[2, 3], keepdims=0)]
    outputs = [helper.make_tensor_value_info(name, T.FLOAT, [batch, 3])]
    if hidden:
        nodes.append(helper.make_node("ReduceMean", ["pixel_values"], ["last_hidden_state"], axes=[3], keepdims=0))
        outputs.insert(0, helper.make_tensor_value_info("last_hidden_state", T.FLOAT, [batch, 3, side]))
    inputs = [helper.make_tensor_value_info("pixel_values", T.FLOAT, [batch, 3, side, side])]
    return written(path, nodes, inputs, outputs, {})


def text_encoder(path, length="l", mask=True, size=3, ids="input_ids"):
    """The sum of the vectors of tokens that count."""
    table = np.zeros((len(WORDS), size), np.float32)
    table[[3, 4, 5], [0, 1, 2]] = 1
    nodes = [helper.make_node("Gather", ["table", ids], ["vectors"])]
    inputs = [helper.make_tensor_value_info(ids, T.INT64, ["n", length])]
    last = "vectors"
    if mask:
        inputs.append(helper.make_tensor_value_info("attention_mask", T.INT64, ["n", length]))
        nodes += [
            helper.make_node("Cast", ["attention_mask"], ["seen"], to=T.FLOAT),
            helper.make_node("Unsqueeze", ["seen", "axis"], ["column"]),
            helper.make_node("Mul", ["vectors", "column"], ["counted"]),
        ]
        last = "counted"
    nodes.append(helper.make_node("ReduceSum", [last, "over"], ["text_embeds"], keepdims=0))
    values = {"table": table, "axis": np.array([2]), "over": np.array([1])}
    outputs = [helper.make_tensor_value_info("text_embeds", T.FLOAT, ["n", size])]
    return written(path, nodes, inputs, outputs, values if mask else {k: v for k, v in values.items() if k != "axis"})


def beside(folder, config=True):
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    if config:
        options = {"size": {"shortest_edge": 6}, "crop_size": {"height": 6, "width": 6}, "do_center_crop": True}
        options |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_normalize": True}
        (folder / "preprocessor_config.json").write_text(json.dumps(options))


def pictures():
    return [np.full((9, 12, 3), colour, np.uint8) for colour in COLOURS.values()]


@pytest.mark.parametrize("batch", ["n", 1, 2])
@pytest.mark.parametrize("length", ["l", 9])
@pytest.mark.parametrize("mask", [False, True])
def test_pictures_and_words_meet(tmp_path, batch, length, mask):
    beside(tmp_path)
    (tmp_path / "onnx").mkdir()
    image = image_encoder(tmp_path / "onnx" / "vision_model.onnx", batch)
    text = text_encoder(tmp_path / "onnx" / "text_model.onnx", length, mask)
    towers = sp.imagine.scorer(f"{image},{text}")
    similar = towers.texts(list(COLOURS)) @ towers.images(pictures()).T
    assert similar.argmax(axis=1).tolist() == [0, 1, 2]
    np.testing.assert_allclose(np.linalg.norm(towers.images(pictures()), axis=1), 1, rtol=1e-6)
    assert float(np.exp(float(towers.log_scale))) == pytest.approx(SCALE)
    shares = sp.imagine.zero_shot(towers, pictures()[1], list(COLOURS), "a {}")
    assert int(np.argmax(shares)) == 1 and sum(shares) == pytest.approx(1)


def test_a_folder_is_searched(tmp_path):
    image_file = pytest.importorskip("PIL.Image")
    beside(tmp_path)
    (tmp_path / "icons").mkdir()
    for name, picture in zip(COLOURS, pictures(), strict=True):
        image_file.fromarray(picture).save(tmp_path / "icons" / f"{name}.png")
    towers = sp.imagine.OnnxTowers(image_encoder(tmp_path / "i.onnx"), text_encoder(tmp_path / "t.onnx"))
    assert sp.imagine.search(towers, "blue", tmp_path / "icons")[0].path.stem == "blue"


def test_a_picture_that_was_found_is_cut_once(tmp_path):
    """The short side is resized to more than the encoder takes: the margin is cut off, and not a second time."""
    image_file = pytest.importorskip("PIL.Image")
    beside(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"size": {"shortest_edge": 12}}))
    picture = np.full((24, 24, 3), COLOURS["blue"], np.uint8)
    picture[9:15, 9:15] = COLOURS["red"]  # a quarter of what is left after one cut, and all after two
    (tmp_path / "icons").mkdir()
    image_file.fromarray(picture).save(tmp_path / "icons" / "both.png")
    towers = sp.imagine.OnnxTowers(image_encoder(tmp_path / "i.onnx"), text_encoder(tmp_path / "t.onnx"))
    direct = float(towers.texts("blue")[0] @ towers.images([picture])[0])
    assert sp.imagine.search(towers, "blue", tmp_path / "icons")[0].score == pytest.approx(direct, abs=1e-6)


def test_pictures_of_the_encoder_s_own_size_are_cut_too(tmp_path):
    beside(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"size": 12}))
    towers = sp.imagine.OnnxTowers(image_encoder(tmp_path / "i.onnx"), text_encoder(tmp_path / "t.onnx"))
    picture = np.full((6, 6, 3), COLOURS["blue"], np.uint8)
    picture[1:5, 1:5] = COLOURS["red"]
    found = towers.images([picture])[0]
    assert found[0] > found[2]  # its middle alone


def test_without_a_configuration_pictures_are_those_of_clip(tmp_path):
    beside(tmp_path, config=False)
    towers = sp.imagine.OnnxTowers(image_encoder(tmp_path / "i.onnx", hidden=False), text_encoder(tmp_path / "t.onnx"))
    assert (towers.way.size, towers.way.mean, towers.way.std) == (6, CLIP.mean, CLIP.std)


def test_the_only_output_of_two_dimensions_is_taken(tmp_path):
    beside(tmp_path)
    towers = sp.imagine.OnnxTowers(image_encoder(tmp_path / "i.onnx", name="x"), text_encoder(tmp_path / "t.onnx"))
    assert towers.images(pictures()).shape == (3, 3)


@pytest.mark.parametrize(
    ("text", "config", "words"),
    [
        ({"size": 4}, {}, "are of two models: vectors of 3 and 4 numbers"),
        ({"ids": "tokens"}, {}, "text encoder without the input input_ids"),
        ({}, {"crop_size": 5}, "it says 5 pixels, and .* takes 6"),
        ({}, {"image_mean": "x"}, "preprocessor_config.json"),
        ({}, {"size": {"edge": 3}, "crop_size": 6}, "a size is a number of pixels"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, text, config, words):
    beside(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    with pytest.raises(ValueError, match=words):
        sp.imagine.OnnxTowers(image_encoder(tmp_path / "i.onnx"), text_encoder(tmp_path / "t.onnx", **text))


def test_a_missing_tokenizer_and_a_text_without_a_word(tmp_path):
    files = image_encoder(tmp_path / "i.onnx"), text_encoder(tmp_path / "t.onnx")
    with pytest.raises(FileNotFoundError, match=r"tokenizer.json beside it"):
        sp.imagine.OnnxTowers(*files)
    beside(tmp_path)
    with pytest.raises(ValueError, match="no word that is known"):
        sp.imagine.OnnxTowers(*files).texts("")
