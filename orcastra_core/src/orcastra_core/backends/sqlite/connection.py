"""Connections to the file, each for one thread."""

from __future__ import annotations

import os
import sqlite3
from urllib.parse import quote

from orcastra_core.model.errors import BrokerError

PAGE_SIZE = 4096
CHECKPOINT_PAGES = 4000
"""The journal is copied into the file every so many pages (16 MB)."""

JOURNAL_LIMIT = 64 * 1024 * 1024
"""Bytes to which a journal that had to grow is cut back when it starts anew."""

_FOREIGN_WAIT_MS = 5000  # for the locks of other programs; ours queue at the lock file


class FileIdentity:
    """Which file a path meant when it was opened, to notice that it was deleted or replaced."""

    def __init__(self, path: str) -> None:
        self._path = path
        status = os.stat(path)
        self._identity = status.st_dev, status.st_ino

    def check(self) -> None:
        """Raise BrokerError if the path now means another file, or none.

        Only stat: to open and close the file here would drop SQLite's own locks on it.
        """
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            raise BrokerError(
                f"{self._path} was deleted while it was open; close the broker and open it again"
            ) from None
        if (status.st_dev, status.st_ino) != self._identity:
            raise BrokerError(f"{self._path} was replaced while it was open; close the broker and open it again")


def open_writer(path: str) -> sqlite3.Connection:
    """Open the connection that writes. Makes the file if there is none."""
    conn = _connect(path)
    try:
        (tables,) = conn.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables:
            conn.execute(f"PRAGMA page_size = {PAGE_SIZE}")
            conn.execute("PRAGMA auto_vacuum = INCREMENTAL")
        (mode,) = conn.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise BrokerError(
                f"{path}: this file system does not carry SQLite's write-ahead log; take another directory"
            )
        conn.execute("PRAGMA secure_delete = OFF")  # some builds overwrite what is deleted, at half the speed
        conn.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        conn.execute(f"PRAGMA journal_size_limit = {JOURNAL_LIMIT}")
        conn.execute("PRAGMA cache_size = -32000")
        conn.execute("PRAGMA temp_store = MEMORY")
        conn.execute("PRAGMA synchronous = FULL")
    except BaseException:
        conn.close()
        raise
    return conn


def open_reader(path: str) -> sqlite3.Connection:
    """Open a connection that only reads. Never makes a file."""
    conn = _connect(f"file:{quote(path)}?mode=rw", uri=True)
    try:
        conn.execute("PRAGMA query_only = ON")
        conn.execute("PRAGMA cache_size = -8000")
    except BaseException:
        conn.close()
        raise
    return conn


def _connect(path: str, *, uri: bool = False) -> sqlite3.Connection:
    return sqlite3.connect(
        path,
        uri=uri,
        timeout=_FOREIGN_WAIT_MS / 1000,
        isolation_level=None,
        cached_statements=512,
        check_same_thread=False,  # close() may have to drop a connection whose thread is stuck
    )
