"""Training on several ranks of MPI: the same bytes for 1 to 4 ranks, restarts, refusals, and what ends all ranks."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import steep as sp

pytest.importorskip("mpi4py")
BESIDE = Path(sys.executable).with_name("mpiexec")
MPIEXEC = str(BESIDE) if BESIDE.exists() else shutil.which("mpiexec")
if MPIEXEC is None:
    pytest.skip("no mpiexec", allow_module_level=True)
PROGRAM = Path(__file__).with_name("program.py")
TOLD = subprocess.run([MPIEXEC, "--version"], capture_output=True, text=True).stdout
OPTIONS = ["--allow-run-as-root", "--oversubscribe"] if "OpenRTE" in TOLD or "Open MPI" in TOLD else []


def launch(ranks, folder, *words):
    """Exit code, stderr and seconds of the program on so many ranks; 0 for plain Python."""
    folder.mkdir(exist_ok=True)
    env = {**os.environ, "STEEP_NUM_THREADS": "1", "PYTHONPATH": str(Path(sp.__file__).parents[1])}
    python = [sys.executable, *(["-m", "steep.distributed"] if ranks else [])]
    command = [*([MPIEXEC, *OPTIONS, "-n", str(ranks)] if ranks else []), *python, str(PROGRAM), str(folder), *words]
    began = time.monotonic()
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=100)
    return done.returncode, done.stderr, time.monotonic() - began


FILES = ("run.safetensors", "weights.safetensors", "gradient.safetensors", "log.csv")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    code, err, _ = launch(0, folder)
    assert code == 0, err
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_weights_checkpoints_and_logs_are_the_same_bytes(ranks, plain, tmp_path):
    code, err, _ = launch(ranks, tmp_path)
    assert code == 0, err
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == plain


def test_a_run_goes_on_with_another_number_of_ranks(plain, tmp_path):
    assert launch(3, tmp_path, "part", "5")[0] == 0
    assert (tmp_path / "weights.safetensors").read_bytes() != plain["weights.safetensors"]
    assert launch(2, tmp_path)[0] == 0
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == plain


@pytest.mark.parametrize(
    ("action", "rank", "words"),
    [
        ("kill", "2", "rank 2 on {host} was killed"),
        ("stop", "1", "rank 1 on {host} was stopped"),
        ("raise", "1", "rank 1 on {host} failed: RuntimeError: something of one rank"),
    ],
)
def test_what_ends_one_rank_ends_all_and_is_named(action, rank, words, plain, tmp_path):
    code, err, _ = launch(3, tmp_path, action, "7", rank)
    assert code != 0
    time.sleep(0.5)
    assert words.format(host=os.uname().nodename) in err
    if action == "kill" and rank == "2":
        assert launch(4, tmp_path)[0] == 0
        assert (tmp_path / "weights.safetensors").read_bytes() == plain["weights.safetensors"]


def test_a_rank_with_other_data_is_refused(tmp_path):
    code, err, _ = launch(3, tmp_path, "data", "0", "1")
    assert code != 0 and "ranks disagree: first and last sample is" in err and "rank 1 on" in err
    assert not (tmp_path / "run.safetensors").exists()


def test_more_ranks_than_shards_and_a_program_that_is_not_there(tmp_path):
    (tmp_path / "few.py").write_text("from steep import distributed as d; d.world().part(1)")
    for name, words in (("few.py", "2 ranks cannot share 1 shards"), ("none.py", "none.py")):
        env = {**os.environ, "PYTHONPATH": str(Path(sp.__file__).parents[1])}
        command = [MPIEXEC, *OPTIONS, "-n", "2", sys.executable, "-m", "steep.distributed", str(tmp_path / name)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode != 0 and words in done.stderr
