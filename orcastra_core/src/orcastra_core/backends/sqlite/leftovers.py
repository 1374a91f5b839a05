"""Files that dead processes left beside the database."""

from __future__ import annotations

import os
import socket
import sqlite3
import time

from orcastra_core.backends.sqlite.place import Place
from orcastra_core.backends.sqlite.session_file import Life, probe

_OLD = 60.0
"""Seconds after which a file that was never given its name is nobody's."""


def remove_leftovers(conn: sqlite3.Connection, place: Place) -> int:
    """Remove files of sessions that have no row and no process, and sockets that nobody hears; return how many.

    A session's file is there, locked, before its row; so what has neither is left over.
    """
    alive = {number for (number,) in conn.execute("SELECT num FROM session")}
    removed = 0
    for name in place.names():
        stem, _, kind = name.partition(".")
        if kind == "session" and stem.isdecimal():
            left = int(stem) not in alive and probe(place.session_path(int(stem))).life is Life.FREE
        elif kind in ("bell", "feed"):
            left = _nobody_hears(place.address(name))
        elif kind.endswith(".tmp"):
            left = _age(os.path.join(place.path, name)) > _OLD
        else:
            left = False
        if left:
            place.remove(name)
            removed += 1
    return removed


def _nobody_hears(address: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as tester:
        tester.setblocking(False)
        try:
            tester.connect(address)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def _age(path: str) -> float:
    try:
        return (time.time_ns() - os.stat(path).st_mtime_ns) / 1e9
    except OSError:
        return 0.0
