"""The demo: what it promises of its results, and that its files depend on nothing but its settings."""

import base64
import hashlib
import io
import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import steep as sp
from steep import data
from steep.data.fetch import cache_folder

Image = pytest.importorskip("PIL.Image")

from steep import pictures  # noqa: E402
from steep.demo import Settings, run, write_report  # noqa: E402
from steep.training import Recipe  # noqa: E402

SHORT = Settings(data="digits", hidden=64, recipe=Recipe(epochs=6, noise=0.5), ascent_steps=60, attack_steps=10)


@pytest.fixture(scope="module", autouse=True)
def digits():
    try:
        return data.load("digits")
    except data.FetchError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def outcome():
    return run(SHORT)


def files(folder, settings, threads):
    with sp.threads(threads):
        paths = write_report(run(settings), folder)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_the_same_seed_gives_the_same_bytes_on_one_and_two_threads(tmp_path):
    one = files(tmp_path / "1", SHORT, 1)
    assert files(tmp_path / "2", SHORT, 2) == one and len(one) > 30
    other = files(tmp_path / "3", replace(SHORT, recipe=replace(SHORT.recipe, seed=1)), 2)
    assert other["classes.png"] != one["classes.png"]


def test_what_it_found(outcome):
    assert outcome.settings.data == "digits" and outcome.sizes == (1442, 355)
    assert outcome.trained.test_accuracy >= 0.9 and outcome.trained.losses[-1] < outcome.trained.losses[0]
    assert outcome.classes.images.shape == (10, 8, 8) and outcome.classes.history[-1] > outcome.classes.history[0]
    assert outcome.classes.probabilities.min() > 0.9
    assert outcome.maps.maps.shape == (10, 8, 8) and outcome.maps.maps.min() >= 0
    change = outcome.adversarial.attacked.astype(np.float64) - outcome.adversarial.original
    assert np.abs(change).max() <= outcome.settings.eps and outcome.adversarial.attacked.min() >= 0


def test_an_adversarial_example_is_judged_by_predicting_again(outcome):
    model, fooled = outcome.trained.model, outcome.adversarial
    both = np.stack([fooled.original, fooled.attacked])
    assert fooled.success and sp.scores.predicted(model, both).tolist() == list(fooled.labels)
    assert fooled.labels[0] != fooled.labels[1]


def test_the_page_needs_nothing_from_elsewhere(outcome, tmp_path):
    page, *rest = write_report(outcome, tmp_path / "new" / "folder")
    text = page.read_text()
    assert "http" not in text and "//" not in re.sub(r"base64,[^\"]+", "", text) and "<script" not in text
    assert not re.findall(r"(?:src|href)=\"(?!data:image/png;base64,)", text) and "url(" not in text
    assert "prefers-color-scheme: dark" in text
    inside = {base64.b64decode(found) for found in re.findall(r"data:image/png;base64,([^\"]+)", text)}
    beside = {path.read_bytes() for path in rest}
    assert len(inside) > 30 and inside <= beside
    assert f"{outcome.trained.test_accuracy:.1%}" in text and "{" not in text.split("</style>")[1]


def test_pictures_hold_no_time_and_are_read_back():
    image = np.array([[0.0, 0.5], [1.0, 2.0]])
    content = pictures.png(pictures.grey(image), 3)
    assert re.findall(rb"(IHDR|tEXt|tIME|zTXt|iTXt|pHYs|IDAT|IEND)", content) == [b"IHDR", b"IDAT", b"IEND"]
    read = np.asarray(Image.open(io.BytesIO(content)))
    assert read.shape == (6, 6, 3) and read[::3, ::3, 0].tolist() == [[0, 128], [255, 255]]


def test_colours():
    assert pictures.hot(np.array([[0.0, 2.0]])).tolist() == [[[0, 0, 4], [252, 255, 164]]]
    assert pictures.hot(np.zeros((1, 1))).tolist() == [[[0, 0, 4]]]
    blue, white, red = pictures.signed(np.array([[-1.0, 0.0, 5.0]]), 1.0)[0].tolist()
    assert blue == pictures.BLUE.tolist() and white == pictures.WHITE.tolist() and red == pictures.RED.tolist()
    tiles = [pictures.grey(np.full((2, 2), v)) for v in (0.0, 1.0, 1.0)]
    page = pictures.sheet(tiles, 2)
    assert page.shape == (5, 5, 3) and page[0, 2].tolist() == [128] * 3 and page[4, 4].tolist() == [128] * 3


def test_without_28x28_digits_it_takes_the_8x8_ones_and_says_so(monkeypatch):
    def absent():
        raise data.FetchError("no network here")

    monkeypatch.setitem(data.sets.SETS, "mnist5k", absent)
    said = []
    short = replace(SHORT, data="auto", recipe=replace(SHORT.recipe, epochs=1), ascent_steps=2, attack_steps=1)
    outcome = run(short, said.append)
    assert outcome.settings.data == "digits" and said[0] == "no network here"
    assert said[1] == outcome.note and "8x8" in said[1] and "28x28 digits could not be had" in said[1]
    with pytest.raises(data.FetchError):
        run(replace(short, data="mnist5k"))


def test_the_command_exits_one_when_a_promise_is_not_kept(monkeypatch, capsys, tmp_path):
    pytest.importorskip("typer")
    from steep.cli.app import run as command

    words = ["steep", "demo", "--data", "digits", "--epochs", "1", "--output", str(tmp_path), "--json"]
    monkeypatch.setattr(sys, "argv", words)
    assert command() == 1
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert result["failures"] and "below" in result["failures"][0]
    assert (tmp_path / "report.html").exists() and "training" in printed.err
    assert {path.name for path in tmp_path.iterdir()} == {
        p.rpartition("/")[2] for p in [result["report"], *result["pictures"]]
    }


def test_the_whole_demo_on_28x28_digits():
    if not (cache_folder() / "mnist_5k.csv.gz").is_file():
        pytest.skip("mnist5k has not been fetched")
    outcome = run(Settings(data="mnist5k"))
    assert outcome.failures() == []
    assert outcome.trained.test_accuracy >= 0.97 and outcome.classes.probabilities.min() >= 0.99
