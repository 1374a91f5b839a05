"""Reaping: who may judge, and what becomes of what the dead held."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orcastra_core.model.counts import Counts
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.session import Lost, Swept
from orcastra_postgres.beat import beat_name
from orcastra_postgres.process import seems_alive

if TYPE_CHECKING:
    from orcastra_postgres.core import Core

_AT_ONCE = 1000
_ALL = 2**31 - 1
_WATCH_FOR = 2.0
"""Seconds after a sweep in which it is to be expected that there are more to come."""
_GRACE = 0.1
"""Seconds that a session's lock has to be free before that is proof: a session whose connection was cut takes it again at once."""


class Watch:
    """Looks after sessions whose processes were killed, between the sweeps: their locks tell at once.

    Only where somebody sweeps. What it finds is reaped, and told by the next sweep.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._until = 0.0
        self._looking = False
        self._reaped: list[SessionId] = []
        self._lost: list[Lost] = []

    def swept(self, limit: int) -> tuple[list[SessionId], list[Lost]]:
        """Note that somebody sweeps; return what was reaped since the last time."""
        self._until = self._core.loop.time() + _WATCH_FOR
        self._core.listener.matters()
        reaped, self._reaped = self._reaped, []
        lost, self._lost = self._lost[:limit], self._lost[limit:]
        return reaped, lost

    def tick(self) -> None:
        """Look, if there is reason to. Called with every answer of the server: often where somebody sweeps."""
        if self._core.loop.time() < self._until and not self._looking and self._core.listener.listens:
            self._looking = True
            self._core.later(self._look)

    async def _look(self) -> None:
        try:
            rows = await self._core.rows("survey", self._core.domain)
            for row in await _proved(self._core, rows):
                ended, _, lost = await _reap(self._core, row["num"], row["id"], "lock", _AT_ONCE)
                if ended:
                    self._reaped.append(SessionId(row["id"]))
                self._lost += lost
        finally:
            self._looking = False


async def sweep(core: Core, limit: int) -> Swept:
    """Reap who is dead, and hand out again what nobody holds any more."""
    reaped, lost = core.watch.swept(limit)
    more = False
    rows = await core.rows("survey", core.domain)
    proved = {row["num"] for row in await _proved(core, rows)}
    now = core.loop.time()
    for row in rows:
        lease, number = row["lease"], row["num"]
        if lease is None:
            why = "orphans"
        elif number in proved:
            why = "lock"
        elif row["silent"] >= lease and core.listener.contact.unbroken(now, lease):
            why = "lapse"
        else:
            continue
        if len(lost) >= limit:
            more = True
            break
        ended, left, taken = await _reap(core, number, row["id"], why, limit - len(lost))
        if ended:
            reaped.append(SessionId(row["id"]))
        lost += taken
        more = more or left
    await core.chores.swept()
    return Swept(reaped, lost, more)


async def _proved(core: Core, rows: Sequence[Any]) -> list[Any]:
    """Return those of the surveyed sessions whose locks stay free although they had the time to take them again."""
    before = {row["num"] for row in rows if _dropped(row)}
    if not before:
        return []
    await asyncio.sleep(_GRACE)  # noqa: TID251 - the grace that a cut connection has
    rows = await core.rows("survey", core.domain)
    return [row for row in rows if row["num"] in before and _dropped(row)]


async def expire(core: Core, session: SessionId) -> int:
    """Reap a session now; return how many deliveries were handed out again."""
    number = number_of(session)
    if number is None:
        return 0
    _, more, lost = await _reap(core, number, session, "expire", _AT_ONCE)
    total = len(lost)
    while more and lost:
        _, more, lost = await _reap(core, number, session, "orphans", _AT_ONCE)
        total += len(lost)
    return total


async def leave(core: Core, number: int, session: SessionId) -> None:
    """End a session that says so, and hand back what it held."""
    await _reap(core, number, session, "leave", _ALL)


def number_of(session: str) -> int | None:
    """Return a session's number; None for what is no session of ours."""
    number, _, suffix = session.partition("-")
    return int(number) if suffix and number.isascii() and number.isdecimal() and len(number) < 19 else None


def _dropped(row: Any) -> bool:
    return bool(row["dropped"]) and not seems_alive(row["process"])


async def _reap(core: Core, number: int, session: str, why: str, limit: int) -> tuple[bool, bool, Sequence[Lost]]:
    """Run one step of a reap: whether it ended the session, whether it holds more, and what is handed out again."""
    beat, started = beat_name(core.settings, session), core.listener.contact.started
    row = await core.call("reap", core.domain, number, session, why, beat, limit, started)
    ended, more, ids = row["ended"], row["more"], row["ids"]
    lost: list[Lost] = []
    for at, task_id in enumerate(ids):
        counts = Counts(row["attempts"][at], row["losses"][at], row["releases"][at])
        lost.append(Lost(TaskId(str(task_id)), QueueName(row["queues"][at]), counts, SessionId(session)))
    if ended and why != "leave":
        core.tell_fenced(number)
    core.tell_ready(dict.fromkeys(one.queue for one in lost))
    return ended, more, lost


async def discard(core: Core, opened: Sequence[tuple[int, str]]) -> None:
    """End sessions whose openers went away before they knew."""
    for number, session in opened:
        await leave(core, number, SessionId(session))
