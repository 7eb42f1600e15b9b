"""The command: what it prints, where, and its exit codes 0 (ok), 1 (a check failed) and 2 (bad usage or input)."""

import json
import subprocess
import sys

import numpy as np
import pytest
import steep as sp
from steep import pictures, selftest

pytest.importorskip("typer")
pytest.importorskip("rich")
pytest.importorskip("PIL")


def test_selftest_prints_every_row_and_exits_zero(command):
    code, out, err = command("selftest")
    assert code == 0 and err == ""
    assert f"{len(selftest.CHECKS)} of {len(selftest.CHECKS)} hold" in out and "FAILED" not in out
    trained = {7, 78, 80, 81, 82, 88, *range(94, 102)}  # what needs a network that was trained, or data
    assert {check.row for check in selftest.CHECKS} == set(range(1, 103)) - trained


def test_selftest_of_the_worked_example(command):
    code, out, _ = command("selftest", "--rows", "40-52", "--json")
    result = json.loads(out)
    assert code == 0 and result["ok"] and {row["row"] for row in result["rows"]} == set(range(40, 53))
    found = {row["row"]: row["computed"] for row in result["rows"][:12]}
    assert found[43] == pytest.approx(0.01747419, abs=1e-7)
    assert np.allclose(found[50], [[1.02373226, -2.99762677], [0.16578397, 0.9965784]], rtol=0, atol=1e-7)


def test_selftest_exits_one_when_a_row_does_not_hold(command, monkeypatch):
    wrong = [
        selftest.Check(1, "a wrong value", lambda: 1.0, 2.0),
        selftest.Check(2, "a wrong shape", lambda: [1.0, 1.0], 1.0),
        selftest.Check(3, "not a number", lambda: float("nan"), 1.0),
        selftest.Check(4, "an exception", lambda: 1 / 0, 1.0),
        selftest.Check(5, "right", lambda: 1.0 + 1e-12, 1.0),
    ]
    monkeypatch.setattr("steep.selftest.table.CHECKS", wrong)
    code, out, _ = command("selftest")
    assert code == 1 and out.count("FAILED") == 4 and "1 of 5 hold" in out and "ZeroDivisionError" in out
    assert json.loads(command("selftest", "--json")[1])["ok"] is False


def test_rows_are_numbers_and_ranges():
    assert {check.row for check in selftest.select("19, 40-42")} == {19, 40, 41, 42}
    assert selftest.select("") == selftest.CHECKS
    for rows in ("x", "1-", "-3", "1-2-3", "7", "900"):
        with pytest.raises(ValueError, match="row"):
            selftest.select(rows)


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("selftest", "--rows", "x"),
        ("selftest", "--rows", "900"),
        ("train", "--data", "nope"),
        ("train", "--data", "digits", "--output", "weights.txt"),
        ("train", "--data", "digits", "--lr", "-1", "--epochs", "1"),
        ("train", "--data", "digits", "--epochs", "0"),
        ("demo", "--data", "nope"),
        ("demo", "--epochs", "x"),
        ("info", "--threads", "0"),
        ("info", "--unknown"),
    ],
)
def test_bad_usage_and_input_exit_two_with_a_message_on_stderr(command, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = command(*words)
    assert code == 2 and out == "" and err and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_line(command, tmp_path, digits):
    (tmp_path / "file").write_text("")
    code, _, err = command("demo", "--data", "digits", "--epochs", "1", "--output", str(tmp_path / "file" / "demo"))
    assert code == 2 and err.splitlines()[-1].startswith("steep: ") and "Traceback" not in err


@pytest.fixture
def digits():
    try:
        sp.data.load("digits")
    except sp.data.FetchError as error:
        pytest.skip(str(error))


def test_info_names_version_instruction_set_and_threads(command):
    code, out, _ = command("info", "--json", "--threads", "1")
    facts = json.loads(out)
    assert code == 0 and facts["steep"] == sp.__version__ and facts["threads"] == 1
    assert facts["isa"] in facts["isas_supported"] and facts["ops"] > 100
    plain = command("info")[1]
    assert sp.__version__ in plain and facts["isa"] in plain


def test_info_of_a_model_lists_its_layers(command):
    code, out, _ = command("info", "--model", "digits_cnn", "--json")
    told, model = json.loads(out), sp.zoo.load("digits_cnn")
    assert code == 0 and told["input"] == [1, 1, 28, 28] and told["classes"] == 10
    shapes = {name: list(value.shape) for name, value in model.activations(sp.zeros((1, 1, 28, 28))).items() if name}
    assert told["layers"] == shapes and list(shapes)[:2] == ["conv1", "relu1"]
    plain = command("info", "--model", "digits_cnn")[1]
    assert "conv2    1, 32, 10, 10" in plain and model.source.sha256 in plain
    assert command("info", "--model", "digits")[0] == 2


def test_bench_times_something(command):
    code, out, _ = command("bench", "--json")
    results = json.loads(out)["results"]
    assert code == 0 and len(results) > 5
    assert all(result["steep_us"] > 0 for result in results) and results[0]["ratio"] > 0
    assert "matmul" in command("bench")[1]


def test_train_saves_weights_that_load(command, tmp_path, digits):
    path = tmp_path / "weights.safetensors"
    words = ("train", "--data", "digits", "--epochs", "3", "--hidden", "32", "--shift", "0", "--json")
    code, out, err = command(*words, "--output", str(path), "--seed", "3")
    result = json.loads(out)
    assert code == 0 and "training" in err and len(result["losses"]) == 3 and result["losses"][-1] < result["losses"][0]
    weights = sp.io.load(path)
    assert weights["hidden.weight"].shape == (32, 64) and weights["scores.bias"].shape == (10,)
    again = tmp_path / "again.safetensors"
    command(*words, "--output", str(again), "--seed", "3", "--threads", "1")
    assert again.read_bytes() == path.read_bytes()


def test_what_train_saves_the_other_commands_take_without_a_factory(command, tmp_path, digits):
    path, picture = str(tmp_path / "weights.safetensors"), sp.data.load("digits").test.x[3]
    command("train", "--data", "digits", "--epochs", "2", "--hidden", "16", "--shift", "0", "--output", path)
    pictures.image(pictures.grey(picture)).save(tmp_path / "digit.png")
    code, out, err = command("classify", str(tmp_path / "digit.png"), "--model", path, "--json")
    w = {name: value.numpy() for name, value in sp.io.load(path).items()}
    hidden = np.maximum(w["hidden.weight"] @ picture.ravel() + w["hidden.bias"], 0)
    scores = w["scores.weight"] @ hidden + w["scores.bias"]
    assert code == 0 and [each["class"] for each in json.loads(out)["top"]] == np.argsort(-scores)[:5].tolist(), err


def test_train_trains_what_a_factory_makes(command, tmp_path, digits, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "made_for_train.py").write_text(
        "from steep import nn\n"
        "def make():\n"
        "    layers = nn.Conv2d(1, 4, 3, generator=1), nn.ReLU(), nn.Flatten()\n"
        "    return nn.Sequential(*layers, nn.Linear(144, 10, generator=2))\n"
    )
    words = ("train", "--data", "digits", "--epochs", "2", "--noise", "0.1", "--factory", "made_for_train:make")
    code, out, _ = command(*words, "--output", "w.safetensors", "--json")
    assert code == 0 and json.loads(out)["test_accuracy"] > 0.5
    assert sp.io.load("w.safetensors")["0.weight"].shape == (4, 1, 3, 3)
    code, _, err = command("train", "--data", "digits", "--factory", "made_for_train:mak")
    assert code == 2 and "made_for_train:mak" in err


def test_training_that_diverges_exits_one(command, digits):
    code, out, _ = command("train", "--data", "digits", "--lr", "1e30", "--epochs", "1", "--json")
    assert code == 1 and json.loads(out)["status"] == "diverged"


def test_version_and_help(command):
    assert command("--version")[:2] == (0, f"steep {sp.__version__}\n")
    code, out, _ = command("--help")
    assert code == 0 and all(name in out for name in ("demo", "train", "descend", "selftest", "bench", "info"))


WITHOUT = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in {missing} else find(name, *rest)
from steep.cli import main
main()
"""


def without(missing, *words):
    code = WITHOUT.format(missing=set(missing))
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)


@pytest.mark.parametrize(
    "missing, words", [(("typer",), ("info",)), (("rich", "typer"), ("info",)), (("PIL",), ("demo",))]
)
def test_without_the_extra_one_line_says_what_to_install(missing, words):
    done = without(missing, *words)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    assert "pip install steep[viz]" in done.stderr
    assert all(name.replace("PIL", "Pillow") in done.stderr for name in missing)


def test_only_the_demo_needs_pillow():
    done = without(("PIL", "matplotlib", "sklearn"), "selftest", "--rows", "19")
    assert done.returncode == 0 and "2 of 2 hold" in done.stdout


def test_an_interrupt_before_the_command_has_begun_is_one_line(monkeypatch, capsys):
    """Importing the commands takes a moment; nobody wants a traceback of that."""
    import steep.cli

    class Interrupted:
        def find_spec(self, name, *rest):
            if name == "steep.cli.app":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "steep.cli.app")
    monkeypatch.delattr(steep.cli, "app")
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        steep.cli.main()
    assert ended.value.code == 130 and capsys.readouterr().err == "steep: interrupted\n"


def test_python_dash_m_steep():
    done = subprocess.run([sys.executable, "-m", "steep", "selftest", "--rows", "20"], capture_output=True, text=True)
    assert done.returncode == 0 and "1 of 1 hold" in done.stdout and done.stderr == ""


def test_the_library_does_not_import_the_command():
    code = "import steep, sys; steep.nn, steep.optim, steep.ascent, steep.attack, steep.saliency, steep.selftest; "
    code += "assert not {'typer', 'rich', 'PIL', 'steep.cli', 'steep.demo'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
