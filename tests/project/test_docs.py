"""The pages of docs/ run: every block of Python and every command, in order, in a folder of their own.

A page is run as the cells of its notebook, which are its blocks (tools/notebooks.py); ``CHECKS`` holds the numbers that
the text states. Start reading there.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from steep.data import FetchError
from steep.scores import predicted

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def tool():
    """tools/notebooks.py, which is in no package."""
    found = importlib.util.spec_from_file_location("notebooks_tool", ROOT / "tools" / "notebooks.py")
    module = importlib.util.module_from_spec(found)
    sys.modules["notebooks_tool"] = module
    found.loader.exec_module(module)
    return module


TOOL = tool()


def train(names, said):
    assert names["trained"].test_accuracy > 0.95
    assert names["chances"].min() > 0.99
    assert names["verdict"].startswith("depends on the weights")
    assert "guided_backprop: hardly" in said and "input_times_gradient: hardly" in said
    errors = [inverse.input_error for inverse in names["inverted"].values()]
    assert errors[0] < 0.01 and errors == sorted(errors)
    assert max(inverse.feature_error for inverse in names["inverted"].values()) < 0.1
    shares = names["bounded"].success.mean(axis=1)
    assert shares[0] < 0.2 and shares[2] > 0.6 and names["least"].success.all()


def onnx(names, said):
    assert "all operators are supported and differentiable" in said
    assert {"conv1", "relu2", "fc2"} <= set(names["model"].layers)
    assert 0.7 < names["before"] < 0.85 and names["tuned"].test_accuracy > 0.98
    assert names["input_gradient"].shape == (8, 1, 28, 28) and names["weight_gradient"].shape == (16, 1, 5, 5)
    assert predicted(names["model"], names["classes"].image).tolist() == list(range(10))
    assert names["changed"].success.mean() > 0.9


def neuron(names, said):
    assert all(run.status == "finished" for run in (names["plain"], names["held"], names["recipe"]))
    for run in (names["plain"], names["held"], names["recipe"]):
        assert predicted(names["net"], run.image).tolist() == list(range(10))
    assert names["found"].success.all() and names["found"].distance.max() < 4
    passed = {name: asked.passed for name, asked in names["verdicts"].items()}
    assert passed == {"gradient": True, "deconvnet": True, "guided_backprop": False}


def maps(names, said):
    table = re.findall(r"^\|.*\| `(\w+).*\| (-?\.\d\d) \|$", (DOCS / "saliency.md").read_text(), re.MULTILINE)
    assert len(table) == len(names["asked"]) == 8
    assert sp_iou(names) > 0.5
    for name, stated in table:
        assert names["asked"][name].final == pytest.approx(float(stated), abs=0.05), name


def sp_iou(names):
    return names["saliency"].iou(names["found"], names["drawn"])


def tape(names, said):
    assert predicted(names["model"], names["smooth"].image).tolist() == list(range(10))
    assert names["looked"].history[-1] > names["looked"].history[0]


def visualisation(names, said):
    assert names["found"][3] > 0.9 and min(names["shares"]) > 0.5
    errors = [run.input_error for run in names["back"].values()]
    assert errors == sorted(errors)


def optimisation(names, said):
    assert names["counts"] == [653, 10, 1, 63, None] and names["reached"] > 0.93
    assert "after a step: w 2.8, b 0.9, loss 2.5" in said


def backpropagation(names, said):
    assert "10 products for 10 layers" in said and "0.743668" in said and names["fooled"].success.all()
    assert [cost.order for cost in names["costs"]] == [0, 0, 0, 1, 1, 2]


def begins(names, said):
    assert names["look"].history[-1] > names["look"].history[0]


def calculus(names, said):
    """What the book prints; the page asserts it too."""
    assert "h=0.00001, numerical limit=2.00003" in said and "[ 0.,  4.,  8., 12.]" in said
    assert "except at (0, 0) (kinks)" in said and "retain_graph=True" in names["again"]


def training(names, said):
    assert names["done"].test["r2"] > 0.9 and names["own"].test["mae"] < 0.3 and names["scores"].mean() > 0.6
    assert "flops" in said and names["done"].best["val_loss"] == min(row["val_loss"] for row in names["done"].epochs)


def own_data(names, said):
    assert "Folder(16 pictures of 2 classes)" in said and "['area', 'district=north', 'district=south']" in said


def distributed(names, said):
    assert names["value"].item() < 1e-6 and "13 files" in said and "{'loss': 0.0}" in said


CHECKS = {
    "training": training,
    "data": own_data,
    "distributed": distributed,
    "start": begins,
    "explore": lambda names, said: names["server"].desk.class_count == 10,
    "tutorial_train": train,
    "tutorial_onnx": onnx,
    "what_excites_a_neuron": neuron,
    "ascent": lambda names, said: predicted(names["model"], names["four"].image).tolist() == [0, 3, 6, 9],
    "saliency": maps,
    "attack": lambda names, said: "False []" in said,
    "onnx": lambda names, said: sorted(names["model"].activations(names["x"], ["conv2", "fc1"])) == ["conv2", "fc1"],
    "tape": tape,
    "visualisation": visualisation,
    "optimisation": optimisation,
    "backpropagation": backpropagation,
    "calculus": calculus,
    "terminal": lambda names, said: "<page of 7 nodes, eager.html>" in said
    and "<page of 119 nodes, unrolled.html>" in said
    and "params=float32(1000,)" in said,
    "descent": lambda names, said: "[0.9456492" in said and "[-1.046680" in said and "the trace has abs" in said,
    "glossary": lambda names, said: "[2., 1., 0.]" in said and "[3., 0.]" in said,
}


BEFORE = {  # what a page takes as given
    "onnx": """
import steep as sp
module, x = sp.zoo.load("digits_cnn"), sp.zeros((2, 1, 28, 28))
sp.onnx.save(module, "model.onnx", x)
""",
}
NOT_RUN = {  # pages with code that no test runs, and why
    "zoo": "fetches 90 MB",
    "text": "fetches 84 MB",
    "imagine": "fetches 250 MB, and trains for minutes",
    "gallery": "make gallery runs it, for minutes",
    "performance": "a part of a step, and the program that came of it",
    "precision": "two lines that set a mode",
}


def test_the_gallery_shows_the_code_and_the_picture_of_every_plate():
    page = (DOCS / "gallery.md").read_text()
    for plate in sorted((DOCS.parent / "examples" / "gallery" / "plates").glob("*.py")):
        code = plate.read_text().split('"""', 2)[2].strip()
        picture = f"pictures/gallery/{plate.stem}.jpg"
        assert f"```python\n{code}\n```" in page and f"]({picture})" in page, plate.stem
        assert (DOCS / picture).is_file(), plate.stem


def test_every_page_with_code_is_run_or_says_why_not():
    coded = {page.stem for page in DOCS.glob("*.md") if "```python" in page.read_text()}
    assert coded == CHECKS.keys() | NOT_RUN.keys()


@pytest.mark.parametrize("page", CHECKS)
def test_every_block_of_a_page_runs_and_its_numbers_hold(page, command, tmp_path, monkeypatch, capsys):
    for package in ("PIL", "onnx"):
        pytest.importorskip(package)
    monkeypatch.syspath_prepend(tmp_path)
    names, said = {"__name__": page}, []
    exec(BEFORE.get(page, ""), names)

    def steep(words):
        code, out, err = command(*words[1:])
        assert code == 0, (words, err)
        said.append(out)

    try:
        pictures = list(TOOL.shown((DOCS / f"{page}.md").read_text(), steep, names))
    except FetchError as error:
        pytest.skip(str(error))
    finally:
        for path in tmp_path.glob("*.py"):
            sys.modules.pop(path.stem, None)
    assert CHECKS[page](names, "".join(said) + capsys.readouterr().out) is not False
    check_pictures(page, pictures)


def check_pictures(page, pictures):
    """The page has those that its code shows, of nearly the same pixels: processors round in their own ways."""
    from PIL import Image

    stated = re.findall(r"^!\[.*\]\((pictures/.*)\)$", (DOCS / f"{page}.md").read_text(), re.MULTILINE)
    assert stated == [f"pictures/{page}/{number}.png" for number in range(1, len(pictures) + 1)]
    for name, picture in zip(stated, pictures, strict=True):
        old, new = (np.asarray(image.convert("RGB"), float) for image in (Image.open(DOCS / name), picture))
        assert old.shape == new.shape and np.abs(old - new).mean() < 40, f"{name}: python tools/notebooks.py --pictures"


def test_the_notebooks_are_what_the_pages_make():
    for path, text in TOOL.files().items():
        assert path.exists() and path.read_text() == text, f"{path.name} is out of date: python tools/notebooks.py"
    assert {p.name for p in (ROOT / "notebooks").iterdir()} == {p.name for p in TOOL.files()}


def test_the_notebooks_fit_the_format():
    for name in TOOL.PAGES:
        made = TOOL.notebook((DOCS / f"{name}.md").read_text())
        assert made["nbformat"] == 4 and len({cell["id"] for cell in made["cells"]}) == len(made["cells"])
        for cell in made["cells"]:
            code = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
            assert set(cell) == {"cell_type", "id", "metadata", "source"} | code
            assert "".join(cell["source"]).strip() and not cell.get("outputs")


def test_the_index_names_every_page():
    index = (DOCS / "README.md").read_text()
    missing = [page.name for page in DOCS.glob("*.md") if page.name != "README.md" and f"({page.name})" not in index]
    assert not missing
