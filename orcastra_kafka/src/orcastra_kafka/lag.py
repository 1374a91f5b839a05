"""How much of each queue is not done yet, from outside: what the brokers know of the groups that read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import attrs

from orcastra_core.model.errors import DeserializationError, InvalidOption
from orcastra_kafka import logs
from orcastra_kafka.classic import ledger
from orcastra_kafka.core import Core
from orcastra_kafka.dead.letters import queue_of
from orcastra_kafka.dead.scan import letters
from orcastra_kafka.protocol.log import EARLIEST, LATEST
from orcastra_kafka.schedule.records import unpack
from orcastra_kafka.share.metadata import TopicFacts
from orcastra_kafka.standing import Queue, committed, offsets, queues_of, shared
from orcastra_kafka.topics import escaped, unescaped


@attrs.frozen
class QueueLag:
    """What a queue has before it.

    Attributes:
        levels: By level, «high» first: records that nobody is done with; those that run are among them.
        dead: Its dead letters.
        scheduled: Its tasks that are due later, and its schedules.
    """

    queue: str
    levels: Mapping[str, int]
    dead: int = 0
    scheduled: int = 0


async def lag_of(core: Core, queues: Sequence[str] = ()) -> Sequence[QueueLag]:
    """Count what these queues have before them, or all that the domain has, by name.

    Reads the dead letters and the schedules from their beginning.

    Raises:
        InvalidOption: There is no such queue.
        BrokerError, KafkaError, OSError, TimeoutError: The brokers were not to be had.
    """
    known = queues_of(core, (await core.cluster.metadata(None)).topics)
    for queue in queues:
        if escaped(queue) not in known:
            there = ", ".join(sorted(map(unescaped, known))) or "none"
            raise InvalidOption(
                f"{core.where}: domain {core.settings.domain!r} has no queue {queue!r}; there are: {there}"
            )
    dead, scheduled = await _dead(core), await _scheduled(core)
    names = {escaped(queue): queue for queue in queues} or {name: unescaped(name) for name in known}
    return [
        QueueLag(queue, await _levels(core, known[name]), dead[name], scheduled[name])
        for name, queue in sorted(names.items(), key=lambda one: one[1])
    ]


async def _levels(core: Core, queue: Queue) -> Mapping[str, int]:
    lag = await (_classic_lag if core.settings.lane == "classic" else _share_lag)(core, queue)
    return {level: sum(some.values()) for level, some in lag.items()}


async def _share_lag(core: Core, queue: Queue) -> dict[str, dict[int, int]]:
    """Take the coordinator's word. Before it has written anything about a partition, all of it is to be done."""
    answer: dict[str, dict[int, int]] = {}
    for level, progress in (await shared(core, queue)).items():
        rows = answer[level] = {number: one.lag for number, one in progress.items() if not one.error and one.lag >= 0}
        unknown = {number: one.start for number, one in progress.items() if number not in rows}
        rows |= await _behind(core, queue.levels[level], unknown)
    return answer


async def _classic_lag(core: Core, queue: Queue) -> dict[str, dict[int, int]]:
    """Subtract from what lies behind the watermark what is done ahead of it: the commit tells."""
    answer: dict[str, dict[int, int]] = {}
    for level, words in (await committed(core, queue)).items():
        behind = await _behind(core, queue.levels[level], {number: offset for number, (offset, _) in words.items()})
        answer[level] = {
            number: max(0, behind[number] - ledger.read(offset, text)[0].bits.bit_count())
            for number, (offset, text) in words.items()
        }
    return answer


async def _behind(core: Core, facts: TopicFacts, starts: Mapping[int, int]) -> dict[int, int]:
    """Count the offsets from where a group stands up to the end; -1 stands for the first that there is."""
    if not starts:
        return {}
    first, end = [await offsets(core, facts, list(starts), time) for time in (EARLIEST, LATEST)]
    return {number: max(0, end[number] - max(start, first[number])) for number, start in starts.items()}


async def _dead(core: Core) -> Counter[str]:
    count: Counter[str] = Counter()
    topic = await logs.find(core, core.names.dead)
    if topic is not None:
        async for some in letters(core, topic, among=lambda _: True, fits=lambda _: True):
            count.update(escaped(queue_of(entry)) for _, entry in some)
    return count


async def _scheduled(core: Core) -> Counter[str]:
    count: Counter[str] = Counter()
    topic = await logs.find(core, core.names.schedule)
    for partition in range(len(topic.leaders) if topic is not None else 0):
        assert topic is not None
        there: dict[bytes, str] = {}
        async for page in logs.read(core, topic, partition, 0):
            for entry in page:
                there.pop(entry.key or b"", None)
                try:
                    if entry.key is not None and entry.value:
                        there[entry.key] = unpack(entry.key, entry.value).envelope.queue
                except DeserializationError:
                    continue  # somebody else's record
        count.update(map(escaped, there.values()))
    return count
