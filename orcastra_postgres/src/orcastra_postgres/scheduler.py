"""Schedules, and the promoting of what was delayed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from orcastra_core.interfaces.scheduler import Scheduler
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import InvalidOption, SerializationError
from orcastra_core.model.ids import TaskId
from orcastra_core.model.published import Stored
from orcastra_core.model.schedule import PUBLISH_AGAIN, Fired, Misfire, Plan, Promotion, Schedule, ScheduleId, Tally
from orcastra_core.serialization.envelope_codec import decode_envelope, encode_envelope
from orcastra_postgres.core import Core
from orcastra_postgres.publish import prepare

if TYPE_CHECKING:
    from orcastra_core.interfaces.broker import Broker


class PostgresScheduler(Scheduler):
    """Schedules of the domain; ``promote`` for its own broker fires each in one step."""

    def __init__(self, core_of: Callable[[], Core]) -> None:
        self._core_of = core_of

    async def add(self, batch: Sequence[Schedule], /) -> None:
        core = self._core_of()
        try:
            encoded = [(schedule, encode_envelope(schedule.envelope)) for schedule in batch]
        except SerializationError as error:
            raise InvalidOption(str(error)) from error
        for schedule, packed in encoded:
            while not await self._add(core, schedule, packed):
                pass  # somebody else stored it in between
        if batch:
            core.tell_due()

    async def _add(self, core: Core, schedule: Schedule, packed: bytes) -> bool:
        rows = await core.ask("schedules", core.domain, [schedule.id])
        due = look = schedule.due
        before: tuple[float | None, bytes | None] = (None, None)
        if rows:
            old = _schedule(rows[0][:7])
            before = (old.due, rows[0]["envelope"])
            same = old.trigger == schedule.trigger and _bare(old.envelope) == _bare(schedule.envelope)
            if schedule.trigger is not None and same:
                due, look = old.due, rows[0]["look"]
        stored = await core.ask(
            "add_schedule",
            core.domain,
            schedule.id,
            due,
            look,
            packed,
            schedule.trigger,
            schedule.misfire.value,
            schedule.grace,
            schedule.paused,
            *before,
        )
        return bool(stored)

    async def remove(self, ids: Sequence[ScheduleId], /) -> Sequence[bool]:
        core = self._core_of()
        gone = {row[0] for row in await core.ask("remove_schedules", core.domain, list(ids))}
        answers: list[bool] = []
        for one in ids:
            answers.append(one in gone)
            gone.discard(one)
        return answers

    async def get(self, ids: Sequence[ScheduleId], /) -> Sequence[Schedule | None]:
        core = self._core_of()
        found = {
            row[0]: _schedule(row[:7]) for row in await core.ask("schedules", core.domain, list(dict.fromkeys(ids)))
        }
        return [found.get(one) for one in ids]

    async def page(self, *, after: ScheduleId | None = None, limit: int = 100) -> Sequence[Schedule]:
        core = self._core_of()
        return [_schedule(row) for row in await core.ask("schedules_page", core.domain, after or "", limit)]

    async def claim(self, *, limit: int, lease: float) -> tuple[float, Sequence[Schedule]]:
        core = self._core_of()
        rows = await core.ask("claim_schedules", core.domain, limit, float(lease))
        return core.now(), sorted(map(_schedule, rows), key=lambda one: (one.due, one.id))

    async def settle(self, batch: Sequence[Fired], /) -> Sequence[bool]:
        core = self._core_of()
        rows = await core.ask(
            "settle_schedules",
            core.domain,
            [one.id for one in batch],
            [one.expected_due for one in batch],
            [one.next_due for one in batch],
        )
        moved = {row[0] for row in rows}
        if moved:
            core.tell_due()
        return [number in moved for number in range(1, len(batch) + 1)]

    async def next_in(self) -> float | None:
        core = self._core_of()
        left = (await core.ask("next_in", core.domain))[0][0]
        return None if left is None else max(0.0, left)

    async def promote(self, broker: Broker, /, *, limit: int, plan: Plan) -> Promotion:
        core = self._core_of()
        own = broker.scheduler
        if not isinstance(own, PostgresScheduler) or own._place != self._place:
            return await super().promote(broker, limit=limit, plan=plan)
        left, now = (await core.ask("next_in", core.domain))[0]
        if left is None or left > 0:
            return Promotion(0, left)
        done, queues = await core.call("promote", core.domain, limit)
        core.tell_ready(queues)
        tally = Tally(done=done)
        # without a claim: of many who compute the same tick, the first to fire it moves the due for the others
        for row in await core.ask("due_schedules", core.domain, limit):
            await self._fire(core, _schedule(row), plan, now, tally)
        return tally.promotion(await self.next_in())

    async def _fire(self, core: Core, schedule: Schedule, plan: Plan, now: float, tally: Tally) -> None:
        firing = plan(schedule, now)
        prepared = prepare(firing.publish, now)
        row = await core.call(
            "fire",
            core.domain,
            schedule.id,
            schedule.due,
            firing.next_due,
            schedule.trigger is None,
            PUBLISH_AGAIN,
            *prepared.arguments(),
        )
        if row["codes"] is None:  # somebody changed the schedule since it was read
            return
        answers = prepared.read(row["codes"])
        core.tell_ready(
            {one.queue: None for one, said in zip(firing.publish, answers, strict=True) if isinstance(said, Stored)}
        )
        tally.take(schedule, firing, answers, now)

    @property
    def _place(self) -> tuple[object, ...]:
        settings = self._core_of().settings
        return settings.dsn, settings.schema, settings.domain


def _schedule(row: Any) -> Schedule:
    schedule_id, due, envelope, trigger, misfire, grace, paused = row
    return Schedule(ScheduleId(schedule_id), due, decode_envelope(envelope), trigger, Misfire(misfire), grace, paused)


def _bare(envelope: Envelope) -> Envelope:
    """Return the envelope without what differs each time a program makes it."""
    return attrs.evolve(envelope, id=TaskId(""), submitted_at=None, due=None, reply=None, parent=None)
