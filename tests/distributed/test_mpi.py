"""Training on several ranks of MPI: the same bytes for 1 to 4 ranks, restarts, refusals, and what ends all ranks.

The MPI beside this Python is tried, and each that is installed below ``sys.prefix``/mpi, as continuous integration
installs Open MPI beside MPICH, whose files of the same names keep both from one folder.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import steep as sp

pytest.importorskip("mpi4py")
PROGRAM = Path(__file__).with_name("program.py")


def launchers():
    """The command that launches ranks, with its options, and what mpi4py asks of the environment, by MPI."""
    beside = Path(sys.executable).with_name("mpiexec")
    usual = str(beside) if beside.exists() else shutil.which("mpiexec")
    found = {}
    for path in [usual, *map(str, Path(sys.prefix, "mpi").glob("*/bin/mpiexec"))]:
        if path is None:
            continue
        told = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
        if "OpenRTE" in told or "Open MPI" in told or "PRRTE" in told:
            found["openmpi"] = [path, "--allow-run-as-root", "--oversubscribe"], {"MPI4PY_MPIABI": "openmpi"}
        else:
            found["mpich"] = [path], {}
    return found


LAUNCHERS = launchers()
if not LAUNCHERS:
    pytest.skip("no mpiexec", allow_module_level=True)


@pytest.fixture(params=LAUNCHERS, scope="module")
def launched(request):
    """Exit code, stderr and seconds of a program on so many ranks of one MPI; 0 for plain Python."""
    mpiexec, more = LAUNCHERS[request.param]

    def run(ranks, *program):
        env = {**os.environ, **more, "STEEP_NUM_THREADS": "1", "PYTHONPATH": str(Path(sp.__file__).parents[1])}
        python = [sys.executable, *(["-m", "steep.distributed"] if ranks else [])]
        command = [*([*mpiexec, "-n", str(ranks)] if ranks else []), *python, *map(str, program)]
        began = time.monotonic()
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=100)
        return done.returncode, done.stderr, time.monotonic() - began

    return run


@pytest.fixture(scope="module")
def launch(launched):
    def run(ranks, folder, *words):
        folder.mkdir(exist_ok=True)
        return launched(ranks, PROGRAM, folder, *words)

    return run


FILES = ("run.safetensors", "weights.safetensors", "gradient.safetensors", "log.csv")


@pytest.fixture(scope="module")
def plain(launch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    code, err, _ = launch(0, folder)
    assert code == 0, err
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_weights_checkpoints_and_logs_are_the_same_bytes(launch, ranks, plain, tmp_path):
    code, err, _ = launch(ranks, tmp_path)
    assert code == 0, err
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == plain


def test_a_run_goes_on_with_another_number_of_ranks(launch, plain, tmp_path):
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
def test_what_ends_one_rank_ends_all_and_is_named(launch, action, rank, words, plain, tmp_path):
    code, err, _ = launch(3, tmp_path, action, "7", rank)
    assert code != 0
    time.sleep(0.5)
    assert words.format(host=os.uname().nodename) in err
    if action == "kill" and rank == "2":
        assert launch(4, tmp_path)[0] == 0
        assert (tmp_path / "weights.safetensors").read_bytes() == plain["weights.safetensors"]


def test_a_rank_with_other_data_is_refused(launch, tmp_path):
    code, err, _ = launch(3, tmp_path, "data", "0", "1")
    assert code != 0 and "ranks disagree: first and last sample is" in err and "rank 1 on" in err
    assert not (tmp_path / "run.safetensors").exists()


def test_more_ranks_than_shards_and_a_program_that_is_not_there(launched, tmp_path):
    (tmp_path / "few.py").write_text("from steep import distributed as d; d.world().part(1)")
    for name, words in (("few.py", "2 ranks cannot share 1 shards"), ("none.py", "none.py")):
        code, err, _ = launched(2, tmp_path / name)
        assert code != 0 and words in err
