"""The file that everything is kept in: an append-only sequence of records, each whole or not there."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from typing import Any
from zlib import crc32

from orcastra_core.serialization.cbor import CborSerializer

_HEAD = struct.Struct(">II")  # the length of what follows, and its CRC-32
_codec = CborSerializer()


class Journal:
    """A domain's journal. Every method is called under the domain's lock, and may raise OSError.

    Args:
        path: Where it is.
        fsync: Whether ``append`` can be asked to flush to the disk.
    """

    def __init__(self, path: str, *, fsync: bool) -> None:
        self._path = path
        self._fsync = fsync
        self._fd = -1
        self.size = 0

    def open(self) -> bool:
        """Open the file, if it is not open; True if it is another one than before, to be read from its start."""
        try:
            there = os.stat(self._path)
            if self._fd >= 0 and os.path.samestat(there, os.fstat(self._fd)):
                return False
        except FileNotFoundError:
            pass
        self.close()
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._flush_name()
        return True

    def read(self) -> list[Any]:
        """Return the records that were appended since the last call.

        What follows the last whole record is cut off: its writer died in the middle of it.
        """
        data = os.pread(self._fd, os.fstat(self._fd).st_size - self.size, self.size)
        records: list[Any] = []
        at = 0
        while len(data) - at > _HEAD.size:
            size, checksum = _HEAD.unpack_from(data, at)
            body = data[at + _HEAD.size : at + _HEAD.size + size]
            if not size or len(body) < size or crc32(body) != checksum:
                break
            records.append(_codec.loads(body))
            at += _HEAD.size + size
        self.size += at
        if at < len(data):
            os.ftruncate(self._fd, self.size)
        return records

    def append(self, record: Sequence[Any], *, flush: bool) -> None:
        """Append a record. If this raises, it is not there."""
        data = _framed(record)
        try:
            _write(self._fd, data, self.size)
            if flush and self._fsync:
                os.fdatasync(self._fd)
        except OSError:
            os.ftruncate(self._fd, self.size)
            raise
        self.size += len(data)

    def replace(self, record: Sequence[Any]) -> None:
        """Put a new file with this one record in the place of the old one, which others still have open."""
        data, path = _framed(record), f"{self._path}.new"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            _write(fd, data, 0)
            os.fdatasync(fd)
            os.rename(path, self._path)
        except BaseException:
            os.close(fd)
            raise
        self.close()
        self._fd, self.size = fd, len(data)
        self._flush_name()

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        fd, self._fd = self._fd, -1
        self.size = 0
        if fd >= 0:
            os.close(fd)

    def _flush_name(self) -> None:
        """Have the directory remember the file, also after a power failure."""
        if self._fsync:
            directory = os.open(os.path.dirname(self._path), os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)


def _framed(record: Sequence[Any]) -> bytes:
    body = _codec.dumps(list(record))
    return _HEAD.pack(len(body), crc32(body)) + body


def _write(fd: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, at)
        view, at = view[written:], at + written
