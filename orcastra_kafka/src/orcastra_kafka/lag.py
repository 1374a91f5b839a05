"""How much of each queue is not done yet, from outside: what the brokers know of the groups that read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import attrs
from aiokafka.structs import TopicPartition

from orcastra_core.model.errors import DeserializationError, InvalidOption
from orcastra_core.model.names import QueueName
from orcastra_kafka import logs
from orcastra_kafka.classic import ledger
from orcastra_kafka.classic.messages import OffsetFetch
from orcastra_kafka.core import Core
from orcastra_kafka.dead.letters import queue_of
from orcastra_kafka.dead.scan import letters
from orcastra_kafka.patience import led, pause
from orcastra_kafka.protocol.log import EARLIEST, LATEST, ListOffsets
from orcastra_kafka.schedule.records import unpack
from orcastra_kafka.share.errors import COORDINATOR_MOVED, check
from orcastra_kafka.share.groups import DescribeShareOffsets, Progress
from orcastra_kafka.share.metadata import TopicFacts
from orcastra_kafka.share.wire import Request, T
from orcastra_kafka.topics import LEVELS, unescaped

_NO_SUCH_GROUP = 69
_TRANSACTION_UNDER_WAY = 88
_PAUSE = 0.02
_UNKNOWN = Progress(-1, -1, 0)


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
    topics = (await core.cluster.metadata(None)).topics
    known = _by_queue(core, topics)
    for queue in queues:
        if queue not in known:
            there = ", ".join(sorted(known)) or "none"
            raise InvalidOption(
                f"{core.where}: domain {core.settings.domain!r} has no queue {queue!r}; there are: {there}"
            )
    lag = _classic_lag if core.settings.lane == "classic" else _share_lag
    dead, scheduled = await _dead(core), await _scheduled(core)
    return [
        QueueLag(
            queue,
            {level: sum(one.values()) for level, one in (await lag(core, queue, known[queue])).items()},
            dead[queue],
            scheduled[queue],
        )
        for queue in sorted(dict.fromkeys(queues) or known)
    ]


def _by_queue(core: Core, topics: Mapping[str, TopicFacts]) -> dict[str, dict[str, TopicFacts]]:
    """Return the topics of queues, by queue and level."""
    found: dict[str, dict[str, TopicFacts]] = {}
    prefix = f"{core.names.prefix}q."
    for name, facts in topics.items():
        queue, _, level = name.removeprefix(prefix).rpartition(".")
        if name.startswith(prefix) and level in LEVELS.values() and not facts.error:
            found.setdefault(unescaped(queue), {})[level] = facts
    return {
        queue: {level: levels[level] for level in LEVELS.values() if level in levels} for queue, levels in found.items()
    }


async def _share_lag(core: Core, queue: str, levels: Mapping[str, TopicFacts]) -> dict[str, dict[int, int]]:
    """Ask the group's coordinator. Before it has written anything about a partition, all of it is to be done."""
    group = core.names.queue(QueueName(queue))
    asked = DescribeShareOffsets(group, {facts.name: range(len(facts.leaders)) for facts in levels.values()})

    said = await _ask(core, group, asked, lambda said: said.error)
    answer: dict[str, dict[int, int]] = {}
    for level, facts in levels.items():
        told = said.topics.get(facts.name, {})
        progress = {number: told.get(number, _UNKNOWN) for number in range(len(facts.leaders))}
        rows = answer[level] = {number: one.lag for number, one in progress.items() if not one.error and one.lag >= 0}
        unknown = [number for number in progress if number not in rows]
        rows |= await _behind(core, facts, {number: progress[number].start for number in unknown})
    return answer


async def _classic_lag(core: Core, queue: str, levels: Mapping[str, TopicFacts]) -> dict[str, dict[int, int]]:
    """Subtract from what lies behind the watermark what is done ahead of it: the commit tells."""
    group = core.names.group(QueueName(queue))
    places = [TopicPartition(facts.name, number) for facts in levels.values() for number in range(len(facts.leaders))]
    _, committed = await _ask(core, group, OffsetFetch(group, places), lambda said: said[0])
    answer: dict[str, dict[int, int]] = {}
    for level, facts in levels.items():
        words = {
            number: committed.get(TopicPartition(facts.name, number), (-1, "")) for number in range(len(facts.leaders))
        }
        behind = await _behind(core, facts, {number: offset for number, (offset, _) in words.items()})
        answer[level] = {
            number: max(0, behind[number] - ledger.read(offset, text)[0].bits.bit_count())
            for number, (offset, text) in words.items()
        }
    return answer


async def _ask(core: Core, group: str, request: Request[T], error_of: Callable[[T], int]) -> T:
    """Ask a group's coordinator, who may still be loading; a group that nobody has joined yet is no error."""
    until = core.loop.time() + core.settings.timeout
    while True:
        said = await core.cluster.ask_coordinator(group, request)
        error = error_of(said)
        if error in (0, _NO_SUCH_GROUP):
            return said
        core.cluster.forget_coordinator(group)
        if error not in COORDINATOR_MOVED | {_TRANSACTION_UNDER_WAY} or core.loop.time() >= until:
            check(error, doing=f"group {group}")
        await pause(_PAUSE)


async def _behind(core: Core, facts: TopicFacts, starts: Mapping[int, int]) -> dict[int, int]:
    """Count the offsets from where a group stands up to the end; -1 stands for the first that there is."""
    if not starts:
        return {}
    first, end = [await _offsets(core, facts, list(starts), time) for time in (EARLIEST, LATEST)]
    return {number: max(0, end[number] - max(start, first[number])) for number, start in starts.items()}


async def _offsets(core: Core, facts: TopicFacts, numbers: Sequence[int], time: int) -> dict[int, int]:
    async def ask() -> dict[int, int]:
        leaders = (await core.cluster.topic(facts.name)).leaders
        found: dict[int, int] = {}
        for leader in {leaders[number] for number in numbers}:
            mine = [number for number in numbers if leaders[number] == leader]
            for number, (error, offset) in (
                await core.cluster.ask(leader, ListOffsets(facts.name, dict.fromkeys(mine, time)))
            ).items():
                check(error, doing=f"offsets of {facts.name}")
                found[number] = offset
        return found

    return await led(ask, within=core.settings.timeout)


async def _dead(core: Core) -> Counter[str]:
    count: Counter[str] = Counter()
    topic = await logs.find(core, core.names.dead)
    if topic is not None:
        async for some in letters(core, topic, among=lambda _: True, fits=lambda _: True):
            count.update(queue_of(entry) for _, entry in some)
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
        count.update(there.values())
    return count
