"""Faults in publishing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast
from weakref import WeakKeyDictionary

import attrs
import pytest

from orcastra_conformance.engine.steps import turns
from orcastra_core.backends.memory import intake
from orcastra_core.backends.memory.broker import MemoryBroker
from orcastra_core.backends.memory.ledger import Ledger
from orcastra_core.backends.memory.settings import LIMITS
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.counts import FRESH
from orcastra_core.model.envelope import NO_EXTRAS, Envelope
from orcastra_core.model.ids import TaskId
from orcastra_core.model.published import STORED, Duplicate, Published, Refused, Stored
from power.saboteur import saboteur
from power.spoiling import change_envelopes


@saboteur("cuts-bodies-at-nul", "ends a body at its first zero byte", killed_by=("pub.roundtrip", "pub.body-limits"))
def _(patch: pytest.MonkeyPatch) -> None:
    change_envelopes(patch, lambda e: attrs.evolve(e, body=e.body.partition(b"\0")[0]))


@saboteur("normalises-headers", "capitalises the names of headers, as HTTP does", killed_by=("pub.roundtrip",))
def _(patch: pytest.MonkeyPatch) -> None:
    change_envelopes(patch, lambda e: attrs.evolve(e, headers={name.title(): e.headers[name] for name in e.headers}))


@saboteur("drops-unknown-fields", "does not keep wire keys it does not know", killed_by=("pub.roundtrip",))
def _(patch: pytest.MonkeyPatch) -> None:
    change_envelopes(patch, lambda e: attrs.evolve(e, extras=NO_EXTRAS))


@saboteur("rounds-moments", "stores moments as whole seconds", killed_by=("pub.roundtrip",))
def _(patch: pytest.MonkeyPatch) -> None:
    change_envelopes(patch, lambda e: attrs.evolve(e, expires=e.expires and round(e.expires)))


@saboteur(
    "starts-at-zero", "forgets the counts an envelope comes with", killed_by=("pub.roundtrip", "set.moved-comes-back")
)
def _(patch: pytest.MonkeyPatch) -> None:
    change_envelopes(patch, lambda e: attrs.evolve(e, counts=FRESH))


@saboteur("keeps-the-callers-mappings", "stores headers by reference", killed_by=("pub.input-untouched",))
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(intake, "_owned", lambda envelope: envelope)


@saboteur("empties-the-callers-list", "takes the batch apart to store it", killed_by=("pub.input-untouched",))
def _(patch: pytest.MonkeyPatch) -> None:
    publish = MemoryBroker.publish

    async def hungry(
        self: MemoryBroker, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()
    ) -> Sequence[Published]:
        answers = await publish(self, batch, events=events)
        cast("list[Envelope]", batch).clear()
        return answers

    patch.setattr(MemoryBroker, "publish", hungry)


@saboteur("looks-at-the-first", "takes it that a batch has a first item", killed_by=("pub.empty-batch",))
def _(patch: pytest.MonkeyPatch) -> None:
    admit = intake.admit

    def eager(store: Store, batch: Sequence[Envelope], events: Sequence[bytes] = ()) -> list[Published]:
        store.queue(batch[0].queue)
        return admit(store, batch, events)

    patch.setattr(intake, "admit", eager)


@saboteur("answers-only-what-it-stored", "leaves out the answers for what it refused", killed_by=("pub.results-align",))
def _(patch: pytest.MonkeyPatch) -> None:
    admit = intake.admit

    def terse(store: Store, batch: Sequence[Envelope], events: Sequence[bytes] = ()) -> list[Published]:
        return [answer for answer in admit(store, batch, events) if not isinstance(answer, Refused)]

    patch.setattr(intake, "admit", terse)


@saboteur(
    "answers-in-its-own-order", "answers first for what it stored, then for the rest", killed_by=("pub.results-align",)
)
def _(patch: pytest.MonkeyPatch) -> None:
    admit = intake.admit

    def shifted(store: Store, batch: Sequence[Envelope], events: Sequence[bytes] = ()) -> list[Published]:
        return sorted(admit(store, batch, events), key=lambda answer: not isinstance(answer, Stored))

    patch.setattr(intake, "admit", shifted)


@saboteur(
    "one-refused-refuses-all",
    "stores nothing of a batch with one item that is too large",
    killed_by=("pub.results-align", "evt.with-stored"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    admit = intake.admit

    def strict(store: Store, batch: Sequence[Envelope], events: Sequence[bytes] = ()) -> list[Published]:
        if any(len(envelope.body) > LIMITS.max_body for envelope in batch):
            return [Refused("one of the batch is too large")] * len(batch)
        return admit(store, batch, events)

    patch.setattr(intake, "admit", strict)


@saboteur(
    "drops-the-last-of-a-batch",
    "stores all but the last of a batch, and confirms it",
    killed_by=("pub.confirmed-visible", "pub.batch-limit", "pub.roundtrip"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    admit = intake.admit

    def forgetful(store: Store, batch: Sequence[Envelope], events: Sequence[bytes] = ()) -> list[Published]:
        if len(batch) < 2:
            return admit(store, batch, events)
        return [*admit(store, batch[:-1], events[:-1]), STORED]

    patch.setattr(intake, "admit", forgetful)


@saboteur(
    "confirms-before-storing",
    "keeps a batch in the client until the next one, and says Stored at once",
    killed_by=("pub.confirmed-visible", "con.wakes", "con.before-first-consumer"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    publish = MemoryBroker.publish
    kept: WeakKeyDictionary[MemoryBroker, list[Envelope]] = WeakKeyDictionary()

    async def hasty(
        self: MemoryBroker, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()
    ) -> Sequence[Published]:
        await publish(self, kept.get(self, []))
        kept[self] = list(batch)
        return [STORED] * len(batch)

    patch.setattr(MemoryBroker, "publish", hasty)


@saboteur(
    "forgets-what-has-ended", "does not know the id of a finished task any more", killed_by=("pub.idempotent-by-id",)
)
def _(patch: pytest.MonkeyPatch) -> None:
    def forget(self: Ledger, ids: list[TaskId], now: float) -> None:
        for task_id in ids:
            self.known.pop(task_id, None)

    patch.setattr(Ledger, "_fade", forget)


@saboteur(
    "stores-repeats",
    "takes an id that waits or runs for a new one",
    killed_by=("pub.idempotent-by-id", "pub.results-align", "pub.cancelled"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    def again(store: Store, envelope: Envelope, now: float) -> Published:
        return intake._admit_special(store, envelope, now)

    patch.setattr(intake, "_known", again)


@saboteur("one-byte-short", "refuses a body of exactly max_body bytes", killed_by=("pub.body-limits",))
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(intake, "LIMITS", attrs.evolve(LIMITS, max_body=LIMITS.max_body - 1))


@saboteur(
    "takes-any-size",
    "declares a max_body and does not check it",
    killed_by=("pub.body-limits", "pub.results-align", "set.emit", "evt.with-stored"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(intake, "LIMITS", attrs.evolve(LIMITS, max_body=2**40))


@saboteur("stores-one-page", "stores the first 500 of a batch, and confirms all of it", killed_by=("pub.batch-limit",))
def _(patch: pytest.MonkeyPatch) -> None:
    admit = intake.admit

    def short(store: Store, batch: Sequence[Envelope], events: Sequence[bytes] = ()) -> list[Published]:
        return admit(store, batch[:500], events[:500]) + [STORED] * len(batch[500:])

    patch.setattr(intake, "admit", short)


@saboteur(
    "stores-item-by-item",
    "stores a batch in several steps; cancelled, it stops between two",
    killed_by=("pub.cancelled",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    publish = MemoryBroker.publish

    async def slow(
        self: MemoryBroker, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()
    ) -> Sequence[Published]:
        answers: list[Published] = []
        for at, envelope in enumerate(batch):
            answers += await publish(self, [envelope], events=events[at : at + 1])
            await turns(1)
        return answers

    patch.setattr(MemoryBroker, "publish", slow)


@saboteur(
    "names-the-newcomer",
    "a Duplicate names the envelope that was not stored",
    killed_by=("dedup.once", "dedup.in-batch", "dedup.until-settled", "dead.replay-dedup"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    publish = MemoryBroker.publish

    async def confused(
        self: MemoryBroker, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()
    ) -> Sequence[Published]:
        answers = await publish(self, batch, events=events)
        return [
            Duplicate(envelope.id) if isinstance(answer, Duplicate) else answer
            for envelope, answer in zip(batch, answers, strict=True)
        ]

    patch.setattr(MemoryBroker, "publish", confused)
