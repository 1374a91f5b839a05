"""Reaping: who may judge, and what becomes of what the dead held."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.session import Lost, Swept
from orcastra_redis.core import Core
from orcastra_redis.publish import read_counts

_BEGIN = b"0"


async def sweep(core: Core, limit: int) -> Swept:
    """Reap who lapsed, and hand out again what nobody holds any more.

    Every script looks at a part. All sessions that were opened are looked at in each sweep; of the consumers, who may be
    left of a session that the store has forgotten, it is the next few lanes' turn.
    """
    reaped: list[SessionId] = []
    lost: list[Lost] = []
    more = False
    async for session, silent, lease in _suspects(core):
        if silent >= 0 and not (silent >= lease and core.listener.in_touch(lease / 1000)):
            continue
        if len(lost) >= limit:
            more = True
            break
        ended, left, taken = await reclaim(core, session, limit - len(lost), "orphans" if silent < 0 else "lapse")
        if ended:
            reaped.append(SessionId(session))
        lost += taken
        more = more or left
    return Swept(reaped, lost, more)


async def _suspects(core: Core) -> AsyncIterator[tuple[str, int, int]]:
    seen: set[str] = set()
    place = _BEGIN
    while True:
        place, *found = await core.link.run("survey", "sessions", place)
        for name, silent, lease in found:
            if (session := name.decode()) not in seen:  # a scan may come by twice
                seen.add(session)
                yield session, silent, lease
        if place == _BEGIN:
            break
    core.lanes_from, *found = await core.link.run("survey", "lanes", core.lanes_from)
    for name, silent, lease in found:
        if (session := name.decode()) not in seen:
            yield session, silent, lease


async def expire(core: Core, session: SessionId) -> int:
    """Reap a session now; return how many deliveries were handed out again."""
    _, more, lost = await reclaim(core, session, 1000, "expire")
    number = len(lost)
    while more:
        _, more, lost = await reclaim(core, session, 1000, "orphans")
        number += len(lost)
    return number


async def reclaim(core: Core, session: str, most: int, why: str) -> tuple[bool, bool, Sequence[Lost]]:
    """Run one step of a reap: whether it ended the session, whether it holds more, and what is handed out again."""
    judge = (core.listener.incarnation,) if why == "lapse" else ()
    said: list[Any] = await core.link.run("reclaim", core.settings.events_max, session, most, why, *judge)
    facts = said[2:]
    lost = [
        Lost(TaskId(facts[i].decode()), QueueName(facts[i + 1].decode()), read_counts(facts[i + 2]), SessionId(session))
        for i in range(0, len(facts), 3)
    ]
    return bool(said[0]), bool(said[1]), lost
