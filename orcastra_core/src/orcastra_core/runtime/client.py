"""The publishing side: envelopes out, results in."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing

from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.clock import Clock
from orcastra_core.interfaces.middleware import Middleware
from orcastra_core.interfaces.results import ResultStore
from orcastra_core.interfaces.scheduler import Scheduler
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import BodyTooLarge, OrcastraError, Unsupported
from orcastra_core.model.event import EventKind
from orcastra_core.model.ids import TaskId
from orcastra_core.model.profile import Cap, Profile
from orcastra_core.model.published import Published
from orcastra_core.model.result import Absence, Result
from orcastra_core.model.task_state import Cancellation, Cancelled
from orcastra_core.runtime.background import Background
from orcastra_core.runtime.batcher import BATCH_BYTES, Batcher
from orcastra_core.runtime.deferral import DeferredResults, cancel_with_deferred
from orcastra_core.runtime.errors import first_leaf
from orcastra_core.runtime.event_sink import Silence
from orcastra_core.runtime.middleware import around_submit
from orcastra_core.runtime.publishing import Publishing
from orcastra_core.runtime.results_elsewhere import ResultsElsewhere
from orcastra_core.runtime.verdict import cancelled_result
from orcastra_core.runtime.waiter import ResultWaiter
from orcastra_core.serialization.event_codec import EventWriter

_TURN = 100  # envelopes of ``submit_many`` between two turns of the loop


class Client:
    """Submits, and waits for results. Use within ``run``'s lifetime, in one loop."""

    def __init__(
        self,
        broker: Broker,
        profile: Profile,
        *,
        scheduler: Scheduler | None,
        clock: Clock,
        rng: random.Random,
        results: ResultStore | None,
        events: bool = True,
        middleware: Sequence[Middleware] = (),
    ) -> None:
        self._broker = broker
        self._results = results
        self._profile = profile
        self._clock = clock
        self._rng = rng
        self._deferring = None if profile.offers(Cap.DELAY) else scheduler
        writer = EventWriter(None) if events and profile.offers(Cap.EVENTS) else None
        self._publishing = Publishing(broker, profile, self._deferring, writer, clock, rng)
        self._batcher = Batcher(self._publishing.publish, max_batch=profile.limits.max_batch)
        self._middleware = middleware
        # a layer sees each envelope; without one a bulk submit takes whole batches
        self._send_many = self._each_through if middleware else self._publishing.publish_or_put_off
        self._through: Callable[[Envelope], Awaitable[Published]] = around_submit(middleware, self._submit)
        self._waiter: ResultWaiter | None = None
        self._background = Background()

    @property
    def channel(self) -> str | None:
        """The reply channel for envelopes whose results may be waited for here."""
        return self._waiter.channel if self._waiter is not None else None

    async def start(self) -> None:
        """Subscribe to results and begin to send."""
        results = self._results
        if results is not None:
            if self._deferring is not None:
                results = DeferredResults(results, self._deferring)
            feed = await results.subscribe()
            self._waiter = waiter = ResultWaiter(results, feed, self._clock, self._rng)
            self._background.spawn(waiter.listen(), "results")
            self._background.spawn(waiter.read_batches(), "result reads")
        self._background.spawn(self._batcher.run(), "batcher")

    async def stop(self) -> None:
        """Stop sending and listening; whoever still waits is cancelled."""
        await self._background.stop()
        if self._waiter is not None:
            await self._waiter.close()
            self._waiter = None

    def check(self, envelope: Envelope) -> None:
        """Refuse what this broker cannot take, before anything is batched.

        Raises:
            BodyTooLarge, Unsupported: As they say.
        """
        limits = self._profile.limits
        if len(envelope.body) > limits.max_body:
            raise BodyTooLarge(
                f"task {envelope.task}: its arguments take {len(envelope.body)} bytes; the limit is {limits.max_body} "
                f"(store large data elsewhere and pass its name)"
            )
        if envelope.priority and not self._profile.offers(Cap.PRIORITY):
            self._profile.require(Cap.PRIORITY)
        if envelope.dedup is not None:
            self._profile.require(Cap.DEDUP)
        if envelope.order_by is not None:
            self._profile.require(Cap.ORDERED_KEY)
        if envelope.due is not None and not self._profile.offers(Cap.DELAY):
            if self._deferring is None:
                self._profile.require(Cap.DELAY)
            if envelope.dedup is not None:
                raise Unsupported(Cap.DELAY, "a Scheduler holds no dedup key: a delayed submit cannot have one here")

    async def submit(self, envelope: Envelope) -> Published:
        """Publish one envelope, batched with those of other tasks; repeats what got no answer.

        Raises:
            BodyTooLarge, Unsupported: Nothing was stored.
            BrokerClosed: The broker was closed.
        """
        self.check(envelope)
        return await self._through(envelope)

    async def submit_many(self, envelopes: Iterable[Envelope | OrcastraError]) -> list[Published | OrcastraError]:
        """Publish many, in as few calls as the limits allow; an answer each, in order.

        While one batch is in flight the next is taken from ``envelopes``, so a
        generator of millions needs memory for its answers only. Errors among
        the envelopes are passed through.
        """
        answers: list[Published | OrcastraError] = []
        sending: asyncio.Task[None] | None = None
        try:
            async with asyncio.TaskGroup() as group, aclosing(self._chunks(envelopes)) as chunks:
                async for chunk in chunks:
                    if sending is not None:
                        await sending
                    sending = group.create_task(_send_chunk(chunk, self._send_many, answers))
        except BaseExceptionGroup as errors:  # the store's, or what drawing from ``envelopes`` raised
            raise first_leaf(errors) from None
        return answers

    async def submit_within(
        self, transaction: object, envelopes: Iterable[Envelope | OrcastraError]
    ) -> list[Published | OrcastraError]:
        """Publish in the caller's own transaction, in as few calls as the limits allow; an answer each, in order.

        Errors among the envelopes are passed through.

        Raises:
            Unsupported, InvalidOption: Nothing was stored.
            BrokerError: The transaction is the caller's to roll back.
        """
        self._profile.require(Cap.TX_PUBLISH)

        async def within(batch: Sequence[Envelope]) -> Sequence[Published]:
            return await self._broker.publish_within(transaction, batch, events=self._publishing.submitted(batch))

        async def alone(envelope: Envelope) -> Published:
            (answer,) = await within([envelope])
            return answer

        through = around_submit(self._middleware, alone)

        async def one_by_one(batch: Sequence[Envelope]) -> Sequence[Published]:
            # a connection does one thing at a time
            return [await through(envelope) for envelope in batch]

        answers: list[Published | OrcastraError] = []
        async with aclosing(self._chunks(envelopes)) as chunks:
            async for chunk in chunks:
                await _send_chunk(chunk, one_by_one if self._middleware else within, answers)
        return answers

    async def wait(self, task_id: TaskId) -> Result | Absence:
        """Return a task's result, or why there will be none. Waits as long as it takes."""
        if self._waiter is None:
            why = "this app was made with results=False: nothing is kept to wait for"
            raise Unsupported(Cap.RESULTS, None if self._broker.results is None else why)
        return await self._waiter.wait(task_id)

    async def cancel(self, ids: Sequence[TaskId]) -> Sequence[Cancelled]:
        """Cancel tasks."""
        self._profile.require(Cap.CANCEL)
        now = self._clock.now()
        writer = self._publishing.writer or Silence()
        wishes = [
            Cancellation(task_id, cancelled_result(task_id, now), writer.event(EventKind.CANCELLED, now, task_id))
            for task_id in ids
        ]
        if self._deferring is None:
            answers = await self._broker.cancel(wishes)
        else:
            answers = await cancel_with_deferred(self._broker, self._deferring, wishes)
        removed = [wish.result for wish, answer in zip(wishes, answers, strict=True) if answer is Cancelled.REMOVED]
        if isinstance(self._results, ResultsElsewhere) and removed:
            await self._results.put([(result, None) for result in removed])
        if self._waiter is not None:
            for result in removed:  # where the store does not push it
                self._waiter.take(result)
        return answers

    async def _submit(self, envelope: Envelope) -> Published:
        if envelope.due is not None and self._deferring is not None:
            return await self._publishing.put_off(envelope)
        return await self._batcher.submit(envelope)

    async def _chunks(
        self, envelopes: Iterable[Envelope | OrcastraError]
    ) -> AsyncGenerator[list[Envelope | OrcastraError], None]:
        chunk: list[Envelope | OrcastraError] = []
        size = 0
        for item in envelopes:
            if isinstance(item, Envelope):
                try:
                    self.check(item)
                except OrcastraError as error:
                    item = error
                else:
                    size += len(item.body)
            chunk.append(item)
            if len(chunk) >= self._profile.limits.max_batch or size >= BATCH_BYTES:
                yield chunk
                chunk, size = [], 0
            if len(chunk) % _TURN == 0:
                # the chunk before this one leaves, and is answered, while this one is made
                await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop
        if chunk:
            yield chunk

    async def _each_through(self, batch: Sequence[Envelope]) -> Sequence[Published]:
        return await asyncio.gather(*map(self._through, batch))


async def _send_chunk(
    chunk: Sequence[Envelope | OrcastraError],
    send: Callable[[Sequence[Envelope]], Awaitable[Sequence[Published]]],
    answers: list[Published | OrcastraError],
) -> None:
    envelopes = [item for item in chunk if isinstance(item, Envelope)]
    published = iter(await send(envelopes) if envelopes else ())
    answers.extend(next(published) if isinstance(item, Envelope) else item for item in chunk)
