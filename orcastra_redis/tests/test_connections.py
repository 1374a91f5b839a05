"""Ways to a server: as whom, by which socket, under what name; and connections that somebody kills."""

from __future__ import annotations

import asyncio
import logging
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis_rig import QUEUE, Open, Shop, at_work, completions, make, taken, until

from orcastra_core.model.errors import BrokerUnavailable
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
    """A certificate of ``localhost`` that it has signed itself, and one that it has not.

    Attributes:
        cert: The file of the first; it is its own authority.
        key: The file of its key.
        other: An authority that has nothing to do with it.
    """

    def __init__(self, folder: Path) -> None:
        openssl = shutil.which("openssl")
        if openssl is None:
            pytest.skip("no openssl to make certificates with")
        for name in ("ours", "other"):
            command = [
                openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem", "-subj", "/CN=localhost",
                "-addext", "subjectAltName=DNS:localhost",
            ]  # fmt: skip
            subprocess.run(command, check=True, capture_output=True)
        self.cert, self.key, self.other = folder / "ours.pem", folder / "ours.key", folder / "other.pem"


@pytest.fixture
async def secured(ground: Ground, tmp_path: Path) -> AsyncIterator[tuple[int, Certificates]]:
    """The TLS port of a server, and its certificates."""
    certificates = Certificates(tmp_path)
    port = ground.free_port()
    server = await ground.server(
        "--tls-port", str(port), "--tls-cert-file", str(certificates.cert), "--tls-key-file", str(certificates.key),
        "--tls-ca-cert-file", str(certificates.cert),
    )  # fmt: skip
    yield port, certificates
    server.kill()


async def test_tls(secured: tuple[int, Certificates], opened: Open) -> None:
    port, files = secured
    ours = f"tls_ca={files.cert}&tls_cert={files.cert}&tls_key={files.key}"
    assert await works(await opened(f"rediss://localhost:{port}/0?{ours}"))
    assert await works(await opened(f"rediss://127.0.0.1:{port}/0?{ours}&tls_check_hostname=0&domain=other"))


@pytest.mark.parametrize("wrong", ["an authority unknown", "another name", "no certificate", "no TLS at all"])
async def test_tls_that_does_not_hold(secured: tuple[int, Certificates], opened: Open, wrong: str) -> None:
    port, files = secured
    mine = f"tls_cert={files.cert}&tls_key={files.key}"
    url = {
        "an authority unknown": f"rediss://localhost:{port}/0?tls_ca={files.other}&{mine}",
        "another name": f"rediss://127.0.0.1:{port}/0?tls_ca={files.cert}&{mine}",
        "no certificate": f"rediss://localhost:{port}/0?tls_ca={files.cert}",
        "no TLS at all": f"redis://localhost:{port}/0",
    }[wrong]
    with pytest.raises(BrokerUnavailable):
        await opened(url)


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
