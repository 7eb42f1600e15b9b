"""Every reader meets damaged files: read or refused by name, nothing else. fuzz_files.py makes them."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import fuzz_files
import numpy as np
import pytest
from steep import io
from steep.zoo.pickles import read_arrays

MUTANTS = int(os.environ.get("STEEP_MUTANTS", "5000"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", fuzz_files.FORMATS)
def test_damaged_files_are_refused_by_name(name):
    assert fuzz_files.attack(name, MUTANTS, seed=0) > MUTANTS // 2


def nested(depth: int) -> bytes:
    """A dict with one key, a tuple within tuples: hashing it would need as many frames of the C stack."""
    return b"\x80\x04}" + b")" + b"\x85" * depth + b"K\x01s."


def test_a_deep_key_is_refused():
    with pytest.raises(ValueError, match="a tuple as a key is refused"):
        read_arrays(nested(1_000_000))
    with pytest.raises(ValueError, match="at byte"):
        read_arrays(pickle.dumps({(1, 2): np.ones(2)}, protocol=4))


def test_a_checkpoint_names_the_part_that_does_not_fit(tmp_path):
    given = fuzz_files.objects()
    io.save_checkpoint(tmp_path / "a", **given)
    other = fuzz_files.objects()
    other["model"] = fuzz_files.nn.Linear(5, 5)
    with pytest.raises(ValueError, match=r"a is not a checkpoint of these objects.*part 'model'"):
        io.load_checkpoint(tmp_path / "a", model=other["model"])


ENDLESS = """
import sys, numpy as np
from steep import io
with io.atomic_write(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.read()
"""


def leftovers(folder):
    return [p.name for p in folder.iterdir() if p.name.endswith(".tmp")]


def test_what_a_kill_leaves_is_cleared_and_a_running_write_is_not(tmp_path):
    def writer(name):
        process = subprocess.Popen(
            [sys.executable, "-c", ENDLESS, str(tmp_path / name)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout.readline() == b"writing\n"
        return process

    killed, running = writer("a"), writer("b")
    killed.kill()
    killed.wait()
    assert len(leftovers(tmp_path)) == 2
    other = tmp_path / ".other.0123456789abcdef.tmp"  # somebody else's
    other.write_bytes(b"")
    io.save(tmp_path / "c.npz", {"x": np.ones(3)})
    assert len(leftovers(tmp_path)) == 2 and other.exists()
    running.communicate()
    assert running.returncode == 0 and (tmp_path / "b").read_bytes() == b"half"
    assert leftovers(tmp_path) == [other.name] and not (tmp_path / "a").exists()
    for stream in (killed.stdin, killed.stdout):
        stream.close()
