"""Logins that a function gives: asked for anew with each connection, so that a rotated secret needs no restart."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis_rig import Open
from server_rig import QUEUE, Shop, at_work, make, until

from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.errors import AuthenticationFailed, BrokerUnavailable, InvalidOption
from orcastra_core.model.published import STORED
from orcastra_redis import RedisBroker
from orcastra_redis.conformance_servers import Ground, Server

VAULT = """
import asyncio

secret = "first"
asked = 0
error = None

def login():
    global asked
    asked += 1
    if error is not None:
        raise error
    return "ann", secret

async def later():
    await asyncio.sleep(0)
    return login()

def password():
    return secret

def nonsense():
    return 42

async def never():
    await asyncio.Event().wait()

sealed = "first"
"""


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module that gives logins."""
    (tmp_path / "a_vault.py").write_text(VAULT)
    (tmp_path / "a_broken_vault.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    import a_vault  # type: ignore[import-not-found] # it is found only now

    yield a_vault
    sys.modules.pop("a_vault")


@pytest.fixture
async def guarded(ground: Ground) -> AsyncIterator[Server]:
    """A server that knows ann, and nobody without a password."""
    server = await ground.server("--requirepass", "root", "--user", "ann", "on", ">first", "~*", "&*", "+@all")
    yield server
    server.kill()


def url(server: Server, function: str, *, login: str = "", options: str = "") -> str:
    return f"redis://{login}127.0.0.1:{server.port}/0?credentials=a_vault:{function}{options}"


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("function, login", [("login", ""), ("later", ""), ("password", "ann@"), ("password", "")])
async def test_a_function_gives_the_login(
    guarded: Server, vault: Any, opened: Open, function: str, login: str, protocol: int
) -> None:
    if (function, login) == ("password", ""):
        vault.secret = "root"  # of the user that has no name
    broker = await opened(url(guarded, function, login=login, options=f"&protocol={protocol}"))
    assert await broker.publish([make.envelope()]) == [STORED]
    async with guarded.client(password="root") as client:
        users = {one["user"] for one in await client.client_list() if one["name"] == "orcastra"}
    assert users == {"ann" if function != "password" or login else "default"}


async def test_a_secret_that_rotates_needs_no_restart(guarded: Server, vault: Any) -> None:
    shop = Shop(url(guarded, "login"))
    async with shop.app, at_work(shop.app, lease=1.0), guarded.client(password="root") as client:
        await shop.submit(range(50))
        await until(lambda: len(shop.ran) == 50, "the worker works")
        vault.secret = "second"
        await client.execute_command("ACL", "SETUSER", "ann", "resetpass", ">second")
        for kind in ("normal", "pubsub"):
            await client.client_kill_filter(_type=kind, skipme=True)
        asked = vault.asked
        await shop.submit(range(50, 100))
        await until(lambda: len(shop.ran) == 100, "it goes on with the new one")
        assert vault.asked > asked
    assert len(shop.stored) == 100


async def test_who_has_no_credentials_for_a_while_comes_back(
    guarded: Server, vault: Any, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop(url(guarded, "login"))
    with caplog.at_level(logging.WARNING):
        async with shop.app, at_work(shop.app, lease=1.0), guarded.client(password="root") as client:
            await shop.submit(range(50))
            await until(lambda: len(shop.ran) == 50, "the worker works")
            vault.error = ConnectionRefusedError("the vault is sealed")
            for kind in ("normal", "pubsub"):
                await client.client_kill_filter(_type=kind, skipme=True)
            await until(lambda: "no credentials: the vault is sealed" in caplog.text, "the log says why")
            vault.error = None
            await shop.submit(range(50, 100))
            await until(lambda: len(shop.ran) == 100, "it goes on")


@pytest.mark.parametrize(
    "error, expected",
    [
        (ValueError("no such role"), AuthenticationFailed),
        (ConnectionResetError("vault away"), BrokerUnavailable),
        (TimeoutError(), BrokerUnavailable),
    ],
)
async def test_a_function_that_fails(
    guarded: Server, vault: Any, opened: Open, error: Exception, expected: type[Exception]
) -> None:
    vault.error = error
    with pytest.raises(expected, match=f"no credentials: .*{error}"):
        await opened(url(guarded, "login"))


async def test_a_function_that_gives_something_else(guarded: Server, vault: Any, opened: Open) -> None:
    with pytest.raises(AuthenticationFailed, match="expected a password, or a name and a password, and got a int"):
        await opened(url(guarded, "nonsense"))


async def test_a_function_that_never_answers(guarded: Server, vault: Any, opened: Open) -> None:
    with pytest.raises(BrokerUnavailable, match=r"no credentials|no answer within"):
        await opened(url(guarded, "never", options="&connect_timeout=0.3"))


async def test_a_login_that_is_refused(guarded: Server, vault: Any, opened: Open) -> None:
    vault.secret = "s3cr3t"
    with pytest.raises(AuthenticationFailed, match="the server does not accept what credentials= gave") as refused:
        await opened(url(guarded, "login"))
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize(
    "text, said",
    [
        ("a_vault", "expected module:function"),
        ("a_vault:", "expected module:function"),
        ("a_vault:open", "a_vault has no 'open'"),
        ("a_vault:sealed", "that is no function"),
        ("no_vault:login", "its import failed: ModuleNotFoundError"),
        ("a_broken_vault:login", "its import failed: ZeroDivisionError"),
    ],
)
def test_one_that_cannot_be_found_is_named(vault: Any, text: str, said: str) -> None:
    with pytest.raises(InvalidOption, match=f"credentials={text}: {said}"):
        RedisBroker(BrokerUrl.parse(f"redis://h/0?credentials={text}"))


def test_it_is_that_or_a_password(vault: Any) -> None:
    with pytest.raises(InvalidOption, match="a password and credentials= exclude each other"):
        RedisBroker(BrokerUrl.parse("redis://:hunter2@h/0?credentials=a_vault:login"))


async def test_beats_have_it_too(guarded: Server, vault: Any, opened: Open) -> None:
    broker = await opened(url(guarded, "login"))
    session = await broker.open_session([QUEUE], lease=0.5)
    async with guarded.client(password="root") as client:

        async def three() -> bool:
            return [one["user"] for one in await client.client_list()].count("ann") == 3

        await until(three, "calls, what is listened to, beats")
    await session.leave()
