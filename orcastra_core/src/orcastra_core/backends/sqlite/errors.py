"""The edge at which SQLite's errors become ours."""

from __future__ import annotations

import errno
import sqlite3

from orcastra_core.model.errors import (
    BrokerError,
    BrokerTimeout,
    BrokerUnavailable,
    OrcastraError,
    StoreFull,
)

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class OutcomeUnknown(Exception):  # noqa: N818 - internal marker: wraps what a COMMIT raised
    """A COMMIT failed: what was in it has, most likely, not happened."""


def translate(error: BaseException, path: str) -> OrcastraError:
    """Return what to raise instead of ``error``; its ``__cause__`` is set."""
    if isinstance(error, OutcomeUnknown) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, OrcastraError):
        return error
    translated = _translated(error, path)
    translated.__cause__ = error
    return translated


def _translated(error: BaseException, path: str) -> BrokerError:
    if isinstance(error, sqlite3.Error):
        # extended result codes carry the primary one in their low byte
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return StoreFull(f"{path}: no room left (disk full, or a size limit); free some and it goes on")
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return BrokerTimeout(f"{path}: another program holds the database locked: {error}")
        if code == sqlite3.SQLITE_NOTADB:
            return BrokerError(f"{path} is no SQLite database; name another file, or move this one away")
        if code == sqlite3.SQLITE_CORRUPT:
            return BrokerError(
                f"{path} is damaged ({error}); stop all processes and recover it with: sqlite3 {path} .recover"
            )
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            return BrokerError(
                f"{path}: cannot be written ({error}); check the permissions of the file and its directory"
            )
        if code == sqlite3.SQLITE_CANTOPEN:
            return BrokerUnavailable(f"{path}: cannot be opened; check that its directory exists and can be written")
        if code == sqlite3.SQLITE_IOERR:
            return BrokerUnavailable(
                f"{path}: reading or writing failed: {error} ({getattr(error, 'sqlite_errorname', '?')})"
            )
        return BrokerError(f"{path}: {type(error).__name__}: {error}")
    if isinstance(error, OSError):
        if error.errno in _FULL:
            return StoreFull(f"{path}: no room left ({error.strerror}); free some and it goes on")
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return BrokerError(f"{path}: {error.strerror}; check the permissions of the file and its directory")
        return BrokerUnavailable(f"{path}: {error}")
    return BrokerError(f"{path}: {type(error).__name__}: {error}")


def is_full(error: BaseException) -> bool:
    """Whether there was no room, so that surely nothing was written."""
    return (
        isinstance(error, sqlite3.Error)
        and (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF == sqlite3.SQLITE_FULL
    )
