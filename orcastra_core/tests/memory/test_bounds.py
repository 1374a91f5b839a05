"""Nothing grows without need."""

from __future__ import annotations

from orcastra_conformance.engine.clock import VirtualClock
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_core.backends.memory import MemoryBroker
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.delivery import Want
from orcastra_core.model.envelope import Dedup, DedupMode
from orcastra_core.model.event import EventKind
from orcastra_core.model.task_state import Cancelled


async def test_the_event_log_keeps_its_newest_and_cursors_go_on(t: Trial) -> None:
    broker = MemoryBroker(BrokerUrl.parse("memory://?events_max=5"), clock=VirtualClock())
    await broker.open()
    assert broker.events is not None
    await broker.events.append([t.event(EventKind.WORKER_JOINED, n=n) for n in range(3)])
    (first, *_) = await broker.events.read()
    await broker.events.append([t.event(EventKind.WORKER_JOINED, n=n) for n in range(3, 20)])
    entries = await broker.events.read(after=first.cursor)
    assert [entry.event.detail["n"] for entry in entries] == [15, 16, 17, 18, 19]
    await broker.close()


async def test_a_quiet_queue_keeps_no_waiters(t: Trial) -> None:
    broker = await t.broker()
    session = await t.session(broker)
    for _ in range(20):
        await t.nothing(session, t.queue(), t.queue("quiet"), because="nothing was published")
    store = broker._store  # type: ignore[attr-defined]
    assert [len(queue.waiters) for queue in store.queues.values()] == [0, 0]


async def test_cancelled_delayed_tasks_are_let_go_before_they_are_due(t: Trial) -> None:
    broker = await t.broker()
    for _ in range(5):
        sent = t.envelopes(1000, due=t.now() + FAR)
        await t.stored(broker, *sent)
        answers = await broker.cancel([t.cancellation(e.id) for e in sent])
        assert set(answers) == {Cancelled.REMOVED}
    assert len(broker._store._delayed) < 2500  # type: ignore[attr-defined]


async def test_dedup_windows_end_without_being_asked_for(t: Trial) -> None:
    broker = await t.broker()
    for n in range(50):
        await t.stored(broker, t.envelope(dedup=Dedup(f"k{n}", DedupMode.WINDOW, 1.0)))
        await t.advance(0.5)
    (queue,) = broker._store.queues.values()  # type: ignore[attr-defined]
    assert len(queue.holds) <= 4


async def test_settled_batches_leave_nothing_in_the_session(t: Trial) -> None:
    broker = await t.broker()
    session = await t.session(broker)
    state = session._state  # type: ignore[attr-defined]
    for _ in range(30):
        await t.stored(broker, *t.envelopes(3))
        taken = await session.fetch(Want(3, [(t.queue(), 3)]), wait=0)
        await broker.cancel([t.cancellation(taken[0].envelope.id)])
        await t.done(session, *(t.complete(d) for d in taken))
    assert (len(state.held), len(state.cancels)) == (0, 0)
    assert len(state.answers) == t.profile.limits.settle_window
