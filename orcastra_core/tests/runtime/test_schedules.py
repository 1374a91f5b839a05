"""Delays and recurring schedules, promoted by workers."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from core_doubles import at_work, depth, events_of, until

from orcastra_core import Misfire, Orcastra
from orcastra_core.model.errors import InvalidName, InvalidOption, Unsupported
from orcastra_core.model.event import EventKind
from orcastra_core.model.schedule import ScheduleId
from orcastra_core.triggers import Cron, Interval


def make(url: str, **options: Any) -> tuple[Orcastra, Any, list[Any]]:
    app = Orcastra(url, **options)
    ran: list[Any] = []

    @app.task(name="tick")
    async def tick(name: str = "") -> str:
        ran.append((name, asyncio.get_running_loop().time()))
        return name

    return app, tick, ran


async def test_a_delayed_task_starts_when_it_is_due(url: str) -> None:
    app, tick, ran = make(url)
    loop = asyncio.get_running_loop()
    async with app, at_work(app):
        begun = loop.time()
        for delay in (0.15, 0.05, 0.1):
            await tick.options(delay=delay).submit(str(delay))
        await until(lambda: len(ran) == 3, "all ran")
    assert [name for name, _ in ran] == ["0.05", "0.1", "0.15"]
    for name, at in ran:
        late = at - begun - float(name)
        assert -0.005 <= late < 0.5, f"due after {name} s, {late:.3f} s late"


async def test_a_later_one_does_not_hide_an_earlier_one(url: str) -> None:
    """The promoter sleeps until the far one is due when the near one comes in."""
    app, tick, ran = make(url)
    async with app, at_work(app):
        await tick.options(delay=3600).submit("far")
        await asyncio.sleep(0.05)
        await tick.options(delay=0.05).submit("near")
        await until(lambda: len(ran) == 1, "the near one ran", seconds=1.0)
    assert ran[0][0] == "near"


async def test_many_due_at_once(url: str) -> None:
    app, tick, ran = make(url)
    async with app, at_work(app):
        await app.submit_many(tick.options(delay=0.1).call(str(n)) for n in range(1500))
        await until(lambda: len(ran) == 1500, "all ran", seconds=5)
    assert Counter(name for name, _ in ran) == Counter(str(n) for n in range(1500))


async def test_a_recurring_schedule_fires_once_a_tick_with_two_workers(url: str) -> None:
    app, tick, ran = make(url)
    async with app:
        stored = await app.schedule("every", tick.call("x"), Interval(0.2))
        assert stored.trigger == "interval:0.2"
        async with at_work(app), at_work(app):
            await until(lambda: len(ran) >= 3, "three ticks")
            assert await app.unschedule("every")
            assert not await app.unschedule("every")
            number = len(ran)
        moments = [at for _, at in ran]
        gaps = [later - earlier for earlier, later in pairwise(moments)]
        assert all(gap > 0.1 for gap in gaps), f"a tick was fired twice: {gaps}"
        completed = await events_of(app, EventKind.COMPLETED)
        assert len({event.task_id for event in completed}) == len(completed)
        assert len(ran) - number <= 1


async def test_at_every_start_the_same_schedule(url: str) -> None:
    app, tick, _ = make(url)
    async with app:
        first = await app.schedule("nightly", tick.call("x"), "cron:0 4 * * * Europe/Berlin")
        again = await app.schedule("nightly", tick.call("x"), Cron("0 4 * * *", tz="Europe/Berlin"))
        assert again.due == first.due
        assert datetime.fromtimestamp(first.due, UTC).minute == 0
        changed = await app.schedule("nightly", tick.call("y"), "cron:30 5 * * * Europe/Berlin", misfire=Misfire.SKIP)
        assert changed.trigger == "cron:30 5 * * * Europe/Berlin"
        assert app.broker.scheduler is not None
        page = await app.broker.scheduler.page()
        assert [one.id for one in page] == ["nightly"]
        assert page[0].misfire is Misfire.SKIP
        assert page[0].envelope.reply is None


async def test_bad_schedules_are_refused(url: str) -> None:
    app, tick, _ = make(url)
    async with app:
        for trigger, says in (
            ("nightly", "not a trigger; expected for example"),
            ("moon:full", "no 'moon' in orcastra.triggers"),
            ("cron:61 * * * *", "Cron"),
            ("once:2001-01-01T00:00:00+00:00", "no tick left"),
        ):
            with pytest.raises(InvalidOption, match=says):
                await app.schedule("bad", tick.call("x"), trigger)
        with pytest.raises(InvalidOption, match="grace"):
            await app.schedule("bad", tick.call("x"), "interval:5", grace=-1)
        with pytest.raises(InvalidName, match="schedule name must not be empty"):
            await app.schedule("", tick.call("x"), "interval:5")
        with pytest.raises(InvalidOption, match="misfire='skip'"):
            await app.schedule("bad", tick.call("x"), "interval:5", misfire="skip")  # type: ignore[arg-type]
        for options in ({"delay": 5}, {"expires": 60}, {"at": datetime.now(UTC)}, {"expires": datetime.now(UTC)}):
            with pytest.raises(InvalidOption, match="its trigger says when"):
                await app.schedule("bad", tick.options(**options).call("x"), "interval:5")
        assert app.broker.scheduler is not None
        assert await app.broker.scheduler.get([ScheduleId("bad")]) == [None]


async def test_missed_ticks_fire_once(url: str) -> None:
    """Nobody worked for a while: by default one run makes up for all that was missed."""
    import attrs

    app, tick, ran = make(url)
    async with app:
        stored = await app.schedule("late", tick.call("x"), "interval:3600")
        assert app.broker.scheduler is not None
        await app.broker.scheduler.remove([stored.id])
        await app.broker.scheduler.add([attrs.evolve(stored, due=stored.due - 5 * 3600)])
        async with at_work(app):
            await until(lambda: len(ran) == 1, "it fired")
        (moved,) = await app.broker.scheduler.get([stored.id])
        assert moved is not None
        assert moved.due > datetime.now(UTC).timestamp()
        assert (await depth(app)).ready == 0


async def test_a_broker_without_schedules_says_so() -> None:
    app, tick, _ = make("memory://?without=schedules,delay")
    async with app:
        with pytest.raises(Unsupported):
            await app.schedule("x", tick.call("x"), "interval:5")
        with pytest.raises(Unsupported, match="DELAY"):
            await tick.options(delay=5).submit()
        with pytest.raises(Unsupported, match=r"name a store for it.*scheduler='sqlite:///"):
            app.worker()
