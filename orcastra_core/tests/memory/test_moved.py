"""Tasks that are at a scheduler of another store meanwhile."""

from __future__ import annotations

import attrs

from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_core.model.counts import Counts
from orcastra_core.model.envelope import Dedup, DedupMode
from orcastra_core.model.published import Duplicate, Stored
from orcastra_core.model.result import Absence, Outcome, Result
from orcastra_core.model.task_state import Cancelled, State


async def test_its_ordering_key_waits_for_it(t: Trial) -> None:
    broker = await t.broker()
    first, second = t.envelope(order_by="k"), t.envelope(order_by="k")
    await t.stored(broker, first, second)
    session = await t.session(broker)
    await t.done(session, t.moved(await t.one(session)))
    await t.nothing(session, because="the first has not ended")
    await t.stored(broker, attrs.evolve(first, counts=Counts(1, 0, 0)))
    again = await t.one(session)
    assert again.envelope.id == first.id
    await t.nothing(session, because="one at a time")
    await t.done(session, t.complete(again))
    assert (await t.one(session)).envelope.id == second.id


async def test_it_is_pending_and_can_be_cancelled(t: Trial) -> None:
    broker = await t.broker()
    first = t.envelope(order_by="k", dedup=Dedup("d"))
    second = t.envelope(order_by="k")
    session, (delivery,) = await t.running(broker, first)
    await t.stored(broker, second)
    await t.done(session, t.moved(delivery))
    (state,) = await broker.find([first.id])
    assert state is not None
    assert state.state is State.DELAYED
    assert broker.results is not None
    assert list(await broker.results.get([first.id])) == [Absence.PENDING]
    assert await broker.purge(t.queue("other")) == 0
    assert list(await broker.cancel([t.cancellation(first.id)])) == [Cancelled.REMOVED]
    (found,) = await broker.results.get([first.id])
    assert isinstance(found, Result)
    assert found.outcome is Outcome.CANCELLED
    assert (await t.one(session)).envelope.id == second.id
    await t.stored(broker, t.envelope(dedup=Dedup("d")))
    late = attrs.evolve(first, counts=Counts(1, 0, 0))
    assert list(await t.publish(broker, late)) == [Duplicate(first.id)], "the scheduler comes too late"


async def test_a_key_that_ended_meanwhile_does_not_cost_it_its_next_attempt(t: Trial) -> None:
    broker = await t.broker()
    modes = {"s": Dedup("s", DedupMode.UNTIL_START), "w": Dedup("w", DedupMode.WINDOW, 5.0)}
    sent = [t.envelope(dedup=dedup) for dedup in modes.values()]
    session, taken = await t.running(broker, *sent)
    await t.done(session, *(t.moved(d) for d in taken))
    await t.advance(6)
    await t.stored(broker, *(t.envelope(dedup=dedup) for dedup in modes.values()))
    for envelope in sent:
        (answer,) = await t.publish(broker, attrs.evolve(envelope, counts=Counts(1, 0, 0)))
        assert isinstance(answer, Stored)


async def test_a_window_is_not_begun_anew(t: Trial) -> None:
    broker = await t.broker()
    dedup = Dedup("w", DedupMode.WINDOW, 10.0)
    first = t.envelope(dedup=dedup)
    session, (delivery,) = await t.running(broker, first)
    await t.done(session, t.moved(delivery))
    await t.advance(6)
    await t.stored(broker, attrs.evolve(first, counts=Counts(1, 0, 0)))
    assert list(await t.publish(broker, t.envelope(dedup=dedup))) == [Duplicate(first.id)]
    await t.advance(5)
    await t.stored(broker, t.envelope(dedup=dedup))


async def test_results_and_dead_letters_of_a_queue_elsewhere(t: Trial) -> None:
    broker = await t.broker()
    assert broker.results is not None
    assert broker.dead_letters is not None
    feed = await broker.results.subscribe()
    first, second = t.result(t.id(), b"\x01"), t.result(t.id(), b"\x02", ttl=FAR)
    late = attrs.evolve(first, value=b"\x03")
    await broker.results.put([(first, feed.channel), (second, None)])
    await broker.results.put([(late, feed.channel)])
    assert list(await broker.results.get([first.id, second.id])) == [first, second]
    assert list(await feed.next(wait=0)) == [first]

    session, (delivery,) = await t.running(broker, t.envelope())
    await t.done(session, t.dead(delivery))
    (letter,) = await broker.dead_letters.get([delivery.envelope.id])
    assert letter is not None
    t.domain = "another"
    other = await t.broker()
    assert other.dead_letters is not None
    await other.dead_letters.put([letter])
    await other.dead_letters.put([attrs.evolve(letter, reason="another")])
    assert list(await other.dead_letters.page()) == [letter]
