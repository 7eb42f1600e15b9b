"""Atomic writes: a file has either its old or its new content, completely, whatever happens.

The bytes go to a temporary file in the same folder, are synchronised to disk, and the file is renamed, which is then
synchronised too. A full disk, an exception or a kill leaves the old file unchanged. Files left behind by a kill are
removed by the next write into the folder: a temporary file is locked while its writer is alive.
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
    """A binary file to write to, which replaces ``path`` when the block ends without an exception; a context manager.

    Symbolic links are followed, and an existing file's permissions are kept.

    Args:
        path: path of the file.

    Yields:
        A binary file.

    Raises:
        OSError: as ``open``.

    Example:
        >>> with sp.io.atomic_write("data.bin") as file:
        ...     _ = file.write(b"abc")
        >>> from pathlib import Path
        >>> Path("data.bin").read_bytes()
        b'abc'
    """
    target = Path(os.path.realpath(path))
    _clear_abandoned(target.parent)
    with _named(path):
        file = _open_temporary(target)
    temporary = Path(file.name)
    try:
        with file:  # until it is renamed, so that it is not taken for abandoned
            yield file
            with _named(path):
                file.flush()
                os.fsync(file.fileno())
                _keep_mode(target, temporary)
                os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(target.parent)


@contextmanager
def _named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Errors inside name the file that was asked for, and not the temporary one."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


MOST_OF_NAME = 200  # bytes of the target's name in that of the temporary file: file systems allow 255 in all
_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{16}\.steep\.tmp", re.DOTALL)


def _open_temporary(target: Path) -> BinaryIO:
    """A new file in the folder of ``target``, locked; retried if another writer removed it before it was."""
    name = os.fsdecode(os.fsencode(target.name)[:MOST_OF_NAME])
    while True:
        file = open(target.with_name(f".{name}.{os.urandom(8).hex()}.steep.tmp"), "xb")  # noqa: SIM115
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()


def _clear_abandoned(folder: Path) -> None:
    """Removes temporary files in ``folder`` that are not locked. Files that cannot be locked or removed stay."""
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
