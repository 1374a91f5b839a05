"""Private brokers for the tests of this dist."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from orcastra_core.model.broker_url import BrokerUrl
from orcastra_kafka import KafkaBroker
from orcastra_kafka.conformance_servers import Ground, Server, ServerError

HERE = Path(__file__).parent
for folder in (HERE, HERE.parents[1] / "tests"):  # kafka_rig, and server_rig, which is for all backends
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from kafka_rig import Open  # noqa: E402 - it is found only now

WITHOUT_A_BROKER = (
    "test_acks",
    "test_assignment",
    "test_calendar",
    "test_golden_frames",
    "test_golden_logs",
    "test_lines",
    "test_records",
    "test_scan",
    "test_settles",
    "test_window",
)
"""Modules that start nothing. All others take minutes."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave what takes minutes to `make proof`."""
    for item in items:
        if item.path.is_relative_to(HERE) and item.path.stem not in WITHOUT_A_BROKER:
            item.add_marker(pytest.mark.proof)


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    """Where the tests' brokers live. No Kafka is a failure in CI, and a skip by hand."""
    try:
        found = Ground()
    except ServerError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
    yield found
    found.close()


@pytest.fixture(scope="session")
def shared(ground: Ground) -> Iterator[Server]:
    """A broker for all tests that leave it as it is. Each takes a domain of its own."""
    server = asyncio.run(ground.server())
    yield server
    server.kill()


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """Opens brokers by URL; all are closed in the end."""
    brokers: list[KafkaBroker] = []

    async def make(url: str) -> KafkaBroker:
        broker = KafkaBroker(BrokerUrl.parse(url))
        brokers.append(broker)
        await broker.open()
        return broker

    yield make
    for broker in brokers:
        await broker.close()


@pytest.fixture
async def kafka(ground: Ground) -> AsyncIterator[Server]:
    """A broker of the test's own."""
    server = await ground.server()
    yield server
    server.kill()
