"""Files that are either the old one or the new one, whole, whatever happens meanwhile.

The bytes go to a temporary file in the same folder, are forced to the disk, and take the name in one move, which is
then forced to the disk as well. A full disk, an exception or a kill leaves the old file as it was. What a kill leaves
behind is cleared away by the next write into the folder: a temporary file is locked while its writer lives.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file to write to, which becomes ``path`` when the block ends without an exception.

    A symbolic link is followed, and an existing file's permissions are kept. Raises OSError as ``open`` would.
    """
    target = Path(os.path.realpath(path))
    _clear_abandoned(target.parent)
    file = _open_temporary(target)
    temporary = Path(file.name)
    try:
        with file:  # until it has its name, so that nobody takes it for abandoned
            yield file
            file.flush()
            os.fsync(file.fileno())
            _keep_mode(target, temporary)
            os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(target.parent)


_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{16}\.steep\.tmp", re.DOTALL)


def _open_temporary(target: Path) -> BinaryIO:
    """A new file beside ``target``, locked; again if another writer cleared it away before it was."""
    while True:
        file = open(target.with_name(f".{target.name}.{os.urandom(8).hex()}.steep.tmp"), "xb")  # noqa: SIM115
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()


def _clear_abandoned(folder: Path) -> None:
    """Removes the temporary files in ``folder`` that nobody holds locked. What cannot be locked or removed stays."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            if not _TEMPORARY.fullmatch(entry.name):
                continue
            with suppress(OSError), open(entry.path, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(entry.path)


def _keep_mode(target: Path, temporary: Path) -> None:
    with suppress(OSError):
        os.chmod(temporary, target.stat().st_mode & 0o7777)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
