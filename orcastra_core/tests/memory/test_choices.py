"""What the contract leaves open and this broker has decided."""

from __future__ import annotations

import asyncio

import pytest

from orcastra_conformance.engine.steps import turns
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Want
from orcastra_core.model.envelope import Dedup, DedupMode
from orcastra_core.model.errors import InvalidOption
from orcastra_core.model.profile import Cap
from orcastra_core.model.published import Duplicate
from orcastra_core.model.session import CancelTask, DueSoon
from orcastra_core.model.settlement import Failed
from orcastra_core.model.task_state import State


async def test_a_release_goes_to_the_head_and_a_retry_to_the_tail(t: Trial) -> None:
    broker = await t.broker()
    a, b, c, d = t.envelopes(4)
    session, taken = await t.running(broker, a, b, c)
    await t.stored(broker, d)
    await t.done(session, t.retry(taken[0]), t.release(taken[1]), t.release(taken[2]))
    again = await t.take(session, 4)
    assert [x.envelope.id for x in again] == [b.id, c.id, d.id, a.id]


async def test_a_wish_to_cancel_outlives_the_session_it_was_told_to(t: Trial) -> None:
    broker = await t.broker()
    session, (delivery,) = await t.running(broker, t.envelope())
    await broker.cancel([t.cancellation(delivery.envelope.id)])
    await broker.expire(session.id)
    heir = await t.session(broker)
    again = await t.one(heir)
    assert list(await heir.signals(wait=0)) == [CancelTask(again.envelope.id)]
    await t.done(heir, t.retry(again))
    await t.one(heir)
    assert list(await heir.signals(wait=0)) == [], "the settlement answered it"


async def test_a_cancelled_orphan_is_not_handed_out(t: Trial) -> None:
    broker, judge = await t.broker(), await t.broker()
    session, (a, b) = await t.running(broker, *t.envelopes(2))
    await judge.sweep(limit=1)
    await t.lapse(session)
    assert [lost.id for lost in (await judge.sweep(limit=1)).lost] == [b.envelope.id]
    await broker.cancel([t.cancellation(a.envelope.id)])
    swept = await judge.sweep(limit=1)
    assert (list(swept.lost), swept.more) == ([], False)
    (depth,) = await broker.inspect([t.queue()])
    assert (depth.ready, depth.running) == (1, 0)


async def test_sweeps_that_the_limit_cut_keep_the_order(t: Trial) -> None:
    broker, judge = await t.broker(), await t.broker()
    session, taken = await t.running(broker, *t.envelopes(10))
    await judge.sweep(limit=1)
    await t.lapse(session)
    while (await judge.sweep(limit=3)).more:
        pass
    again = await t.take(await t.session(judge), 10)
    assert [d.envelope.id for d in again] == [d.envelope.id for d in taken]


async def test_waiting_for_an_ordering_key_counts_as_delayed(t: Trial) -> None:
    broker = await t.broker()
    first, second = t.envelope(order_by="k"), t.envelope(order_by="k")
    await t.stored(broker, first, second)
    (depth,) = await broker.inspect([t.queue()])
    assert (depth.ready, depth.delayed) == (1, 1)
    (state,) = await broker.find([second.id])
    assert state is not None
    assert (state.state, state.due) == (State.DELAYED, None)


async def test_a_dedup_window_outlives_cancel_and_dead_but_not_purge(t: Trial) -> None:
    broker = await t.broker()

    def keyed(key: str) -> Dedup:
        return Dedup(key, DedupMode.WINDOW, FAR)

    first, second = t.envelope(dedup=keyed("a")), t.envelope(dedup=keyed("b"))
    await t.stored(broker, first, second)
    await broker.cancel([t.cancellation(first.id)])
    assert list(await t.publish(broker, t.envelope(dedup=keyed("a")))) == [Duplicate(first.id)]
    await broker.purge(t.queue())
    await t.stored(broker, t.envelope(dedup=keyed("b")))


async def test_what_was_purged_is_unknown(t: Trial) -> None:
    broker = await t.broker()
    envelope = t.envelope()
    await t.stored(broker, envelope)
    await broker.purge(t.queue())
    assert list(await broker.find([envelope.id])) == [None]
    await t.stored(broker, envelope)


async def test_disowning_wakes_a_waiting_fetch(t: Trial) -> None:
    broker = await t.broker()
    session, (delivery,) = await t.running(broker, t.envelope())
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(session.fetch(Want(5, [(t.queue(), 5)]), wait=FAR))
        await turns(3)
        session.disown([delivery.receipt])
        assert list(await waiting) == [delivery]


async def test_disowned_deliveries_stay_within_what_is_asked_for(t: Trial) -> None:
    broker = await t.broker()
    session, taken = await t.running(broker, *t.envelopes(3))
    await t.stored(broker, *t.envelopes(3), *t.envelopes(2, "other"))
    session.disown([d.receipt for d in taken])
    want = [(t.queue("other"), 9), (t.queue(), 2)]
    first = await session.fetch(Want(3, want), wait=0)
    assert [d.envelope.id for d in first[:2]] == [d.envelope.id for d in taken[:2]]
    assert [d.envelope.queue for d in first] == ["q", "q", "other"]
    second = await session.fetch(Want(9, [(t.queue(), 2)]), wait=0)
    assert second[0] == taken[2]
    assert len(second) == 2


async def test_a_result_of_another_task_fails_alone(t: Trial) -> None:
    broker = await t.broker()
    session, (a, b) = await t.running(broker, *t.envelopes(2))
    wrong = type(t.complete(a))(a, t.result(b.envelope.id))
    (answer, _) = await t.settle(session, wrong, t.complete(b))
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, InvalidOption)
    await t.done(session, t.complete(a))


async def test_due_soon_is_told_only_when_something_comes_in_ahead(t: Trial) -> None:
    broker = await t.broker()
    session = await t.session(broker)
    await t.stored(broker, t.envelope(due=t.now() + 50))
    assert list(await session.signals(wait=0)) == [DueSoon()]
    await t.stored(broker, t.envelope(due=t.now() + 60))
    assert list(await session.signals(wait=0)) == []
    await t.stored(broker, t.envelope(due=t.now() + 40))
    assert list(await session.signals(wait=0)) == [DueSoon()]
    assert broker.scheduler is not None
    await broker.scheduler.add([t.schedule("s", t.now() + 30)])
    assert list(await session.signals(wait=0)) == [DueSoon()]


async def test_the_scheduler_serves_another_broker_too(t: Trial) -> None:
    mine = await t.broker()
    t.domain = "another"
    theirs = await t.broker()
    assert mine.scheduler is not None
    deferred = t.envelope(counts=Counts(3, 0, 0))
    await mine.scheduler.add([t.schedule("a", t.now() + 5, envelope=deferred)])
    await t.advance(5)
    promotion = await mine.scheduler.promote(theirs, limit=10, plan=t.plan)
    assert (promotion.done, promotion.next_in) == (1, None)
    delivery = await t.one(await t.session(theirs))
    assert (delivery.envelope.id, delivery.counts) == (deferred.id, Counts(3, 0, 0))


async def test_an_unchanged_schedule_keeps_its_claim(t: Trial) -> None:
    broker = await t.broker()
    assert broker.scheduler is not None
    schedule = t.schedule("s", t.now() - 1, trigger="interval:60")
    await broker.scheduler.add([schedule])
    assert len((await broker.scheduler.claim(limit=9, lease=30))[1]) == 1
    await broker.scheduler.add([schedule])
    assert len((await broker.scheduler.claim(limit=9, lease=30))[1]) == 0
    assert await broker.scheduler.next_in() == 30.0


async def test_a_bad_cursor_is_named(t: Trial) -> None:
    broker = await t.broker()
    assert broker.events is not None
    with pytest.raises(InvalidOption, match="no cursor"):
        await broker.events.read(after="yesterday")


async def test_every_claim_is_a_capability_of_the_profile(t: Trial) -> None:
    broker = await t.broker()
    assert t.profile.capabilities == broker.claims
    assert set(Cap) - broker.claims == {Cap.TX_PUBLISH, Cap.TX_COMPLETE}
