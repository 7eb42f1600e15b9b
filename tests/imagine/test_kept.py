"""What is computed at first use and kept: read again, and made again where the file is damaged or of another origin."""

import numpy as np
import pytest
from steep.imagine import recipes
from steep.imagine.kept import kept, kept_array


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("STEEP_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_an_array_is_made_once_for_each_origin():
    made = []

    def make():
        made.append(len(made))
        return np.full((2, 3), len(made), np.float32)

    values = [kept_array("numbers", origin, make)[0, 0] for origin in ("a", "a", "b", "b", "a")]
    assert values == [1, 1, 2, 2, 3] and made == [0, 1, 2]


@pytest.mark.parametrize("damage", [b"", b"no such file", None])
def test_a_damaged_file_is_made_again(home, damage):
    kept_array("numbers", "a", lambda: np.zeros(2, np.float32))
    path = home / "numbers.safetensors"
    path.write_bytes(path.read_bytes()[:-3] if damage is None else damage)
    assert kept_array("numbers", "a", lambda: np.ones(2, np.float32)).tolist() == [1, 1]
    assert kept_array("numbers", "a", lambda: pytest.fail("made again")).tolist() == [1, 1]


def test_what_fails_leaves_nothing(home):
    def fail(path):
        raise OSError("no network")

    with pytest.raises(OSError, match="no network"):
        kept("thing", {"layout": "1"}, lambda path: (path.read_text(), {}), fail, lambda *_: pytest.fail("written"))
    assert list(home.iterdir()) == []


def test_heads_of_another_origin_are_not_what_training_starts_from(monkeypatch):
    """Towers that were kept for other weights of the trunk are read, found to be of another origin, and dropped."""
    before = []

    def trained(towers, row, say):
        before.append(towers.image_head.weight.numpy().copy())
        towers.image_head.weight.detach()[...] = float(len(before))
        return towers, recipes.Report({1: 0.5}, {1: 0.25})

    monkeypatch.setattr(recipes, "_trained", trained)
    monkeypatch.setattr(recipes, "FROZEN", {"emoji": recipes.Frozen("digits_cnn", "flatten", "x", recipes.Settings())})
    for layout in ("2", "3", "3"):
        monkeypatch.setattr(recipes, "HEADS", layout)
        towers, report = recipes.frozen_scorer("emoji")
    assert len(before) == 2 and np.array_equal(*before)
    assert towers.image_head.weight.numpy().max() == 2 and report.new_style == {1: 0.25}
