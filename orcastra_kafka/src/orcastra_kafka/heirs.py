"""What goes from a session that ends to those who come after it, and what they say of sessions that could say nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.errors import SerializationError
from orcastra_core.model.event import Event, EventKind
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.session import Lost
from orcastra_core.serialization import event_codec
from orcastra_kafka.core import Core
from orcastra_kafka.producer import Record
from orcastra_kafka.publish import event_record, headers_of
from orcastra_kafka.reader_share import Held


async def bequeath(
    core: Core, held: Sequence[Held], counted: Callable[[Counts], Counts], *, of: SessionId | None
) -> Sequence[Held]:
    """Publish again what a session holds; return what of it is safe, so that the old records may be taken away.

    Args:
        core: Of the broker.
        held: What it holds.
        counted: Makes the counts that it has from then on.
        of: The session, if it is to be said that it has lost them.

    Raises:
        BrokerError: It is not known what was published.
    """
    said = await core.producer.send(
        [
            Record(one.record.topic, one.record.key, one.record.value, headers_of(counted(one.delivery.counts)))
            for one in held
        ]
    )
    safe = [one for one, failure in zip(held, said, strict=True) if failure is None]
    now = core.clock.now()
    told = [losses(one, now) for one in safe]
    if of is not None:
        told += [
            event_codec.lost(Lost(one.delivery.envelope.id, one.lane.queue, counted(one.delivery.counts), of), now)
            for one in safe
        ]
    if events := b"".join(told):
        await core.ensure_events()
        await core.producer.send([event_record(core, events)])
    return safe


def losses(held: Held, now: float) -> bytes:
    """Return what an heir of the share lane says of those who held a delivery before; see ``losses_of``."""
    return losses_of(held.delivery, held.lane.queue, held.lost, now)


def losses_of(delivery: Delivery, queue: QueueName, untold: int, now: float) -> bytes:
    """Return a LOST event for each session that died holding a delivery, and could not say so.

    The brokers reaped those: nobody knows their names any more. An heir that dies in turn leaves its own to the next,
    together with those before.

    Args:
        delivery: As it was handed out.
        queue: It came from there.
        untold: How many of its losses nobody has told of.
        now: Unix seconds.
    """
    written = b""
    for lost in range(delivery.counts.lost - untold + 1, delivery.counts.lost + 1):
        detail = {"queue": queue, "lost": lost}
        event = Event(EventKind.LOST, now, delivery.envelope.id, delivery.counts.attempt, None, detail)
        try:
            written += event_codec.encode_event(event)
        except SerializationError:
            return b""  # unreadable bytes without an id
    return written
