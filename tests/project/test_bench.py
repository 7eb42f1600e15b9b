"""What is kept of a run of the benchmarks, and what comparing two runs says: on small files made up here."""

from __future__ import annotations

import copy
import importlib
import json
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
import steep as sp

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture(scope="module")
def bench():
    """The modules of bench/, which is no package."""
    sys.path.insert(0, str(BENCH))
    try:
        return {name: importlib.import_module(name) for name in ("history", "compare", "report", "versus", "measure")}
    finally:
        sys.path.pop(0)


def measured(date="2030-01-01 10:00", cores=2, **medians):
    """What versus.py would have found: the minimum of each row is 1% below its median."""
    rows = [
        {
            "name": name.replace("_", " "),
            "times": {
                peer: {"min": 0.99 * us, "median": us, "rounds": [us]}
                for peer, us in (("steep", 2 * median), ("captured", median), ("torch", 10.0))
            },
        }
        for name, median in (medians or {"a_step": 5.0}).items()
    ]
    machine = {"processor": "Made Up 9000", "isa": "avx2", "matrix_units": "none", "cores": cores}
    facts = {
        "processor": "Made Up 9000, avx2, 2 cores",
        "machine": machine,
        "date": date,
        "versions": {"python": "3.11.7", "torch": "2.13.0"},
        "mode": {"rounds": 9, "quick": False, "matmul": "auto", "commit": "0123456789ab"},
        "load": 0.1,
    }
    return {"facts": facts, "results": {"1": rows}, "figures": {"import_ms": {"steep": 18}}}


def test_a_peer_that_does_not_get_ready_is_left_out(bench, capsys):
    """And the next one is measured; steep itself has to be ready."""
    measure = bench["measure"]
    job = types.SimpleNamespace(gradients=list)
    slow = types.SimpleNamespace(KINDS={"a": lambda inputs: time.sleep(30)})
    quick = types.SimpleNamespace(KINDS={"a": lambda inputs: job})
    workload = types.SimpleNamespace(kind="a", name="a step", inputs={})
    before, measure.PATIENCE = measure.PATIENCE, 1
    try:
        jobs, _ = measure.jobs_of(workload, {"torch_compile": slow, "jax": quick})
        with pytest.raises(TimeoutError, match="after 1 s"):
            measure.jobs_of(workload, {"steep": slow})
    finally:
        measure.PATIENCE = before
    assert list(jobs) == ["jax"]
    assert "a step fails on torch_compile (TimeoutError: not compiled after 1 s)" in capsys.readouterr().err


@pytest.fixture
def keep(bench, tmp_path):
    """Keeps a run in a folder, and gives its path."""
    history = bench["history"]
    return lambda found, note="": history.save(history.record(found, note), tmp_path)


def test_a_run_is_kept_with_machine_versions_threads_and_mode(bench, keep):
    path = keep(measured(), "a loaded machine")
    assert path.name == "2030-01-01-10-00-made-up-9000-avx2-none-2.json"
    run = bench["history"].load(path)
    assert run["machine"]["processor"] == "Made Up 9000" and run["machine"]["cores"] == 2
    assert run["versions"]["torch"] == "2.13.0" and run["mode"]["rounds"] == 9 and run["mode"]["matmul"] == "auto"
    assert run["note"] == "a loaded machine" and run["figures"] == {"import_ms": {"steep": 18}}
    assert run["rows"] == {"1": {"a step": {"eager": [9.9, 10.0], "captured": [4.95, 5.0], "torch": [9.9, 10.0]}}}


def test_a_kept_file_is_small_and_has_a_line_for_each_workload(bench, keep):
    names = {f"workload_{i}": 1234.56789 for i in range(50)}
    text = keep(measured(**names)).read_text()
    assert json.loads(text)["rows"]["1"]["workload 7"]["captured"] == [1222.0, 1235.0]
    assert sum("workload" in line for line in text.splitlines()) == 50 and len(text) < 10_000


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}'])
def test_what_is_not_a_run_is_refused_by_name(bench, tmp_path, text):
    path = tmp_path / "strange.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"strange\.json is not"):
        bench["history"].load(path)


def test_the_last_two_runs_of_one_kind_of_machine_are_compared(bench, keep, tmp_path):
    history = bench["history"]
    for date, cores in (("2030-01-01 10:00", 2), ("2030-01-03 10:00", 2), ("2030-01-02 10:00", 2)):
        keep(measured(date, cores))
    keep(measured("2030-01-04 10:00", cores=64))
    assert [path.name[:10] for path in history.latest(tmp_path)] == ["2030-01-02", "2030-01-03"]


def test_one_run_alone_cannot_be_compared(bench, keep, tmp_path):
    keep(measured())
    with pytest.raises(ValueError, match="no two runs of one kind of machine"):
        bench["history"].latest(tmp_path)


@pytest.mark.parametrize(
    ("new", "word"),
    [
        ([1.0, 1.1], ""),
        ([1.03, 1.132], ""),
        ([1.04, 1.15], "slower"),
        ([0.9, 1.0], "faster"),
        ([1.0, 1.3], "unclear"),
        ([1.1, 1.1], "unclear"),
        ([0.9, 1.3], "unclear"),
    ],
)
def test_a_row_is_flagged_when_a_ratio_is_off_by_more_than_three_per_cent(bench, new, word):
    compare = bench["compare"]
    assert compare.verdict(*compare.ratios([1.0, 1.1], new)) == word


def pages(bench, old, new, **options):
    record = bench["history"].record
    return bench["compare"].page(record(old), record(new), **options)


def test_the_comparison_says_what_moved_by_how_much_and_how_noisy_it_is(bench):
    text = pages(bench, measured(a=5.0, b=8.0), measured("2030-01-02 10:00", a=6.0, b=8.0))
    assert text.startswith("2030-01-01 10:00 -> 2030-01-02 10:00")
    assert "4 rows: 2 slower, 0 faster, 0 unclear; beside the peers: 2 slower, 0 faster, 0 unclear" in text
    assert (
        "| a | captured | 4.95 us / 5 us | 5.94 us / 6 us | 1.200 | 1.200 | 1%, 1% | slower | 1.200 | 1.200 | slower |"
        in text
    )
    assert "| b |" not in text
    assert "| b | captured |" in pages(bench, measured(b=8.0), measured(b=8.0), everything=True)


def test_what_the_peers_do_as_well_the_machine_does(bench):
    new = measured("2030-01-02 10:00", a=6.0)
    new["results"]["1"][0]["times"]["torch"] = {"min": 0.99 * 12.0, "median": 12.0, "rounds": [12.0]}
    text = pages(bench, measured(a=5.0), new)
    assert "2 rows: 2 slower, 0 faster, 0 unclear; beside the peers: 0 slower, 0 faster, 0 unclear" in text
    assert "| slower | 1.000 | 1.000 |  |" in text


def test_the_comparison_names_what_else_differs(bench):
    old, new = measured(a=5.0, gone=1.0), measured(a=5.0, added=1.0)
    new["facts"] = copy.deepcopy(new["facts"])
    new["facts"]["versions"]["torch"] = "2.14.0"
    new["facts"]["mode"]["rounds"] = 3
    for row in new["results"]["1"]:
        row["times"]["torch"] = {"min": 4.95, "median": 5.0, "rounds": [5.0]}
    text = pages(bench, old, new)
    assert "- torch: 2.13.0 -> 2.14.0" in text and "- mode:" in text and "- machine:" not in text
    assert "the peers' own times, median ratio of the minima: torch 0.500" in text
    assert "only in the old run, 1 thread(s): gone" in text and "only in the new run, 1 thread(s): added" in text


def compare(*arguments):
    command = [sys.executable, str(BENCH / "compare.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_command_compares_two_files_and_refuses_others(keep, tmp_path):
    old, new = keep(measured(a=5.0)), keep(measured("2030-01-02 10:00", a=4.0))
    done = compare(old, new)
    assert done.returncode == 0 and "0 slower, 2 faster" in done.stdout
    assert compare(old).returncode == 2
    missing = compare(old, tmp_path / "missing.json")
    assert missing.returncode == 2 and "missing.json" in missing.stderr and "Traceback" not in missing.stderr


def test_every_kept_run_can_be_read(bench):
    for path in bench["history"].FOLDER.glob("*.json"):
        assert bench["history"].load(path)["rows"], path


def test_the_mean_over_models_takes_the_best_peer_of_each_row_by_minima(bench):
    first, second = (w.name for w in bench["report"].MODEL_ROWS[:2])

    def row(name, **minima):
        return {"name": name, "times": {peer: {"min": us} for peer, us in minima.items()}}

    rows = [
        row(first, steep=9.0, captured=2.0, torch=16.0, jax=8.0),
        row(second, steep=9.0, captured=2.0, torch=2.0),
        row("another", steep=1.0, captured=1.0, torch=100.0),
    ]
    (line,) = bench["report"].model_lines({"1": rows})
    assert "1 thread(s)" in line and ": 2.00 (geometric mean)" in line
    assert bench["report"].model_lines({"1": rows[2:]}) == []


def test_what_a_measurement_lacks_is_added_to_it_in_the_order_of_the_workloads(bench, tmp_path, monkeypatch):
    versus, names = bench["versus"], [w.name for w in bench["report"].MODEL_ROWS[:3]]
    found = {**measured(), "results": {"1": [{"name": names[1]}, {"name": "no longer a workload"}]}}
    (tmp_path / "versus.json").write_text(json.dumps(found))
    asked = []

    def child(threads, only, rounds, without):
        asked.append((threads, without))
        return [{"name": names[2]}, {"name": names[0]}]

    monkeypatch.setattr(versus, "child", child)
    monkeypatch.setattr(versus, "load", lambda: 0.2)
    monkeypatch.setattr(versus, "machine", lambda: found["facts"]["machine"])
    added = versus.added(versus.argparse.Namespace(output=tmp_path, only=""))
    assert asked == [("1", [names[1], "no longer a workload"])]
    assert [row["name"] for row in added["results"]["1"]] == names
    assert added == json.loads((tmp_path / "versus.json").read_text())
    monkeypatch.setattr(versus, "machine", lambda: {**found["facts"]["machine"], "cores": 64})
    with pytest.raises(SystemExit, match="another machine"):
        versus.added(versus.argparse.Namespace(output=tmp_path, only=""))


def test_a_network_of_the_forward_rows_becomes_a_file_with_the_same_values(bench, monkeypatch):
    """What onnxruntime and OpenVINO are given."""
    monkeypatch.syspath_prepend(str(BENCH))
    workloads, files = importlib.import_module("workloads"), importlib.import_module("peers.files")
    row = next(w for w in workloads.WORKLOADS if w.kind == "forward")
    row.make()
    x, model = sp.tensor(row.inputs["x"][:1]), files.module_of(row.inputs)
    assert len(list(model.parameters())) == 2 * len(row.inputs["weights"]) > 10
    with sp.no_grad():
        loaded = sp.onnx.load(files.saved(row.inputs))
        np.testing.assert_allclose(loaded(x).numpy(), model(x).numpy(), rtol=1e-4, atol=1e-5)


def test_a_step_that_diverges_is_no_row(bench):
    def job(value):
        return types.SimpleNamespace(step=lambda: value)

    require = bench["measure"].require_finite
    require("a step", {"steep": job(np.float32(2)), "captured": job(None), "torch": job(np.nan)})
    require("a step", {"steep": job(sp.ones(2)), "captured": job(types.SimpleNamespace(loss=np.nan))})
    with pytest.raises(FloatingPointError, match="a step: steep gives"):
        require("a step", {"steep": job(sp.tensor([1.0, float("inf")]))})
    with pytest.raises(FloatingPointError, match="a step: captured gives nan"):
        require("a step", {"steep": job(1.0), "captured": job(np.float32(np.nan))})
