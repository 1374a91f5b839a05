"""Ways to a server: as whom, by which socket, under what name; and connections that somebody ends."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest
from postgres_rig import Open
from server_rig import QUEUE, Shop, at_work, completions, insisted, make, taken, until

from orcastra_core.model.errors import AuthenticationFailed, BrokerTimeout, BrokerUnavailable, StoreFull
from orcastra_core.model.published import STORED, Unknown
from orcastra_core.model.settlement import Done
from orcastra_postgres import PostgresBroker
from orcastra_postgres.conformance_ground import Ground
from orcastra_postgres.conformance_servers import Server

HBA = """\
local all all trust
host all postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
"""


async def works(broker: PostgresBroker) -> bool:
    """Whether a task goes through it, and its result comes back."""
    session = await broker.open_session([QUEUE], lease=5.0)
    envelope = make.envelope()
    assert await broker.publish([envelope]) == [STORED]
    (delivery,) = await taken(session, 1)
    assert await session.settle([make.complete(delivery, b"42")], number=1) == [Done()]
    await session.leave()
    assert broker.results is not None
    (result,) = await broker.results.get([envelope.id])
    return getattr(result, "value", None) == b"42"


async def test_a_unix_socket(postgres: Server, opened: Open) -> None:
    assert await works(await opened(f"postgresql://postgres@/postgres?host={postgres.directory}&port={postgres.port}"))


@pytest.fixture
async def guarded(postgres: Server) -> Server:
    """A server that wants a password of ann."""
    (postgres.directory / "data/pg_hba.conf").write_text(HBA)
    await postgres.ask("select pg_reload_conf()")
    await postgres.ask("create role ann login password 's@crete'")
    await postgres.ask("grant create on database postgres to ann")
    return postgres


async def test_a_password_by_each_way(
    guarded: Server, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"127.0.0.1:{guarded.port}/postgres"
    assert await works(await opened(f"postgresql://ann:s%40crete@{place}"))
    passfile = tmp_path / "passfile"
    passfile.write_text(f"127.0.0.1:{guarded.port}:postgres:ann:s@crete\n")
    passfile.chmod(0o600)
    assert await works(await opened(f"postgresql://ann@{place}?passfile={passfile}"))
    services = tmp_path / "services"
    services.write_text(f"[shop]\nhost=127.0.0.1\nport={guarded.port}\ndbname=postgres\nuser=ann\npassword=s@crete\n")
    assert await works(await opened(f"postgresql://?service=shop&servicefile={services}"))
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    assert await works(await opened("postgresql://?service=shop"))
    monkeypatch.setenv("PGPASSWORD", "s@crete")
    assert await works(await opened(f"postgresql://ann@{place}"))


@pytest.mark.parametrize("login", ["ann:wrong", "nobody:s%40crete", "ann"])
async def test_a_wrong_password_is_no_outage(guarded: Server, opened: Open, login: str) -> None:
    with pytest.raises(AuthenticationFailed) as refused:
        await opened(f"postgresql://{login}@127.0.0.1:{guarded.port}/postgres")
    assert not refused.value.retryable
    assert "s@crete" not in str(refused.value)


async def test_a_database_that_is_not_there(postgres: Server, opened: Open) -> None:
    with pytest.raises(Exception, match="nowhere") as refused:
        await opened(postgres.url(database="nowhere"))
    assert type(refused.value).__module__ == "orcastra_core.model.errors"


async def test_where_nobody_listens(ground: Ground, opened: Open) -> None:
    with pytest.raises(BrokerUnavailable):
        await opened(f"postgresql://postgres@127.0.0.1:{ground.free_port()}/postgres?connect_timeout=2")


async def test_every_connection_has_the_name_it_was_given(postgres: Server, opened: Open) -> None:
    broker = await opened(f"{postgres.url()}?application_name=shop-7")
    session = await broker.open_session([QUEUE], lease=0.5)
    assert await broker.publish([make.envelope()]) == [STORED]
    seen = "select application_name from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"

    async def named() -> bool:
        names = [str(name) for (name,) in await postgres.ask(seen)]
        return "shop-7" in names and all(name.startswith(("shop-7", "orcastra-")) for name in names)

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
async def secured(postgres: Server, tmp_path: Path) -> tuple[int, Certificates]:
    """The port of a server that insists on TLS, and its certificates."""
    certificates = Certificates(tmp_path)
    data = postgres.directory / "data"
    for path, name in ((certificates.cert, "server.crt"), (certificates.key, "server.key")):
        shutil.copy(path, data / name)
        postgres.ground.give(data / name)
        os.chmod(data / name, 0o600)
    (data / "pg_hba.conf").write_text("local all all trust\nhostssl all all 127.0.0.1/32 trust\n")
    with (data / "postgresql.conf").open("a") as configuration:
        configuration.write("\nssl = on\n")
    postgres.kill()
    await postgres.start()
    return postgres.port, certificates


async def test_tls(secured: tuple[int, Certificates], opened: Open) -> None:
    port, files = secured
    for host, mode in (("localhost", "verify-full"), ("127.0.0.1", "verify-ca")):
        url = f"postgresql://postgres@{host}:{port}/postgres?sslmode={mode}&sslrootcert={files.cert}"
        assert await works(await opened(url))
    broker = await opened(f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=require")
    assert await works(broker)


@pytest.mark.parametrize("wrong", ["an authority unknown", "another name", "no TLS at all"])
async def test_tls_that_does_not_hold(secured: tuple[int, Certificates], opened: Open, wrong: str) -> None:
    port, files = secured
    where, how = {
        "an authority unknown": ("localhost", f"sslmode=verify-full&sslrootcert={files.other}"),
        "another name": ("127.0.0.1", f"sslmode=verify-full&sslrootcert={files.cert}"),
        "no TLS at all": ("127.0.0.1", "sslmode=disable"),
    }[wrong]
    with pytest.raises((BrokerUnavailable, AuthenticationFailed)):
        await opened(f"postgresql://postgres@{where}:{port}/postgres?{how}")


async def test_every_connection_ended_again_and_again_while_workers_work(
    postgres: Server, caplog: pytest.LogCaptureFixture
) -> None:
    shop, other = Shop(postgres.url()), Shop(postgres.url())
    with caplog.at_level(logging.WARNING):
        async with shop.app, other.app, at_work(shop.app, lease=2.0), at_work(other.app, lease=2.0):

            async def end() -> None:
                for _ in range(15):
                    await postgres.ask(
                        "select pg_terminate_backend(pid) from pg_stat_activity"
                        " where pid <> pg_backend_pid() and backend_type = 'client backend'"
                    )
                    await asyncio.sleep(0.05)

            async with asyncio.TaskGroup() as group:
                ending = group.create_task(end())
                first = 0
                while not ending.done():
                    await shop.submit(range(first, first + 100))
                    first += 100
            await until(lambda: _all_done(shop), "all that was confirmed is completed", seconds=20)
            counted = await completions(shop.app.broker)
    assert len(shop.stored) >= 500
    assert set(counted.values()) == {1}, "nothing was completed twice"
    assert set((shop.ran + other.ran).values()) == {1}, "nothing ran twice: nobody died"
    # asyncpg (0.32) leaves a future behind where a connection is ended while it is made, and asyncio says so
    assert not [one for one in caplog.records if one.levelno > logging.WARNING and one.name != "asyncio"]


async def _all_done(shop: Shop) -> bool:
    return shop.stored <= set(await insisted(lambda: completions(shop.app.broker)))


async def test_a_statement_timeout_of_the_server_is_a_timeout(postgres: Server) -> None:
    await postgres.ask("alter role postgres set statement_timeout = '300ms'")
    shop = Shop(postgres.url())
    async with shop.app, at_work(shop.app, lease=2.0):
        await shop.submit(range(10))
        await until(lambda: len(shop.ran) == 10, "the worker works")
        blocker = await postgres.client(server_settings={"statement_timeout": "0"})
        async with blocker.transaction():
            await blocker.execute("lock table orcastra.ready, orcastra.running, orcastra.task in access exclusive mode")
            (answer,) = await shop.app.broker.publish([make.envelope("other")])
            assert isinstance(answer, Unknown)
            assert isinstance(answer.error, BrokerTimeout)
            assert answer.error.retryable
            await asyncio.sleep(1.0)  # the worker meets it too
        await blocker.close()
        await shop.submit(range(10, 20))
        await until(lambda: len(shop.ran) == 20, "it goes on")
    assert set(shop.ran.values()) == {1}


async def test_a_server_that_ends_idle_connections(postgres: Server) -> None:
    await postgres.ask("alter role postgres set idle_session_timeout = '150ms'")
    shop = Shop(postgres.url())
    async with shop.app, at_work(shop.app, lease=2.0):
        for first in range(0, 30, 10):
            await shop.submit(range(first, first + 10))
            await until(lambda: len(shop.ran) == first + 10, "the worker works")  # noqa: B023 - at once
            await asyncio.sleep(0.4)
    assert set(shop.ran.values()) == {1}


async def test_a_full_disk_is_told_and_got_over(postgres: Server, opened: Open) -> None:
    broker = await opened()
    session = await broker.open_session([QUEUE], lease=5.0)
    assert await broker.publish([make.envelope()]) == [STORED]
    await postgres.ask(
        "create function full_disk() returns trigger language plpgsql as"
        " $$ begin raise exception 'could not extend file: No space left on device' using errcode = 'disk_full'; end $$"
    )
    await postgres.ask("create trigger full_disk before insert on orcastra.task execute function full_disk()")
    (answer,) = await broker.publish([make.envelope()])
    assert isinstance(answer, Unknown)
    assert isinstance(answer.error, StoreFull)
    (delivery,) = await taken(session, 1)
    assert await session.settle([make.complete(delivery)], number=1) == [Done()]
    await postgres.ask("drop trigger full_disk on orcastra.task")
    assert await broker.publish([make.envelope()]) == [STORED]
    await session.leave()


async def test_no_connection_left_is_an_outage(ground: Ground, opened: Open) -> None:
    server = await Server.fresh(ground, "max_connections=8", "superuser_reserved_connections=0", "max_wal_senders=0")
    held = []
    try:
        await opened(server.url())
        for _ in range(8):
            with suppress(asyncpg.TooManyConnectionsError):
                held.append(await server.client())
        with pytest.raises(BrokerUnavailable, match="too many clients"):
            await opened(server.url())
    finally:
        for one in held:
            one.terminate()
        server.kill()
