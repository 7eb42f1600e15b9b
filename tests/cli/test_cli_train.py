"""``steep train`` on one's own data: folders of pictures and tables, logs, a page, checkpoints, early stopping."""

import json

import numpy as np
import pytest
from steep import io


@pytest.fixture
def shades(tmp_path):
    """Dark and bright pictures, in two sizes."""
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for name, shade in (("bright", 190), ("dark", 40)):
        (tmp_path / "shades" / name).mkdir(parents=True)
        for number in range(10):
            picture = rng.integers(shade, shade + 40, (8 + number % 2, 8, 3)).astype(np.uint8)
            image.fromarray(picture).save(tmp_path / "shades" / name / f"{number}.png")
    return tmp_path / "shades"


FEW = ("--epochs", "8", "--hidden", "8", "--batch-size", "4", "--shift", "0", "--json")


def test_a_folder_with_a_log_a_page_and_weights(command, shades, tmp_path):
    words = ("train", "--data", shades, "--size", "8", *FEW, "--workers", "2")
    more = ("--log", "a.csv", "--log", "b.jsonl", "--page", "run.html", "--output", "w.safetensors")
    code, out, err = command(*words, *more)
    result = json.loads(out)
    assert code == 0 and result["test_accuracy"] == 1.0 and result["test"]["loss"] < 0.5, err
    rows = [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    assert len(rows) == 8 == len((tmp_path / "a.csv").read_text().splitlines()) - 1
    assert {"val_loss", "val_accuracy", "lr"} <= rows[0].keys() and "<polyline" in (tmp_path / "run.html").read_text()
    assert io.load(tmp_path / "w.safetensors")["hidden.weight"].shape == (8, 192)
    assert json.loads(command(*words)[1])["losses"] == result["losses"]


def test_folders_named_train_and_test(command, shades, tmp_path):
    for part in ("train", "test"):
        (tmp_path / "both" / part).mkdir(parents=True)
        for name in ("bright", "dark"):
            (tmp_path / "both" / part / name).symlink_to(shades / name)
    code, out, _ = command("train", "--data", tmp_path / "both", "--size", "8", "--grey", *FEW)
    assert code == 0 and json.loads(out)["test_accuracy"] == 1.0
    (tmp_path / "both" / "test" / "dark").unlink()
    code, _, err = command("train", "--data", tmp_path / "both", "--size", "8", *FEW)
    assert code == 2 and "train has the classes ['bright', 'dark'], and test ['bright']" in err


def test_a_table_of_numbers_and_one_of_classes(command, tmp_path):
    rng = np.random.default_rng(0)
    a = rng.normal(size=80)
    lines = [f"{x:.3f},{'ab'[int(x > 0)]},{2 * x + 1:.3f}" for x in a]
    (tmp_path / "x.csv").write_text("\n".join(["x,kind,y", *lines]) + "\n")
    code, out, err = command("train", "--data", "x.csv", "--target", "y", "--optimizer", "adam", "--lr", "0.02", *FEW)
    assert code == 0 and json.loads(out)["test"]["r2"] > 0.8 and json.loads(out)["test_accuracy"] is None, err
    code, out, _ = command("train", "--data", "x.csv", "--target", "kind", "--patience", "2", *FEW)
    assert code == 0 and json.loads(out)["test_accuracy"] > 0.9
    assert "test loss" in command("train", "--data", "x.csv", "--target", "y", *FEW[:-1])[1]
    assert command("train", "--data", "x.csv", *FEW)[0] == 2


def test_a_run_is_resumed(command, shades, tmp_path):
    words = ("train", "--data", shades, "--size", "8", "--shards", "2", *FEW, "--checkpoint", "run.safetensors")
    code, out, _ = command(*words)
    again = command(*words, "--resume")
    assert code == again[0] == 0 and json.loads(again[1])["losses"] == json.loads(out)["losses"]
    assert (tmp_path / "run.best.safetensors").exists()
    code, _, err = command(*words, "--resume", "--lr", "0.5")
    assert code == 2 and "trained by a recipe of lr=0.05 (not 0.5)" in err


@pytest.mark.parametrize(
    "words, told",
    [
        (("--size", "8", "--loss", "crossentropy"), "no loss"),
        (("--size", "8", "--shards", "3"), "power of two"),
        ((), "give a size"),
        (("--size", "8", "--page", "run.txt"), "a page ends in .html"),
        (("--size", "8", "--log", "run.txt"), "must end in .csv"),
    ],
)
def test_what_cannot_be_is_one_line(command, shades, words, told):
    code, _, err = command("train", "--data", shades, *words, *FEW)
    assert code == 2 and told in err and "Traceback" not in err
