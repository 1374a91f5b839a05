"""What is said of sessions that the brokers reaped: nobody else knows of it but the heirs of what they held."""

from __future__ import annotations

from orcastra_core.model.errors import SerializationError
from orcastra_core.model.event import Event, EventKind
from orcastra_core.serialization.event_codec import encode_event
from orcastra_kafka.reader_share import Held


def losses(held: Held, now: float) -> bytes:
    """Return a LOST event for each session that died holding this since it was published; they have no names any more.

    An heir that dies in turn leaves its own to the next, together with those before.
    """
    delivery = held.delivery
    written = b""
    for lost in range(delivery.counts.lost - held.lost + 1, delivery.counts.lost + 1):
        detail = {"queue": held.lane.queue, "lost": lost}
        event = Event(EventKind.LOST, now, delivery.envelope.id, delivery.counts.attempt, None, detail)
        try:
            written += encode_event(event)
        except SerializationError:
            return b""  # unreadable bytes without an id
    return written
