"""Faults in dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from orcastra_core.backends.memory import settling
from orcastra_core.backends.memory.dead_letters import MemoryDeadLetters
from orcastra_core.backends.memory.entry import Entry
from orcastra_core.backends.memory.ledger import Ledger
from orcastra_core.backends.memory.results import MemoryResults
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.counts import FRESH
from orcastra_core.model.dead_letter import DeadLetter
from orcastra_core.model.envelope import NO_HEADERS, Envelope, Unreadable
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName
from orcastra_core.model.published import STORED, Published
from orcastra_core.model.result import Absence, ErrorInfo, Outcome, Result
from orcastra_core.model.settlement import Dead
from power.saboteur import saboteur
from power.spoiling import unheard


def _spoil_letters(patch: pytest.MonkeyPatch, **changes: Any) -> None:
    bury = settling._bury

    def buried(store: Store, entry: Entry, item: Dead) -> None:
        bury(store, entry, item)
        store.dead[entry.id] = attrs.evolve(store.dead[entry.id], **changes)

    patch.setattr(settling, "_bury", buried)


@saboteur("forgets-the-reason", "keeps a dead letter without its reason", killed_by=("dead.keeps-everything",))
def _(patch: pytest.MonkeyPatch) -> None:
    _spoil_letters(patch, reason="dead")


@saboteur("forgets-the-error", "keeps a dead letter's error as its type alone", killed_by=("dead.keeps-everything",))
def _(patch: pytest.MonkeyPatch) -> None:
    _spoil_letters(patch, error=ErrorInfo(type="builtins.ValueError"))


@saboteur("buries-without-counts", "keeps a dead letter without its counts", killed_by=("dead.keeps-everything",))
def _(patch: pytest.MonkeyPatch) -> None:
    _spoil_letters(patch, counts=FRESH)


@saboteur("dates-in-milliseconds", "says when a task died in milliseconds", killed_by=("dead.keeps-everything",))
def _(patch: pytest.MonkeyPatch) -> None:
    bury = settling._bury

    def buried(store: Store, entry: Entry, item: Dead) -> None:
        bury(store, entry, item)
        store.dead[entry.id] = attrs.evolve(store.dead[entry.id], at=store.clock.now() * 1000)

    patch.setattr(settling, "_bury", buried)


@saboteur("buries-the-bare-body", "keeps a dead letter without its headers", killed_by=("dead.keeps-everything",))
def _(patch: pytest.MonkeyPatch) -> None:
    bury = settling._bury

    def buried(store: Store, entry: Entry, item: Dead) -> None:
        if isinstance(entry.envelope, Envelope):
            entry.envelope = attrs.evolve(entry.envelope, headers=NO_HEADERS)
        bury(store, entry, item)

    patch.setattr(settling, "_bury", buried)


@saboteur("mends-dead-bytes", "keeps the unreadable as text", killed_by=("con.unreadable",))
def _(patch: pytest.MonkeyPatch) -> None:
    bury = settling._bury

    def buried(store: Store, entry: Entry, item: Dead) -> None:
        if isinstance(entry.envelope, Unreadable):
            entry.envelope = attrs.evolve(entry.envelope, raw=entry.envelope.raw.decode(errors="replace").encode())
        bury(store, entry, item)

    patch.setattr(settling, "_bury", buried)


@saboteur("pages-by-death", "pages through dead letters in the order of their deaths", killed_by=("dead.page",))
def _(patch: pytest.MonkeyPatch) -> None:
    async def page(
        self: MemoryDeadLetters, *, queue: QueueName | None = None, after: TaskId | None = None, limit: int = 100
    ) -> Sequence[DeadLetter]:
        letters = [letter for letter in self._store.dead.values() if after is None or letter.id > after]
        return [letter for letter in letters if queue is None or letter.queue == queue][:limit]

    patch.setattr(MemoryDeadLetters, "page", page)


@saboteur("pages-all-queues", "shows the dead letters of all queues, whichever was asked for", killed_by=("dead.page",))
def _(patch: pytest.MonkeyPatch) -> None:
    page = MemoryDeadLetters.page

    async def all_of_them(
        self: MemoryDeadLetters, *, queue: QueueName | None = None, after: TaskId | None = None, limit: int = 100
    ) -> Sequence[DeadLetter]:
        return await page(self, after=after, limit=limit)

    patch.setattr(MemoryDeadLetters, "page", all_of_them)


@saboteur("pages-from-after", "begins a page with the letter that ended the last", killed_by=("dead.page",))
def _(patch: pytest.MonkeyPatch) -> None:
    page = MemoryDeadLetters.page

    async def inclusive(
        self: MemoryDeadLetters, *, queue: QueueName | None = None, after: TaskId | None = None, limit: int = 100
    ) -> Sequence[DeadLetter]:
        behind = await page(self, queue=queue, after=after, limit=limit)
        last = self._store.dead.get(after) if after is not None else None
        return [last, *behind][:limit] if last is not None else behind

    patch.setattr(MemoryDeadLetters, "page", inclusive)


@saboteur("replays-where-it-was", "replays a task with the counts it died with", killed_by=("dead.replay",))
def _(patch: pytest.MonkeyPatch) -> None:
    replay = MemoryDeadLetters._replay

    def tired(self: MemoryDeadLetters, task_id: TaskId) -> Published | None:
        letter = self._store.dead.get(task_id)
        answer = replay(self, task_id)
        entry = self._store.ledger.known.get(task_id)
        if letter is not None and isinstance(entry, Entry):
            entry.counts = letter.counts
        return answer

    patch.setattr(MemoryDeadLetters, "_replay", tired)


@saboteur("replays-a-copy", "replays a task and keeps its dead letter", killed_by=("dead.replay",))
def _(patch: pytest.MonkeyPatch) -> None:
    replay = MemoryDeadLetters._replay

    def copied(self: MemoryDeadLetters, task_id: TaskId) -> Published | None:
        letter = self._store.dead.get(task_id)
        answer = replay(self, task_id)
        if letter is not None:
            self._store.dead[task_id] = letter
        return answer

    patch.setattr(MemoryDeadLetters, "_replay", copied)


@saboteur("replays-keep-the-failure", "shows the failed result of a task that runs again", killed_by=("dead.replay",))
def _(patch: pytest.MonkeyPatch) -> None:
    get = MemoryResults.get
    failed: dict[TaskId, Result] = {}

    async def as_it_was(self: MemoryResults, ids: Sequence[TaskId], /) -> Sequence[Result | Absence]:
        found = await get(self, ids)
        return [
            failed.get(task_id, one) if one is Absence.PENDING else one for task_id, one in zip(ids, found, strict=True)
        ]

    finish = Ledger.finish

    def note(self: Ledger, results: dict[float, list[Result]], now: float) -> None:
        failed.update((r.id, r) for batch in results.values() for r in batch if r.outcome is Outcome.FAILED)
        finish(self, results, now)

    patch.setattr(Ledger, "finish", note)
    patch.setattr(MemoryResults, "get", as_it_was)


@saboteur("replays-without-a-key", "replays a task whose dedup key another one has", killed_by=("dead.replay-dedup",))
def _(patch: pytest.MonkeyPatch) -> None:
    replay = MemoryDeadLetters._replay

    def unkeyed(self: MemoryDeadLetters, task_id: TaskId) -> Published | None:
        letter = self._store.dead.get(task_id)
        if letter is not None and isinstance(letter.envelope, Envelope):
            self._store.dead[task_id] = attrs.evolve(letter, envelope=attrs.evolve(letter.envelope, dedup=None))
        return replay(self, task_id)

    patch.setattr(MemoryDeadLetters, "_replay", unkeyed)


@saboteur(
    "loses-what-it-cannot-replay",
    "forgets a dead letter whose dedup key is taken",
    killed_by=("dead.replay-dedup", "dead.replay-unreadable"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    replay = MemoryDeadLetters._replay

    def lossy(self: MemoryDeadLetters, task_id: TaskId) -> Published | None:
        answer = replay(self, task_id)
        self._store.dead.pop(task_id, None)
        return answer

    patch.setattr(MemoryDeadLetters, "_replay", lossy)


@saboteur("replays-in-silence", "replays a task and wakes nobody", killed_by=("dead.replay-wakes",))
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryDeadLetters, "_replay", unheard(MemoryDeadLetters._replay))


@saboteur("replays-tell-all", "appends the events of all ids it was asked to replay", killed_by=("dead.replay",))
def _(patch: pytest.MonkeyPatch) -> None:
    replay = MemoryDeadLetters.replay

    async def talkative(
        self: MemoryDeadLetters, ids: Sequence[TaskId], /, *, events: Sequence[bytes] = ()
    ) -> Sequence[Published | None]:
        self._store.events.extend(list(events))
        return await replay(self, ids)

    patch.setattr(MemoryDeadLetters, "replay", talkative)


@saboteur("replays-anything", "puts unreadable bytes back into their queue", killed_by=("dead.replay-unreadable",))
def _(patch: pytest.MonkeyPatch) -> None:
    replay = MemoryDeadLetters._replay

    def blind(self: MemoryDeadLetters, task_id: TaskId) -> Published | None:
        letter = self._store.dead.get(task_id)
        if letter is None or not isinstance(letter.envelope, Unreadable):
            return replay(self, task_id)
        del self._store.dead[task_id]
        queue = self._store.queue(letter.queue)
        self._store.place(Entry(letter.envelope, queue, queue.level(0), FRESH, None, 0.0), None)
        return STORED

    patch.setattr(MemoryDeadLetters, "_replay", blind)


def _purge_without(patch: pytest.MonkeyPatch, **ignored: object) -> None:
    purge = MemoryDeadLetters.purge

    async def deaf(self: MemoryDeadLetters, **wanted: object) -> int:
        return await purge(self, **(wanted | ignored))  # type: ignore[arg-type]

    patch.setattr(MemoryDeadLetters, "purge", deaf)


@saboteur("purges-the-young", "forgets dead letters of any age", killed_by=("dead.purge",))
def _(patch: pytest.MonkeyPatch) -> None:
    _purge_without(patch, older_than=0.0)


@saboteur("purges-all-queues", "forgets the dead letters of all queues", killed_by=("dead.purge",))
def _(patch: pytest.MonkeyPatch) -> None:
    _purge_without(patch, queue=None)


@saboteur("purges-without-limit", "forgets all that fit in one call", killed_by=("dead.purge",))
def _(patch: pytest.MonkeyPatch) -> None:
    _purge_without(patch, limit=2**31)


@saboteur("purges-by-no-id", "does not look which ids were named", killed_by=("dead.purge",))
def _(patch: pytest.MonkeyPatch) -> None:
    _purge_without(patch, ids=None)
