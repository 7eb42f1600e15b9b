"""What ranks share, without MPI: shards of a rank, gradients over shards, programs on one rank, and the heartbeat."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import steep as sp
from steep import distributed as dist
from steep.distributed import mpi, watch

WATCH = Path(watch.__file__)


def test_one_rank_has_all_shards_and_agrees_with_itself():
    world = dist.init()
    assert world is dist.world() and (world.rank, world.size) == (0, 1) and world.part(8) == (0, 8)
    assert world.agree({"a": 1}) is None and world.barrier() is None


def test_a_gradient_over_shards_is_the_mean_of_theirs():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(16, 3)), rng.normal(size=16)
    params = {"w": sp.tensor(rng.normal(size=3)), "b": sp.tensor(0.5, dtype=sp.float64)}

    def loss(p, batch):
        a, t = batch
        return ((sp.matmul(a, p["w"]) + p["b"] - t) ** 2).mean()

    whole, wanted = sp.value_and_grad(loss)(params, (sp.tensor(x), sp.tensor(y)))
    for shards in (1, 4, 16):
        value, gradient = dist.value_and_grad(loss, shards)(params, (sp.tensor(x), sp.tensor(y)))
        assert value.item() == pytest.approx(whole.item()) and gradient.keys() == params.keys()
        assert all(np.allclose(np.asarray(gradient[k]), np.asarray(wanted[k])) for k in params)
    with pytest.raises(ValueError, match="power of two, got 3"):
        dist.value_and_grad(loss, 3)(params, (sp.tensor(x), sp.tensor(y)))
    with pytest.raises(ValueError, match="has no 32 shards"):
        dist.value_and_grad(loss, 32)(params, (sp.tensor(x), sp.tensor(y)))


class Comm:
    """One rank of several that run one after another in this process: what is sent lies in a table."""

    def __init__(self, rank, told):
        self.rank, self.told = rank, told

    def Get_rank(self):
        return self.rank

    def Get_size(self):
        return len(self.told)

    def allgather(self, value):
        return self.told


def test_the_first_difference_is_named_on_every_rank():
    told = [("one", {"seed": 0, "lr": 0.1}), ("one", {"seed": 0, "lr": 0.1}), ("two", {"seed": 0, "lr": 0.2})]
    for rank in range(3):
        with pytest.raises(ValueError, match=r"disagree: lr is 0.1 at rank 0 on one, and 0.2 at rank 2 on two"):
            mpi.MPIWorld(Comm(rank, told)).agree(told[rank][1])
    with pytest.raises(ValueError, match="3 ranks cannot share 2 shards"):
        mpi.MPIWorld(Comm(0, told)).part(2)


def test_values_of_several_dtypes_are_packed_and_unpacked():
    values = [sp.tensor(1.5), sp.tensor([[1, 2]], dtype=sp.float64), sp.ones((2, 3))]
    kinds = {"<f4": mpi._packed(values, "<f4"), "<f8": mpi._packed(values, "<f8")}
    again = mpi._unpacked(values, kinds)
    assert [(a.dtype, a.tolist()) for a in again] == [(v.dtype, v.tolist()) for v in values]


def test_a_program_on_one_rank(tmp_path):
    env = {k: v for k, v in os.environ.items() if k not in mpi.LAUNCHERS}
    env["PYTHONPATH"] = str(Path(sp.__file__).parents[1])
    (tmp_path / "p.py").write_text(
        "import sys; from steep import distributed as d; print(d.world().size, sys.argv[1:])"
    )
    (tmp_path / "bad.py").write_text("raise ValueError('mine')")

    def run(*words):
        command = [sys.executable, "-m", "steep.distributed", *words]
        return subprocess.run(command, env=env, capture_output=True, text=True)

    assert run(tmp_path / "p.py", "a", "b").stdout == "1 ['a', 'b']\n"
    bad = run(tmp_path / "bad.py")
    assert bad.returncode == 1 and "ValueError: mine" in bad.stderr and "usage" in run().stderr


# -- the heartbeat, of ranks that only sleep ----------------------------------------------------------------------

RANK = """
import json, socket, subprocess, sys, time
facts, address, watch = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
w = subprocess.Popen([sys.executable, "-I", watch, sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
if facts["rank"] == 0:
    print(int(w.stdout.readline()), w.pid, flush=True)
else:
    w.stdin.write(json.dumps(["127.0.0.1", int(address), "hub"]).encode() + b"\\n"); w.stdin.flush()
    w.stdout.readline()
    alive = socket.create_connection(("127.0.0.1", int(address)))
    alive.sendall(json.dumps({"token": facts["token"], "liveness": facts["rank"]}).encode() + b"\\n"); alive.recv(64)
    print("ready", w.pid, flush=True)
for line in sys.stdin:
    w.stdin.write(line.encode()); w.stdin.flush()
    if line == "done\\n":
        w.wait(); break
"""


class Ranks:
    """Processes with their heartbeats; ``close`` ends whatever is left."""

    def __init__(self, count, timeout=1.0):
        self.processes, self.watches, port = [], [], "0"
        for rank in range(count):
            facts = {"rank": rank, "size": count, "host": f"h{rank}", "timeout": timeout, "token": "t"}
            command = [sys.executable, "-c", RANK, json.dumps(facts), port, str(WATCH)]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            self.processes.append(subprocess.Popen(command, text=True, **pipes))
            first, pid = self.processes[-1].stdout.readline().split()
            port = first if rank == 0 else port
            self.watches.append(int(pid))
        self.port = int(port)

    def tell(self, rank, line):
        self.processes[rank].stdin.write(line + "\n")
        self.processes[rank].stdin.flush()

    def ends(self):
        """Exit codes, and what the hub said."""
        codes = [process.wait(20) for process in self.processes]
        return codes, self.processes[0].stderr.read()

    def close(self):
        for pid in self.watches + [process.pid for process in self.processes]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self.processes:
            process.wait(20)
            for pipe in (process.stdin, process.stdout, process.stderr):
                with suppress(OSError):
                    pipe.close()


@pytest.fixture
def ranks():
    made = []

    def make(*words, **options):
        made.append(Ranks(*words, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_ranks_that_end_as_they_should_end_nobody(ranks):
    three = ranks(3)
    for rank in (1, 0, 2):
        three.tell(rank, "done")
        time.sleep(0.3)
    assert three.ends() == ([0, 0, 0], "")


@pytest.mark.parametrize("culprit", [0, 1])
@pytest.mark.parametrize("action", ["kill", "stop", "fail", "mute"])
def test_the_lost_rank_is_named_and_all_are_ended(ranks, action, culprit):
    three = ranks(3)
    pid = three.processes[culprit].pid
    if action == "fail":
        three.tell(culprit, "failed: ValueError: mine")
    else:
        os.kill(
            three.watches[culprit] if action == "mute" else pid,
            signal.SIGKILL if action == "kill" else signal.SIGSTOP,
        )
    what = {"kill": "was killed", "stop": "was stopped", "fail": "failed: ValueError: mine",
            "mute": "has not answered for 1 s"}[action]  # fmt: skip
    if action == "mute":  # its own rank is left to the launcher
        others = [p for rank, p in enumerate(three.processes) if rank != culprit]
        assert all(p.wait(20) != 0 for p in others)
        said = "".join(p.stderr.read() for p in others)
    else:
        codes, said = three.ends()
        assert all(code != 0 for code in codes)
    host = "hub" if action == "mute" and culprit == 0 else f"h{culprit}"
    assert f"rank {culprit} on {host} {what}" in said


@pytest.mark.parametrize("first", [0, 1, 2])
def test_the_rank_that_died_first_is_named_however_late_that_is_known(ranks, first):
    """As under a launcher, which kills the others at once, on a machine with too much to do."""
    three = ranks(3, timeout=10.0)
    late = {three.watches[0], three.watches[first]}
    for pid in late:
        os.kill(pid, signal.SIGSTOP)
    for rank in (first, *{0, 1, 2} - {first, 0}):
        os.kill(three.processes[rank].pid, signal.SIGKILL)
        three.processes[rank].wait()
    time.sleep(0.2)
    for pid in late:
        os.kill(pid, signal.SIGCONT)
    codes, said = three.ends()
    assert all(code != 0 for code in codes)
    assert f"steep: rank {first} on h{first} was killed; every rank is ended" in said


def test_a_stranger_is_not_listened_to(ranks):
    two = ranks(2)
    for said in (b'{"join": 1, "host": "x", "token": "no"}\n{"failed": "x", "when": 0}\n', b"\xff\n", b"[]\n", b""):
        with socket.create_connection(("127.0.0.1", two.port)) as stranger:
            stranger.sendall(said)
            time.sleep(0.3)
    assert [process.poll() for process in two.processes] == [None, None]
    for rank in (0, 1):
        two.tell(rank, "done")
    assert two.ends() == ([0, 0], "")
