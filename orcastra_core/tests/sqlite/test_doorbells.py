"""Wake-ups and results by datagram, and what stands behind them."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlite_actors.making import QUEUE, completed, envelope, envelopes, want

from orcastra_core.backends.sqlite import SqliteBroker, reader
from orcastra_core.backends.sqlite.doorbell import MAX_DATAGRAM, Doorbell, Post
from orcastra_core.backends.sqlite.leftovers import remove_leftovers
from orcastra_core.backends.sqlite.place import Place
from orcastra_core.backends.sqlite.results import SqliteFeed
from orcastra_core.backends.sqlite.session import SqliteSession
from orcastra_core.model.errors import BrokerClosed
from orcastra_core.model.names import QueueName
from orcastra_core.model.result import Absence, Outcome, Result
from orcastra_core.model.session import CancelTask, DueSoon, Fenced
from orcastra_core.model.task_state import Cancellation, Cancelled

NEVER = 3600.0


async def waits(session: SqliteSession) -> None:
    """Return once a fetch of the session says in its file that it waits."""
    while True:
        if session._file.read(1, 32) == b"\1":
            return
        await asyncio.sleep(0)


async def test_bells_ring_where_the_path_is_too_long_for_a_socket(
    tmp_path: Path, opened: Callable[..., Awaitable[SqliteBroker]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "POLL", NEVER)  # so that nothing but the bell can tell
    deep = tmp_path / ("d" * 80) / ("e" * 80)
    deep.mkdir(parents=True)
    broker, other = [await opened(f"sqlite:///{deep}/orcastra.db") for _ in range(2)]
    session = await broker.open_session([QUEUE], lease=10.0)
    assert isinstance(session, SqliteSession)
    feed = await other.results.subscribe()
    fetching = asyncio.create_task(session.fetch(want(1), wait=NEVER))
    await waits(session)
    one = envelope(reply=feed.channel)
    async with asyncio.timeout(5):
        await other.publish([one])
        (delivery,) = await fetching
        await session.settle([completed(delivery)], number=1)
        (result,) = await feed.next(wait=NEVER)
    assert result.id == one.id


async def test_without_bells_the_poll_finds_it(
    opened: Callable[..., Awaitable[SqliteBroker]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Post, "ring", lambda self, number, message: None)
    broker, other = await opened(), await opened()
    session = await broker.open_session([QUEUE], lease=10.0)
    assert isinstance(session, SqliteSession)
    fetching = asyncio.create_task(session.fetch(want(1), wait=NEVER))
    await waits(session)
    async with asyncio.timeout(5):
        await other.publish(envelopes(1))
        assert len(await fetching) == 1


async def test_one_task_rings_one_waiting_session(
    opened: Callable[..., Awaitable[SqliteBroker]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[int] = []
    ring = Post.ring
    monkeypatch.setattr(reader, "POLL", NEVER)

    def count(post: Post, number: int, message: bytes) -> None:
        rung.append(number)
        ring(post, number, message)

    monkeypatch.setattr(Post, "ring", count)
    broker, other = await opened(), await opened()
    sessions = [await broker.open_session([QUEUE], lease=10.0) for _ in range(5)]
    elsewhere = await broker.open_session([QueueName("other")], lease=10.0)
    fetching = [asyncio.create_task(one.fetch(want(1), wait=NEVER)) for one in sessions]
    idle = asyncio.create_task(elsewhere.fetch(want(1, QueueName("other")), wait=NEVER))
    for one in [*sessions, elsewhere]:
        assert isinstance(one, SqliteSession)
        await waits(one)
    async with asyncio.timeout(5):
        await other.publish(envelopes(1))
        await asyncio.wait(fetching, return_when=asyncio.FIRST_COMPLETED)
    assert len(rung) == 1, "no thundering herd"
    async with asyncio.timeout(5):
        await other.publish(envelopes(4))
        assert [len(got) for got in await asyncio.gather(*fetching)] == [1] * 5, "and nobody is missed"
    assert not idle.done()
    await elsewhere.leave()
    with pytest.raises(BrokerClosed):
        await idle


async def test_a_result_with_ttl_0_reaches_who_waits_whatever_its_size(
    opened: Callable[..., Awaitable[SqliteBroker]],
) -> None:
    broker, other = await opened(), await opened()
    feed = await other.results.subscribe()
    session = await broker.open_session([QUEUE], lease=10.0)
    batch = envelopes(2, reply=feed.channel)
    await other.publish(batch)
    small, large = await session.fetch(want(2), wait=0)
    values = [b"v", bytes(MAX_DATAGRAM * 3)]
    await session.settle([completed(small, values[0], ttl=0.0), completed(large, values[1], ttl=0.0)], number=1)
    got: dict[str, bytes] = {}
    async with asyncio.timeout(5):
        while len(got) < 2:
            got |= {one.id: one.value for one in await feed.next(wait=NEVER)}
    assert got == {e.id: v for e, v in zip(batch, values, strict=True)}
    assert await other.results.get([batch[0].id]) == [Absence.EXPIRED]


async def test_a_feed_that_reads_late_gets_all_of_it(opened: Callable[..., Awaitable[SqliteBroker]]) -> None:
    """More datagrams than a socket queues: the rest is kept and sent once there is room."""
    broker, other = await opened(), await opened()
    feed = await other.results.subscribe()
    session = await broker.open_session([QUEUE], lease=10.0)
    assert isinstance(feed, SqliteFeed)
    assert feed._bell is not None
    bell = feed._bell
    other._open_core().loop.remove_reader(bell._socket.fileno())
    batch = envelopes(60, reply=feed.channel)
    await broker.publish(batch)
    for number, delivery in enumerate(await session.fetch(want(60), wait=0), 1):
        await session.settle([completed(delivery, bytes(40_000), ttl=0.0)], number=number)
    bell._loop.add_reader(bell._socket.fileno(), bell._read)
    got: set[str] = set()
    async with asyncio.timeout(5):
        while len(got) < 60:
            got |= {one.id for one in await feed.next(wait=NEVER)}
    assert got == {e.id for e in batch}


async def test_signals_are_told_at_once(broker: SqliteBroker, session: SqliteSession) -> None:
    listening = asyncio.create_task(session.signals(wait=NEVER))
    await broker.publish([envelope(), envelope(due=4_000_000_000.0 - 3.9e9)])
    (held, _) = await session.fetch(want(2), wait=0)
    result = Result(held.envelope.id, Outcome.CANCELLED)
    async with asyncio.timeout(0.9):  # sooner than the look around
        assert await broker.cancel([Cancellation(held.envelope.id, result)]) == [Cancelled.SIGNALLED]
        assert await listening == [CancelTask(held.envelope.id)]
        await broker.publish([envelope(due=time.time() + 1000)])
        assert await session.signals(wait=NEVER) == [DueSoon()]
        await broker.expire(session.id)
        assert await session.signals(wait=NEVER) == [Fenced()]
        assert await session.signals(wait=NEVER) == [Fenced()]


async def test_dead_doorbells_are_removed(broker: SqliteBroker, tmp_path: Path) -> None:
    place = broker._open_core().place
    for name in ("99.bell", "0123456789abcdef.feed"):
        dead = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        dead.bind(place.address(name))
        dead.close()
    post = Post(place)
    post.ring(99, b"r")
    post.close()
    assert "99.bell" not in place.names(), "found dead as it was rung"
    live = Doorbell(place, "98.bell", asyncio.get_running_loop(), lambda message: None)
    (Path(place.path) / "77.session").write_bytes(b"")
    removed = await broker._open_core().read(lambda conn: remove_leftovers(conn, place))
    assert removed == 2
    assert sorted(name for name in place.names() if name != "write.lock") == ["98.bell"]
    live.close()


@pytest.mark.parametrize("channel", ["../../etc/passwd", "a/b", "", "ü", "x" * 65])
def test_a_reply_that_is_none_of_our_channels_is_no_path(tmp_path: Path, channel: str) -> None:
    place = Place(str(tmp_path / "file.db"))
    assert place.feed(channel) is None
    place.close()
