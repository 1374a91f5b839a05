"""Publishing a batch: to the broker, or to the Scheduler where that keeps the delayed; repeated until there is an answer."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable, Sequence

from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.clock import Clock
from orcastra_core.interfaces.scheduler import Scheduler
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import BrokerError
from orcastra_core.model.profile import Profile
from orcastra_core.model.published import STORED, Duplicate, Published, Unknown
from orcastra_core.runtime.deferral import deferred
from orcastra_core.runtime.patience import Patience
from orcastra_core.serialization.event_codec import EventWriter

_log = logging.getLogger("orcastra.runtime")

UNKNOWN_PATIENCE = 10.0
"""Seconds the client repeats a publish that got no answer, same ids, before it says PublishUnknown."""


class Publishing:
    """Sends batches, each item answered.

    Args:
        broker: Takes what is not delayed.
        profile: Its.
        deferring: Takes what is, if the broker does not.
        writer: Of events; None for none.
        clock: Ours.
        rng: For the pauses between repeats.
    """

    def __init__(
        self,
        broker: Broker,
        profile: Profile,
        deferring: Scheduler | None,
        writer: EventWriter | None,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self.writer = writer
        self._broker = broker
        self._window = profile.limits.publish_window
        self._deferring = deferring
        self._clock = clock
        self._rng = rng

    async def publish_or_put_off(self, batch: Sequence[Envelope]) -> Sequence[Published]:
        """Send each where it belongs."""
        later = [envelope for envelope in batch if envelope.due is not None] if self._deferring is not None else ()
        if not later:
            return await self.publish(batch)
        now = [envelope for envelope in batch if envelope.due is None]
        put_off = iter(await self._until_known(later, self._put_off))
        published = iter(await self.publish(now) if now else ())
        return [next(published if envelope.due is None else put_off) for envelope in batch]

    async def publish(self, batch: Sequence[Envelope]) -> Sequence[Published]:
        """Send to the broker."""
        return await self._until_known(batch, self._publish)

    async def put_off(self, envelope: Envelope) -> Published:
        """Leave one to the Scheduler until it is due."""
        (answer,) = await self._until_known([envelope], self._put_off)
        return answer

    def submitted(self, batch: Sequence[Envelope]) -> Sequence[bytes]:
        """Return the events that say so."""
        writer = self.writer
        if writer is None:
            return ()
        now = self._clock.now()
        return [writer.submitted(envelope.id, now, envelope.queue, envelope.task) for envelope in batch]

    async def _until_known(
        self, batch: Sequence[Envelope], send: Callable[[Sequence[Envelope]], Awaitable[Sequence[Published]]]
    ) -> Sequence[Published]:
        answers = await send(batch)
        if not any(isinstance(answer, Unknown) for answer in answers):
            return answers
        answers = list(answers)
        patience = Patience("publishing", self._clock, self._rng)
        # beyond the window a repeat would be stored twice
        deadline = self._clock.monotonic() + min(UNKNOWN_PATIENCE, self._window)
        while self._clock.monotonic() < deadline:
            open_ = {
                n: answer.error
                for n, answer in enumerate(answers)
                if isinstance(answer, Unknown) and answer.error.retryable
            }
            if not open_:
                patience.success()
                break
            await patience.pause(next(iter(open_.values())))
            again = await send([batch[n] for n in open_])
            for n, answer in zip(open_, again, strict=True):
                # stored by the try whose answer was lost
                own = isinstance(answer, Duplicate) and answer.id == batch[n].id
                answers[n] = STORED if own else answer
        return answers

    async def _publish(self, batch: Sequence[Envelope]) -> Sequence[Published]:
        return await self._broker.publish(batch, events=self.submitted(batch))

    async def _put_off(self, batch: Sequence[Envelope]) -> Sequence[Published]:
        assert self._deferring is not None
        try:
            await self._deferring.add([deferred(envelope, envelope.due or 0.0) for envelope in batch])
        except BrokerError as error:
            return [Unknown(error)] * len(batch)
        if self.writer is not None and self._broker.events is not None:
            records = self.submitted(batch)
            try:
                await self._broker.events.append(records)
            except BrokerError as error:
                _log.warning("%d submits are missing in the event log: %s", len(records), error)
        return [STORED] * len(batch)
