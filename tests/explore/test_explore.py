"""What the page shows: the map of layers, frames, images, and that each result is what its Python gives."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import steep as sp
from explore_client import digit, digits, page
from steep import explore
from steep.explore import pictures as shown
from steep.explore.live import Live, Wish
from steep.explore.rate import measured

pytest.importorskip("PIL")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("digits")
    for index in range(3):
        (made / f"{index}.png").write_bytes(digit(index))
    (made / "broken.png").write_bytes(b"no image")
    (made / "notes.txt").write_text("no image either")
    return made


@pytest.fixture(scope="module")
def client(folder):
    with page(folder=folder, image=folder / "0.png") as found:
        yield found


def executed(code, tmp_path, monkeypatch, data=None):
    """The names that the shown Python leaves behind."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digit.png").write_bytes(digit() if data is None else data)
    names = {}
    exec(code.replace("sp.pictures.image(", "shown = ("), names)
    return names


# -- the map ----------------------------------------------------------------------------------------------------------


class Residual(sp.nn.Module):
    def __init__(self):
        self.first = sp.nn.Conv2d(1, 4, 3, padding=1, generator=0)
        self.second = sp.nn.Conv2d(4, 4, 3, padding=1, generator=1)
        self.score = sp.nn.Linear(4, 3, generator=2)

    def forward(self, x):
        a = sp.relu(self.first(x))
        return self.score((a + self.second(a)).mean(axis=(2, 3)))


def test_the_map_follows_the_data_through_functions_that_are_no_layers():
    found = explore.layers(explore.Subject("residual", Residual(), digits().preprocessing))
    assert [(layer.name, layer.kind, layer.shape, layer.inputs) for layer in found] == [
        ("first", "Conv2d", (4, 28, 28), ("",)),
        ("second", "Conv2d", (4, 28, 28), ("first",)),
        ("score", "Linear", (3,), ("first", "second")),
    ]
    assert found[-1].aliases == ("",)


def test_the_map_of_an_onnx_file_is_that_of_the_module(tmp_path):
    pytest.importorskip("onnx")
    module = sp.zoo.load("digits_cnn")
    sp.onnx.save(module, tmp_path / "digits.onnx", sp.zeros((1, 1, 28, 28)))
    model = sp.onnx.load(tmp_path / "digits.onnx", requires_grad=False)
    found = explore.layers(explore.Subject("file", model, module.preprocessing))
    own = explore.layers(digits())
    assert [layer.shape for layer in found] == [layer.shape for layer in own]
    assert found[0].inputs == ("",) and found[1].inputs == (found[0].name,)


def test_a_model_without_layers_is_one_layer():
    class Bare(sp.nn.Module):
        def forward(self, x):
            return x.mean(axis=(2, 3))

    (only,) = explore.layers(explore.Subject("bare", Bare(), digits().preprocessing))
    assert (only.name, only.shape) == ("", (1,))

    class Function(sp.nn.Module):
        def forward(self, x):
            return sp.concat([x.mean(axis=(2, 3)), x.max(axis=(2, 3))], axis=1)

    with page(lambda: explore.Subject("function", Function(), digits().preprocessing)) as client:
        picture = client.picture()
        header, _ = client.message(f"live?picture={picture}&layer=&unit=1", b"")
        assert header["layers"][0]["channels"] == 2 and len(header["top"]) == 2
        assert client.job("attack", picture=picture, eps=0.1)[-1][0]["kind"] == "attacked"
        assert {each["method"] for each, _ in client.job("saliency", picture=picture) if "method" in each} >= {
            "gradient"
        }


# -- frames -----------------------------------------------------------------------------------------------------------


def test_a_frame_is_what_activations_gives(client):
    picture = client.picture()
    header, body = client.message(f"live?picture={picture}&layer=relu1&layer=fc1&unit=3", b"")
    model, x = sp.zoo.load("digits_cnn"), digits().preprocessing.preprocess(sp.data.read_image(digit()))
    found = model.activations(x, ["relu1", "fc1"])
    first, second = header["layers"]
    maps = np.frombuffer(body, np.uint8, 16 * 28 * 28).reshape(16, 28, 28)
    low, high = (np.array(first[name])[:, None, None] for name in ("lo", "hi"))
    again = low + (high - low) * maps / 255
    assert np.abs(again - found["relu1"].numpy()[0]).max() <= (high - low).max() / 255
    assert np.allclose(second["lo"], found["fc1"].numpy()[0], atol=1e-6) and second["h"] == second["w"] == 1
    unit = np.frombuffer(body, np.float32, 28 * 28, offset=len(body) - 4 * 28 * 28).reshape(28, 28)
    assert np.allclose(unit, found["relu1"].numpy()[0, 3], atol=1e-6)
    scores = model(x).numpy()[0]
    assert header["top"][0]["index"] == scores.argmax() and header["top"][0]["score"] == pytest.approx(scores.max())
    assert sum(each["p"] for each in header["top"]) < 1 + 1e-6


def test_large_maps_are_averaged_and_channels_paged():
    subject = explore.Subject("wide", sp.nn.Sequential({"conv": sp.nn.Conv2d(1, 8, 1, generator=0)}),
                              sp.zoo.Preprocessing(100, (0.0,), (1.0,), channels="grey"))  # fmt: skip
    live = Live(subject, explore.layers(subject))
    square = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    header, (maps,) = live.frame(square, Wish(("conv",), first=6, count=4, side=50))
    assert maps.shape == (2, 50, 50) and header["layers"][0]["first"] == 6 and header["layers"][0]["channels"] == 8
    whole = subject.model(subject.input(square)).numpy()[0, 6:]
    means = whole.reshape(2, 50, 2, 50, 2).mean(axis=(2, 4))
    assert np.allclose(means.max(axis=(1, 2)), header["layers"][0]["hi"], atol=1e-5)


def test_values_that_are_not_finite_are_painted_and_no_class_is_named():
    class Odd(sp.nn.Module):
        def __init__(self):
            self.part = sp.nn.Sequential({"log": sp.log})

        def forward(self, x):
            return self.part(x).mean(axis=(2, 3)) * sp.ones((1, 2))

    subject = explore.Subject("odd", Odd(), sp.zoo.Preprocessing(8, (0.0,), (1.0,), channels="grey"))
    header, _ = Live(subject, explore.layers(subject)).frame(np.zeros((8, 8, 3), np.uint8), Wish(("",)))
    assert header["top"] == []


def test_a_model_that_cannot_be_compiled_runs_all_the_same():
    class Reads(sp.nn.Module):
        def __init__(self):
            self.conv = sp.nn.Conv2d(1, 2, 3, generator=0)

        def forward(self, x):
            scale = 2.0 if float(x.mean()) > 0.5 else 1.0
            return self.conv(x) * scale

    subject = explore.Subject("reads", Reads(), sp.zoo.Preprocessing(8, (0.0,), (1.0,), channels="grey"))
    live = Live(subject, explore.layers(subject))
    dark, light = (live.frame(np.full((8, 8, 3), v, np.uint8), Wish(("",)))[0]["layers"][0] for v in (0, 255))
    assert dark["hi"] != light["hi"]


def test_live_squares_are_read_as_they_are_sent(client):
    square = np.zeros((28, 28, 4), np.uint8)
    square[4:24, 12:16] = 255
    header, _ = client.message("live?layer=relu1", square.tobytes())
    assert header["top"][0]["name"] == "1"
    status, why = client.fault("live?layer=relu1", b"123")
    assert status == 400 and "a square has 3,136 bytes" in why
    assert client.fault("live?layer=nothing", square.tobytes())[1] == "digits_cnn has no layer 'nothing'"
    assert "channels 0 to 15, not 16" in client.fault("live?layer=relu1&unit=16", square.tobytes())[1]


def test_the_rate_is_measured():
    found = measured(digits(), "relu2", frames=3)
    assert found.frames == 3 and found.rate > 0


# -- images -----------------------------------------------------------------------------------------------------------


def test_the_page_opens_with_the_image_and_lists_the_folder(client):
    told = json.loads(client.ask("about")[1])
    assert told["folder"] == ["0.png", "1.png", "2.png", "broken.png"] and told["first"] == 1
    header, body = client.message("folder?id=1")
    assert header["name"] == "0.png" and len(body) == header["h"] * header["w"] * 3
    assert client.message("folder?index=1")[0]["name"] == "1.png"
    assert client.fault("folder?index=3")[1] == "broken.png: the image is not an image that Pillow can read"


def test_what_is_no_image_is_said(client):
    assert client.fault("picture?name=x.png", b"no image")[1] == "the image is not an image that Pillow can read"
    assert client.fault("live?picture=999&layer=relu1", b"")[1] == "the image is not in memory any more: open it again"


def test_an_image_of_12000_pixels_is_scaled_and_said(client):
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("L", (12_000, 9_000), 200).save(buffer, "JPEG")
    header, body = client.message("picture?name=large.jpg", buffer.getvalue())
    assert header["note"] == "12,000 by 9,000 pixels, scaled down to 2,048 by 1,536 first"
    assert abs(np.frombuffer(body, np.uint8).astype(int) - 200).max() <= 2


def test_an_image_that_is_too_large_for_pillow_is_refused():
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    with pytest.raises(ValueError, match="exceeds limit"):
        shown.decoded(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


def test_images_in_memory_have_a_limit(client):
    made = shown.Pictures(digits())
    square = np.zeros((28, 28, 3), np.uint8)
    ids = [made.add_square(square, "drawing").id for _ in range(shown.KEPT + 5)]
    assert made[ids[-1]].name == "drawing" and len(made._kept) == shown.KEPT
    with pytest.raises(ValueError, match="open it again"):
        made[ids[0]]


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has no image"):
        page(folder=tmp_path).__enter__()
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        page(folder=tmp_path / "none").__enter__()


# -- work -------------------------------------------------------------------------------------------------------------


def test_a_climb_rises_streams_and_its_code_gives_the_same_image(client, tmp_path, monkeypatch):
    found = client.job("climb", layer="relu2", channel=3, steps=40, jitter=2, smooth=0.01, l2=0.001, seed=5)
    (last, body), kinds = found[-1], [header["kind"] for header, _ in found]
    assert kinds[-1] == "climbed" and set(kinds[:-1]) <= {"image"} and len(kinds) > 1
    assert last["history"][-1] > last["history"][0] and last["steps"] == 40 and last["eager"] == ""
    made = executed(last["code"], tmp_path, monkeypatch)["shown"]
    assert made.tobytes() == body


@pytest.mark.parametrize("asked", [{"target": 3}, {"layer": "relu3", "channel": 7, "what": "neuron"},
                                   {"layer": "fc1", "channel": 2, "jitter": 0, "rotate": False}])  # fmt: skip
def test_other_aims_of_a_climb_and_their_code(client, asked, tmp_path, monkeypatch):
    last, body = client.job("climb", steps=6, **asked)[-1]
    assert executed(last["code"], tmp_path, monkeypatch)["shown"].tobytes() == body


def test_maps_of_a_unit_are_what_their_code_gives(client, tmp_path, monkeypatch):
    found = client.job("maps", layer="relu2", channel=3, picture=client.picture())
    assert [header["method"] for header, _ in found] == ["deconvnet", "guided_backprop"]
    for header, body in found:
        assert executed(header["code"], tmp_path, monkeypatch)["shown"].tobytes() == body


def test_top_examples_are_those_of_top_k(client, folder, tmp_path, monkeypatch):
    found = client.job("examples", layer="relu2", channel=3)
    header, body = next(each for each in found if each[0]["kind"] == "examples")
    model = sp.zoo.load("digits_cnn")
    x = np.concatenate([digits().preprocessing.preprocess(sp.data.read_image(digit(i))).numpy() for i in range(3)])
    top = sp.saliency.top_k(x, sp.saliency.unit(model, "relu2", 3))
    assert header["names"] == [f"{i}.png" for i in top.indices] and np.allclose(header["values"], top.values)
    assert len(body) == 3 * 28 * 28 * 3 and header["note"] == "of 3 images"
    boxes = [each["box"] for each, _ in found if each["kind"] == "field"]
    for box, position in zip(boxes, top.positions, strict=True):
        rows, columns = sp.saliency.receptive_field(model, "relu2", (1, 28, 28), tuple(int(i) for i in position))
        assert box == [rows.start, columns.start, rows.stop, columns.stop]
    again = client.job("examples", layer="fc1", channel=3)
    assert [each["box"] for each, _ in again if each["kind"] == "field"] == [[0, 0, 28, 28]] * 3


def test_saliency_maps_their_verdicts_and_code(client, tmp_path, monkeypatch, capsys):
    found = client.job("saliency", picture=client.picture())
    maps = {header["method"]: (header, body) for header, body in found if header["kind"] == "saliency"}
    verdicts = {header["method"]: header for header, _ in found if header["kind"] == "verdict"}
    assert len(maps) == 8 and maps.keys() == verdicts.keys()
    for name, (header, body) in maps.items():
        names = executed(header["code"], tmp_path, monkeypatch)
        assert names["shown"].tobytes() == body, name
        assert capsys.readouterr().out.strip() == verdicts[name]["text"]


def test_checking_a_map_leaves_the_model_of_the_page_alone(client):
    before = client.server.desk.subject.model.state_dict()
    client.job("saliency", picture=client.picture())
    after = client.server.desk.subject.model.state_dict()
    assert all((before[name].numpy() == after[name].numpy()).all() for name in before)
    assert client.server.desk.copy.model is not client.server.desk.subject.model


@pytest.mark.parametrize("asked", [{"eps": 0.3}, {"eps": 2.0, "norm": "l2"}, {"eps": 30, "norm": "l1"},
                                   {"method": "fgsm", "eps": 0.3}, {"method": "ddn"}, {"eps": 0.4, "target": 3},
                                   {"eps": 0.0}])  # fmt: skip
def test_an_attack_is_judged_on_bytes_and_its_code_gives_the_same(client, asked, tmp_path, monkeypatch, capsys):
    header, body = client.job("attack", picture=client.picture(), **asked)[-1]
    names = executed(header["code"], tmp_path, monkeypatch)
    _, after, _ = np.frombuffer(body, np.uint8).reshape(3, 28, 28, 3)
    assert (names["shown"] == after).all()
    subject = digits()
    again = int(subject.model(subject.input(after)).numpy().argmax())
    assert header["after"][0]["index"] == again and capsys.readouterr().out.split()[0] == str(again)
    target = asked.get("target")
    assert header["success"] == (again == target if target is not None else again != header["before"][0]["index"])
    assert header["success"] or not asked.get("eps", 1)
    assert header["distance"] <= asked.get("eps", np.inf) * (1 + 1e-6)


@pytest.mark.parametrize(("asked", "why"), [
    ({"kind": "nothing"}, "kind is one of 'climb', 'maps', 'examples', 'saliency', 'attack', 'book', got 'nothing'"),
    ({"kind": "climb", "layer": "relu9", "channel": 0}, "layer is one of"),
    ({"kind": "climb", "layer": "relu1", "channel": 16}, "channel is a number from 0 to 15, got 16"),
    ({"kind": "climb", "layer": "relu1", "channel": 1.5}, "channel is an integer, got 1.5"),
    ({"kind": "climb", "layer": "relu1", "channel": 1, "steps": 10**9}, "steps is a number from 1 to 2048"),
    ({"kind": "climb", "layer": "relu1", "channel": 1, "lr": "x"}, "lr is a number from 0.0001 to 1, got 'x'"),
    ({"kind": "climb", "layer": "relu1", "channel": 1, "rotate": 3}, "rotate is true or false, got 3"),
    ({"kind": "climb", "target": 10}, "class 10"),
    ({"kind": "attack", "picture": 1, "norm": "l7", "eps": 1}, "norm is one of 'linf', 'l2', 'l1', got 'l7'"),
    ({"kind": "saliency", "picture": 10**6}, "open it again"),
    ({"kind": "saliency", "picture": 1, "target": 10}, "target is a number from 0 to 9, got 10"),
])  # fmt: skip
def test_a_wrong_request_is_said(client, asked, why):
    _, body = client.ask("job", json.dumps(asked).encode())
    assert why.encode() in body


def test_a_job_that_is_no_object_is_refused(client):
    for body in (b"[]", b"1", b"{", b"\xff"):
        assert client.fault("job", body)[0] == 400


def test_no_examples_without_a_folder():
    with page() as client:
        said = client.job("examples", layer="relu1", channel=0)[-1][0]
        assert said == {"kind": "error", "text": "no folder was given: steep explore --folder DIR searches its images "
                        "for top examples"}  # fmt: skip
