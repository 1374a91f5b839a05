"""What a Kafka broker's URL says, and what the lanes declare."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from orcastra_core.model.broker_url import DEFAULT_LEASE, BrokerUrl, flag, seconds
from orcastra_core.model.errors import InvalidOption
from orcastra_core.model.names import DomainName
from orcastra_core.model.profile import Limits
from orcastra_kafka.share.cluster import Connecting
from orcastra_kafka.share.private import has_codec
from orcastra_kafka.topics import LEVELS

DEFAULT_PORT = 9092

CODECS: Final[Mapping[str, int]] = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
"""Compressions by their number in a record batch."""

LIMITS = Limits(publish_window=0.0, settle_window=0, time_resolution=0.05, recovery_time=1.0)
"""What both lanes have in common; lease, priorities and patience come from the broker and the URL."""

_LANES = ("auto", "share", "classic")
_PRIORITIES: Final[Mapping[int, Sequence[int]]] = {1: (0,), 2: (1, 0), 3: tuple(LEVELS)}
"""By how many there are."""


@attrs.frozen(kw_only=True)
class Settings:
    """The parameters of ``kafka://user:password@host:port,host2:port2/?…``.

    Attributes:
        hosts: Brokers to begin with.
        username: Who to be, for SASL.
        password: And how to prove it.
        domain: The unit of isolation.
        lease: Seconds that a session wants to be able to be silent.
        lane: ``share``, ``classic``, or ``auto``: share groups where the brokers offer them.
        transactions: Whether a settle is a transaction. Classic lane only.
        levels: How many priorities there are, each a topic: 1 to 3.
        partitions: Of each topic that is created.
        replication: Replicas of each topic that is created; -1: as the brokers have it.
        min_insync: Replicas that must have a record before it is confirmed; None: as the brokers have it.
        create_topics: Whether missing topics are created.
        timeout: Seconds an answer may take.
        connect_timeout: Seconds within which ``open`` gives up.
        compression: Of record batches.
        client_id: What the brokers' logs show.
        events_max: Pieces the event log keeps, about; a piece holds the events of one call.
        security_protocol: As Kafka calls them.
        sasl_mechanism: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
        tls_ca, tls_cert, tls_key: Files: whom to trust, and who we are.
        tls_check_hostname: Whether the broker's certificate has to name its host.
    """

    hosts: Sequence[tuple[str, int]]
    username: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    domain: DomainName
    lease: float = DEFAULT_LEASE
    lane: str = "auto"
    transactions: bool = False
    levels: int = 3
    partitions: int = 4
    replication: int = -1
    min_insync: int | None = None
    create_topics: bool = True
    timeout: float = 5.0
    connect_timeout: float = 5.0
    compression: str = "none"
    client_id: str = "orcastra"
    events_max: int = 1_000_000
    security_protocol: str = ""
    sasl_mechanism: str = "PLAIN"
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_check_hostname: bool = True

    @classmethod
    def of(cls, url: BrokerUrl) -> Settings:
        """Read a URL. Raises InvalidOption for parameters that are unknown or bad, or that do not go together."""
        if url.path.strip("/"):
            raise InvalidOption(f"{url}: a path means nothing here; write kafka://host:9092/?domain=…")
        options = url.options(_READERS)
        hosts = tuple(_host(host) for host in url.hosts) or (("127.0.0.1", DEFAULT_PORT),)
        settings = cls(
            hosts=hosts,
            username=url.username,
            password=url.password,
            domain=url.domain,
            lease=url.lease,
            **options,
        )
        protocol = settings.security_protocol or ("SASL_PLAINTEXT" if url.username else "PLAINTEXT")
        settings = attrs.evolve(settings, security_protocol=protocol)
        settings._check(url)
        return settings

    @property
    def priorities(self) -> Sequence[int]:
        """The priorities that are taken, the highest first."""
        return _PRIORITIES[self.levels]

    def connecting(self, timeout: float | None = None) -> Connecting:
        """Return how to connect. Raises InvalidOption for certificates that cannot be read."""
        return Connecting(
            bootstrap=self.hosts,
            client_id=self.client_id,
            timeout=timeout or self.timeout,
            security_protocol=self.security_protocol,
            ssl=self._context() if self.security_protocol.endswith("SSL") else None,
            sasl_mechanism=self.sasl_mechanism if self.security_protocol.startswith("SASL") else None,
            username=self.username,
            password=self.password,
        )

    def _context(self) -> ssl.SSLContext:
        for name in ("tls_ca", "tls_cert", "tls_key"):
            file = getattr(self, name)
            if file is not None and not Path(file).is_file():
                raise InvalidOption(f"{name}={file}: there is no such file")
        names = "tls_ca"
        try:
            context = ssl.create_default_context(cafile=self.tls_ca)
            context.check_hostname = self.tls_check_hostname
            names = "tls_cert, tls_key"
            if self.tls_cert is not None:
                context.load_cert_chain(self.tls_cert, self.tls_key, password=_no_password)
        except (OSError, ValueError) as error:  # ssl's own errors are OSErrors
            raise InvalidOption(f"{names}: not to be used: {error}") from error
        return context

    def _check(self, url: BrokerUrl) -> None:
        if not has_codec(self.compression):
            raise InvalidOption(
                f"{url}: compression={self.compression} needs a library that is not installed;"
                f" pip install 'aiokafka[{self.compression}]'"
            )
        if self.transactions and self.lane == "share":
            raise InvalidOption(
                f"{url}: transactions=1 is for lane=classic: acknowledgements of a share group join none"
            )
        if self.security_protocol.startswith("SASL") and (self.username is None or self.password is None):
            raise InvalidOption(f"{url}: {self.security_protocol} needs a user and a password in the URL")
        if not self.security_protocol.startswith("SASL") and self.username is not None:
            raise InvalidOption(f"{url}: a user needs security_protocol=sasl_plaintext or sasl_ssl")
        if not self.security_protocol.endswith("SSL"):
            for name in ("tls_ca", "tls_cert", "tls_key", "tls_check_hostname"):
                if name in url.params:
                    raise InvalidOption(f"{url}: {name} needs security_protocol=ssl or sasl_ssl")
        if self.tls_key is not None and self.tls_cert is None:
            raise InvalidOption(f"{url}: tls_key needs tls_cert")


def _no_password() -> str:
    """Answer for OpenSSL, which would ask the terminal."""
    return ""


def _host(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        return text.strip("[]"), DEFAULT_PORT
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise InvalidOption(f"{text!r} is no host:port")
    return host.strip("[]") or "127.0.0.1", int(port)


def _between(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
            raise ValueError(f"expected a number from {least} to {most}")
        return int(text)

    return read


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        for word in words:
            if text.lower() == word.lower():
                return word
        raise ValueError(f"expected one of {', '.join(words)}")

    return read


def _name(text: str) -> str:
    if not text or not all("!" <= character <= "~" for character in text):
        raise ValueError("expected printable ASCII without spaces")
    return text


_READERS: Mapping[str, Callable[[str], Any]] = {
    "lane": _one_of(*_LANES),
    "transactions": flag,
    "levels": _between(1, len(LEVELS)),
    "partitions": _between(1, 10_000),
    "replication": _between(1, 100),
    "min_insync": _between(1, 100),
    "create_topics": flag,
    "timeout": seconds,
    "connect_timeout": seconds,
    "compression": _one_of(*CODECS),
    "client_id": _name,
    "events_max": _between(0, 1 << 40),
    "security_protocol": _one_of("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    "sasl_mechanism": _one_of("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
    "tls_ca": str,
    "tls_cert": str,
    "tls_key": str,
    "tls_check_hostname": flag,
}
