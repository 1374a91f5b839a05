"""The history of a case: what is recorded, in which order, and how it reads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import pytest
from histories import Story, complete, delivery, task

from orcastra_conformance.engine.case import Case, CaseBody
from orcastra_conformance.engine.outcome import CaseReport, Outcome
from orcastra_conformance.engine.runner import run_case
from orcastra_conformance.engine.steps import cancelled_after, turns
from orcastra_conformance.engine.tiers import Tier
from orcastra_conformance.engine.trial import Trial
from orcastra_conformance.history.checkers import judged
from orcastra_conformance.history.log import History
from orcastra_conformance.history.records import (
    Cancel,
    Expire,
    HandOut,
    Leave,
    Note,
    Open,
    Pass,
    Publish,
    Purge,
    Push,
    Read,
    Record,
    Replay,
    Settle,
    Sweep,
)
from orcastra_conformance.history.telling import told
from orcastra_core.backends.memory.conformance import Harness
from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Want
from orcastra_core.model.envelope import Dedup, DedupMode, Envelope
from orcastra_core.model.errors import SessionFenced
from orcastra_core.model.names import SessionId
from orcastra_core.model.published import STORED, Published
from orcastra_core.model.settlement import STALE, Done


def report_of(body: CaseBody) -> CaseReport:
    return run_case(Case("made.up", "made", Tier.CORE, frozenset(), None, "it must hold", body), Harness())


def recorded(body: CaseBody) -> list[Record]:
    """Return what a case that passes left in its history."""
    kept: list[Record] = []

    async def whole(t: Trial) -> None:
        await body(t)
        kept.extend(t.history.records)

    report = report_of(whole)
    assert report.outcome is Outcome.PASSED, report
    return kept


async def everything(t: Trial) -> None:
    broker = await t.broker()
    assert broker.results is not None
    assert broker.dead_letters is not None
    feed = await broker.results.subscribe()
    session, (a, b, c) = await t.running(broker, *t.envelopes(3, reply=feed.channel))
    t.note("all three run")
    await t.done(session, t.complete(a), t.dead(b))
    await t.results(broker.results, a.envelope.id)
    await t.pushed(feed)
    await t.replay(broker.dead_letters, b.envelope.id)
    await t.cancel(broker, b.envelope.id)
    await t.stored(broker, t.envelope())
    await t.purge(broker, t.queue())
    await t.advance(1.0)
    await t.sweep(broker)
    await t.expire(broker, session.id)
    await t.settle(session, t.complete(c))
    await t.leave(await t.session(broker))
    await feed.close()


def test_everything_that_is_done_through_the_trial_is_recorded_with_its_answer() -> None:
    records = recorded(everything)
    kinds = [type(record) for record in records]
    assert kinds == [
        *(Publish, Open, HandOut, Note, Settle, Read, Push, Replay, Cancel, Publish, Purge),
        *(Pass, Sweep, Expire, Settle, Open, Leave),
    ]
    publish, settle, stale = records[0], records[4], records[14]
    assert isinstance(publish, Publish)
    assert (len(publish.envelopes), publish.answer) == (3, (STORED,) * 3)
    assert isinstance(settle, Settle)
    assert (settle.number, settle.answer) == (1, (Done(), Done()))
    assert isinstance(stale, Settle)
    assert (stale.number, stale.answer) == (2, (STALE,))
    assert records[13].answer == 1, "one delivery was handed out again"
    assert judged(records, [], left=[item.delivery.envelope.id for item in stale.batch]) == []


def test_numbers_tell_what_came_first_and_what_overlapped() -> None:
    history = History()

    async def call(steps: int) -> int:
        await turns(steps)
        return steps

    async def both() -> None:
        make = partial(Expire, session=SessionId("s"))
        async with asyncio.TaskGroup() as group:
            group.create_task(history.of(call(3), make, int))
            group.create_task(history.of(call(1), make, int))
        await history.of(call(1), make, int)

    asyncio.run(both())
    assert [(r.begin, r.end) for r in history.records] == [(2, 3), (1, 4), (5, 6)]
    assert [line.split()[0] for line in history] == ["2", "1", "5"]
    assert len(history) == 3


def test_a_call_that_fails_or_is_given_up_is_recorded_without_an_answer() -> None:
    async def body(t: Trial) -> None:
        broker = await t.broker()
        session = await t.session(broker)
        await t.expire(broker, session.id)
        want = Want(1, [(t.queue(), 1)])
        await t.expect.raises(SessionFenced, t.fetch(session, want), "it was reaped")
        other = await t.session(broker)
        await cancelled_after(3, t.fetch(other, want, wait=3600.0))

    fenced, cancelled = [record for record in recorded(body) if isinstance(record, HandOut)]
    assert (fenced.failed, fenced.answer) == ("SessionFenced", None)
    assert (cancelled.failed, cancelled.answer) == ("CancelledError", None)
    assert told(fenced).endswith("fetch 1 → raised SessionFenced")


def test_lines_say_what_was_asked_and_what_was_answered() -> None:
    story = Story().publish("a", "b")
    assert told(story.records[0]) == "publish [000061, 000062] → [Stored(), Stored()]"


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"priority": 3}, "000061(priority 3)"),
        ({"due": 12.5}, "000061(due 12.500)"),
        ({"order_by": "k"}, "000061(order_by 'k')"),
        ({"dedup": Dedup("k")}, "000061(dedup 'k' ALIVE)"),
        ({"dedup": Dedup("k", DedupMode.WINDOW, 60.0)}, "000061(dedup 'k' WINDOW 60 s)"),
        ({"counts": Counts(1, 0, 2)}, "000061(counts 1/0/2)"),
        ({"priority": 1, "order_by": "k"}, "000061(priority 1; order_by 'k')"),
    ],
)
def test_a_line_says_what_is_special_about_an_envelope(fields: dict[str, object], words: str) -> None:
    assert told(Story().publish(task("a", **fields)).records[0]) == f"publish [{words}] → [Stored()]"


def test_a_line_says_how_it_was_settled() -> None:
    a = delivery("a", 1, lost=2)
    story = Story().settle("s", complete(a, emit=[task("b")])).settle("s", complete(a), answer=[STALE], number=7)
    assert [told(record) for record in story.records] == [
        "s settle #1 [Complete 000061(0/2/0) emit [000062]] → [Done([Stored()])]",
        "s settle #7 [Complete 000061(0/2/0)] → [Stale.STALE]",
    ]
    story = Story().expire("s", 2).leave("s").replay("a").purge(3).fetch("s", a)
    assert [told(record) for record in story.records] == [
        "expire s → 2",
        "s leave",
        "replay [000061] → [Stored()]",
        "purge 'q' of ready → 3",
        "s fetch 10 → [000061(0/2/0)]",
    ]


def test_whatever_a_broker_answered_there_is_a_line() -> None:
    junk = HandOut(begin=1, end=2, session=SessionId("s"), asked=1, answer=(None, 7))  # type: ignore[arg-type]
    assert told(junk) == "s fetch 1 → (None, 7)"


def test_the_report_has_the_lines() -> None:
    report = report_of(everything)
    assert report.history[0].endswith("[Stored(), Stored(), Stored()]")
    assert "publish [" in report.history[0]
    assert any(line.endswith("all three run") for line in report.history)


def test_a_broker_that_answers_too_little_or_gives_too_much_is_noticed_where_it_is_recorded() -> None:
    async def body(t: Trial) -> None:
        broker = await t.broker()
        publish = broker.publish

        async def short(batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()) -> Sequence[Published]:
            return list(await publish(batch, events=events))[1:]

        broker.publish = short  # type: ignore[method-assign]
        await t.publish(broker, *t.envelopes(2))

    report = report_of(body)
    assert report.outcome is Outcome.FAILED
    assert "one answer an envelope" in report.message
