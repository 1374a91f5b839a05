"""The layout of a domain's keys: who writes it, who is refused, and how an older one is moved on."""

from __future__ import annotations

import asyncio

import pytest
from redis_rig import Open
from server_rig import QUEUE, make, taken

from orcastra_core.model.errors import BrokerUnavailable, ContractMismatch
from orcastra_core.model.published import STORED
from orcastra_redis import layout
from orcastra_redis.conformance_servers import Server
from orcastra_redis.link import Link

META = "{orcastra}:meta"

# Older layouts that never were: pauses in a list instead of a set, lanes of another name.
_PAUSES = """
local P = ARGV[1]
if redis.call('HGET', P .. 'meta', 'layout') ~= '1' then return 0 end
redis.call('INCR', P .. 'steps')
local queue = redis.call('LPOP', P .. 'halted')
if queue then redis.call('SADD', P .. 'paused', queue) end
return queue and 1 or 0
"""
_LANES = """
local P = ARGV[1]
if redis.call('HGET', P .. 'meta', 'layout') ~= '2' then return 0 end
if redis.call('EXISTS', P .. 'tracks') == 1 then redis.call('RENAME', P .. 'tracks', P .. 'lanes') end
return 0
"""


async def _to_two(link: Link) -> None:
    while await link.call("EVAL", _PAUSES, 1, f"{link.prefix}meta", link.prefix):
        pass


async def _to_three(link: Link) -> None:
    await link.call("EVAL", _LANES, 1, f"{link.prefix}meta", link.prefix)


@pytest.fixture
async def older(redis: Server, opened: Open, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server with a domain of layout 1, where this code knows 3."""
    await (await opened()).publish([make.envelope()])
    async with redis.client() as client:
        await client.rename("{orcastra}:lanes", "{orcastra}:tracks")
        await client.rpush("{orcastra}:halted", *(f"halted-{number}" for number in range(5)))
        await client.hset(META, "contract", "0.0")
    monkeypatch.setattr(layout, "MIGRATIONS", (_to_two, _to_three))
    return redis


async def _meta(server: Server) -> list[bytes]:
    async with server.client() as client:
        found: list[bytes] = await client.hmget(META, "layout", "contract")
        return found


async def test_the_first_opener_writes_it(redis: Server, opened: Open) -> None:
    await opened()
    assert await _meta(redis) == [b"1", b"0.1"]


async def test_an_older_one_is_migrated_step_by_step(older: Server, opened: Open) -> None:
    broker = await opened()
    assert await _meta(older) == [b"3", b"0.1"]
    assert [one.queue for one in await broker.inspect() if not one.paused] == ["q"]
    async with older.client() as client:
        assert await client.scard("{orcastra}:paused") == 5
        assert not await client.exists("{orcastra}:halted", "{orcastra}:tracks")
    session = await broker.open_session([QUEUE], lease=5.0)
    await taken(session, 1)


async def test_many_openers_migrate_it_once(older: Server, opened: Open) -> None:
    await asyncio.gather(*(opened(older.url) for _ in range(8)))
    assert await _meta(older) == [b"3", b"0.1"]
    async with older.client() as client:
        assert await client.scard("{orcastra}:paused") == 5
        steps = int(await client.get("{orcastra}:steps"))
    async with older.client() as client:
        await client.rpush("{orcastra}:halted", "late")
    await opened(older.url)
    async with older.client() as client:
        assert int(await client.get("{orcastra}:steps")) == steps, "nobody migrates what is migrated"
        assert await client.llen("{orcastra}:halted") == 1


async def test_a_migration_that_broke_off_goes_on(older: Server, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    async def to_three_and_die(link: Link) -> None:
        await _to_three(link)
        raise BrokerUnavailable("gone in the middle")

    with monkeypatch.context() as broken:
        broken.setattr(layout, "MIGRATIONS", (_to_two, to_three_and_die))
        with pytest.raises(BrokerUnavailable, match="gone in the middle"):
            await opened()
    assert await _meta(older) == [b"2", b"0.0"], "as far as it got"
    await opened()
    assert await _meta(older) == [b"3", b"0.1"]


async def test_whoever_knows_only_the_older_one_is_refused_then(
    older: Server, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    await opened()
    monkeypatch.setattr(layout, "MIGRATIONS", ())
    with pytest.raises(ContractMismatch, match=r"has layout 3 of contract 0\.1, this release knows layout 1 of"):
        await opened()


@pytest.mark.parametrize("layout_, contract", [("99", "7.1"), ("99", "0.1"), ("1", "0.2"), ("1", "0.10"), ("1", "7.0")])
async def test_a_newer_one_is_refused_and_left_alone(redis: Server, opened: Open, layout_: str, contract: str) -> None:
    async with redis.client() as client:
        await client.hset(META, mapping={"layout": layout_, "contract": contract})
        said = rf"layout {layout_} of contract {contract}, this release knows layout 1 of contract 0\.1; upgrade"
        with pytest.raises(ContractMismatch, match=said):
            await opened()
        assert await client.hgetall(META) == {b"layout": layout_.encode(), b"contract": contract.encode()}
    await opened(f"{redis.url}?domain=another")


async def test_a_full_server_is_opened_all_the_same(redis: Server, opened: Open) -> None:
    await (await opened()).publish([make.envelope()])
    async with redis.client() as client:
        await client.config_set("maxmemory", "1")
        broker = await opened(redis.url)
        assert [one.ready for one in await broker.inspect()] == [1]
        await client.config_set("maxmemory", "0")
    assert await broker.publish([make.envelope()]) == [STORED]
