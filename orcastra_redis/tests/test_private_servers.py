"""The servers that tests start: theirs alone, and gone with them."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from server_rig import until

from orcastra_redis.conformance_servers import VARIABLE, Ground, Server, ServerError

CHILD = """
import asyncio, sys
from orcastra_redis.conformance_servers import Ground
ground = Ground()
server = asyncio.run(ground.server())
print(ground.directory, server.port, flush=True)
sys.stdin.read()
"""


async def answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def test_a_restart_keeps_port_and_files(redis: Server) -> None:
    async with redis.client() as client:
        await client.set("kept", "1")
    await redis.settled()
    before = redis.port
    await redis.restart()
    assert redis.port == before
    async with redis.client() as client:
        assert await client.get("kept") == b"1"


async def test_a_paused_one_says_nothing_and_goes_on(redis: Server) -> None:
    async with redis.client(socket_timeout=0.2) as client:
        await client.ping()
        async with redis.paused():
            with pytest.raises(Exception, match=r"(?i)timeout"):
                await client.ping()
    async with redis.client() as client:
        assert await client.ping()


async def test_it_listens_on_the_loopback_only(redis: Server) -> None:
    async with redis.client() as client:
        assert await client.config_get("bind") == {"bind": "127.0.0.1"}


async def test_closed_ground_leaves_nothing(ground: Ground) -> None:
    other = Ground()
    server = await other.server()
    assert await answers(server.port)
    other.close()
    other.close()
    assert not await answers(server.port)
    assert not other.directory.exists()


async def test_one_that_does_not_come_up_says_why(ground: Ground) -> None:
    with pytest.raises(ServerError, match=r"(?s)did not come up.*no-such-option"):
        await ground.server("--no-such-option", "1")


async def test_servers_die_with_the_process_even_if_it_is_killed(ground: Ground) -> None:
    directory, port = await asyncio.to_thread(killed_with_a_server)

    async def gone() -> bool:
        return not directory.exists() and not await answers(port)

    await until(gone, "server and directory are gone")


def killed_with_a_server() -> tuple[Path, int]:
    """Kill a process that has a server, and return where that was."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        directory, port = child.stdout.readline().split()
        socket.create_connection(("127.0.0.1", int(port)), timeout=5).close()
        child.kill()
    return Path(directory), int(port)


def test_without_a_program_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ServerError, match=f"install it.*or set {VARIABLE} to its path"):
        Ground()
