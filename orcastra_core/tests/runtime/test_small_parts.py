"""Deadlines, patience, background tasks, the event sink and the judge, each by itself."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Any

import pytest
from core_doubles import until
from core_doubles.clock import EagerClock

from orcastra_core.interfaces.events import EventLog
from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import BrokerClosed, BrokerUnavailable, GiveUp, RetryLater, Snooze
from orcastra_core.model.event import LogEntry
from orcastra_core.model.ids import IdFactory
from orcastra_core.model.names import QueueName, SessionId, TaskName
from orcastra_core.model.result import Outcome
from orcastra_core.model.retry import FixedBackoff, RetryPolicy
from orcastra_core.model.settlement import Dead, Release, Retry
from orcastra_core.runtime.background import Background
from orcastra_core.runtime.deadlines import Deadlines
from orcastra_core.runtime.describe import describe
from orcastra_core.runtime.errors import first_leaf
from orcastra_core.runtime.event_sink import EventSink
from orcastra_core.runtime.patience import Patience
from orcastra_core.runtime.task_spec import TaskSpec
from orcastra_core.runtime.verdict import Judge
from orcastra_core.serialization.arguments import Signature
from orcastra_core.serialization.event_codec import EventWriter


async def test_deadlines_expire_in_their_order() -> None:
    expired: list[str] = []
    done = asyncio.Event()

    def on_expired(key: str) -> None:
        expired.append(key)
        if len(expired) == 4:
            done.set()

    deadlines: Deadlines[str] = Deadlines(on_expired)
    deadlines.add("slow", 0.06)
    deadlines.add("quick", 0.02)
    deadlines.add("gone", 0.03)
    deadlines.add("next", 0.04)
    deadlines.add("quick too", 0.02)
    deadlines.discard("gone", 0.03)
    deadlines.discard("never there", 0.5)
    async with asyncio.timeout(2):
        await done.wait()
    assert expired == ["quick", "quick too", "next", "slow"]
    deadlines.add("closed", 0.01)
    deadlines.close()
    await asyncio.sleep(0.03)
    assert "closed" not in expired


async def test_a_deadline_that_adds_another() -> None:
    again = asyncio.Event()

    def on_expired(key: int) -> None:
        if key == 3:
            again.set()
        else:
            deadlines.add(key + 1, 0.005)

    deadlines: Deadlines[int] = Deadlines(on_expired)
    deadlines.add(0, 0.005)
    async with asyncio.timeout(2):
        await again.wait()


async def test_pauses_grow_and_are_jittered() -> None:
    clock = EagerClock()
    patience = Patience("x", clock, random.Random(1), first=0.1, most=1.0)
    for _ in range(8):
        await patience.pause(BrokerUnavailable("gone"))
    bounds = [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0]
    assert all(bound / 2 <= slept <= bound for slept, bound in zip(clock.slept, bounds, strict=True))
    assert len(set(clock.slept[4:])) == 4
    patience.success()
    clock.slept.clear()
    await patience.pause(BrokerUnavailable("gone"))
    assert clock.slept[0] <= 0.1
    with pytest.raises(BrokerClosed):
        await patience.pause(BrokerClosed("for good"))


async def test_a_background_task_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        raise ValueError("in the background")

    async def waits() -> None:
        await asyncio.Event().wait()

    background = Background()
    background.spawn(fails(), "one")
    background.spawn(waits(), "other")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert "orcastra one ended: in the background" in caplog.text
    await background.stop()
    assert all(not task.get_name().startswith("orcastra") for task in asyncio.all_tasks())


def test_the_first_leaf_of_nested_groups() -> None:
    leaf = KeyError("x")
    group = BaseExceptionGroup("a", [ExceptionGroup("b", [leaf, ValueError()]), OSError()])
    assert first_leaf(group) is leaf


class Log(EventLog):
    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.failures = 0

    async def append(self, batch: Any, /) -> None:
        if self.failures:
            self.failures -= 1
            raise BrokerUnavailable("gone")
        self.records += batch

    async def read(self, *, after: str | None = None, limit: int = 1000) -> list[LogEntry]:
        return []

    async def trim(self, *, keep: int) -> int:
        return 0


async def test_events_are_kept_while_the_store_is_away(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "orcastra")
    log = Log()
    sink = EventSink(log, EagerClock(), random.Random(1))
    log.failures = 3
    running = asyncio.create_task(sink.run())
    for n in range(5):
        sink.add(b"%d" % n)
    sink.add(b"")
    await until(lambda: len(log.records) == 5, "all were appended")
    assert log.records == [b"0", b"1", b"2", b"3", b"4"]
    running.cancel()
    for n in range(20_000):
        sink.add(b"%d" % n)
    await sink.flush()
    assert len(log.records) == 5 + 10_000
    assert log.records[-1] == b"19999"
    nowhere = EventSink(None, EagerClock(), random.Random(1))
    nowhere.add(b"x")
    await nowhere.flush()


async def test_a_worker_ends_though_its_last_events_cannot_be_appended(caplog: pytest.LogCaptureFixture) -> None:
    log = Log()
    log.failures = 1
    sink = EventSink(log, EagerClock(), random.Random(1))
    sink.add(b"left")
    await sink.end()
    assert "the last 1 events are missing in the event log: gone" in caplog.text


JUDGE = Judge(EventWriter(SessionId("s")), random.Random(1))


async def nothing() -> None: ...


def spec(**options: Any) -> TaskSpec:
    return TaskSpec(
        name=TaskName("t"),
        queue=QueueName("q"),
        function=nothing,
        is_async=True,
        signature=Signature.of(nothing, "t"),
        **options,
    )


def delivery(attempt: int = 0, **fields: Any) -> tuple[Delivery, Envelope]:
    envelope = Envelope(IdFactory()(), QueueName("q"), TaskName("t"), b"", **fields)
    return Delivery(envelope, 1, Counts(attempt)), envelope


THRICE = RetryPolicy(max_attempts=3, backoff=FixedBackoff(5), max_elapsed=100)


def test_what_a_raise_means() -> None:
    held, envelope = delivery(submitted_at=1000.0)
    retrying = spec(retry=THRICE)

    def judge(error: BaseException, now: float = 1001.0, which: TaskSpec = retrying) -> Any:
        return JUDGE.raised(held, envelope, which, error, now)

    again = judge(OSError("x"))
    assert isinstance(again, Retry)
    assert (again.after, again.error.retryable) == (5, True)
    later = judge(RetryLater(7))
    assert isinstance(later, Retry)
    assert later.after == 7
    assert isinstance(judge(OSError("x"), now=1096.0), Dead), "max_elapsed"
    assert isinstance(judge(RetryLater(7)), Retry)
    assert isinstance(judge(RetryLater(99), now=1002.0), Dead), "max_elapsed holds for RetryLater too"
    given_up = judge(GiveUp("enough"))
    assert isinstance(given_up, Dead)
    assert given_up.reason == "enough"
    snoozed = judge(Snooze(9), which=spec())
    assert isinstance(snoozed, Release)
    assert snoozed.after == 9
    dead = judge(OSError("x"), which=spec())
    assert isinstance(dead, Dead)
    assert (dead.reason, dead.result.outcome) == ("x", Outcome.FAILED)
    assert isinstance(judge(SystemExit(1)), Dead), "no Exception: not worth another attempt by default"


def test_the_ttl_of_a_result_is_the_submits_or_the_tasks() -> None:
    held, envelope = delivery()
    assert JUDGE.completed(held, envelope, spec(result_ttl=7), b"", "c", (), 1.0).result.ttl == 7
    held, envelope = delivery(result_ttl=0.0)
    assert JUDGE.completed(held, envelope, spec(result_ttl=7), b"", "c", (), 1.0).result.ttl == 0
    assert JUDGE.cancelled(held, envelope, 1.0).result.ttl == 0


def test_a_message_without_a_submit_time_has_not_waited() -> None:
    held, envelope = delivery()
    assert isinstance(JUDGE.raised(held, envelope, spec(retry=THRICE), OSError("x"), 1e9), Retry)


def test_how_an_exception_is_recorded() -> None:
    class Odd(Exception):
        pass

    try:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise Odd("outer") from inner
    except Odd as error:
        info = describe(error, retryable=True)
    assert info.type.endswith("Odd")
    assert info.type.startswith(__name__)
    assert info.message == "outer"
    assert info.retryable
    assert "KeyError: 'inner'" in info.traceback
    assert "direct cause" in info.traceback
    assert describe(ValueError("x")).type == "ValueError"
    assert describe(ValueError()).message == ""


def test_a_cycle_of_causes() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert "one" in describe(one).traceback
