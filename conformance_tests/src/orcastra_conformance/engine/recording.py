"""The calls of the contract, each with a record in the case's history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from orcastra_conformance.engine.expect import Expect
from orcastra_conformance.engine.making import Making
from orcastra_conformance.history import records
from orcastra_conformance.history.log import History
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.dead_letters import DeadLetterStore
from orcastra_core.interfaces.results import ResultFeed, ResultStore
from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.published import Published
from orcastra_core.model.result import Absence, Result
from orcastra_core.model.session import Swept
from orcastra_core.model.settlement import Settled, Settlement
from orcastra_core.model.task_state import Cancelled, State

WAITING = frozenset({State.READY, State.DELAYED})


class Recording(Making):
    """Calls brokers and sessions as they are, and keeps a record of what was said and answered.

    Attributes:
        expect: The checks.
        history: The records; its lines are what a report prints.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(now)
        self.expect = Expect()
        self.history = History()
        self._numbers: dict[str, int] = {}

    def note(self, text: str) -> None:
        """Add a line to the history."""
        self.history.note(text)

    async def publish(self, broker: Broker, *envelopes: Envelope, events: Sequence[bytes] = ()) -> Sequence[Published]:
        """Publish; the answers, which must be as many."""
        make = partial(records.Publish, envelopes=envelopes)
        answers = await self.history.of(broker.publish(list(envelopes), events=events), make, tuple)
        self.expect.equal(len(answers), len(envelopes), "publish gives one answer an envelope")
        return answers

    async def open(self, broker: Broker, *queues: QueueName, lease: float) -> Session:
        """Open a session."""
        opening = broker.open_session(queues, lease=lease)
        return await self.history.of(opening, records.Open, lambda session: session.id)

    async def fetch(self, session: Session, want: Want, *, wait: float = 0.0) -> list[Delivery]:
        """Fetch once; what it gave, which must be within what was asked for."""
        make = partial(records.HandOut, session=session.id, asked=want.limit)
        got = list(await self.history.of(session.fetch(want, wait=wait), make, tuple))
        self.expect.true(len(got) <= want.limit, f"fetch returns at most the {want.limit} it was asked for")
        me = asyncio.current_task()  # a call that swallows its cancellation would go on for ever
        self.expect.true(got or me is None or not me.cancelling(), "a cancelled fetch ends with CancelledError")
        return got

    async def settle(self, session: Session, *batch: Settlement, number: int | None = None) -> Sequence[Settled]:
        """Settle under the session's next number, or the one given."""
        if number is None:
            number = self._numbers[session.id] = self._numbers.get(session.id, 0) + 1
        make = partial(records.Settle, session=session.id, number=number, batch=batch)
        answers = await self.history.of(session.settle(list(batch), number=number), make, tuple)
        self.expect.equal(len(answers), len(batch), "settle gives one answer a settlement")
        return answers

    async def expire(self, broker: Broker, session: SessionId) -> int:
        """Reap a session whose death is known."""
        return await self.history.of(broker.expire(session), partial(records.Expire, session=session), int)

    async def sweep(self, broker: Broker, *, limit: int = 100) -> Swept:
        """Sweep once."""
        return await self.history.of(broker.sweep(limit=limit), records.Sweep, lambda swept: swept)

    async def leave(self, session: Session) -> None:
        """Leave, in good order."""
        await self.history.of(session.leave(), partial(records.Leave, session=session.id), lambda _: None)

    async def cancel(self, broker: Broker, *ids: TaskId) -> Sequence[Cancelled]:
        """Cancel tasks."""
        wishes = [self.cancellation(task_id) for task_id in ids]
        answers = await self.history.of(broker.cancel(wishes), partial(records.Cancel, ids=ids), tuple)
        self.expect.equal(len(answers), len(ids), "cancel gives one answer a wish")
        return answers

    async def replay(self, store: DeadLetterStore, *ids: TaskId) -> Sequence[Published | None]:
        """Replay dead letters."""
        answers = await self.history.of(store.replay(list(ids)), partial(records.Replay, ids=ids), tuple)
        self.expect.equal(len(answers), len(ids), "replay gives one answer an id")
        return answers

    async def purge(self, broker: Broker, queue: QueueName, states: frozenset[State] = WAITING) -> int:
        """Forget the tasks of a queue that are in one of the states."""
        make = partial(records.Purge, queue=queue, states=tuple(sorted(state.value for state in states)))
        return await self.history.of(broker.purge(queue, states=states), make, int)

    async def results(self, store: ResultStore, *ids: TaskId) -> Sequence[Result | Absence]:
        """Read results."""
        found = await self.history.of(store.get(list(ids)), partial(records.Read, ids=ids), tuple)
        self.expect.equal(len(found), len(ids), "get gives one answer an id")
        return found

    async def pushed(self, feed: ResultFeed, *, wait: float = 0.0) -> Sequence[Result]:
        """Return what a feed was told since the last call."""
        return await self.history.of(feed.next(wait=wait), partial(records.Push, channel=feed.channel), tuple)
