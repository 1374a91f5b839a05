"""Private servers for the tests of this dist, and brokers on them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from orcastra_core.model.broker_url import BrokerUrl
from orcastra_postgres import PostgresBroker
from orcastra_postgres.conformance_ground import Ground, ServerError
from orcastra_postgres.conformance_servers import Server

HERE = Path(__file__).parent
for folder in (HERE, HERE.parents[1] / "tests"):  # postgres_rig, and server_rig, which is for all backends
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from postgres_rig import Open  # noqa: E402 - it is found only now

IN_THE_PROOF = (
    "test_conformance_pgbouncer",
    "test_conformance_poll_only",
    "test_conformance_sync_off",
    "test_exactly_once",
    "test_killed_worker",
    "test_restarts",
)
"""Modules that kill servers and workers, or run the suite once more: minutes."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave what takes minutes to `make proof`."""
    for item in items:
        if item.path.parent == HERE and item.path.stem in IN_THE_PROOF:
            item.add_marker(pytest.mark.proof)


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    """Where the tests' servers live. No PostgreSQL is a failure in CI, and a skip by hand."""
    try:
        found = Ground()
    except ServerError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
    yield found
    found.close()


@pytest.fixture
async def postgres(ground: Ground) -> AsyncIterator[Server]:
    """A server of the test's own, empty."""
    server = await Server.fresh(ground)
    yield server
    server.kill()
    shutil.rmtree(server.directory, ignore_errors=True)  # now, and not all of them at the end


@pytest.fixture
async def opened(request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    """Opens brokers by URL, or on the test's own server; all are closed in the end."""
    brokers: list[PostgresBroker] = []

    async def make(url: str | None = None) -> PostgresBroker:
        server: Server | None = None if url else request.getfixturevalue("postgres")
        broker = PostgresBroker(BrokerUrl.parse(url or (server.url() if server else "")))
        brokers.append(broker)
        await broker.open()
        return broker

    yield make
    for broker in brokers:
        await broker.close()
