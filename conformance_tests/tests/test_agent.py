"""Agents: clients in processes of their own, and what a case may do to them."""

from __future__ import annotations

import asyncio
import importlib
import os
import time
from collections.abc import Awaitable, Iterator
from pathlib import Path
from types import MappingProxyType

import pytest
from power.served.harness import Harness

from orcastra_conformance import BrokerHarness, Outcome, Unproven, run_case
from orcastra_conformance.cases.processes_many import judged
from orcastra_conformance.engine.case import Case, CaseBody
from orcastra_conformance.engine.making import Making
from orcastra_conformance.engine.outcome import CaseReport
from orcastra_conformance.engine.steps import turns
from orcastra_conformance.engine.tiers import Tier
from orcastra_conformance.engine.trial import Trial
from orcastra_conformance.faults.agent_frames import AgentError, Answer, Call, Frames, frame
from orcastra_conformance.faults.process import AgentGone, spawn, spawned
from orcastra_conformance.history.records import HandOut, Record, Settle
from orcastra_conformance.suite import started
from orcastra_core.backends.memory.conformance import Harness as MemoryHarness
from orcastra_core.interfaces.session import Session
from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.errors import BrokerClosed, InvalidOption, SessionFenced
from orcastra_core.model.names import SessionId
from orcastra_core.model.settlement import DONE, STALE, Settled


@pytest.fixture(scope="module")
def served() -> Iterator[BrokerHarness]:
    with started(Harness()) as harness:
        yield harness


def report_of(harness: BrokerHarness, body: CaseBody) -> CaseReport:
    return run_case(Case("made.up", "made", Tier.CORE, frozenset(), None, "it must hold", body, budget=20.0), harness)


def passes(harness: BrokerHarness, body: CaseBody) -> None:
    report = report_of(harness, body)
    assert report.outcome is Outcome.PASSED, str(report)


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "gone"


def gone(pid: int) -> bool:
    return state(pid) in ("gone", "Z")


def test_it_is_a_client_like_any_other(served: BrokerHarness) -> None:
    async def body(t: Trial) -> None:
        broker, agent = await t.broker(), await spawn(t)
        assert agent.pid != os.getpid()
        assert agent.profile.capabilities == t.profile.capabilities
        envelopes = t.envelopes(3, headers={"x-conformance-kept": [1, {"two": b"\x03"}]})
        await t.stored(agent.broker, *envelopes)
        session = await agent.session()
        taken = await t.take(session, 3)
        assert [d.envelope for d in taken] == envelopes
        assert list(await session.held()) == [d.receipt for d in taken]
        session.disown([taken[1].receipt])
        assert await t.one(session) == taken[1]
        await t.done(session, t.complete(taken[0], emit=[t.envelope("next")]))
        assert list(await session.signals(wait=0)) == []
        await session.leave()
        assert (await t.one(await t.session(broker))).counts == Counts(0, 0, 1)

    passes(served, body)


def test_errors_cross(served: BrokerHarness) -> None:
    async def body(t: Trial) -> None:
        broker, agent = await t.broker(), await spawn(t)
        with pytest.raises(InvalidOption, match="below"):
            await agent.session(lease=0.001)
        session = await agent.session()
        await broker.expire(session.id)
        with pytest.raises(SessionFenced):
            await session.fetch(Want(1, [(t.queue(), 1)]), wait=0)
        with pytest.raises(AgentError, match=r"Traceback[\s\S]*ValueError"):
            await agent.block(-1.0)
        await agent.broker.close()
        with pytest.raises(BrokerClosed):
            await agent.broker.sweep(limit=1)

    passes(served, body)


def test_its_death_is_told_to_those_who_wait(served: BrokerHarness) -> None:
    async def body(t: Trial) -> None:
        await t.broker()
        agent = await spawn(t)
        session = await agent.session()
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(heard(session.fetch(Want(1, [(t.queue(), 1)]), wait=60)))
            await turns(3)
            await agent.kill()
        assert "exit code -9" in waiting.result()
        assert "exit code -9" in await heard(session.held())
        assert gone(agent.pid)
        await agent.kill()  # nobody else's process is hit

    passes(served, body)


async def heard(call: Awaitable[object]) -> str:
    with pytest.raises(AgentGone) as caught:
        await call
    return str(caught.value)


def test_stopped_it_stands_still_until_it_goes_on(served: BrokerHarness) -> None:
    async def body(t: Trial) -> None:
        await t.broker()
        agent = await spawn(t)
        session = await agent.session(lease=60)
        for _ in range(3):
            await agent.stop()
            assert state(agent.pid) == "T"
            async with asyncio.TaskGroup() as group:
                asking = group.create_task(session_held(session))
                await turns(50)
                assert not asking.done()
                await agent.go_on()
            assert asking.result() == []

    passes(served, body)


async def session_held(session: Session) -> list[object]:
    return list(await session.held())


def test_calls_of_a_session_are_made_in_the_order_of_their_sending(served: BrokerHarness) -> None:
    async def body(t: Trial) -> None:
        broker, agent = await t.broker(), await spawn(t)
        await t.stored(broker, *t.envelopes(50))
        session = await agent.session()
        taken = await t.take(session, 50)
        async with asyncio.TaskGroup() as group:
            # a number that is below one that was heard before would be STALE
            for number, delivery in enumerate(taken, 1):
                group.create_task(done(t, session, delivery, number))

    passes(served, body)


async def done(t: Trial, session: Session, delivery: Delivery, number: int) -> None:
    assert list(await session.settle([t.complete(delivery)], number=number)) == [DONE]


def test_nothing_of_it_outlives_the_case(served: BrokerHarness) -> None:
    pids: list[int] = []

    async def body(t: Trial) -> None:
        await t.broker()
        agents = await spawned(t, 3)
        await agents[1].stop()
        pids.extend([*(agent.pid for agent in agents), await agents[2].fork()])
        await agents[2].kill()
        assert [gone(pid) for pid in pids] == [False, False, True, False]
        raise Unproven("whatever becomes of the case")

    assert report_of(served, body).outcome is Outcome.UNPROVEN
    ends = time.monotonic() + 5
    while not all(map(gone, pids)) and time.monotonic() < ends:
        time.sleep(0.01)  # the forked child is not ours to wait for: it goes when its end of the pipe closes
    assert all(map(gone, pids))


def test_its_clock_may_be_off(served: BrokerHarness) -> None:
    async def body(t: Trial) -> None:
        await t.broker()
        agent = await spawn(t, clock_offset=-3600.0)
        assert agent.profile.clock_offset == pytest.approx(3600, abs=30)
        assert t.profile.clock_offset == 0

    passes(served, body)


def test_what_it_prints_is_kept_for_the_report(
    served: BrokerHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "harness_that_dies.py").write_text(
        "import os\n"
        "from power.served.harness import Harness\n"
        "class Dies(Harness):\n"
        "    @staticmethod\n"
        "    def dial(url):\n"
        "        print('this is not the right day', flush=True)\n"
        "        os._exit(3)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    harness = importlib.import_module("harness_that_dies").Dies()
    monkeypatch.setattr(harness, "broker", served.broker)
    monkeypatch.setattr(harness, "wipe", served.wipe)
    monkeypatch.setattr(harness, "url", served.url)

    async def body(t: Trial) -> None:
        await spawn(t)

    report = report_of(harness, body)
    assert report.outcome is Outcome.FAILED
    assert "is gone (exit code 3): this is not the right day" in report.message
    assert "printed: this is not the right day" in str(report)


class Elsewhere(Harness):
    """Said to be of a module that only this process has."""


Elsewhere.__module__ = "nowhere_to_be_found"


def test_a_harness_that_no_other_process_can_import_leaves_it_unproven(
    served: BrokerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Local(Harness):
        pass

    class Main(Harness):
        pass

    Main.__module__, Main.__qualname__ = "__main__", "Main"

    async def body(t: Trial) -> None:
        await spawn(t)

    for kind, said in ((Local, "put it into a module"), (Main, "put it into a module"), (Elsewhere, "No module named")):
        harness = kind()
        monkeypatch.setattr(harness, "broker", served.broker)
        monkeypatch.setattr(harness, "wipe", served.wipe)
        monkeypatch.setattr(harness, "url", served.url)
        report = report_of(harness, body)
        assert report.outcome is Outcome.UNPROVEN, str(report)
        assert said in report.message


def test_a_store_of_this_process_has_no_other() -> None:
    async def body(t: Trial) -> None:
        await spawn(t)

    with started(MemoryHarness()) as harness:
        assert report_of(harness, body).outcome is Outcome.NOT_APPLICABLE


def test_frames_arrive_whole_however_they_are_cut() -> None:
    calls = [Call(n, "broker", "publish", (MappingProxyType({"n": b"x" * n}),), {"wait": n}) for n in (0, 1, 70_000)]
    data = b"".join(map(frame, calls))
    for size in (1, 3, 4096, len(data)):
        frames = Frames()
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert [call for piece in pieces for call in frames.feed(piece)] == calls
    (answer,) = Frames().feed(frame(Answer(1, error=SessionFenced("gone"))))
    assert isinstance(answer.error, SessionFenced)


class Story:
    """A history as the judge reads it."""

    def __init__(self) -> None:
        self._made = Making(lambda: 0.0)
        self.task = self._made.envelope()
        self.records: list[Record] = []

    def taken(self, session: str, lost: int = 0) -> Story:
        delivery = Delivery(self.task, 1, Counts(0, lost))
        self.records.append(HandOut(begin=1, end=2, session=SessionId(session), asked=1, answer=(delivery,)))
        return self

    def settled(self, session: str, answer: Settled = DONE) -> Story:
        batch = (self._made.complete(Delivery(self.task, 1)),)
        self.records.append(Settle(begin=1, end=2, session=SessionId(session), number=1, batch=batch, answer=(answer,)))
        return self

    def wrong(self) -> list[str]:
        return judged([self.task.id], self.records, dead=SessionId("dead"))


@pytest.mark.parametrize(
    "story",
    [
        Story().taken("a").settled("a"),
        Story().taken("dead").settled("dead"),
        Story().taken("dead").taken("a", lost=1).settled("a"),
        Story().taken("dead").taken("a", lost=1).settled("a").settled("dead", STALE),
    ],
)
def test_good_histories_of_a_competition(story: Story) -> None:
    assert story.wrong() == []


@pytest.mark.parametrize(
    "story",
    [
        Story(),
        Story().taken("a"),
        Story().taken("dead"),
        Story().taken("a").settled("a").settled("a"),
        Story().taken("a").taken("b").settled("a"),
        Story().taken("a").taken("b", lost=1).settled("b"),
        Story().taken("dead").taken("a").settled("a"),
        Story().taken("dead").taken("a", lost=2).settled("a"),
        Story().taken("dead").settled("dead").taken("a", lost=1).settled("a"),
        Story().taken("dead").settled("dead").taken("a", lost=1),
        Story().taken("dead").taken("a", lost=1).taken("b", lost=1).settled("a"),
        Story().taken("a", lost=1).settled("a"),
    ],
)
def test_bad_histories_of_a_competition(story: Story) -> None:
    assert story.wrong()


@pytest.mark.parametrize(
    "story, wrong",
    [
        (Story().taken("dead").taken("a").taken("b").settled("a").settled("b"), False),
        (Story().taken("dead").taken("a"), True),
    ],
)
def test_what_is_not_steady_may_come_again_but_not_go(story: Story, wrong: bool) -> None:
    assert bool(judged([story.task.id], story.records, dead=SessionId("dead"), steady=False)) is wrong


def test_a_task_that_nobody_published_is_told() -> None:
    stranger = Story().taken("a").settled("a")
    assert judged([], stranger.records, dead=SessionId("dead")) == [f"{stranger.task.id[-6:]} was never published"]
