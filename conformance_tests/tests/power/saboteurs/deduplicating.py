"""Faults in dedup keys."""

from __future__ import annotations

import math
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import attrs
import pytest

from orcastra_conformance.engine.steps import turns
from orcastra_core.backends.memory import control, handover, intake, keys, settling
from orcastra_core.backends.memory.broker import MemoryBroker
from orcastra_core.backends.memory.entry import Entry, Queue
from orcastra_core.backends.memory.keys import Hold
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.envelope import Dedup, DedupMode, Envelope
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName
from orcastra_core.model.published import Published
from orcastra_core.model.settlement import Moved, Release, Retry
from power.saboteur import saboteur
from power.spoiling import change_envelopes, nothing


@saboteur(
    "ignores-dedup-keys",
    "stores whatever has a key that is held",
    killed_by=("dedup.once", "dedup.in-batch", "dedup.race"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    change_envelopes(patch, lambda e: attrs.evolve(e, dedup=None))


def _free(store: Store, batch: Sequence[Envelope]) -> list[tuple[Queue, str]]:
    """Return the keys of a batch that nobody holds."""
    keyed = [(store.queue(e.queue), e.dedup.key) for e in batch if e.dedup is not None]
    return [(queue, key) for queue, key in keyed if key not in queue.holds]


@saboteur(
    "looks-before-the-batch", "checks the keys of a batch before it stores any of it", killed_by=("dedup.in-batch",)
)
def _(patch: pytest.MonkeyPatch) -> None:
    admit = intake.admit

    def early(store: Store, batch: Sequence[Envelope], events: Sequence[bytes] = ()) -> list[Published]:
        free = _free(store, batch)
        answers: list[Published] = []
        for at, envelope in enumerate(batch):
            for queue, key in free:
                queue.holds.pop(key, None)
            answers += admit(store, [envelope], events[at : at + 1])
        return answers

    patch.setattr(intake, "admit", early)


@saboteur("checks-then-sets", "looks whether a key is free, and takes it in a second step", killed_by=("dedup.race",))
def _(patch: pytest.MonkeyPatch) -> None:
    publish = MemoryBroker.publish

    async def racing(
        self: MemoryBroker, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()
    ) -> Sequence[Published]:
        free = _free(self._store, batch)
        await turns(1)
        for queue, key in free:
            queue.holds.pop(key, None)
        return await publish(self, batch, events=events)

    patch.setattr(MemoryBroker, "publish", racing)


def _let_go(entry: Entry) -> None:
    if entry.special is not None and entry.special.hold is not None:
        entry.special.hold.free()


@saboteur("a-start-frees-the-key", "frees a key when its task is handed out", killed_by=("dedup.until-settled",))
def _(patch: pytest.MonkeyPatch) -> None:
    started = keys.started

    def freed(store: Store, entry: Entry) -> None:
        started(store, entry)
        _let_go(entry)

    patch.setattr(handover, "started", freed)


@saboteur("a-retry-frees-the-key", "frees a key when an attempt fails", killed_by=("dedup.until-settled",))
def _(patch: pytest.MonkeyPatch) -> None:
    go_on = settling._go_on

    def freed(store: Store, entry: Entry, item: Retry | Release | Moved) -> None:
        if isinstance(item, Retry):
            _let_go(entry)
        go_on(store, entry, item)

    patch.setattr(settling, "_go_on", freed)


@saboteur("a-loss-frees-the-key", "frees the keys of a session that died", killed_by=("dedup.until-settled",))
def _(patch: pytest.MonkeyPatch) -> None:
    reap = handover.reap

    def freed(store: Store, session: SessionState) -> None:
        for entry in session.held.values():
            _let_go(entry)
        reap(store, session)

    patch.setattr(handover, "reap", freed)


@saboteur(
    "a-move-frees-the-key",
    "frees a key while a scheduler has its task",
    killed_by=("dedup.through-a-scheduler",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    go_on = settling._go_on

    def freed(store: Store, entry: Entry, item: Retry | Release | Moved) -> None:
        if isinstance(item, Moved):
            _let_go(entry)
        go_on(store, entry, item)

    patch.setattr(settling, "_go_on", freed)


@saboteur(
    "the-key-shuts-out-its-own",
    "takes a task that comes back from a scheduler for a duplicate of itself",
    killed_by=("dedup.through-a-scheduler",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    take_key = keys.take_key

    def strict(store: Store, queue: Queue, task_id: TaskId, dedup: Dedup, now: float) -> Hold | TaskId:
        holder = queue.holds.get(dedup.key)
        return holder.id if holder is not None else take_key(store, queue, task_id, dedup, now)

    patch.setattr(intake, "take_key", strict)


@saboteur(
    "never-frees-a-key",
    "holds a key for ever",
    killed_by=("dedup.until-settled", "dedup.until-start", "dedup.window", "dedup.cancel-frees", "dead.replay-dedup"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Hold, "free", nothing)


@saboteur("one-mode-for-all", "holds every key to the end of its task", killed_by=("dedup.until-start", "dedup.window"))
def _(patch: pytest.MonkeyPatch) -> None:
    def plain(envelope: Envelope) -> Envelope:
        if envelope.dedup is None:
            return envelope
        return attrs.evolve(envelope, dedup=attrs.evolve(envelope.dedup, mode=DedupMode.ALIVE))

    change_envelopes(patch, plain)


@saboteur("windows-never-end", "does not look at a window's seconds", killed_by=("dedup.window",))
def _(patch: pytest.MonkeyPatch) -> None:
    def endless(envelope: Envelope) -> Envelope:
        if envelope.dedup is None or envelope.dedup.mode is not DedupMode.WINDOW:
            return envelope
        return attrs.evolve(envelope, dedup=attrs.evolve(envelope.dedup, window=math.inf))

    change_envelopes(patch, endless)


@saboteur("keys-for-all-queues", "keeps one set of keys for all queues", killed_by=("dedup.scoped-to-queue",))
def _(patch: pytest.MonkeyPatch) -> None:
    queue_of = Store.queue
    shared: WeakKeyDictionary[Store, dict[str, Hold]] = WeakKeyDictionary()

    def sharing(self: Store, name: QueueName) -> Queue:
        queue = queue_of(self, name)
        queue.holds = shared.setdefault(self, {})
        return queue

    patch.setattr(Store, "queue", sharing)


@saboteur("emits-without-keys", "looks at no key of a follow-up", killed_by=("dedup.emit",))
def _(patch: pytest.MonkeyPatch) -> None:
    def unkeyed(store: Store, batch: Sequence[Envelope]) -> list[Published]:
        return intake.admit(store, [attrs.evolve(envelope, dedup=None) for envelope in batch])

    patch.setattr(settling, "admit", unkeyed)


@saboteur("purge-keeps-keys", "forgets tasks and leaves their keys behind", killed_by=("purge.keys",))
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(control, "ended", nothing)
