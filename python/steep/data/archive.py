"""Archives of the npm registry that are wanted as they are, for the many files inside: kept by hand, or temporary.

Where there is no npm or no network, an archive that was put into the cache by hand is used. Files that are wanted one
by one are a ``Source`` of ``fetch.py``.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from steep.data import npm
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
        return npm.filename(self.requirement)


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
        try:
            path = npm.packed(archive.requirement, Path(folder))
        except OSError as error:
            raise FetchError(_help(archive, str(error))) from None
        yield _checked(archive, path)


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
