"""Row 23: kill -9 while a checkpoint is written. ``python tests/trust/kills.py [KILLS]``.

After each kill the file is whole and no older than one that was reported written; at the end a save leaves no
temporary file. Start reading at ``main``.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from steep import io

WRITER = """
import sys, itertools, numpy as np
from steep import io
for i in itertools.count(int(sys.argv[2])):
    io.save_checkpoint(sys.argv[1], step=i, extra={"a": np.full(200_000, i), "b": np.full(200_000, -i)})
    print(i, flush=True)
"""


def written(process: subprocess.Popen[str], seconds: float) -> int:
    """The last step that was reported before the kill, -1 if none was."""
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(seconds)
    process.kill()
    rest = process.stdout.read().splitlines()
    process.wait()
    process.stdout.close()
    whole = [line for line in [first.strip(), *rest] if line.isdigit()]
    return int(whole[-2]) if len(whole) > 1 else -1  # the last line itself may be torn


def main(kills: int) -> str:
    """The row's figure."""
    r, last = random.Random(0), 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        for _ in range(kills):
            command = [sys.executable, "-c", WRITER, str(path), str(last)]
            reported = written(subprocess.Popen(command, stdout=subprocess.PIPE, text=True), 0.05 * r.random())
            found = io.load_checkpoint(path)
            a, b = found.extra["a"].numpy(), found.extra["b"].numpy()
            assert (a == found.step).all() and (b == -found.step).all() and found.step >= max(reported, last)
            last = found.step
        left = len(list(Path(folder).glob(".*.tmp")))
        io.save_checkpoint(path, step=last)
        assert not list(Path(folder).glob(".*.tmp")), "temporary files stay"
    return f"{kills} kills at {last} writes: 0 corrupt, 0 lost; {left} temporary file(s) cleared by the next save"


if __name__ == "__main__":
    print(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50))
