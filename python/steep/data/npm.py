"""Packages of the npm registry, downloaded by npm with its own configuration; none of their code is run.

npm is asked for the archive alone (``npm pack``), which is not unpacked. Start reading at ``packed``.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def filename(requirement: str) -> str:
    """The name that npm gives the archive of "name@version"."""
    name, _, version = requirement.rpartition("@")
    return f"{name.removeprefix('@').replace('/', '-')}-{version}.tgz"


def packed(requirement: str, folder: Path) -> Path:
    """The path of the archive of "name@version", downloaded into ``folder``. Raises OSError with npm's own reason."""
    npm = shutil.which("npm")
    if npm is None:
        raise OSError("npm is not installed")
    command = [npm, "pack", "--ignore-scripts", "--silent", f"--pack-destination={folder}", requirement]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=folder)
    path = folder / filename(requirement)
    if done.returncode or not path.is_file():
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise OSError(f"npm pack failed: {lines[-1]}")
    return path
