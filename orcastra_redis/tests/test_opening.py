"""What a server has to be like to be opened, and what is said of those that are not."""

from __future__ import annotations

import pytest
from redis_rig import Open, make

from orcastra_core.model.errors import AuthenticationFailed, BrokerUnavailable, ContractMismatch, InvalidOption
from orcastra_core.model.profile import Durability
from orcastra_core.model.published import STORED
from orcastra_redis.conformance_servers import Ground, Server


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "allkeys-random"])
async def test_a_server_that_evicts_is_refused_unless_it_is_wanted(redis: Server, opened: Open, policy: str) -> None:
    async with redis.client() as client:
        await client.config_set("maxmemory-policy", policy)
    with pytest.raises(InvalidOption, match=f"maxmemory-policy is {policy}.*noeviction, or say unsafe_eviction=1"):
        await opened()
    broker = await opened(f"{redis.url}?unsafe_eviction=1")
    assert await broker.publish([make.envelope()]) == [STORED]


async def test_a_newer_layout_is_refused_and_left_alone(redis: Server, opened: Open) -> None:
    async with redis.client() as client:
        await client.hset("{orcastra}:meta", mapping={"layout": 99, "contract": "7.1"})
        with pytest.raises(ContractMismatch, match=r"layout 99 of contract 7\.1, this release knows 1; upgrade"):
            await opened()
        assert await client.hgetall("{orcastra}:meta") == {b"layout": b"99", b"contract": b"7.1"}
    await opened(f"{redis.url}?domain=another")


async def test_the_first_opener_writes_the_layout(redis: Server, opened: Open) -> None:
    await opened()
    async with redis.client() as client:
        assert await client.hmget("{orcastra}:meta", "layout", "contract") == [b"1", b"0.1"]


async def test_a_replica_is_unavailable(ground: Ground, redis: Server, opened: Open) -> None:
    replica = await ground.server("--replicaof", "127.0.0.1", str(redis.port))
    try:
        with pytest.raises(BrokerUnavailable, match=r"(?i)read only replica|MASTERDOWN|link with master"):
            await opened(replica.url)
    finally:
        replica.kill()


async def test_a_cluster_and_a_single_server_are_not_mistaken(ground: Ground, redis: Server, opened: Open) -> None:
    node = await ground.server("--cluster-enabled", "yes")
    try:
        async with node.client() as client:
            await client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        with pytest.raises(InvalidOption, match="it runs in cluster mode; the URL has to say cluster=1"):
            await opened(node.url)
    finally:
        node.kill()
    with pytest.raises(InvalidOption, match="it runs in standalone mode; the URL has to say cluster=0"):
        await opened(f"{redis.url}?cluster=1")


@pytest.mark.parametrize(
    "options, durability",
    [
        ((), Durability.SERVER_CRASH),
        (("--appendfsync", "always"), Durability.POWER_LOSS),
        (("--appendonly", "no"), Durability.PROCESS),
    ],
)
async def test_it_finds_out_how_durable_a_confirmation_is(
    ground: Ground, opened: Open, options: tuple[str, ...], durability: Durability
) -> None:
    server = await ground.server(*options)
    try:
        profile = await (await opened(server.url)).open()
        assert profile.durability is durability
        assert profile.server.startswith("Redis ")
    finally:
        server.kill()


async def test_a_wrong_password_is_no_outage(ground: Ground, opened: Open) -> None:
    server = await ground.server("--requirepass", "secret")
    try:
        for login in ("", ":wrong@", "nobody:secret@"):
            with pytest.raises(AuthenticationFailed) as refused:
                await opened(f"redis://{login}127.0.0.1:{server.port}/0")
            assert not refused.value.retryable
            assert "secret" not in str(refused.value)
        broker = await opened(f"redis://:secret@127.0.0.1:{server.port}/0")
        assert await broker.publish([make.envelope()]) == [STORED]
    finally:
        server.kill()
