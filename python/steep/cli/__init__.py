"""The command ``steep``: a thin face over the library, imported by nothing else.

Results go to stdout, progress to stderr. Exit codes: 0 ok, 1 a check failed, 2 bad usage or input. One file a command;
``app.py`` puts them together.
"""

from __future__ import annotations

import sys

NEEDED = ("typer", "rich", "PIL")


def main() -> None:
    """Run the command line; needs the extra ``viz``, and says so in one line where it is missing."""
    missing = _missing()
    if missing:
        print(f"steep: the command needs {missing}, which is not installed: pip install steep[viz]", file=sys.stderr)
        raise SystemExit(2)
    from steep.cli.app import run

    raise SystemExit(run())


def _missing() -> str:
    from importlib.util import find_spec

    absent = [name for name in NEEDED if find_spec(name) is None]
    return " and ".join("Pillow" if name == "PIL" else name for name in absent)
