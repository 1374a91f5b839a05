"""What a Redis broker's URL says, and what the broker declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import attrs

from orcastra_core.model.broker_url import BrokerUrl, flag, seconds
from orcastra_core.model.errors import InvalidOption
from orcastra_core.model.names import DomainName
from orcastra_core.model.profile import Cap, Limits
from orcastra_redis.credentials import Credentials, credentials_of

CLAIMS = frozenset(Cap) - {Cap.TX_PUBLISH, Cap.TX_COMPLETE}

NOTES = {
    Cap.TX_PUBLISH: "the caller's transactions are not in Redis",
    Cap.TX_COMPLETE: "the task's rows are not in Redis",
    Cap.PRIORITY: "a stream for each priority in use: a fetch asks each of them",
}

LIMITS = Limits(priorities=(-100, 100), time_resolution=0.02, min_lease=0.5, recovery_time=3.0, max_delay=366 * 86400.0)

EVENTS_MAX = 1_000_000
"""Pieces the event log keeps, about, unless the URL says otherwise. A piece holds the records of one call."""

TIMEOUT = 5.0
"""Seconds an answer may take unless the URL says otherwise."""

DEFAULT_PORT = 6379
SENTINEL_PORT = 26379

Address: TypeAlias = tuple[str, int]
"""A host and a port."""


@attrs.frozen(kw_only=True)
class Settings:
    """The parameters of ``redis://user:password@host:port/db?…``.

    Attributes:
        hosts: Host and port of each server named; one, but for Sentinel and Cluster.
        path: Of the Unix socket, instead of hosts.
        db: The database's number; with a socket, the parameter ``db``.
        tls: Whether to speak TLS.
        username: Who to be.
        password: And how to prove it.
        credentials: Who says it anew for each connection, instead of a password.
        domain: The unit of isolation.
        events_max: Pieces the event log keeps, about; the oldest go first.
        timeout: Seconds an answer may take.
        connect_timeout: Seconds within which ``open`` gives up.
        protocol: RESP version, 2 or 3.
        client_name: What CLIENT LIST shows.
        wait_replicas: Replicas that must have a change before it is confirmed.
        cluster: Whether the hosts are nodes of a cluster.
        sentinel: The master's name, if the hosts are sentinels.
        unsafe_eviction: Open a server that may evict tasks.
        sentinel_username: Who to be for the sentinels.
        sentinel_password: And how to prove it.
        nat: Where to connect instead of to what a cluster or its sentinels call a server's address.
        tls_ca: File of the authorities to trust; by default the system's.
        tls_cert: File of our own certificate, for servers that ask for one.
        tls_key: File of its key.
        tls_check_hostname: Whether the server's certificate has to name the host.
    """

    hosts: tuple[Address, ...]
    path: str | None = None
    db: int = 0
    tls: bool = False
    username: str | None = None
    password: str | None = None
    credentials: Credentials | None = None
    domain: DomainName
    events_max: int = EVENTS_MAX
    timeout: float = TIMEOUT
    connect_timeout: float = LIMITS.connect_timeout
    protocol: int = 3
    client_name: str = "orcastra"
    wait_replicas: int = 0
    cluster: bool = False
    sentinel: str | None = None
    unsafe_eviction: bool = False
    sentinel_username: str | None = None
    sentinel_password: str | None = None
    nat: Mapping[Address, Address] = MappingProxyType({})
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_check_hostname: bool = True

    @classmethod
    def of(cls, url: BrokerUrl) -> Settings:
        """Read a URL. Raises InvalidOption for parameters that are unknown or bad, or that do not go together."""
        on_path = url.scheme == "unix"
        options = url.options({**_READERS, "db": _number} if on_path else _READERS)
        if "credentials" in options:
            options["credentials"] = _credentials(url, options["credentials"])
        common = {"username": url.username, "password": url.password, "domain": url.domain, **options}
        if on_path:
            if not url.path or url.hosts:
                raise InvalidOption(f"{url}: which socket? Write unix:///run/redis.sock")
            settings = cls(hosts=(), path=url.path, **common)
        else:
            number = url.path.strip("/") or "0"
            if not (number.isascii() and number.isdecimal()):
                raise InvalidOption(f"{url}: {url.path!r} is no database; write a number, as in redis://host:6379/0")
            usual = SENTINEL_PORT if "sentinel" in options else DEFAULT_PORT
            hosts = tuple(_host(host, usual) for host in url.hosts) or (("127.0.0.1", usual),)
            settings = cls(hosts=hosts, db=int(number), tls=url.scheme == "rediss", **common)
        settings._check(url)
        return settings

    @property
    def routed(self) -> bool:
        """Whether the hosts only tell which server to talk to."""
        return self.cluster or self.sentinel is not None

    def _check(self, url: BrokerUrl) -> None:
        if self.credentials is not None and self.password is not None:
            raise InvalidOption(f"{url}: a password and credentials= exclude each other")
        if len(self.hosts) > 1 and not self.routed:
            raise InvalidOption(f"{url}: several hosts need cluster=1 or sentinel=<name of the master>")
        if self.cluster and self.sentinel is not None:
            raise InvalidOption(f"{url}: cluster=1 and sentinel= exclude each other")
        if self.cluster and self.db:
            raise InvalidOption(f"{url}: a cluster has database 0 only")
        if self.routed and self.path is not None:
            raise InvalidOption(f"{url}: a cluster and sentinels are reached by host and port, not by a socket")
        for name in () if self.tls else ("tls_ca", "tls_cert", "tls_key", "tls_check_hostname"):
            if name in url.params:
                raise InvalidOption(f"{url}: {name} is for rediss://")
        for name in () if self.sentinel is not None else ("sentinel_username", "sentinel_password"):
            if name in url.params:
                raise InvalidOption(f"{url}: {name} needs sentinel=<name of the master>")
        if self.nat and not self.routed:
            raise InvalidOption(f"{url}: nat is for cluster=1 or sentinel=<name of the master>")

    @property
    def prefix(self) -> str:
        """What every key of the domain begins with: one hash tag, so that they share a slot."""
        tag = self.domain.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")
        return f"{{{tag}}}:"


def _credentials(url: BrokerUrl, text: str) -> Credentials:
    try:
        return credentials_of(text)
    except ValueError as error:
        raise InvalidOption(f"{url}: credentials={text}: {error}") from error


def _host(text: str, usual: int) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        return text.strip("[]"), usual
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise InvalidOption(f"{text!r} is no host:port")
    return host.strip("[]") or "127.0.0.1", int(port)


def _nat(text: str) -> Mapping[Address, Address]:
    pairs = [pair.split("=") for pair in text.split(",")]
    try:
        return MappingProxyType({_host(named, DEFAULT_PORT): _host(reached, DEFAULT_PORT) for named, reached in pairs})
    except ValueError:  # InvalidOption is one
        raise ValueError("expected named:port=reached:port,…") from None


def _name(text: str) -> str:
    if not text or not all("!" <= character <= "~" for character in text):
        raise ValueError("expected printable ASCII without spaces")
    return text


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError("expected a number")
    return int(text)


def _at_least_one(text: str) -> int:
    value = _number(text)
    if value < 1:
        raise ValueError("expected at least 1")
    return value


def _protocol(text: str) -> int:
    if text not in ("2", "3"):
        raise ValueError("expected 2 or 3")
    return int(text)


_READERS: Mapping[str, Callable[[str], Any]] = {
    "events_max": _at_least_one,
    "timeout": seconds,
    "connect_timeout": seconds,
    "protocol": _protocol,
    "client_name": _name,
    "credentials": str,
    "wait_replicas": _number,
    "cluster": flag,
    "sentinel": _name,
    "sentinel_username": str,
    "sentinel_password": str,
    "nat": _nat,
    "unsafe_eviction": flag,
    "tls_ca": str,
    "tls_cert": str,
    "tls_key": str,
    "tls_check_hostname": flag,
}
