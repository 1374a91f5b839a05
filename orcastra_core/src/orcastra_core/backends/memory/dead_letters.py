"""The dead letters' edge."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import attrs

from orcastra_core.backends.memory.entry import Entry
from orcastra_core.backends.memory.gate import Gate
from orcastra_core.backends.memory.intake import place_new
from orcastra_core.backends.memory.keys import Hold, take_key
from orcastra_core.backends.memory.store import Store
from orcastra_core.interfaces.dead_letters import DeadLetterStore
from orcastra_core.model.counts import FRESH
from orcastra_core.model.dead_letter import DeadLetter
from orcastra_core.model.envelope import Unreadable
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName
from orcastra_core.model.published import STORED, Duplicate, Published, Refused


class MemoryDeadLetters(DeadLetterStore):
    """Dead letters in a dict."""

    def __init__(self, store: Store, gate: Gate) -> None:
        self._store = store
        self._gate = gate

    async def put(self, batch: Sequence[DeadLetter], /) -> None:
        self._gate.check()
        with self._store.lock:
            for letter in batch:
                self._store.dead.setdefault(letter.id, letter)

    async def page(
        self, *, queue: QueueName | None = None, after: TaskId | None = None, limit: int = 100
    ) -> Sequence[DeadLetter]:
        self._gate.check()
        with self._store.lock:
            dead = self._store.dead
            ids = sorted(i for i in dead if after is None or i > after)
            chosen = (dead[i] for i in ids if queue is None or dead[i].queue == queue)
            return list(islice(chosen, limit))

    async def get(self, ids: Sequence[TaskId], /) -> Sequence[DeadLetter | None]:
        self._gate.check()
        with self._store.lock:
            return [self._store.dead.get(task_id) for task_id in ids]

    async def replay(self, ids: Sequence[TaskId], /, *, events: Sequence[bytes] = ()) -> Sequence[Published | None]:
        self._gate.check()
        with self._store.lock:
            answers = [self._replay(task_id) for task_id in ids]
            if events:
                self._store.events.extend(
                    [event for event, said in zip(events, answers, strict=True) if said is STORED]
                )
            return answers

    async def purge(
        self,
        *,
        ids: Sequence[TaskId] | None = None,
        queue: QueueName | None = None,
        older_than: float = 0.0,
        limit: int = 1000,
    ) -> int:
        self._gate.check()
        with self._store.lock:
            dead = self._store.dead
            before = self._store.clock.now() - older_than
            named = dead.values() if ids is None else (dead[i] for i in dict.fromkeys(ids) if i in dead)
            fitting = (
                letter.id for letter in named if letter.at <= before and (queue is None or letter.queue == queue)
            )
            chosen = list(islice(fitting, limit))
            for task_id in chosen:
                del dead[task_id]
            return len(chosen)

    def _replay(self, task_id: TaskId) -> Published | None:
        store = self._store
        letter = store.dead.get(task_id)
        if letter is None:
            return None
        envelope, now = letter.envelope, store.clock.monotonic()
        if isinstance(envelope, Unreadable):
            return Refused("its bytes cannot be read")
        queue = store.queue(letter.queue)
        hold: Hold | None = None
        if envelope.dedup is not None:
            taken = take_key(store, queue, task_id, envelope.dedup, now)
            if not isinstance(taken, Hold):
                return Duplicate(taken)
            hold = taken
        del store.dead[task_id]
        if envelope.counts != FRESH:  # as if published anew: what comes back from a scheduler later is no repeat
            envelope = attrs.evolve(envelope, counts=FRESH)
        entry = Entry(envelope, queue, queue.level(envelope.priority), FRESH, envelope.reply, now)
        store.ledger.known[task_id] = entry
        place_new(store, entry, hold, envelope.order_by, envelope.due)
        return STORED
