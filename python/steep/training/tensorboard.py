"""TensorBoard's event files, written without TensorBoard: scalars as protocol buffers in framed records.

A record is its length, a checksum of the length, the data and a checksum of the data; the checksum is CRC-32C, rotated
and shifted by a constant. The formats are those of TensorFlow's RecordWriter and of its message ``Event``.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Mapping
from pathlib import Path

POLYNOMIAL = 0x82F63B78  # of CRC-32C, its bits reversed


def _table() -> list[int]:
    found = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (POLYNOMIAL if byte & 1 else 0)
        found.append(byte)
    return found


TABLE = _table()


def checksum(data: bytes) -> int:
    """The masked CRC-32C of a record.

    Args:
        data: the bytes.

    Returns:
        An integer of 32 bits.
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def record(data: bytes) -> bytes:
    """The bytes of a framed record.

    Args:
        data: its content.

    Returns:
        Bytes.
    """
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", checksum(length)) + data + struct.pack("<I", checksum(data))


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def event(step: int, scalars: Mapping[str, float], when: float) -> bytes:
    """An event with scalars.

    Args:
        step: number of the step.
        scalars: values by tag.
        when: seconds since 1970.

    Returns:
        Bytes of the message ``Event``.
    """
    values = b"".join(
        _message(1, _message(1, tag.encode()) + _varint(2 << 3 | 5) + struct.pack("<f", value))
        for tag, value in scalars.items()
    )
    return _varint(1 << 3 | 1) + struct.pack("<d", when) + _varint(2 << 3) + _varint(step) + _message(5, values)


class EventFile:
    """An event file in a folder, to which scalars are appended.

    Args:
        folder: the folder, which is made if it is not there.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        now = time.time()
        self.path = Path(folder) / f"events.out.tfevents.{int(now)}.steep.{os.getpid()}.{time.monotonic_ns()}"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._append(_varint(1 << 3 | 1) + struct.pack("<d", now) + _message(3, b"brain.Event:2"))

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Appends scalars.

        Args:
            step: number of the step.
            scalars: values by tag.
        """
        self._append(event(step, scalars, time.time()))

    def _append(self, data: bytes) -> None:
        with open(self.path, "ab") as file:
            file.write(record(data))
