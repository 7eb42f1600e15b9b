"""The command ``steep``: a thin layer over the library, imported by nothing else.

Results go to stdout, progress to stderr. Exit codes: 0 ok, 1 a check failed, 2 bad usage or input. One file per
command; ``app.py`` combines them.
"""

from __future__ import annotations

import sys

PACKAGES = {"PIL": "Pillow"}  # where the package and the module have different names


def main() -> None:
    """Run the command line; needs the extra ``viz``, and says so in one line if it is missing."""
    try:
        require("typer", "rich")
        from steep.cli.app import run

        code = run()
    except KeyboardInterrupt:  # before the command has started
        print("steep: interrupted", file=sys.stderr)
        code = 130
    raise SystemExit(code)


def require(*modules: str) -> None:
    """Exit with 2 and one line naming what to install, if one of the modules is not installed."""
    from importlib.util import find_spec

    absent = " and ".join(PACKAGES.get(name, name) for name in modules if find_spec(name) is None)
    if absent:
        print(f"steep: this needs {absent}, which is not installed: pip install steep[viz]", file=sys.stderr)
        raise SystemExit(2)
