"""Settlements of the share lane: what they leave behind first, then the acknowledgement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import attrs

from orcastra_core.model.delivery import Delivery, Receipt
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import (
    BodyTooLarge,
    BrokerTimeout,
    BrokerUnavailable,
    InvalidOption,
    OrcastraError,
    SerializationError,
)
from orcastra_core.model.profile import Cap
from orcastra_core.model.published import STORED, Published, Refused
from orcastra_core.model.settlement import (
    DONE,
    STALE,
    Complete,
    Dead,
    Done,
    Failed,
    Moved,
    Release,
    Retry,
    Settled,
    Settlement,
)
from orcastra_kafka.core import Core
from orcastra_kafka.dead.letters import record_of_dead
from orcastra_kafka.errors import unsupported
from orcastra_kafka.producer import Record
from orcastra_kafka.publish import event_record, headers_of, record_of, refusal
from orcastra_kafka.results import result_records
from orcastra_kafka.server import NOTES
from orcastra_kafka.settings import LIMITS
from orcastra_kafka.share.records import ShareRecord


class Held(Protocol):
    """What a lane knows of a delivery that is held."""

    @property
    def delivery(self) -> Delivery:
        """As it was handed out."""

    @property
    def record(self) -> ShareRecord:
        """As it was read: topic, key and value."""


@attrs.define
class Item:
    """One settlement on its way.

    Attributes:
        held: What it settles.
        records: What it leaves behind, in order.
        events: What is told of it.
        emitted: What is known of its emitted envelopes; None where the record's fate decides.
        answer: Once it is known.
    """

    held: Held | None
    records: list[Record] = attrs.field(factory=list)
    events: bytes = b""
    emitted: list[Published | None] = attrs.field(factory=list)
    answer: Settled | None = None

    def fail(self, error: OrcastraError) -> None:
        """Nothing of it took effect, as far as that can be said; the delivery is still held."""
        self.answer = Failed(error)

    def done(self) -> None:
        """It took effect."""
        self.answer = Done([STORED if one is None else one for one in self.emitted]) if self.emitted else DONE


def prepare(core: Core, batch: Sequence[Settlement], holding: Mapping[Receipt, Held]) -> list[Item]:
    """Return what a batch comes to, without having touched anything."""
    items: list[Item] = []
    taken: set[Receipt] = set()
    for settlement in batch:
        held = _held(settlement, holding)
        if held is None or held.delivery.receipt in taken:
            items.append(Item(None, answer=STALE))
            continue
        item = Item(held, events=settlement.events)
        items.append(item)
        try:
            _leave_behind(core, settlement, held, item)
        except (InvalidOption, BodyTooLarge) as error:
            item.fail(error)
        except SerializationError as error:
            item.fail(InvalidOption(str(error)))
        except OrcastraError as error:
            item.fail(error)
        else:
            taken.add(held.delivery.receipt)
    return items


async def leave_behind(core: Core, items: Sequence[Item], batch: Sequence[Settlement]) -> None:
    """Produce what the settlements leave behind: follow-ups, results, then events. Raises BrokerError."""
    await make_room(core, items, batch)
    live = [item for item in items if item.answer is None]
    records = [record for item in live for record in item.records]
    if records:
        said = await core.producer.send(records)
        if any(said):
            owners = [item for item in live for _ in item.records]
            for item, failure in zip(owners, said, strict=True):
                if failure is not None and item.answer is None:
                    item.fail(failure)
    events = b"".join(item.events for item in live if item.answer is None)
    if events:
        (failure,) = await core.producer.send([event_record(core, events)])
        if failure is not None:
            for item in live:
                if item.answer is None and item.events:
                    item.fail(failure)


async def make_room(core: Core, items: Sequence[Item], batch: Sequence[Settlement]) -> None:
    """Make sure that the topics are there to which settlements write. Raises BrokerError."""
    live = [(item, settlement) for item, settlement in zip(items, batch, strict=True) if item.answer is None]
    ends = [settlement for _, settlement in live if isinstance(settlement, Complete | Dead)]
    queues = {envelope.queue for settlement in ends for envelope in settlement.emit}
    if queues:
        await core.ensure_queues(list(queues))
    if ends:
        await core.ensure_results(max(settlement.result.ttl for settlement in ends))
    if any(isinstance(settlement, Dead) for settlement in ends):
        await core.ensure_dead()
    if any(item.events for item, _ in live):
        await core.ensure_events()


def raise_if_unreachable(items: Sequence[Item]) -> None:
    """Raise the error that all of them failed with, where the brokers were not to be had: a repeat of the batch may succeed."""
    errors = [item.answer.error for item in items if isinstance(item.answer, Failed)]
    if (
        errors
        and len(errors) == len(items)
        and all(isinstance(error, BrokerUnavailable | BrokerTimeout) for error in errors)
    ):
        raise errors[0]


def _held(settlement: Settlement, holding: Mapping[Receipt, Held]) -> Held | None:
    try:
        return holding.get(settlement.delivery.receipt)
    except TypeError:  # a receipt that cannot be hashed is none of ours
        return None


def _leave_behind(core: Core, settlement: Settlement, held: Held, item: Item) -> None:
    if isinstance(settlement, Complete | Dead):
        result = settlement.result
        if result.id != held.delivery.envelope.id:
            raise InvalidOption(f"a result of {result.id} cannot end {held.delivery.envelope.id}")
        if len(result.value) > LIMITS.max_body:
            raise BodyTooLarge(f"the result has {len(result.value)} bytes; at most {LIMITS.max_body} are taken")
        for envelope in settlement.emit:
            _emit(core, envelope, item)
        envelope_or_bytes = held.delivery.envelope
        reply = envelope_or_bytes.reply if isinstance(envelope_or_bytes, Envelope) else None
        item.records += result_records(core, result, reply)
        if isinstance(settlement, Dead):
            raw = held.record.value or b""
            item.records.append(record_of_dead(core.names, settlement, held.delivery, raw, core.clock.now()))
    elif isinstance(settlement, Retry | Release):
        if not 0 <= settlement.after < math.inf:
            raise InvalidOption(f"{settlement.after} s is no delay")
        if settlement.after > 0:
            raise unsupported(Cap.DELAY, NOTES[Cap.DELAY])
        counts = held.delivery.counts
        again = counts.retried() if isinstance(settlement, Retry) else counts.handed_back()
        item.records.append(Record(held.record.topic, held.record.key, held.record.value or b"", headers_of(again)))
    elif not isinstance(settlement, Moved):
        raise InvalidOption(f"{type(settlement).__name__} is no settlement")


def _emit(core: Core, envelope: Envelope, item: Item) -> None:
    refused = refusal(envelope, core.settings)
    if refused is None:
        try:
            item.records.append(record_of(envelope, envelope.counts, core.names))
        except SerializationError as error:
            refused = Refused(str(error))
    item.emitted.append(refused)
