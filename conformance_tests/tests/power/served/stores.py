"""The sub-services, on the client's side."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.dead_letters import DeadLetterStore
from orcastra_core.interfaces.events import EventLog
from orcastra_core.interfaces.results import ResultFeed, ResultStore
from orcastra_core.interfaces.scheduler import Scheduler
from orcastra_core.model.dead_letter import DeadLetter
from orcastra_core.model.errors import BrokerClosed, BrokerError
from orcastra_core.model.event import LogEntry
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName
from orcastra_core.model.published import Published
from orcastra_core.model.result import Absence, Result
from orcastra_core.model.schedule import Fired, Plan, Promotion, Schedule, ScheduleId
from power.served.talk import Calls


class ServedFeed(ResultFeed):
    """One client's pushed results; the server keeps them while the client is out of reach."""

    def __init__(self, calls: Calls, channel: str) -> None:
        self.channel = channel
        self._calls = calls
        self._number = 1
        self._closed = False

    async def next(self, *, wait: float) -> Sequence[Result]:
        try:
            told: Sequence[Result] = await self._calls.call("feed.next", self.channel, self._number, wait)
        except BrokerError as error:
            if self._closed:
                raise BrokerClosed("the feed was closed") from error
            raise
        if self._closed:
            raise BrokerClosed("the feed was closed")
        self._number += 1
        return told

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            try:
                await self._calls.call("domain.unsubscribe", self.channel)
            except BrokerError:
                pass  # out of reach


class ServedResults(ResultStore):
    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def put(self, batch: Sequence[tuple[Result, str | None]], /) -> None:
        await self._calls.call("results.put", batch)

    async def get(self, ids: Sequence[TaskId], /) -> Sequence[Result | Absence]:
        return await self._calls.call("results.get", ids)

    async def subscribe(self) -> ResultFeed:
        return ServedFeed(self._calls, await self._calls.call("domain.subscribe"))

    async def prune(self, *, limit: int) -> int:
        return await self._calls.call("results.prune", limit=limit)


class ServedDeadLetters(DeadLetterStore):
    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def put(self, batch: Sequence[DeadLetter], /) -> None:
        await self._calls.call("dead_letters.put", batch)

    async def page(
        self, *, queue: QueueName | None = None, after: TaskId | None = None, limit: int = 100
    ) -> Sequence[DeadLetter]:
        return await self._calls.call("dead_letters.page", queue=queue, after=after, limit=limit)

    async def get(self, ids: Sequence[TaskId], /) -> Sequence[DeadLetter | None]:
        return await self._calls.call("dead_letters.get", ids)

    async def replay(self, ids: Sequence[TaskId], /, *, events: Sequence[bytes] = ()) -> Sequence[Published | None]:
        return await self._calls.call("dead_letters.replay", ids, events=events)

    async def purge(
        self,
        *,
        ids: Sequence[TaskId] | None = None,
        queue: QueueName | None = None,
        older_than: float = 0.0,
        limit: int = 1000,
    ) -> int:
        return await self._calls.call("dead_letters.purge", ids=ids, queue=queue, older_than=older_than, limit=limit)


class ServedEvents(EventLog):
    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def append(self, batch: Sequence[bytes], /) -> None:
        await self._calls.call("events.append", batch)

    async def read(self, *, after: str | None = None, limit: int = 1000) -> Sequence[LogEntry]:
        return await self._calls.call("events.read", after=after, limit=limit)

    async def trim(self, *, keep: int) -> int:
        return await self._calls.call("events.trim", keep=keep)


class ServedScheduler(Scheduler):
    """A plan is a function and stays on this side: ``promote`` looks what is due, and has it fired if it still is."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def add(self, batch: Sequence[Schedule], /) -> None:
        await self._calls.call("scheduler.add", batch)

    async def remove(self, ids: Sequence[ScheduleId], /) -> Sequence[bool]:
        return await self._calls.call("scheduler.remove", ids)

    async def get(self, ids: Sequence[ScheduleId], /) -> Sequence[Schedule | None]:
        return await self._calls.call("scheduler.get", ids)

    async def page(self, *, after: ScheduleId | None = None, limit: int = 100) -> Sequence[Schedule]:
        return await self._calls.call("scheduler.page", after=after, limit=limit)

    async def claim(self, *, limit: int, lease: float) -> tuple[float, Sequence[Schedule]]:
        return await self._calls.call("scheduler.claim", limit=limit, lease=lease)

    async def settle(self, batch: Sequence[Fired], /) -> Sequence[bool]:
        return await self._calls.call("scheduler.settle", batch)

    async def next_in(self) -> float | None:
        return await self._calls.call("scheduler.next_in")

    async def promote(self, broker: Broker, /, *, limit: int, plan: Plan) -> Promotion:
        own = broker.scheduler
        if not isinstance(own, ServedScheduler) or own._calls.place != self._calls.place:
            return await super().promote(broker, limit=limit, plan=plan)
        ripe: int = await self._calls.call("domain.ripen", limit)
        look: tuple[float, Sequence[Schedule]] = await self._calls.call("domain.due", limit)
        now, due = look
        firings = [(schedule, plan(schedule, now)) for schedule in due]
        promotion: Promotion = await self._calls.call("domain.fire", now, firings)
        return attrs.evolve(promotion, done=promotion.done + ripe)
