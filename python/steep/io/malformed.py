"""A malformed file is a ValueError that names it, whatever went wrong inside.

Readers look up, convert and reshape values as if the file were intact; ``reading`` converts what that raises for a
damaged or hostile file to one type of error.
"""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

DAMAGE = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, EOFError, SyntaxError,
    NotImplementedError, RuntimeError, OSError, struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip


@contextmanager
def reading(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Around the reading of an open file: turns errors into ValueError "path is not ``what`` that can be read: reason".

    Args:
        path: path of the file.
        what: what the file should be.

    Raises:
        ValueError: for any error inside that a malformed file can cause.
    """
    try:
        yield
    except MemoryError as error:
        raise ValueError(
            f"{os.fspath(path)} is not {what} that can be read: it asks for more memory than there is"
        ) from error
    except DAMAGE as error:
        reason = str(error) if isinstance(error, ValueError) and str(error) else f"{type(error).__name__}: {error}"
        raise ValueError(f"{os.fspath(path)} is not {what} that can be read: {reason}") from None
