"""What a Postgres broker's URL says, and what the broker declares."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode

import attrs

from orcastra_core.model.broker_url import BrokerUrl, flag, seconds
from orcastra_core.model.errors import InvalidOption
from orcastra_core.model.names import DomainName
from orcastra_core.model.profile import Cap, Limits

CLAIMS = frozenset(Cap)

NOTES = {
    Cap.ORDERED_QUEUE: "publishes that run at the same time appear in the order of their commits, about",
    Cap.INSPECT: "counts by walking what waits and runs; never the history",
}

LIMITS = Limits(priorities=(-100, 100), time_resolution=0.02, min_lease=0.5, recovery_time=3.0)

EVENTS_MAX = 1_000_000
"""Records the event log keeps, about, unless the URL says otherwise."""

TIMEOUT = 10.0
"""Seconds an answer may take unless the URL says otherwise."""

POLL = 1.0
"""Seconds between looks that no notification asked for, unless the URL says otherwise."""

POLL_ONLY = 0.1
"""The same where none ever comes."""

POOL = 4
"""Connections for calls, unless the URL says otherwise; a broker opens them as it needs them."""

TRANSACTIONS = 10
"""Connections for tasks that write in the transaction they are settled in, unless the URL says otherwise."""

SCHEMA = "orcastra"

_LIBPQ = (
    "host", "port", "user", "password", "dbname", "database",
    "passfile", "service", "target_session_attrs", "krbsrvname", "gsslib",
    "sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "sslnegotiation",
    "ssl_min_protocol_version", "ssl_max_protocol_version",
)  # fmt: skip
"""Parameters that are the client library's; it checks their values."""


@attrs.frozen(kw_only=True)
class Settings:
    """The parameters of ``postgresql://user:password@host:port/database?…``.

    Besides these, what libpq's URLs have: ``sslmode``, ``sslrootcert``, ``passfile``, ``service``, ``host`` (a socket's
    directory), ``target_session_attrs`` and so on, as asyncpg has them. Of several hosts the one that takes writes is used.

    Attributes:
        dsn: The server, the database, and who to be, as asyncpg reads it.
        where: The same for people, without secrets.
        servicefile: Where ``service`` is looked up; None: where libpq does.
        domain: The unit of isolation.
        schema: The PostgreSQL schema of our tables; it may hold many domains.
        migrate: Whether ``open`` makes the tables, or brings them up to date.
        pool: Most connections for calls.
        transactions: Most connections for tasks that write in the transaction they are settled in.
        pooler: Whether the server is pgbouncer or the like in transaction mode: no prepared statements, no session state.
        listen: Whether to be notified; else only to look now and then.
        listen_dsn: Where to listen and beat instead: the server itself, behind a pooler.
        poll: Seconds between looks that no notification asked for.
        synchronous_commit: As PostgreSQL has it; None: as the server is configured.
        events_max: Records the event log keeps, about; the oldest go first.
        timeout: Seconds an answer may take.
        connect_timeout: Seconds within which ``open`` gives up.
        application_name: What pg_stat_activity shows.
    """

    dsn: str = attrs.field(repr=False)
    where: str
    domain: DomainName
    servicefile: str | None = None
    schema: str = SCHEMA
    migrate: bool = True
    pool: int = POOL
    transactions: int = TRANSACTIONS
    pooler: bool = False
    listen: bool = True
    listen_dsn: str | None = attrs.field(default=None, repr=False)
    poll: float = POLL
    synchronous_commit: str | None = None
    events_max: int = EVENTS_MAX
    timeout: float = TIMEOUT
    connect_timeout: float = LIMITS.connect_timeout
    application_name: str = "orcastra"

    @classmethod
    def of(cls, url: BrokerUrl) -> Settings:
        """Read a URL. Raises InvalidOption for parameters that are unknown or bad, or that do not go together."""
        options = url.options(_READERS)
        given = {name: options.pop(name) for name in _LIBPQ if name in options}
        if len(url.hosts) > 1:
            given.setdefault("target_session_attrs", "read-write")
        settings = cls(dsn=_dsn(url, given), where=str(attrs.evolve(url, params={})), domain=url.domain, **options)
        if settings.listen_dsn is not None and not settings.listen:
            raise InvalidOption(f"{url}: listen_dsn= is for listening, and listen=0 says not to")
        if settings.pooler and settings.listen_dsn is None:
            settings = attrs.evolve(settings, listen=False)
        if not settings.listen and "poll" not in options:
            settings = attrs.evolve(settings, poll=POLL_ONLY)
        return settings

    @property
    def direct(self) -> str | None:
        """The DSN by which notifications come and advisory locks hold; None where there is none."""
        return (self.listen_dsn or self.dsn) if self.listen else None


def _dsn(url: BrokerUrl, given: Mapping[str, str]) -> str:
    login = ""
    if url.username is not None or url.password is not None:
        password = "" if url.password is None else ":" + quote(url.password, safe="")
        login = f"{quote(url.username or '', safe='')}{password}@"
    query = urlencode(given, quote_via=quote)
    hosts = ",".join(host if host.startswith("[") or "/" not in host else quote(host, safe="") for host in url.hosts)
    return f"postgresql://{login}{hosts}{quote(url.path)}{'?' + query if query else ''}"


def _identifier(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_$]{0,39}", text) or text.lower().startswith("pg_"):
        raise ValueError("expected a name of letters, digits and _, at most 40")
    return text


def _printable(text: str) -> str:
    if not text or not all("!" <= character <= "~" for character in text):
        raise ValueError("expected printable ASCII without spaces")
    return text


def _at_least_one(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError("expected at least 1")
    return value


def _commit(text: str) -> str:
    if text not in ("on", "off", "local", "remote_write", "remote_apply"):
        raise ValueError("expected on, off, local, remote_write or remote_apply")
    return text


def _server(text: str) -> str:
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("expected a postgresql:// URL, percent-encoded")
    return text


_READERS: Mapping[str, Callable[[str], Any]] = MappingProxyType(
    dict.fromkeys(_LIBPQ, str)
    | {
        "servicefile": str,  # asyncpg has it, but not in a DSN
        "schema": _identifier,
        "migrate": flag,
        "pool": _at_least_one,
        "transactions": _at_least_one,
        "pooler": flag,
        "listen": flag,
        "listen_dsn": _server,
        "poll": seconds,
        "synchronous_commit": _commit,
        "events_max": _at_least_one,
        "timeout": seconds,
        "connect_timeout": seconds,
        "application_name": _printable,
    }
)
