"""Which letters a log holds: the last record under an id decides, so it is read to its end, whatever is looked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from orcastra_core.model.errors import BrokerTimeout
from orcastra_core.model.ids import TaskId, text_of
from orcastra_kafka import logs
from orcastra_kafka.core import Core
from orcastra_kafka.dead.letters import is_letter, removed_by
from orcastra_kafka.logs import Entry
from orcastra_kafka.share.metadata import TopicFacts

ROOM = 2000
"""Ids that are kept in mind at a time; those behind them are for another reading."""
_MOST_BYTES = 64 << 20


class Scan:
    """The first letters of what is read, in order of their ids, in as much memory as there is room for.

    Args:
        among: Whether an id matters at all.
        fits: Whether a letter does.
        room: Ids to keep, at least.

    Attributes:
        behind: The last id that was kept, where there was no room for others behind it; None: there was room for all.
    """

    def __init__(
        self,
        *,
        among: Callable[[TaskId], bool] = lambda _: True,
        fits: Callable[[Entry], bool] = lambda _: True,
        room: int = ROOM,
    ) -> None:
        self.behind: TaskId | None = None
        self._among = among
        self._fits = fits
        self._room = max(room, 1)
        self._last: dict[TaskId, Entry | None] = {}
        self._size = 0

    def add(self, entries: Iterable[Entry]) -> None:
        """Take in what was read, in its order."""
        for entry in entries:
            if entry.key is None or len(entry.key) != 16:
                continue  # somebody else's record
            task_id = text_of(entry.key)
            if not self._among(task_id) or (self.behind is not None and task_id > self.behind):
                continue
            kept = entry if not is_letter(entry) or self._fits(entry) else None
            self._size += _size(kept) - _size(self._last.get(task_id))
            self._last[task_id] = kept
            if len(self._last) > 2 * self._room or (self._size > _MOST_BYTES and len(self._last) > 1):
                self._make_room()

    def letters(self) -> list[tuple[TaskId, Entry]]:
        """Return the letters there are, in order."""
        found = [(task_id, entry) for task_id, entry in self._last.items() if entry is not None and is_letter(entry)]
        return sorted(found, key=lambda one: one[0])

    def removed(self, by: bytes) -> set[TaskId]:
        """Return the ids of the letters that somebody has taken away."""
        return {task_id for task_id, entry in self._last.items() if entry is not None and removed_by(entry) == by}

    def left(self, among: set[TaskId]) -> set[TaskId]:
        """Return those ids for which there was no room."""
        return set() if self.behind is None else {task_id for task_id in among if task_id > self.behind}

    def _make_room(self) -> None:
        keep = sorted(self._last)[: min(self._room, len(self._last) // 2)]
        self._last = {task_id: self._last[task_id] for task_id in keep}
        self._size = sum(map(_size, self._last.values()))
        self.behind = keep[-1]


async def letters(
    core: Core, topic: TopicFacts, *, among: Callable[[TaskId], bool], fits: Callable[[Entry], bool], room: int = ROOM
) -> AsyncIterator[Sequence[tuple[TaskId, Entry]]]:
    """Yield the letters of all partitions, in order of their ids; for more than there is room for they are read again."""
    after: TaskId | None = None

    def is_left(task_id: TaskId) -> bool:
        return (after is None or task_id > after) and among(task_id)

    while True:
        scan = Scan(among=is_left, fits=fits, room=room)
        for partition in range(len(topic.leaders)):
            await read_on(core, topic, partition, 0, scan)
        if found := scan.letters():
            yield found
        if scan.behind is None:
            return
        after = scan.behind


async def read_on(
    core: Core, topic: TopicFacts, partition: int, begin: int, scan: Scan, *, certain: bool = False
) -> int:
    """Read a partition from ``begin`` on; return the offset up to which it was read.

    That is behind all that was confirmed before the call.

    Args:
        core, topic, partition, begin, scan: What to read, and into what.
        certain: Whether nothing of what was there may be missed, not even what a transaction has open.

    Raises:
        BrokerTimeout: A transaction does not end.
        KafkaError, OSError, TimeoutError: The brokers were not to be had.
    """
    within = core.settings.timeout if certain else logs.MARKERS
    end, settled = await logs.settled_end(core, topic, partition, within=within)
    if certain and not settled:
        raise BrokerTimeout(f"{core.where}: a transaction that wrote to {topic.name} does not end")
    async for page in logs.read(core, topic, partition, begin):
        scan.add(page)
    return end


def _size(entry: Entry | None) -> int:
    return 0 if entry is None else 200 + len(entry.value)
