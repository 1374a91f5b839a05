"""Ways to a server: as whom, by which socket, under what name; and connections that somebody kills."""

from __future__ import annotations

import asyncio
import logging
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis_rig import Open
from server_rig import QUEUE, Shop, at_work, completions, make, taken, until

from orcastra_core.model.errors import AuthenticationFailed, BrokerUnavailable, InvalidOption
from orcastra_core.model.published import STORED
from orcastra_core.model.settlement import Done
from orcastra_redis import RedisBroker
from orcastra_redis.conformance_servers import Ground, Server


async def works(broker: RedisBroker) -> bool:
    """Whether a task goes through it, and its result comes back."""
    session = await broker.open_session([QUEUE], lease=5.0)
    envelope = make.envelope()
    assert await broker.publish([envelope]) == [STORED]
    (delivery,) = await taken(session, 1)
    assert await session.settle([make.complete(delivery, b"42")], number=1) == [Done()]
    await session.leave()
    (result,) = await broker.results.get([envelope.id])
    return getattr(result, "value", None) == b"42"


async def test_a_unix_socket(redis: Server, opened: Open) -> None:
    assert await works(await opened(f"unix://{redis.directory}/socket?db=1"))
    async with redis.client(db=1) as client:
        assert await client.exists("{orcastra}:meta")
    async with redis.client(db=0) as client:
        assert not await client.dbsize()


async def test_a_socket_where_nobody_listens(tmp_path: Path, opened: Open) -> None:
    with pytest.raises(BrokerUnavailable, match=str(tmp_path)):
        await opened(f"unix://{tmp_path}/none")


async def test_a_database_by_number(redis: Server, opened: Open) -> None:
    assert await works(await opened(f"redis://127.0.0.1:{redis.port}/2"))
    async with redis.client(db=2) as client:
        assert await client.exists("{orcastra}:meta")


@pytest.mark.parametrize("protocol", [2, 3])
async def test_every_connection_has_the_name_it_was_given(redis: Server, opened: Open, protocol: int) -> None:
    broker = await opened(f"{redis.url}?client_name=shop-7&protocol={protocol}")
    session = await broker.open_session([QUEUE], lease=0.5)
    async with redis.client() as client:

        async def named() -> bool:
            seen = await client.client_list()
            ours = [one for one in seen if one["name"] == "shop-7"]
            return len(ours) >= 3 and len(ours) == len(seen) - 1  # calls, what is listened to, beats; and this one

        await until(named, "calls, listener and beat are named")
    await session.leave()


class Certificates:
    """A throw-away authority, and a certificate of ``localhost`` that it has signed.

    Attributes:
        ca: The authority.
        cert: The file of the certificate.
        key: The file of its key.
        other: An authority that has nothing to do with it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ca, self.other = self._authority("ca"), self._authority("other")
        self.cert, self.key = folder / "server.pem", folder / "server.key"
        self._openssl("req", "-new", *_KEY, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
        (folder / "names").write_text("subjectAltName=DNS:localhost")
        self._openssl(
            "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "names", "-out", "server.pem",
        )  # fmt: skip

    def _authority(self, name: str) -> Path:
        self._openssl(
            "req", "-x509", *_KEY, "-days", "2", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}",
        )  # fmt: skip
        return self._folder / f"{name}.pem"

    def _openssl(self, *arguments: str) -> None:
        program = shutil.which("openssl")
        if program is None:
            pytest.skip("no openssl to make certificates with")
        subprocess.run([program, *arguments], check=True, capture_output=True, cwd=self._folder)


_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@pytest.fixture
async def secured(ground: Ground, tmp_path: Path) -> AsyncIterator[tuple[int, Certificates]]:
    """The TLS port of a server, and its certificates."""
    certificates = Certificates(tmp_path)
    port = ground.free_port()
    server = await ground.server(
        "--tls-port", str(port), "--tls-cert-file", str(certificates.cert), "--tls-key-file", str(certificates.key),
        "--tls-ca-cert-file", str(certificates.ca),
    )  # fmt: skip
    yield port, certificates
    server.kill()


async def test_tls(secured: tuple[int, Certificates], opened: Open) -> None:
    port, files = secured
    ours = f"tls_ca={files.ca}&tls_cert={files.cert}&tls_key={files.key}"
    assert await works(await opened(f"rediss://localhost:{port}/0?{ours}"))
    assert await works(await opened(f"rediss://127.0.0.1:{port}/0?{ours}&tls_check_hostname=0&domain=other"))


@pytest.mark.parametrize(
    "url, said",
    [
        (
            "rediss://localhost:{port}/0?tls_ca={other}&{mine}",
            "its certificate is not accepted: .*; tls_ca=<file> names",
        ),
        (
            "rediss://localhost:{port}/0?{mine}",
            "its certificate is not accepted: .*; tls_ca=<file> names the authority",
        ),
        (
            "rediss://127.0.0.1:{port}/0?tls_ca={ca}&{mine}",
            r"not valid for '127\.0\.0\.1'; call the host what the certificate calls it, or say tls_check_hostname=0",
        ),
        ("rediss://localhost:{port}/0?tls_ca={ca}", "(?i)certificate required|handshake failure|reset by peer"),
        ("redis://localhost:{port}/0", r"; does it want TLS at this port\? Then write rediss://"),
        (
            "rediss://localhost:{plain}/0?tls_ca={ca}&connect_timeout=0.5",
            r"; does it speak TLS at this port\? Else write redis://",
        ),
    ],
    ids=["another authority", "the system's authorities", "another name", "no certificate", "no TLS", "no TLS there"],
)
async def test_tls_that_does_not_hold(
    secured: tuple[int, Certificates], redis: Server, opened: Open, url: str, said: str
) -> None:
    port, files = secured
    mine = f"tls_cert={files.cert}&tls_key={files.key}"
    with pytest.raises(BrokerUnavailable, match=said):
        await opened(url.format(port=port, plain=redis.port, ca=files.ca, other=files.other, mine=mine))


@pytest.mark.parametrize(
    "options, said",
    [
        ("tls_ca={none}", "tls_ca=.*none.pem: there is no such file"),
        ("tls_cert={cert}&tls_key={none}", "tls_key=.*none.pem: there is no such file"),
        ("tls_ca={key}", "tls_ca: not to be used"),
        ("tls_cert={cert}", "tls_cert, tls_key: not to be used"),
        ("tls_cert={cert}&tls_key={ca_key}", "tls_cert, tls_key: not to be used: .*mismatch"),
    ],
)
async def test_files_that_are_not_what_they_should_be(tmp_path: Path, opened: Open, options: str, said: str) -> None:
    files = Certificates(tmp_path)
    names = {"none": tmp_path / "none.pem", "cert": files.cert, "key": files.key, "ca_key": tmp_path / "ca.key"}
    with pytest.raises(InvalidOption, match=said):
        await opened(f"rediss://localhost/0?{options.format(**names)}")


async def test_tls_to_a_cluster(ground: Ground, tmp_path: Path, opened: Open) -> None:
    files, port = Certificates(tmp_path), ground.free_port()
    node = await ground.server(
        "--cluster-enabled", "yes", "--tls-cluster", "yes", "--tls-port", str(port), "--tls-auth-clients", "no",
        "--tls-cert-file", str(files.cert), "--tls-key-file", str(files.key), "--tls-ca-cert-file", str(files.ca),
    )  # fmt: skip
    try:
        async with node.client() as client:
            await client.execute_command("CLUSTER", "ADDSLOTS", *range(16384))

            async def whole() -> bool:
                return b"cluster_state:ok" in await client.execute_command("CLUSTER", "INFO")

            await until(whole, "the node serves all slots")
        assert await works(await opened(f"rediss://localhost:{port}/?cluster=1&tls_ca={files.ca}"))
    finally:
        node.kill()


@pytest.mark.parametrize("login", ["sentinel_password=pw", "sentinel_username=ann&sentinel_password=hers"])
async def test_sentinels_that_want_a_login(ground: Ground, redis: Server, opened: Open, login: str) -> None:
    sentinel = await ground.sentinel(
        f"sentinel monitor main 127.0.0.1 {redis.port} 1", "requirepass pw", "user ann on >hers allchannels +@all"
    )
    try:
        url = f"redis://127.0.0.1:{sentinel.port}/0?sentinel=main"
        assert await works(await opened(f"{url}&{login}"))
        with pytest.raises(AuthenticationFailed, match="sentinel_username and sentinel_password"):
            await opened(f"{url}&sentinel_password=wrong")
        with pytest.raises(AuthenticationFailed, match="sentinel_username and sentinel_password"):
            await opened(url)
    finally:
        sentinel.kill()


async def test_every_connection_killed_again_and_again_while_workers_work(
    redis: Server, caplog: pytest.LogCaptureFixture
) -> None:
    shop, other = Shop(redis.url), Shop(redis.url)
    with caplog.at_level(logging.WARNING):
        async with (
            shop.app,
            other.app,
            at_work(shop.app, lease=2.0),
            at_work(other.app, lease=2.0),
            redis.client() as client,
        ):

            async def kill() -> None:
                for _ in range(15):
                    for kind in ("normal", "pubsub"):
                        await client.client_kill_filter(_type=kind, skipme=True)
                    await asyncio.sleep(0.05)

            async with asyncio.TaskGroup() as group:
                killing = group.create_task(kill())
                first = 0
                while not killing.done():
                    await shop.submit(range(first, first + 100))
                    first += 100
            await until(
                lambda: _all_done(shop.app.broker, shop.stored), "all that was confirmed is completed", seconds=20
            )
            counted = await completions(shop.app.broker)
    assert len(shop.stored) >= 500
    assert set(counted.values()) == {1}, "nothing was completed twice"
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]


async def _all_done(broker: object, stored: set[str]) -> bool:
    assert isinstance(broker, RedisBroker)
    return stored <= set(await completions(broker))
