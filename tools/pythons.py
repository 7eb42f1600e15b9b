"""Prints the path of an interpreter for each Python that steep supports and that this machine has, one per line.

The versions are the classifiers of pyproject.toml. Looked for on PATH, then among pyenv's. `make pythons` builds and
tests with each; PYTHONS="python3.10 ..." names others.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def supported() -> list[str]:
    """The versions, such as "3.10", as pyproject.toml has them."""
    return re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text())


def pyenv_versions() -> Path | None:
    """The folder where pyenv keeps its interpreters, if there is one."""
    root = os.environ.get("PYENV_ROOT")
    if not root and shutil.which("pyenv"):
        root = subprocess.run(["pyenv", "root"], capture_output=True, text=True).stdout.strip()
    return Path(root, "versions") if root else None


def candidates(version: str) -> list[str]:
    """Paths that may be Python ``version``, the newest patch release of pyenv's first."""
    folder = pyenv_versions()
    installed = folder.glob(f"{version}.*/bin/python") if folder else []
    patch = {str(path): int(path.parts[-3].split(".")[2]) for path in installed if re.search(r"\.\d+/bin", str(path))}
    on_path = shutil.which(f"python{version}")
    return ([on_path] if on_path else []) + sorted(patch, key=lambda path: -patch[path])


def is_version(path: str, version: str) -> bool:
    """Whether ``path`` runs and is Python ``version`` (pyenv's shims may not)."""
    say = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([path, "-c", say], capture_output=True, text=True)
    return done.stdout.strip() == version


def main() -> None:
    for version in supported():
        found = next((path for path in candidates(version) if is_version(path, version)), None)
        if found:
            print(found)
        else:
            print(f"pythons: no Python {version} on this machine", file=sys.stderr)


if __name__ == "__main__":
    main()
