"""A queue with sessions, as the contract tells it: sets and lists, nothing about how.

The model answers what a broker may say and follows what it said. Where the
contract leaves something open (the place of a delayed task among the ready ones, the
moment within which time is too short to tell), the model leaves it open too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import attrs

from orcastra_conformance.modelling.items import NEVER, Hold, Item, Moment, Where, due_of
from orcastra_core.model.counts import FRESH
from orcastra_core.model.envelope import DedupMode, Envelope
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName
from orcastra_core.model.published import STORED, Duplicate, Published
from orcastra_core.model.result import Result


class Model:
    """What a domain holds.

    Args:
        now: The store's time, Unix seconds.
        slack: Seconds too short to tell from none.
        buries: Whether dead letters are kept.

    Attributes:
        began: When the call began that is being followed, Unix seconds: what it did, it did between then and now.
        items: Every task it ever knew and has not forgotten, in order of publishing.
        paused: Queues that hand out nothing.
        losses: How often a holder died.
        forgotten: What was purged.
    """

    def __init__(self, now: Callable[[], float], slack: float, *, buries: bool) -> None:
        self.began = now()
        self.items: dict[TaskId, Item] = {}
        self.paused: set[QueueName] = set()
        self.losses = 0
        self.forgotten: list[Envelope] = []
        self._now = now
        self._slack = slack
        self._buries = buries
        self._keys: dict[tuple[QueueName, str], Hold] = {}
        self._lines: dict[tuple[QueueName, str], list[TaskId]] = {}

    # -- what is where

    def among(self, *where: Where, queue: QueueName | None = None) -> list[Item]:
        """Return the tasks there, of one queue if one is named."""
        return [i for i in self.items.values() if i.where in where and queue in (None, i.envelope.queue)]

    def held(self, session: str) -> list[Item]:
        """Return what a session holds."""
        return [i for i in self.items.values() if i.holder == session]

    def owed(self, queue: QueueName) -> list[Item]:
        """Return what must be handed out if it is asked for."""
        return [] if queue in self.paused else self.among(Where.READY, queue=queue)

    def may_have_come(self, item: Item) -> bool:
        """Whether the moment of a delayed task may have passed for the store."""
        return item.where is Where.DELAYED and self._may_be_over(item.due)

    # -- publishing

    def answers(self, envelope: Envelope) -> list[Published]:
        """Return what a publish of it may be answered with."""
        known = self.items.get(envelope.id)
        if known is not None and not (known.where is Where.MOVED and envelope.counts not in known.seen):
            return [Duplicate(envelope.id)]
        return self.key_answers(envelope, back=known is not None)

    def key_answers(self, envelope: Envelope, *, back: bool = False) -> list[Published]:
        """Return what its dedup key allows; ``back`` from a scheduler, a task goes on without a key that is gone."""
        if envelope.dedup is None or (back and envelope.dedup.mode is not DedupMode.ALIVE):
            return [STORED]
        hold = self._keys.get((envelope.queue, envelope.dedup.key))
        if hold is None or hold.id == envelope.id or self._over(hold.until):
            return [STORED]
        return [STORED, Duplicate(hold.id)] if self._may_be_over(hold.until) else [Duplicate(hold.id)]

    def store(self, envelope: Envelope) -> None:
        """Take in an envelope that was Stored."""
        before = self.items.pop(envelope.id, None)
        item = Item(envelope, envelope.counts, self._now(), due=due_of(envelope))
        if before is None:
            self._take_key(envelope)
        else:
            item.seen = before.seen
        item.seen.add(envelope.counts)
        self._enter(item)
        if before is not None:
            item.loose, item.behind = True, set()  # it may have kept its place

    def replay(self, task_id: TaskId) -> None:
        """Take in a dead letter that was put back: as if it were published anew, under its id."""
        envelope = attrs.evolve(self.items.pop(task_id).envelope, counts=FRESH)
        self._take_key(envelope)
        self._enter(Item(envelope, FRESH, self._now(), due=due_of(envelope), seen={FRESH}))

    # -- handing out, handing back

    def hand_out(self, item: Item, session: str) -> None:
        """Have a session hold a task."""
        item.where, item.holder, item.behind = Where.HELD, session, set()
        dedup = item.envelope.dedup
        if dedup is not None and dedup.mode is DedupMode.UNTIL_START:
            self._free_key(item)

    def retry(self, item: Item, after: float = 0.0) -> None:
        """Make it wait for another attempt."""
        item.counts, item.due = item.counts.retried(), self._in(after)
        self._wait(item, delayed=after > 0)

    def release(self, item: Item, after: float = 0.0) -> None:
        """Take it back."""
        item.counts = item.counts.handed_back()
        if after > 0:
            item.due = self._in(after)
            self._wait(item, delayed=True)
        else:
            self._put_back(item)

    def lose(self, session: str) -> list[Item]:
        """End a session that died; what it held is ready again."""
        lost = self.held(session)
        for item in lost:
            self.losses += 1
            item.counts = item.counts.bereaved()
            self._put_back(item)
        return lost

    def leave(self, session: str) -> None:
        """End a session in good order."""
        for item in self.held(session):
            self.release(item)

    def move(self, item: Item) -> None:
        """Let a scheduler have it: its keys and its place in line stay."""
        item.where, item.holder = Where.MOVED, ""

    def promoted(self) -> None:
        """Make ready whose moment has come."""
        for item in sorted(self.among(Where.DELAYED), key=lambda i: i.due.latest):
            if self._over(item.due):
                self._ready(item, loose=True)

    # -- ends

    def end(self, item: Item, result: Result | None, *, dead: bool = False) -> None:
        """End a task for good: its result, its keys, its place in line."""
        item.where = Where.DEAD if dead and self._buries else Where.ENDED
        item.holder, item.result, item.ended = "", result, self._now()
        dedup = item.envelope.dedup
        if dedup is not None and dedup.mode is not DedupMode.WINDOW:
            self._free_key(item)
        self._next_in_line(item)

    def forget(self, items: Iterable[Item]) -> None:
        """Forget tasks that wait, keys and all."""
        gone = list(items)
        self.forgotten += [item.envelope for item in gone]
        for item in gone:  # first all of them, so that no key hands on to one that goes too
            del self.items[item.id]
        for item in gone:
            self._free_key(item)
            self._next_in_line(item)

    # -- the elementary moves

    def _in(self, seconds: float) -> Moment:
        return Moment(self.began + seconds, self._now() + seconds)

    def _over(self, moment: Moment) -> bool:
        return moment.latest <= self.began - self._slack

    def _may_be_over(self, moment: Moment) -> bool:
        return moment.earliest <= self._now() + self._slack

    def _enter(self, item: Item) -> None:
        self.items[item.id] = item
        key = item.envelope.order_by
        if key is not None:
            line = self._lines.setdefault((item.envelope.queue, key), [])
            if item.id not in line:
                line.append(item.id)
            if line[0] != item.id:
                item.where = Where.BLOCKED
                return
        self._wait(item, delayed=not self._over(item.due))

    def _wait(self, item: Item, *, delayed: bool) -> None:
        item.holder = ""
        if delayed:
            item.where = Where.DELAYED
        else:
            self._ready(item)

    def _ready(self, item: Item, *, loose: bool = False) -> None:
        """Put it behind what is ready."""
        item.where, item.loose, item.returned = Where.READY, loose, False
        item.behind = set() if loose else {other.id for other in self._beside(item)}
        for other in self.items.values():
            other.behind.discard(item.id)

    def _put_back(self, item: Item) -> None:
        """Make it ready ahead of what was published after it; what else was promised of its place is over.

        Among those that were handed back there is no order: each went to the head when it came.
        """
        item.where, item.holder, item.loose, item.behind = Where.READY, "", False, set()
        item.returned = True
        order = list(self.items)
        later = set(order[order.index(item.id) + 1 :])
        for other in self._beside(item):
            ahead = other.id in later and not other.returned
            (other.behind.add if ahead else other.behind.discard)(item.id)

    def _beside(self, item: Item) -> Collection[Item]:
        """Return the others that are ready in its queue and priority, in places that were promised."""
        return [
            other
            for other in self.among(Where.READY, queue=item.envelope.queue)
            if other is not item and not other.loose and other.envelope.priority == item.envelope.priority
        ]

    def _take_key(self, envelope: Envelope) -> None:
        dedup = envelope.dedup
        if dedup is None:
            return
        key = envelope.queue, dedup.key
        until = NEVER if dedup.window is None else self._in(dedup.window)
        hold = self._keys.get(key)
        if hold is not None and hold.id == envelope.id and not self._over(hold.until):
            # its own window may go on, or start anew with a replay
            until = Moment(hold.until.earliest, until.latest)
        self._keys[key] = Hold(envelope.id, until)

    def _free_key(self, item: Item) -> None:
        dedup = item.envelope.dedup
        if dedup is not None:
            hold = self._keys.get((item.envelope.queue, dedup.key))
            if hold is not None and hold.id == item.id:
                del self._keys[item.envelope.queue, dedup.key]

    def _next_in_line(self, item: Item) -> None:
        key = item.envelope.order_by
        line = self._lines.get((item.envelope.queue, key), []) if key is not None else []
        if item.id not in line:
            return
        line.remove(item.id)
        head = self.items.get(line[0]) if line else None
        if head is not None and head.where is Where.BLOCKED:
            self._wait(head, delayed=not self._over(head.due))
            head.loose, head.behind = True, set()
