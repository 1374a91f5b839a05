"""How long ids and results are known."""

from __future__ import annotations

from orcastra_conformance.engine.making import Making
from orcastra_conformance.engine.trial import Trial
from orcastra_core.backends.memory.ledger import Ledger
from orcastra_core.model.ids import TaskId
from orcastra_core.model.published import Duplicate
from orcastra_core.model.result import Absence, Result

make = Making(lambda: 0.0)


def results(number: int, ttl: float) -> list[Result]:
    return [make.result(make.id(), ttl=ttl) for _ in range(number)]


def test_results_end_with_their_own_ttl_and_ids_a_window_later() -> None:
    ledger = Ledger(window=60)
    short, long = results(2, 10), results(2, 100)
    ledger.finish({10.0: short, 100.0: long}, now=0)
    assert ledger.get(short[0].id, 9.9) is short[0]
    assert ledger.get(short[0].id, 10) is Absence.EXPIRED
    assert ledger.retire(10, limit=100) == 2
    assert ledger.get(long[1].id, 10) is long[1]
    assert ledger.get(short[0].id, 69) is Absence.EXPIRED
    assert ledger.retire(70, limit=100) == 0
    assert ledger.get(short[0].id, 70) is Absence.UNKNOWN
    assert ledger.retire(100, limit=100) == 2
    ledger.retire(160, limit=0)
    assert ledger.known == {}


def test_retire_does_at_most_its_limit_and_goes_on_where_it_stopped() -> None:
    ledger = Ledger(window=60)
    for at in range(3):
        ledger.finish({5.0: results(4, 5)}, now=at)
    assert [ledger.retire(100, limit=5) for _ in range(4)] == [5, 5, 2, 0]
    ledger.retire(200, limit=0)
    assert ledger.known == {}


def test_a_later_result_of_the_same_task_outlives_the_earlier_ones_time() -> None:
    ledger = Ledger(window=60)
    task_id = make.id()
    ledger.finish({10.0: [make.failure(task_id, ttl=10)]}, now=0)
    second = make.result(task_id, ttl=10)
    ledger.finish({10.0: [second]}, now=8)
    ledger.retire(12, limit=100)
    assert ledger.get(task_id, 12) is second
    ledger.retire(18, limit=100)
    ledger.retire(72, limit=100)
    assert ledger.get(task_id, 72) is Absence.EXPIRED


async def test_a_store_that_nobody_prunes_forgets_in_passing(t: Trial) -> None:
    broker = await t.broker()
    session = await t.session(broker)
    known: dict[TaskId, object] = broker._store.ledger.known  # type: ignore[attr-defined]
    for _ in range(50):
        await t.stored(broker, *t.envelopes(10))
        await t.done(session, *(t.complete(d, ttl=5.0) for d in await t.take(session, 10)))
        await t.advance(10)
    assert len(known) < 150


async def test_an_id_is_free_again_when_its_window_is_over(t: Trial) -> None:
    broker = await t.broker()
    envelope = t.envelope()
    session, (delivery,) = await t.running(broker, envelope)
    await t.done(session, t.complete(delivery, ttl=0.0))
    await t.advance(59)
    assert list(await t.publish(broker, envelope)) == [Duplicate(envelope.id)]
    await t.advance(2)
    assert broker.results is not None
    await broker.results.prune(limit=10)
    await t.stored(broker, envelope)
