"""``mpiexec -n 4 python -m steep.distributed train.py``: runs a program on every rank, and ends all if one fails."""

from __future__ import annotations

import os
import runpy
import sys
import traceback

from steep.distributed.mpi import MPIWorld, init


def main() -> None:
    """Runs the program that the arguments name."""
    if len(sys.argv) < 2:
        sys.exit("usage: python -m steep.distributed PROGRAM.py [ARGUMENTS]")
    found = init()
    sys.argv = sys.argv[1:]
    sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as exit:
        if exit.code:
            _end(found, f"exit code {exit.code}", exit.code if isinstance(exit.code, int) else 1)
    except BaseException as error:
        if not isinstance(found, MPIWorld):
            raise
        traceback.print_exc()
        _end(found, f"{type(error).__name__}: {error}", 1)
    if isinstance(found, MPIWorld):
        found.done()


def _end(found: object, text: str, code: int) -> None:
    """Ends this rank at once: MPI's own ways block after a lost link."""
    if not isinstance(found, MPIWorld):
        sys.exit(code)
    print(f"steep: rank {found.rank} on {found.host} ends: {text}", file=sys.stderr, flush=True)
    found.failed(text)
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
