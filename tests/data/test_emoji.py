"""Emoji: concepts joined from four archives, here small ones that the test makes, and the messages without them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import steep as sp
from steep.data import FetchError, emoji, npm
from steep.data import emoji_set as module

Image = pytest.importorskip("PIL.Image")

NAMES = {
    "en": [("1F600", "grinning face", ["smile"], 0), ("2764-FE0F", "red heart", [], 0), ("1F3F3", "flag", [], 9),
           ("1F6F8", "undrawn", [], 5), ("0023-FE0F-20E3", "hash", None, 8)],
    "de": [("1F600", "lachen", ["froh"], 0), ("2764-FE0F", "Herz", [], 0)],
}  # fmt: skip


def archive(path, files):
    with tarfile.open(path, "w:gz") as file:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def drawn(colour, form="PNG"):
    file = io.BytesIO()
    Image.new("RGBA", (16, 16), colour).save(file, form)
    return file.getvalue()


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Archives with three concepts, in the cache as if put there by hand."""
    monkeypatch.setenv("STEEP_HOME", str(tmp_path))
    rows = {
        language: [{"hexcode": h, "label": n, "tags": t, "group": g, "emoji": "x"} for h, n, t, g in found]
        for language, found in NAMES.items()
    }
    texts = {f"package/{language}/data.json": json.dumps(row).encode() for language, row in rows.items()}
    first = {"1f600": (255, 0, 0, 255), "2764-fe0f": (0, 0, 255, 0), "0023-fe0f-20e3": (0, 255, 0, 255)}
    made = [(module.TEXTS, texts)]
    for style, keep in zip(module.STYLES, (3, 3, 1), strict=True):
        pictures = {f"{style.folder}{name}.png": drawn(colour) for name, colour in list(first.items())[:keep]}
        made.append((style.archive, pictures))
    known = [replace(a, sha256=archive(tmp_path / a.filename, files)) for a, files in made]
    monkeypatch.setattr(module, "TEXTS", known[0])
    monkeypatch.setattr(
        module, "STYLES", [s._replace(archive=a) for s, a in zip(module.STYLES, known[1:], strict=True)]
    )
    return tmp_path


def test_pictures_and_texts_are_joined_by_code_points(small):
    found = sp.data.load("emoji")
    assert [each.name for each in found.concepts] == ["grinning face", "red heart", "hash"]
    assert found.styles == ("noto", "twemoji", "fluent") and found.languages == ["en"]
    assert found.pictures.shape == (7, 64, 64, 3) and found.style.tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert found.concept.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert found.pictures[0, 5, 5].tolist() == [255, 0, 0] and found.pictures[1].min() == 255
    assert found.concepts[0].texts() == ["grinning face", "smile", "grinning face smile"]
    assert found.concepts[0].texts("de")[2] == "lachen froh" and found.concepts[1].texts() == ["red heart"] * 3
    assert found.find("Red heart") == 1 and found.held_out(2).sum() == 2
    with pytest.raises(ValueError, match="no emoji called 'red hart'; did you mean 'red heart'"):
        found.find("red hart")


def test_they_are_kept_and_made_again_if_damaged(small):
    first = emoji()
    for path in small.glob("*.tgz"):
        path.rename(path.with_suffix(".away"))
    kept = small / "emoji.safetensors"
    assert np.array_equal(emoji().pictures, first.pictures)
    kept.write_bytes(kept.read_bytes()[:100])
    for path in small.glob("*.away"):
        path.rename(path.with_suffix(".tgz"))
    assert np.array_equal(emoji().pictures, first.pictures)


@pytest.mark.parametrize("npm_there", [True, False])
def test_what_cannot_be_fetched_says_which_file_to_put_where(npm_there, tmp_path, monkeypatch):
    fake = tmp_path / "npm"
    fake.write_text("#!/bin/sh\necho 'npm error no route' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr(npm.shutil, "which", lambda name: str(fake) if npm_there else None)
    monkeypatch.setenv("STEEP_HOME", str(tmp_path / "home"))
    with pytest.raises(FetchError) as caught:
        sp.data.load("emoji")
    wanted = ["emojibase-data@17.0.0", module.TEXTS.sha256, str(tmp_path / "home" / "emojibase-data-17.0.0.tgz")]
    for part in [*wanted, "no route" if npm_there else "npm is not installed"]:
        assert part in str(caught.value)
    assert not list(tmp_path.glob("home/*"))


def test_another_archive_is_refused(small, monkeypatch):
    (small / module.STYLES[2].archive.filename).write_bytes(b"something else")
    with pytest.raises(FetchError, match="another sha256"):
        sp.data.load("emoji")
    assert not (small / "emoji.safetensors").exists()


def test_archives_have_the_names_that_npm_gives():
    names = [style.archive.filename for style in module.STYLES]
    assert names[0] == "emoji-datasource-google-16.0.0.tgz" and names[2] == "lobehub-fluent-emoji-3d-1.1.0.tgz"


def test_the_real_set(monkeypatch):
    try:
        found = sp.data.load("emoji")
    except FetchError as error:
        pytest.skip(str(error))
    assert len(found.concepts) == 1636 and found.pictures.shape == (4871, 64, 64, 3) and len(found.languages) == 28
    assert np.bincount(found.style).tolist() == [1636, 1636, 1599] and found.held_out().sum() == 245
    assert found.concepts[found.find("red heart")].names["de"] == "rotes Herz"


def test_training_a_classifier_on_emoji_says_what_to_do(command):
    code, _, err = command("train", "--data", "emoji")
    assert code == 2 and "steep imagine --train clip" in err
