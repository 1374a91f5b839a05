"""The scheduler's edge."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from orcastra_core.backends.sqlite import schedules
from orcastra_core.backends.sqlite.core import Core
from orcastra_core.backends.sqlite.moves import promote_due
from orcastra_core.backends.sqlite.publish import Batch, publish
from orcastra_core.backends.sqlite.statements import sql
from orcastra_core.backends.sqlite.tx import Tx
from orcastra_core.interfaces.scheduler import Scheduler
from orcastra_core.model.errors import InvalidOption, SerializationError
from orcastra_core.model.schedule import Fired, Plan, Promotion, Schedule, ScheduleId, Tally
from orcastra_core.serialization.envelope_codec import encode_envelope

if TYPE_CHECKING:
    from orcastra_core.interfaces.broker import Broker

_PROMOTE_CLAIM = 30.0


class SqliteScheduler(Scheduler):
    """Schedules in the file; ``promote`` for the file's own broker is one step."""

    def __init__(self, path: str, core_of: Callable[[], Core]) -> None:
        self._path = path
        self._core_of = core_of

    async def add(self, batch: Sequence[Schedule], /) -> None:
        core = self._core_of()
        try:
            encoded = [(schedule, encode_envelope(schedule.envelope)) for schedule in batch]
        except SerializationError as error:
            raise InvalidOption(str(error)) from error
        await core.write(lambda tx: schedules.add(tx, encoded), durable=True, weight=len(encoded))

    async def remove(self, ids: Sequence[ScheduleId], /) -> Sequence[bool]:
        return await self._core_of().write(lambda tx: schedules.remove(tx, ids), durable=True, weight=len(ids))

    async def get(self, ids: Sequence[ScheduleId], /) -> Sequence[Schedule | None]:
        return await self._core_of().read(lambda conn: schedules.get(conn, ids))

    async def page(self, *, after: ScheduleId | None = None, limit: int = 100) -> Sequence[Schedule]:
        return await self._core_of().read(lambda conn: schedules.page(conn, after, limit))

    async def claim(self, *, limit: int, lease: float) -> tuple[float, Sequence[Schedule]]:
        return await self._core_of().write(
            lambda tx: (tx.now, schedules.claim(tx, limit, lease)), durable=True, weight=limit
        )

    async def settle(self, batch: Sequence[Fired], /) -> Sequence[bool]:
        return await self._core_of().write(lambda tx: schedules.settle(tx, batch), durable=True, weight=len(batch))

    async def next_in(self) -> float | None:
        core = self._core_of()
        now = core.clock.now()
        return await core.read(lambda conn: _next_in(conn, now))

    async def promote(self, broker: Broker, /, *, limit: int, plan: Plan) -> Promotion:
        core = self._core_of()
        own = broker.scheduler
        if not isinstance(own, SqliteScheduler) or own._path != self._path:
            return await super().promote(broker, limit=limit, plan=plan)
        now = core.clock.now()
        next_in = await core.read(lambda conn: _next_in(conn, now))
        if next_in is None or next_in > 0:
            return Promotion(0, next_in)

        def work(tx: Tx) -> Promotion:
            tally = Tally(done=promote_due(tx, limit))
            for schedule in schedules.claim(tx, limit, _PROMOTE_CLAIM):
                firing = plan(schedule, tx.now)
                answers = publish(tx, Batch(firing.publish)) if firing.publish else []
                settled = tally.take(schedule, firing, answers, tx.now)
                if settled is not None:
                    schedules.settle(tx, [settled])
            return tally.promotion(_next_in(tx.conn, tx.now))

        return await core.write(work, durable=True, weight=limit)


def _next_in(conn: sqlite3.Connection, now: float) -> float | None:
    (due,) = conn.execute(sql("next_due")).fetchone()
    return None if due is None else max(0.0, float(due) - now)
