"""Private servers for the tests of this dist, and brokers on them."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from orcastra_core.model.broker_url import BrokerUrl
from orcastra_redis import RedisBroker
from orcastra_redis.conformance_servers import Ground, Server, ServerError

HERE = Path(__file__).parent
for folder in (HERE, HERE.parents[1] / "tests"):  # redis_rig, and server_rig, which is for all backends
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from redis_rig import Open  # noqa: E402 - it is found only now

IN_THE_PROOF = (
    "test_cluster",
    "test_conformance_cluster",
    "test_killed_server",
    "test_killed_worker",
    "test_many_due",
    "test_replicas",
    "test_restarts",
    "test_troubled_workers",
)
"""Modules that start several servers and kill some: minutes."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave what takes minutes to `make proof`."""
    for item in items:
        if item.path.parent == HERE and item.path.stem in IN_THE_PROOF:
            item.add_marker(pytest.mark.proof)


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    """Where the tests' servers live. No redis-server is a failure in CI, and a skip by hand."""
    try:
        found = Ground()
    except ServerError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
    yield found
    found.close()


@pytest.fixture
async def redis(ground: Ground) -> AsyncIterator[Server]:
    """A server of the test's own: AOF, flushed each second."""
    server = await ground.server()
    yield server
    server.kill()


@pytest.fixture
async def opened(request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    """Opens brokers by URL, or on the test's own server; all are closed in the end."""
    brokers: list[RedisBroker] = []

    async def make(url: str | None = None) -> RedisBroker:
        server: Server | None = None if url else request.getfixturevalue("redis")
        broker = RedisBroker(BrokerUrl.parse(url or (server.url if server else "")))
        brokers.append(broker)
        await broker.open()
        return broker

    yield make
    for broker in brokers:
        await broker.close()
