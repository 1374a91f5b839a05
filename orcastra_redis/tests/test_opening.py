"""What a server has to be like to be opened, and what is said of those that are not."""

from __future__ import annotations

import asyncio

import pytest
from redis_rig import Open
from server_rig import make

from orcastra_core.model.errors import AuthenticationFailed, BrokerError, BrokerUnavailable, InvalidOption
from orcastra_core.model.profile import Cap, Durability
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
            await client.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
        with pytest.raises(InvalidOption, match="it is a node of a cluster; add cluster=1 to the URL"):
            await opened(node.url)
    finally:
        node.kill()
    with pytest.raises(InvalidOption, match="it is no cluster; leave cluster=1 out of the URL"):
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
        assert profile.offers(Cap.STABLE_SESSION) is (durability is not Durability.PROCESS)
        assert profile.server.startswith("Redis ")
    finally:
        server.kill()


@pytest.mark.parametrize("protocol", [2, 3])
async def test_a_wrong_password_is_no_outage(ground: Ground, opened: Open, protocol: int) -> None:
    server = await ground.server("--requirepass", "secret")
    try:
        for login, said in (
            (
                "",
                r"Authentication required; put a login into the URL: redis://user:password@host, or redis://:password@host",
            ),
            (":wrong@", r"are user and password in the URL right, and percent-encoded\?"),
            ("nobody:secret@", r"are user and password in the URL right, and percent-encoded\?"),
        ):
            with pytest.raises(AuthenticationFailed, match=said) as refused:
                await opened(f"redis://{login}127.0.0.1:{server.port}/0?protocol={protocol}")
            assert not refused.value.retryable
            assert "secret" not in str(refused.value)
        broker = await opened(f"redis://:secret@127.0.0.1:{server.port}/0")
        assert await broker.publish([make.envelope()]) == [STORED]
    finally:
        server.kill()


async def test_a_user_who_may_not_is_told_where_to_look(ground: Ground, opened: Open) -> None:
    server = await ground.server("--user", "ann", "on", ">pw", "~*", "&*", "+@all", "-evalsha")
    try:
        with pytest.raises(
            AuthenticationFailed, match=r"evalsha.*; the guide «Run on Redis» lists what its user has to be"
        ):
            await opened(f"redis://ann:pw@127.0.0.1:{server.port}/0")
    finally:
        server.kill()


@pytest.mark.parametrize(
    "url, error, said",
    [
        (
            "redis://127.0.0.1:{free}/0",
            BrokerUnavailable,
            r": Connection refused; does the server run, and listen there\?",
        ),
        ("redis://nowhere.invalid/0", BrokerUnavailable, r"nowhere\.invalid:6379: .*; is the host's name right\?"),
        (
            "redis://127.0.0.1:{free},127.0.0.1:{free}/0?cluster=1",
            BrokerUnavailable,
            r"{free}: 127\.0\.0\.1:{free}: Connection refused",
        ),
        ("redis://127.0.0.1:{port}/99", BrokerError, "it has no database 99; database 0 is always there"),
        (
            "redis://127.0.0.1:{port}/0?sentinel=main",
            BrokerError,
            "it is no sentinel: leave sentinel=main out of the URL",
        ),
        ("redis://127.0.0.1:{node}/0?cluster=1", BrokerUnavailable, r"Hash slot not served; is the cluster whole\?"),
        ("redis://127.0.0.1:{node}/0", InvalidOption, "it is a node of a cluster; add cluster=1 to the URL"),
        ("redis://127.0.0.1:{node}/3", BrokerError, "add cluster=1 to the URL, and name no database"),
        ("redis://127.0.0.1:{sentinel}/0", InvalidOption, "it is a sentinel; add sentinel=<name of the master>"),
        ("redis://127.0.0.1:{sentinel}/0?sentinel=other", BrokerUnavailable, "the sentinel at .* knows no 'other'"),
        ("redis://127.0.0.1:{web}/0", BrokerError, r"Protocol error.*; is that a Redis server\?"),
    ],
)
async def test_a_slip_in_the_url_is_told_as_one(
    ground: Ground, redis: Server, opened: Open, url: str, error: type[Exception], said: str
) -> None:
    others: list[Server] = []
    ports = {"port": redis.port, "free": ground.free_port()}
    web = await asyncio.start_server(_says_http, "127.0.0.1", 0)
    ports["web"] = web.sockets[0].getsockname()[1]
    try:
        if "{node}" in url:
            others.append(await ground.server("--cluster-enabled", "yes"))
            ports["node"] = others[-1].port
        if "{sentinel}" in url:
            others.append(await ground.sentinel())
            ports["sentinel"] = others[-1].port
        with pytest.raises(error, match=said.format(**ports)):
            await opened(url.format(**ports))
    finally:
        web.close()
        for server in others:
            server.kill()


async def _says_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    writer.close()
