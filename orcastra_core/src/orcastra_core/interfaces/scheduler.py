"""Storage of what is deferred and of recurring schedules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orcastra_core.model.schedule import Fired, Plan, Promotion, Schedule, ScheduleId, Tally

if TYPE_CHECKING:
    from orcastra_core.interfaces.broker import Broker


class Scheduler(ABC):
    """What a broker without DELAY defers, and recurring schedules.

    May live in another store than the queue: that is what ``promote``'s
    default is for. Any number of processes may promote at once; a tick is fired
    once because ``settle`` compares the stored ``due``.
    """

    @abstractmethod
    async def add(self, batch: Sequence[Schedule], /) -> None:
        """Store schedules, each replacing the one with its id. Durable on return.

        A recurring schedule whose trigger, envelope's task, queue, body and
        options are those already stored keeps its stored ``due``: a program may
        add its schedules at every start without moving a tick.
        """

    @abstractmethod
    async def remove(self, ids: Sequence[ScheduleId], /) -> Sequence[bool]:
        """Forget schedules; True for those that existed."""

    @abstractmethod
    async def get(self, ids: Sequence[ScheduleId], /) -> Sequence[Schedule | None]:
        """Return schedules as stored, None for unknown ids."""

    @abstractmethod
    async def page(self, *, after: ScheduleId | None = None, limit: int = 100) -> Sequence[Schedule]:
        """Return schedules in order of their ids, behind ``after``."""

    @abstractmethod
    async def claim(self, *, limit: int, lease: float) -> tuple[float, Sequence[Schedule]]:
        """Take what is due by the store's clock and not paused, exclusively for ``lease`` seconds.

        Returns:
            The store's now (Unix seconds) and at most ``limit`` schedules, earliest first.
        """

    @abstractmethod
    async def settle(self, batch: Sequence[Fired], /) -> Sequence[bool]:
        """Move each schedule to its next tick if its ``due`` is still the expected one.

        True where it was; ends the claim. ``next_due`` None removes it.
        """

    @abstractmethod
    async def next_in(self) -> float | None:
        """Return the seconds, by the store's clock, until something is due; None if nothing waits. Paused ones do not count."""

    async def promote(self, broker: Broker, /, *, limit: int, plan: Plan) -> Promotion:
        """Publish what is due, at most ``limit`` schedules, and say when to come again.

        The default claims, publishes under ids that follow from schedule and
        tick, and settles: after a crash in between the repeat publishes
        Duplicates. A store that is also the broker overrides it with one atomic step, and
        makes its own delayed envelopes ready in it.

        A deferred envelope that got no answer comes again soon; a recurring schedule
        at its claim's end.
        """
        now, due = await self.claim(limit=limit, lease=30.0)
        tally = Tally()
        fired: list[Fired] = []
        for schedule in due:
            firing = plan(schedule, now)
            answers = await broker.publish(firing.publish) if firing.publish else ()
            settled = tally.take(schedule, firing, answers, now)
            if settled is not None:
                fired.append(settled)
        if fired:
            await self.settle(fired)
        return tally.promotion(await self.next_in())
