"""Settlements made ready for the store, in the caller's thread."""

from __future__ import annotations

from collections.abc import Sequence

from orcastra_core.backends.sqlite.publish import Batch
from orcastra_core.backends.sqlite.settings import LIMITS
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import BodyTooLarge, InvalidOption, SerializationError
from orcastra_core.model.settlement import Complete, Dead, Failed, Moved, Release, Retry, Settlement
from orcastra_core.serialization.result_codec import encode_result, write_error

_LARGE = 500
"""Bytes of a body; see ``sql/finish_large.sql``."""


class Prepared:
    """One settlement, encoded.

    Attributes:
        kind: The settlement's class.
        receipt: What it settles; no receipt of ours at all is -1.
        reply: The channel that waits for the result.
        result: Encoded.
        ttl: Of the result, seconds.
        after: Seconds, of a Retry or Release.
        reason: Of a Dead.
        error: Of a Dead, encoded.
        emit: What it publishes.
        events: Its records.
        task_id: Of the result.
        large: Whether the task took much room, which is to be given back although its result stays.
        plain: Whether it completes a task on which no keys hang, and publishes nothing.
    """

    # defaults here and not in __init__: most settlements are completions that have none of this
    after = 0.0
    reason = ""
    error = b""
    emit: Batch | None = None
    result = b""
    ttl = 0.0
    task_id = ""
    reply: str | None = None
    large = False
    plain = False

    def __init__(self, item: Settlement) -> None:
        """Raises InvalidOption, BodyTooLarge or SerializationError for what cannot be settled."""
        kind = self.kind = type(item)
        delivery = item.delivery
        receipt = delivery.receipt
        self.receipt = receipt if type(receipt) is int and 0 <= receipt < 1 << 63 else -1
        self.events = item.events
        if kind is Complete or kind is Dead:
            assert isinstance(item, Complete | Dead)
            result, envelope = item.result, delivery.envelope
            if result.id != envelope.id:
                raise InvalidOption(f"a result of {result.id} cannot end {envelope.id}")
            if len(result.value) > LIMITS.max_body:
                raise BodyTooLarge(f"the result has {len(result.value)} bytes; at most {LIMITS.max_body} are taken")
            self.result = encode_result(result)
            self.ttl = result.ttl
            self.task_id = result.id
            if isinstance(envelope, Envelope):
                self.reply = envelope.reply
                self.large = len(envelope.body) > _LARGE
            if item.emit:
                self.emit = Batch(item.emit)
            elif kind is Complete and not self.receipt & 1:
                self.plain = True
            if isinstance(item, Dead):
                self.reason = item.reason.encode("utf-8", "backslashreplace").decode()
                self.error = write_error(item.error)
        elif isinstance(item, Retry | Release):
            self.after = item.after
            if not item.after <= LIMITS.max_delay:
                raise InvalidOption(f"{item.after} s is longer than this broker delays")
        elif not isinstance(item, Moved):
            raise InvalidOption(f"{kind.__name__} is no settlement")


def prepare(batch: Sequence[Settlement]) -> list[Prepared | Failed]:
    """Return settlements ready for the store, or why one fails."""
    prepared: list[Prepared | Failed] = []
    for item in batch:
        try:
            prepared.append(Prepared(item))
        except (InvalidOption, BodyTooLarge) as error:
            prepared.append(Failed(error))
        except SerializationError as error:
            prepared.append(Failed(InvalidOption(str(error))))
    return prepared
