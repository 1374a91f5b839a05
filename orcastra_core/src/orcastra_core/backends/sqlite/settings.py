"""What an SQLite broker's URL says, and what the broker declares."""

from __future__ import annotations

import hashlib
import os
from urllib.parse import quote

import attrs

from orcastra_core.model.broker_url import DEFAULT_DOMAIN, BrokerUrl, seconds
from orcastra_core.model.errors import InvalidOption
from orcastra_core.model.names import DomainName
from orcastra_core.model.profile import Cap, Durability, Limits

CLAIMS = frozenset(Cap) - {Cap.TX_PUBLISH, Cap.TX_COMPLETE}

NOTES = {
    Cap.TX_PUBLISH: "the file has one writer at a time, and it is the broker",
    Cap.TX_COMPLETE: "the file has one writer at a time, and it is the broker",
    Cap.INSPECT: "counts by walking what waits and runs; never the history",
}

LIMITS = Limits(priorities=(-100, 100), time_resolution=0.01, min_lease=0.5, recovery_time=1.0)

EVENTS_MAX = 1_000_000
"""Entries the event log keeps unless the URL says otherwise."""

BUSY_TIMEOUT = 30.0
"""Seconds an operation waits for its turn to write unless the URL says otherwise."""

_DURABILITY = {"full": Durability.POWER_LOSS, "normal": Durability.SERVER_CRASH}


@attrs.frozen
class Settings:
    """The parameters of ``sqlite:///path?synchronous=…&connect_timeout=…&busy_timeout=…&events_max=…``.

    Attributes:
        path: The absolute path of the database file.
        domain: The domain that the file holds: a file holds one.
        synchronous: ``full``: a confirmed publish was flushed to disk. ``normal``: it
            was handed to the operating system, and survives the death of any process, not that of the machine.
        connect_timeout: Seconds within which ``open`` gives up.
        busy_timeout: Seconds an operation waits for its turn to write.
        events_max: Entries the event log keeps, about; the oldest go first.
    """

    path: str
    domain: DomainName = DEFAULT_DOMAIN
    synchronous: str = "full"
    connect_timeout: float = LIMITS.connect_timeout
    busy_timeout: float = BUSY_TIMEOUT
    events_max: int = EVENTS_MAX

    @classmethod
    def of(cls, url: BrokerUrl) -> Settings:
        """Read a URL. Raises InvalidOption for a bad path and for parameters that are unknown or bad."""
        if url.hosts or url.username or url.password:
            raise InvalidOption(
                f"{url}: a file has no host; write sqlite:///file.db for a file in the current directory,"
                " or sqlite:////var/lib/file.db for an absolute path"
            )
        name = url.path[1:]
        if not name or name.endswith("/"):
            raise InvalidOption(
                f"{url}: which file? Write sqlite:///file.db for a file in the current directory,"
                " or sqlite:////var/lib/file.db for an absolute path"
            )
        if name == ":memory:":
            raise InvalidOption("sqlite:///:memory: would be seen by this process only; write memory:// for that")
        if "\0" in name:
            raise InvalidOption(f"{url}: a path cannot hold a NUL")
        options = url.options(
            {
                "synchronous": _synchronous,
                "connect_timeout": seconds,
                "busy_timeout": seconds,
                "events_max": _at_least_one,
            }
        )
        return cls(path=path_of(os.path.abspath(name), url.domain), domain=url.domain, **options)

    @property
    def durability(self) -> Durability:
        """What a confirmed publish survives."""
        return _DURABILITY[self.synchronous]


def path_of(path: str, domain: DomainName) -> str:
    """Return the file of a domain: ``path`` for the default one, beside it ``stem.domain.suffix`` for another.

    A file is the unit of locking, so domains in files of their own neither
    meet nor wait for one another.
    """
    if domain == DEFAULT_DOMAIN:
        return path
    stem, suffix = os.path.splitext(path)
    name = quote(domain, safe="")
    if len(os.path.basename(stem)) + len(name) + len(suffix) > 200:
        name = hashlib.sha256(domain.encode()).hexdigest()[:32]
    return f"{stem}.{name}{suffix}"


def _synchronous(text: str) -> str:
    value = text.lower()
    if value not in _DURABILITY:
        raise ValueError("expected full or normal")
    return value


def _at_least_one(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError("expected at least 1")
    return value
