"""The messages between the server and the page: a JSON header, then the bytes of arrays.

A message is four bytes with the length of the header, the header, four bytes with the length of what follows, and
those bytes. ``page/wire.js`` reads them. A number that is not finite is null in a header.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable
from typing import Any

import numpy as np

from steep import tree


def packed(header: dict[str, Any], arrays: Iterable[Any] = ()) -> bytes:
    """A message.

    Args:
        header: what JSON can hold.
        arrays: arrays whose bytes follow one another.

    Returns:
        Bytes.
    """
    text = json.dumps(finite(header), allow_nan=False).encode()
    body = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
    return b"".join([struct.pack("<I", len(text)), text, struct.pack("<I", len(body)), body])


def unpacked(data: bytes) -> list[tuple[dict[str, Any], bytes]]:
    """The messages in some bytes.

    Args:
        data: messages one after another.

    Returns:
        Pairs of a header and the bytes that follow it.
    """
    found, at = [], 0
    while at < len(data):
        parts = []
        for _ in range(2):
            (size,) = struct.unpack_from("<I", data, at)
            parts.append(data[at + 4 : at + 4 + size])
            at += 4 + size
        found.append((json.loads(parts[0]), parts[1]))
    return found


def finite(value: Any) -> Any:
    """A tree in which floats that are not finite are None, and NumPy's numbers are Python's.

    Args:
        value: dicts, lists, tuples, numbers and strings.

    Returns:
        A tree that JSON can hold.
    """
    return tree.map(_plain, value)


def _plain(x: Any) -> Any:
    x = x.item() if isinstance(x, np.generic) else x
    return None if isinstance(x, float) and not math.isfinite(x) else x
