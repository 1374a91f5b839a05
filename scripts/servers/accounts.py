"""Servers that refuse to run as root: for whom they run where we are root, and where that account gets to its files."""

from __future__ import annotations

import os
import pwd
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from servers.service import ServerError

_SPARE = ("/var/tmp", "/dev/shm")  # noqa: S108 - only where the temporary directory is closed to others


@dataclass(frozen=True)
class Account:
    """Who runs a server."""

    uid: int
    gid: int

    def own(self, path: Path) -> None:
        os.chown(path, self.uid, self.gid)


def unprivileged(*names: str) -> Account | None:
    """The first of these accounts that the machine has, else ``nobody``; None where we are not root ourselves."""
    if os.geteuid() != 0:
        return None
    for name in (*names, "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid)
    raise ServerError(f"it does not run as root, and there is no account {' or '.join([*names, 'nobody'])} to run it")


def directory_for(account: Account, name: str) -> Path:
    """A fresh directory of the account's, at a place where every folder above lets it pass."""
    for place in (tempfile.gettempdir(), *_SPARE):
        if _open_to_all(Path(place)):
            directory = Path(tempfile.mkdtemp(prefix=f"orcastra-{name}-", dir=place))
            account.own(directory)
            return directory
    raise ServerError(f"no directory that another account could reach; set TMPDIR to one (tried {' '.join(_SPARE)})")


def _open_to_all(place: Path) -> bool:
    try:
        there = place.resolve(strict=True)
        return os.access(there, os.W_OK) and all(one.stat().st_mode & stat.S_IXOTH for one in (there, *there.parents))
    except OSError:
        return False
