"""The servers that tests start: theirs alone, and gone with them."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from server_rig import until

from orcastra_postgres import conformance_ground
from orcastra_postgres.conformance_ground import SERVER, Ground, ServerError
from orcastra_postgres.conformance_pgbouncer import Bouncer
from orcastra_postgres.conformance_servers import Server

CHILD = """
import asyncio, sys
from orcastra_postgres.conformance_ground import Ground
from orcastra_postgres.conformance_servers import Server
ground = Ground()
async def start():
    server = await Server.fresh(ground)
    async with server.paused():
        print(ground.directory, server.port, flush=True)
        sys.stdin.read()
asyncio.run(start())
"""


async def answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def test_a_restart_keeps_port_and_data(postgres: Server) -> None:
    await postgres.ask("create table kept as select 1 as one")
    before = postgres.port
    await postgres.restart()
    assert postgres.port == before
    assert await postgres.ask("select one from kept") == [(1,)]


async def test_a_paused_one_says_nothing_and_goes_on(postgres: Server) -> None:
    client = await postgres.client()
    async with postgres.paused():
        with pytest.raises(TimeoutError):
            await postgres.client(timeout=0.2)
        with pytest.raises(TimeoutError):
            await client.fetch("select 1", timeout=0.2)
    assert await postgres.ask("select 2 as two") == [(2,)]
    client.terminate()


async def test_it_flushes_and_listens_on_the_loopback_only(postgres: Server) -> None:
    assert await postgres.ask("show fsync") == [("on",)]
    assert await postgres.ask("show listen_addresses") == [("127.0.0.1",)]


async def test_a_standby_follows_and_takes_over(postgres: Server) -> None:
    await postgres.ask("create table kept as select 1 as one")
    standby = await postgres.standby()
    try:
        assert await standby.ask("select one from kept") == [(1,)]
        assert await standby.ask("select pg_is_in_recovery()") == [(True,)]
        postgres.kill()
        await standby.ask("select pg_promote()")
        assert await standby.ask("insert into kept values (2) returning one") == [(2,)]
    finally:
        standby.kill()


async def test_a_pgbouncer_leads_to_it(ground: Ground, postgres: Server) -> None:
    if conformance_ground.bouncer() is None:
        pytest.skip("no pgbouncer")
    bouncer = Bouncer(ground, postgres)
    await bouncer.start()
    try:
        assert await bouncer.ask("select inet_server_port()") == [(postgres.port,)]
    finally:
        bouncer.kill()
    assert not await answers(bouncer.port)


async def test_closed_ground_leaves_nothing(ground: Ground) -> None:
    other = Ground()
    server = await Server.fresh(other)
    assert await answers(server.port)
    other.close()
    other.close()
    assert not await answers(server.port)
    assert not other.directory.exists()


async def test_one_that_does_not_come_up_says_why(ground: Ground) -> None:
    with pytest.raises(ServerError, match=r"(?s)did not come up.*no_such_option"):
        await Server.fresh(ground, "no_such_option=1")


async def test_servers_die_with_the_process_even_if_it_is_killed(ground: Ground) -> None:
    directory, port = await asyncio.to_thread(killed_with_a_paused_server)

    async def gone() -> bool:
        return not directory.exists() and not await answers(port)

    await until(gone, "server and directory are gone")


def killed_with_a_paused_server() -> tuple[Path, int]:
    """Kill a process that has a server standing still, and return where that was."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        directory, port = child.stdout.readline().split()
        socket.create_connection(("127.0.0.1", int(port)), timeout=5).close()
        child.kill()
    return Path(directory), int(port)


def test_without_a_program_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SERVER, raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(conformance_ground, "_FOLDERS", ())
    with pytest.raises(ServerError, match=f"install PostgreSQL.*or set {SERVER} to the path of postgres"):
        Ground()
