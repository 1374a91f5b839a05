"""Closing, forking, and calls from where they do not belong."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable

import pytest
from sqlite_actors.making import QUEUE, envelopes, want
from sqlite_actors.process import Actor

from orcastra_core.backends.sqlite import SqliteBroker
from orcastra_core.backends.sqlite.session import SqliteSession
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.errors import BrokerClosed, BrokerTimeout, BrokerUnavailable, WrongLoop
from orcastra_core.model.published import Unknown

NEVER = 3600.0


async def test_close_frees_waiters_even_behind_a_stopped_writer(
    opened: Callable[..., Awaitable[SqliteBroker]], actor: Callable[[], Actor]
) -> None:
    broker = await opened()
    session = await broker.open_session([QUEUE], lease=10.0)
    feed = await broker.results.subscribe()
    holder = actor()
    await holder.ask("open", lease=NEVER)
    holder.tell("stop_as_it_writes")
    await holder.stopped()
    waiting = [
        asyncio.create_task(one)
        for one in (
            session.fetch(want(1), wait=NEVER),
            session.signals(wait=NEVER),
            feed.next(wait=NEVER),
            broker.publish(envelopes(1)),
            broker.declare([]),
        )
    ]
    await asyncio.sleep(0.05)
    begun = time.monotonic()
    await broker.close()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert time.monotonic() - begun < 1.5
    assert [type(one) for one in outcomes] == [BrokerClosed] * 5
    await broker.close()
    holder.go_on()
    assert await holder.hear() == {"answer": None}


async def test_open_gives_up_behind_a_stopped_writer(
    url: str, opened: Callable[..., Awaitable[SqliteBroker]], actor: Callable[[], Actor]
) -> None:
    holder = actor()
    await holder.ask("open", lease=NEVER)
    holder.tell("stop_as_it_writes")
    await holder.stopped()
    with pytest.raises(BrokerUnavailable, match="is one stopped as it writes"):
        await opened(f"{url}?connect_timeout=0.3")
    holder.go_on()
    await holder.hear()
    await opened(f"{url}?connect_timeout=0.3")


async def test_an_operation_whose_turn_does_not_come_was_not_done(
    url: str, opened: Callable[..., Awaitable[SqliteBroker]], actor: Callable[[], Actor]
) -> None:
    broker = await opened(f"{url}?busy_timeout=0.2")
    holder = actor()
    await holder.ask("open", lease=NEVER)
    holder.tell("stop_as_it_writes")
    await holder.stopped()
    batch = envelopes(2)
    answers = await broker.publish(batch)
    assert all(isinstance(one, Unknown) and isinstance(one.error, BrokerTimeout) for one in answers)
    assert await broker.find([e.id for e in batch]) == [None, None]
    holder.go_on()
    await holder.hear()
    assert await broker.find([e.id for e in batch]) == [None, None]


async def test_it_may_be_opened_again_also_in_another_loop(url: str) -> None:
    broker = SqliteBroker(BrokerUrl.parse(url))
    first = await broker.open()
    assert await broker.open() == first
    await broker.close()
    with pytest.raises(BrokerClosed):
        await broker.publish(envelopes(1))

    def elsewhere() -> None:
        async def use() -> None:
            await broker.open()
            await broker.publish(envelopes(1))
            await broker.close()

        asyncio.run(use())

    await asyncio.to_thread(elsewhere)
    await broker.open()
    (depth,) = await broker.inspect()
    assert depth.ready == 1
    await broker.close()


async def test_use_from_a_second_loop_is_refused(broker: SqliteBroker, session: SqliteSession) -> None:
    def elsewhere() -> None:
        with pytest.raises(WrongLoop):
            asyncio.run(broker.publish(envelopes(1)))
        with pytest.raises(WrongLoop):
            asyncio.run(session.fetch(want(1), wait=0))

    await asyncio.to_thread(elsewhere)


async def test_a_forked_child_is_refused_and_disturbs_nothing(broker: SqliteBroker, session: SqliteSession) -> None:
    await broker.publish(envelopes(3))
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:  # the child: a loop of its own, no pytest
        said = "nothing"
        try:
            asyncio.events._set_running_loop(None)
            asyncio.set_event_loop_policy(None)
            said = asyncio.run(_in_the_child(broker, session))
        except BaseException as error:
            said = repr(error)
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = await asyncio.to_thread(pipe.read)
    await asyncio.to_thread(os.waitpid, pid, 0)
    assert said == "WrongLoop WrongLoop opened 3"
    assert (await broker.sweep(limit=10)).sessions == ()
    assert len(await session.fetch(want(3), wait=0)) == 3, "the parent's session lives on"


async def _in_the_child(broker: SqliteBroker, session: SqliteSession) -> str:
    said: list[str] = []
    for call in (broker.publish(envelopes(1)), session.fetch(want(1), wait=0)):
        try:
            await call
        except WrongLoop as error:
            said.append(type(error).__name__)
    await broker.close()
    await broker.open()  # in this process it is a broker of its own
    (depth,) = await broker.inspect([QUEUE])
    said.append(f"opened {depth.ready}")
    await broker.close()
    return " ".join(said)


async def test_closing_leaves_no_thread_no_descriptor_and_no_file_behind(url: str) -> None:
    async def round_trip() -> None:
        broker = SqliteBroker(BrokerUrl.parse(url))
        await broker.open()
        left = await broker.open_session([QUEUE], lease=10.0)
        await broker.open_session([QUEUE], lease=10.0)
        await broker.results.subscribe()
        await broker.publish(envelopes(3))
        await left.fetch(want(1), wait=0)
        await left.leave()
        await broker.close()

    await round_trip()
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        await round_trip()
    ends = time.monotonic() + 2
    while threading.active_count() > threads:
        assert time.monotonic() < ends, "threads outlive close()"
        await asyncio.sleep(0.01)
    assert len(os.listdir("/proc/self/fd")) <= descriptors
    broker = SqliteBroker(BrokerUrl.parse(url))
    await broker.open()
    swept = await broker.sweep(limit=100)
    assert len(swept.sessions) == 4, "those that were not left: their locks are free"
    await broker.close()
    names = os.listdir(url.removeprefix("sqlite:///") + "-sessions")
    assert names == ["write.lock"]
