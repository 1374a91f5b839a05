"""Schedules, and the promoting of what was delayed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs

from orcastra_core.interfaces.scheduler import Scheduler
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import InvalidOption, SerializationError
from orcastra_core.model.ids import TaskId
from orcastra_core.model.schedule import PUBLISH_AGAIN, Fired, Misfire, Plan, Promotion, Schedule, ScheduleId, Tally
from orcastra_core.serialization.envelope_codec import decode_envelope, encode_envelope
from orcastra_redis.core import Core
from orcastra_redis.publish import prepare

if TYPE_CHECKING:
    from orcastra_core.interfaces.broker import Broker

_AT_ONCE = 100
"""Most that one script makes ready: everybody else waits for it, about 1 ms."""


class RedisScheduler(Scheduler):
    """Schedules of the domain; ``promote`` for its own broker fires each in one step."""

    def __init__(self, core_of: Callable[[], Core]) -> None:
        self._core_of = core_of

    async def add(self, batch: Sequence[Schedule], /) -> None:
        for schedule, packed in [(schedule, _pack(schedule)) for schedule in batch]:
            while not await self._add(schedule, packed):
                pass  # somebody else stored it in between

    async def _add(self, schedule: Schedule, packed: bytes) -> bool:
        link = self._core_of().link
        (there,) = await link.run("schedules", "get", schedule.id)
        due, before, keep = repr(schedule.due), b"", False
        if there:
            before, old_due = there
            old = _unpack(before, float(old_due))
            same = old.trigger == schedule.trigger and _bare(old.envelope) == _bare(schedule.envelope)
            if schedule.trigger is not None and same:
                due, keep = old_due.decode(), old.paused == schedule.paused
        look = "keep" if keep else "" if schedule.paused else due
        return bool(await link.run("schedules", "add", schedule.id, due, look, packed, before))

    async def remove(self, ids: Sequence[ScheduleId], /) -> Sequence[bool]:
        return [bool(one) for one in await self._core_of().link.run("schedules", "remove", *ids)]

    async def get(self, ids: Sequence[ScheduleId], /) -> Sequence[Schedule | None]:
        said = await self._core_of().link.run("schedules", "get", *ids)
        return [_unpack(one[0], float(one[1])) if one else None for one in said]

    async def page(self, *, after: ScheduleId | None = None, limit: int = 100) -> Sequence[Schedule]:
        said = await self._core_of().link.run("schedules", "page", after or "", limit)
        return [_unpack(packed, float(due)) for packed, due in said]

    async def claim(self, *, limit: int, lease: float) -> tuple[float, Sequence[Schedule]]:
        return await self._due(limit, repr(lease))

    async def settle(self, batch: Sequence[Fired], /) -> Sequence[bool]:
        args: list[str] = []
        for fired in batch:
            next_due = "" if fired.next_due is None else repr(fired.next_due)
            args += (fired.id, repr(fired.expected_due), next_due)
        return [bool(one) for one in await self._core_of().link.run("schedules", "settle", *args)]

    async def next_in(self) -> float | None:
        return (await self._promote_delayed(0))[1]

    async def promote(self, broker: Broker, /, *, limit: int, plan: Plan) -> Promotion:
        core = self._core_of()
        own = broker.scheduler
        if not isinstance(own, RedisScheduler) or own._place != self._place:
            return await super().promote(broker, limit=limit, plan=plan)
        done, next_in = await self._promote_delayed(limit)
        tally = Tally(done=done)
        if next_in is not None and next_in <= 0:
            # without a claim: of many who compute the same tick, the first to fire it moves the due for the others
            now, due = await self._due(limit, "0")
            for schedule in due:
                await self._fire(core, schedule, plan, now, tally)
            next_in = await self.next_in()
        return tally.promotion(next_in)

    async def _fire(self, core: Core, schedule: Schedule, plan: Plan, now: float, tally: Tally) -> None:
        firing = plan(schedule, now)
        prepared = prepare(firing.publish, now)
        said = await core.link.run(
            "fire",
            core.settings.events_max,
            schedule.id,
            repr(schedule.due),
            "" if firing.next_due is None else repr(firing.next_due),
            int(schedule.trigger is None),
            PUBLISH_AGAIN,
            *prepared.args,
        )
        if len(said) == prepared.sent:  # else somebody changed the schedule since it was read
            tally.take(schedule, firing, prepared.answers(said), now)

    async def _due(self, limit: int, lease: str) -> tuple[float, Sequence[Schedule]]:
        now, *due = await self._core_of().link.run("schedules", "claim", limit, lease)
        return float(now), [_unpack(packed, float(moment)) for packed, moment in due]

    async def _promote_delayed(self, limit: int) -> tuple[int, float | None]:
        core = self._core_of()
        promoted = 0
        while True:
            most = min(limit - promoted, _AT_ONCE)
            done, next_in, _ = await core.link.run("promote", core.settings.events_max, most)
            promoted += int(done)
            if int(done) < _AT_ONCE or promoted >= limit:
                return promoted, float(next_in) if next_in else None

    @property
    def _place(self) -> tuple[object, ...]:
        settings = self._core_of().settings
        return settings.hosts, settings.path, settings.db, settings.domain


def _pack(schedule: Schedule) -> bytes:
    try:
        envelope = encode_envelope(schedule.envelope)
    except SerializationError as error:
        raise InvalidOption(str(error)) from error
    facts = [schedule.id, schedule.trigger, schedule.misfire.value, schedule.grace, schedule.paused]
    return json.dumps(facts).encode() + b"\n" + envelope


def _unpack(packed: bytes, due: float) -> Schedule:
    facts, _, envelope = packed.partition(b"\n")
    schedule_id, trigger, misfire, grace, paused = json.loads(facts)
    return Schedule(ScheduleId(schedule_id), due, decode_envelope(envelope), trigger, Misfire(misfire), grace, paused)


def _bare(envelope: Envelope) -> Envelope:
    """Return the envelope without what differs each time a program makes it."""
    return attrs.evolve(envelope, id=TaskId(""), submitted_at=None, due=None, reply=None, parent=None)
