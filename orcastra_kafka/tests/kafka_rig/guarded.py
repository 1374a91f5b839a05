"""A broker that wants logins and certificates, and lets everybody do only what he was allowed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from orcastra_kafka.conformance_servers import Ground, Server
from orcastra_kafka.share import Cluster, Connecting
from orcastra_kafka.share.private import CompactBytes, Int8, Int16, Int32
from orcastra_kafka.share.wire import NO_TAGS, TEXT, Request, array

TOPIC, GROUP, CLUSTER, TRANSACTIONAL_ID = 2, 3, 4, 5
_PREFIXED, _LITERAL = 4, 3
_OPERATIONS = {
    "Read": 3, "Write": 4, "Create": 5, "Delete": 6, "Alter": 7, "Describe": 8, "DescribeConfigs": 10, "AlterConfigs": 11,
}  # fmt: skip
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
USERS = ("worker", "client", "maker", "stranger")
"""Who may log in, each with his name and «-pw» for a password."""


class Certificates:
    """A throw-away authority, and certificates that it has signed: of ``localhost``, and of a worker.

    Attributes:
        ca, other: An authority, and one that has nothing to do with it.
        cert, key: The worker's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca, self.other = self._authority("ca"), self._authority("other")
        self._signed("localhost")
        self.cert, self.key = self._signed("worker")

    def _authority(self, name: str) -> Path:
        self._openssl(
            "req", "-x509", *_KEY, "-days", "2", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}"
        )
        return self.folder / f"{name}.pem"

    def _signed(self, name: str) -> tuple[Path, Path]:
        self._openssl("req", "-new", *_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (self.folder / "names").write_text(f"subjectAltName=DNS:{name}")
        self._openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "names", "-out", f"{name}.pem",
        )  # fmt: skip
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def _openssl(self, *arguments: str) -> None:
        program = shutil.which("openssl")
        if program is None:
            pytest.skip("no openssl to make certificates with")
        subprocess.run([program, *arguments], check=True, capture_output=True, cwd=self.folder)


@attrs.frozen(kw_only=True)
class Guarded:
    """A broker with an authorizer.

    Attributes:
        server: Whoever comes by its own port is nobody, and may do everything.
        sasl: Port for a login.
        tls: Port for a login over TLS.
        mutual: Port for who has a certificate.
        files: The certificates.
    """

    server: Server
    sasl: int
    tls: int
    mutual: int
    files: Certificates

    def url(self, user: str, **parameters: Any) -> str:
        """Return the URL by which somebody logs in."""
        query = "".join(f"&{name}={value}" for name, value in parameters.items())
        return f"kafka://{user}:{user}-pw@127.0.0.1:{self.sasl}/?security_protocol=sasl_plaintext&levels=1&partitions=1{query}"

    async def allow(self, user: str, kind: int, name: str, operations: Iterable[str], *, prefix: bool = True) -> None:
        """Allow somebody to do something with what is called so, or begins so."""
        pattern = _PREFIXED if prefix else _LITERAL
        rows = [(kind, name, pattern, f"User:{user}", _OPERATIONS[one]) for one in operations]
        assert not any(await self.ask(CreateAcls(rows)))

    async def allow_all(self, user: str, permissions: Mapping[int, Iterable[str]], prefix: str) -> None:
        """Allow somebody to do something with all kinds of things of a domain."""
        for kind, operations in permissions.items():
            await self.allow(user, kind, prefix, operations)

    async def know(self, user: str) -> None:
        """Take somebody's password for SCRAM."""
        for mechanism in ("sha256", "sha512"):
            said = await self.ask(AlterCredentials(user, f"{user}-pw", mechanism))
            assert not any(said), said

    async def ask(self, request: Request[Any]) -> Any:
        """Ask as nobody."""
        cluster = Cluster(Connecting(bootstrap=[("127.0.0.1", self.server.port)]))
        try:
            await cluster.open()
            return await cluster.ask_any(request)
        finally:
            await cluster.close()


async def guarded(ground: Ground, folder: Path) -> Guarded:
    """Start one."""
    files = Certificates(folder)
    sasl, tls, mutual = ground.free_ports(3)
    server = await ground.server()
    server.kill()
    lines = dict(line.split("=", 1) for line in (server.directory / "server.properties").read_text().splitlines())
    lines["listeners"] += f",LOGIN://127.0.0.1:{sasl},SECURE://127.0.0.1:{tls},MUTUAL://127.0.0.1:{mutual}"
    lines["advertised.listeners"] += f",LOGIN://127.0.0.1:{sasl},SECURE://localhost:{tls},MUTUAL://localhost:{mutual}"
    lines["listener.security.protocol.map"] += ",LOGIN:SASL_PLAINTEXT,SECURE:SASL_SSL,MUTUAL:SSL"
    known = " ".join(f'user_{user}="{user}-pw"' for user in USERS)
    for name in ("login", "secure"):
        lines[f"listener.name.{name}.plain.sasl.jaas.config"] = f"{_PLAIN} {known};"
        for mechanism in ("scram-sha-256", "scram-sha-512"):
            lines[f"listener.name.{name}.{mechanism}.sasl.jaas.config"] = _SCRAM
        lines[f"listener.name.{name}.sasl.enabled.mechanisms"] = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"
    store = folder / "store.pem"
    store.write_text((folder / "localhost.key").read_text() + (folder / "localhost.pem").read_text())
    for name in ("secure", "mutual"):
        ours = f"listener.name.{name}.ssl"
        lines |= {f"{ours}.keystore.type": "PEM", f"{ours}.keystore.location": str(store)}
        lines |= {f"{ours}.truststore.type": "PEM", f"{ours}.truststore.location": str(files.ca)}
    lines["listener.name.mutual.ssl.client.auth"] = "required"
    lines["authorizer.class.name"] = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
    lines["super.users"] = "User:ANONYMOUS"
    (server.directory / "server.properties").write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    await server.start()
    return Guarded(server=server, sasl=sasl, tls=tls, mutual=mutual, files=files)


@attrs.frozen
class CreateAcls(Request[list[int]]):
    """Allow things. A row: kind, name, pattern, who, and the operation. Answered with an error for each."""

    key = 30
    version = 2
    layout = (
        (
            "creations",
            array(
                ("kind", Int8), ("name", TEXT), ("pattern", Int8), ("principal", TEXT), ("host", TEXT), ("operation", Int8),
                ("permission", Int8),
            ),
        ),
    )  # fmt: skip
    answer = (("throttle", Int32), ("results", array(("error", Int16), ("message", TEXT))))

    rows: list[tuple[int, str, int, str, int]]

    def fields(self) -> tuple[Any, ...]:
        return ([(*row[:4], "*", row[4], 3, NO_TAGS) for row in self.rows],)

    @classmethod
    def read(cls, said: Any) -> list[int]:
        return [row[0] for row in said.results]


@attrs.frozen
class AlterCredentials(Request[list[tuple[int, str]]]):
    """Take a password for SCRAM with a digest. Answered with the errors."""

    key = 51
    version = 0
    layout = (
        ("deletions", array(("name", TEXT), ("mechanism", Int8))),
        (
            "upsertions",
            array(
                ("name", TEXT),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted", CompactBytes),
            ),
        ),
    )
    answer = (("throttle", Int32), ("results", array(("user", TEXT), ("error", Int16), ("message", TEXT))))

    user: str
    password: str = attrs.field(repr=False)
    digest: str

    def fields(self) -> tuple[Any, ...]:
        salt, rounds = b"salt-for-a-test", 4096
        salted = hashlib.pbkdf2_hmac(self.digest, self.password.encode(), salt, rounds)
        return [], [(self.user, 1 if self.digest == "sha256" else 2, rounds, salt, salted, NO_TAGS)]

    @classmethod
    def read(cls, said: Any) -> list[tuple[int, str]]:
        return [(row[1], row[2]) for row in said.results if row[1]]
