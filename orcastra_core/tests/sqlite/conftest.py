"""Brokers on files of the test's own, in this process and in others."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from orcastra_core.backends.sqlite import SqliteBroker
from orcastra_core.backends.sqlite.session import SqliteSession
from orcastra_core.model.broker_url import BrokerUrl

HERE = Path(__file__).parent.parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from sqlite_actors.making import QUEUE  # noqa: E402 - found by the line above
from sqlite_actors.process import Actor  # noqa: E402


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A file of the test's own."""
    return f"sqlite:///{tmp_path}/orcastra.db"


@pytest.fixture
async def opened(url: str) -> AsyncIterator[Callable[..., Awaitable[SqliteBroker]]]:
    """Opens brokers on the test's file, or on another; all are closed in the end."""
    brokers: list[SqliteBroker] = []

    async def make(other: str | None = None) -> SqliteBroker:
        broker = SqliteBroker(BrokerUrl.parse(other or url))
        brokers.append(broker)
        await broker.open()
        return broker

    yield make
    for broker in brokers:
        await broker.close()


@pytest.fixture
async def broker(opened: Callable[..., Awaitable[SqliteBroker]]) -> SqliteBroker:
    """A broker on the test's file."""
    return await opened()


@pytest.fixture
async def session(broker: SqliteBroker) -> SqliteSession:
    """A session of that broker."""
    session = await broker.open_session([QUEUE], lease=10.0)
    assert isinstance(session, SqliteSession)
    return session


@pytest.fixture
def actor(url: str) -> Iterator[Callable[[], Actor]]:
    """Starts other processes on the test's file; all are ended in the end."""
    actors: list[Actor] = []

    def start() -> Actor:
        actors.append(Actor(url))
        return actors[-1]

    yield start
    for one in actors:
        one.end()
