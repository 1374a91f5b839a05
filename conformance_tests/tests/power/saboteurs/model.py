"""Faults that only a sequence, a crowd or an odd value brings to light."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Sequence

import attrs
import pytest

from orcastra_conformance.engine.steps import turns
from orcastra_core.backends.memory import control, handover, intake, keys, settling
from orcastra_core.backends.memory.dead_letters import MemoryDeadLetters
from orcastra_core.backends.memory.entry import Entry, Queue, Special
from orcastra_core.backends.memory.keys import Hold
from orcastra_core.backends.memory.session import MemorySession
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.envelope import Dedup, Envelope
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.published import Published
from orcastra_core.model.result import ErrorInfo, Result
from orcastra_core.model.session import Lost
from orcastra_core.model.settlement import Complete, Moved, Release, Retry, Settled, Settlement
from power.saboteur import saboteur
from power.spoiling import change_envelopes, change_settlements, nothing

# -- sequences


@saboteur(
    "a-retry-remembers-losses",
    "counts the losses before a settlement together with those after it",
    killed_by=("model.queue",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    go_on = settling._go_on

    def resentful(store: Store, entry: Entry, item: Retry | Release | Moved) -> None:
        lost = entry.counts.lost
        go_on(store, entry, item)
        entry.counts = attrs.evolve(entry.counts, lost=lost)

    patch.setattr(settling, "_go_on", resentful)


@saboteur(
    "a-replay-clings-to-its-key",
    "takes the dedup key again for a replay, and does not free it when that has ended",
    killed_by=("dead.replay-dedup",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    replay = MemoryDeadLetters._replay

    def clinging(self: MemoryDeadLetters, task_id: TaskId) -> Published | None:
        answer = replay(self, task_id)
        entry = self._store.ledger.known.get(task_id)
        if isinstance(entry, Entry) and entry.special is not None:
            entry.special.hold = None
        return answer

    patch.setattr(MemoryDeadLetters, "_replay", clinging)


@saboteur(
    "remembers-former-lives",
    "takes what comes back from a scheduler for a repeat of what came back before a replay",
    killed_by=("dead.replay-through-a-scheduler",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    replay = MemoryDeadLetters._replay

    def resentful(self: MemoryDeadLetters, task_id: TaskId) -> Published | None:
        letter = self._store.dead.get(task_id)
        answer = replay(self, task_id)
        entry = self._store.ledger.known.get(task_id)
        if isinstance(entry, Entry) and letter is not None and isinstance(letter.envelope, Envelope):
            entry.special = entry.special or Special()
            entry.special.past = (letter.envelope.counts,)
        return answer

    patch.setattr(MemoryDeadLetters, "_replay", resentful)


@saboteur(
    "gives-up-on-the-unlucky",
    "drops a task whose second holder in a row has died",
    killed_by=("model.queue", "model.parallel"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    rehome = handover.rehome

    def superstitious(store: Store, limit: int, *, only: SessionId | None = None) -> list[Lost]:
        lost = rehome(store, limit, only=only)
        for one in lost:
            entry = store.ledger.known[one.id]
            if one.counts.lost == 2 and isinstance(entry, Entry):
                store.remove_waiting(entry)
        return lost

    patch.setattr(handover, "rehome", superstitious)


@saboteur(
    "the-grave-keeps-its-window",
    "keeps the key that a dead letter held for a window when the dead letters are purged",
    killed_by=("dedup.purge-frees-the-window",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(control, "free_key", nothing)


# -- crowds


@saboteur(
    "chooses-then-marks",
    "looks what is ready, and marks it as taken a moment later",
    killed_by=("model.parallel",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    fetch = MemorySession.fetch

    async def slow_to_mark(self: MemorySession, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        store = self._store
        seen = {entry for name, _ in want.queues for level in store.queue(name).order for entry in level}
        await turns(1)
        gone = [entry for entry in seen if entry in _held_by_others(self)]
        for entry in gone[: want.limit]:  # another took it meanwhile: it was seen to be free, so it is handed out
            entry.receipt = store.receipts = store.receipts + 1
            self._state.held[entry.receipt] = entry
        if gone:
            return [Delivery(entry.envelope, entry.receipt, entry.counts) for entry in gone[: want.limit]]
        return await fetch(self, want, wait=wait)

    patch.setattr(MemorySession, "fetch", slow_to_mark)


def _held_by_others(session: MemorySession) -> set[Entry]:
    others = [state for state in session._store.sessions.values() if state is not session._state]
    return {entry for state in others for entry in state.held.values()}


@saboteur(
    "remembers-late",
    "takes down the answers to a batch after it has taken effect: given up in between, the repeat is STALE",
    killed_by=("model.parallel", "num.cancelled-settle"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    settle = MemorySession.settle

    async def late(self: MemorySession, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        answers = await settle(self, batch, number=number)
        try:
            await turns(4)
        except asyncio.CancelledError:
            self._state.answers.pop(number, None)
            raise
        return answers

    patch.setattr(MemorySession, "settle", late)


# -- odd values


@saboteur(
    "trims-text",
    "takes white space and control characters off the ends of text in headers",
    killed_by=("fuzz.payload",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    def trimmed(value: object) -> object:
        return value.strip(" \t\r\n\0\x1b\ufeff") if isinstance(value, str) else value

    change_envelopes(
        patch, lambda e: attrs.evolve(e, headers={name: trimmed(value) for name, value in e.headers.items()})
    )


@saboteur("short-keys-only", "drops unknown wire keys beyond two bytes", killed_by=("fuzz.payload",))
def _(patch: pytest.MonkeyPatch) -> None:
    change_envelopes(patch, lambda e: attrs.evolve(e, extras={k: v for k, v in e.extras.items() if abs(k) < 1 << 16}))


@saboteur("keeps-microseconds", "keeps moments to the microsecond, in 53 bits", killed_by=("fuzz.numbers",))
def _(patch: pytest.MonkeyPatch) -> None:
    def kept(moment: float | None) -> float | None:
        return None if moment is None else float(int(moment * 1e6) % (1 << 53)) / 1e6

    change_envelopes(patch, lambda e: attrs.evolve(e, submitted_at=kept(e.submitted_at), result_ttl=kept(e.result_ttl)))


@saboteur("counts-to-32767", "keeps the counts that an envelope brings in 15 bits", killed_by=("fuzz.numbers",))
def _(patch: pytest.MonkeyPatch) -> None:
    def few(counts: Counts) -> Counts:
        return Counts(counts.attempt & 0x7FFF, counts.lost & 0x7FFF, counts.released & 0x7FFF)

    change_envelopes(patch, lambda e: attrs.evolve(e, counts=few(e.counts)))


@saboteur("values-are-text", "keeps the value of a result as UTF-8", killed_by=("fuzz.result",))
def _(patch: pytest.MonkeyPatch) -> None:
    _change_results(patch, lambda r: attrs.evolve(r, value=r.value.decode(errors="replace").encode()))


@saboteur("ends-messages-at-nul", "ends an error's message at its first zero byte", killed_by=("fuzz.result",))
def _(patch: pytest.MonkeyPatch) -> None:
    def ended(error: ErrorInfo | None) -> ErrorInfo | None:
        return error and attrs.evolve(error, message=error.message.partition("\0")[0])

    _change_results(patch, lambda r: attrs.evolve(r, error=ended(r.error)))


def _change_results(patch: pytest.MonkeyPatch, change: Callable[[Result], Result]) -> None:
    def changed(item: Settlement) -> Settlement:
        return attrs.evolve(item, result=change(item.result)) if isinstance(item, Complete) else item

    change_settlements(patch, changed)


@saboteur("trims-colons", "takes «a:» for «a»", killed_by=("fuzz.names",))
def _(patch: pytest.MonkeyPatch) -> None:
    queue = Store.queue

    def trimmed(self: Store, name: QueueName) -> Queue:
        return queue(self, QueueName(name.rstrip(":") or name))

    patch.setattr(Store, "queue", trimmed)


@saboteur("folds-dedup-keys", "compares dedup keys without regard to case", killed_by=("fuzz.dedup-keys",))
def _(patch: pytest.MonkeyPatch) -> None:
    _change_dedup_keys(patch, str.casefold)


@saboteur("cuts-dedup-keys", "keeps the first 255 bytes of a dedup key", killed_by=("fuzz.dedup-keys",))
def _(patch: pytest.MonkeyPatch) -> None:
    _change_dedup_keys(patch, lambda key: key.encode()[:255].decode(errors="ignore"))


def _change_dedup_keys(patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    def changed(store: Store, queue: Queue, task_id: TaskId, dedup: Dedup, now: float) -> Hold | TaskId:
        return keys.take_key(store, queue, task_id, attrs.evolve(dedup, key=change(dedup.key)), now)

    patch.setattr(intake, "take_key", changed)


@saboteur("hashes-ordering-keys", "keeps ordering keys as one of 64 buckets", killed_by=("fuzz.ordering-keys",))
def _(patch: pytest.MonkeyPatch) -> None:
    place_new = intake.place_new

    def hashed(store: Store, entry: Entry, hold: Hold | None, order_by: str | None, due: float | None) -> None:
        bucket = None if order_by is None else str(zlib.crc32(order_by.encode()) % 64)
        place_new(store, entry, hold, bucket, due)

    patch.setattr(intake, "place_new", hashed)
