"""The machine that drives a broker beside the model, and the crowd: they find what is wrong, say it well, and end."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from power.saboteurs import all_saboteurs

from orcastra_conformance import BrokerHarness
from orcastra_conformance.engine.case import Case, CaseBody
from orcastra_conformance.engine.expect import Violation
from orcastra_conformance.engine.outcome import CaseReport, Outcome
from orcastra_conformance.engine.runner import run_case
from orcastra_conformance.engine.steps import turns
from orcastra_conformance.engine.tiers import Tier
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_conformance.modelling.bridge import Bridge, Halt
from orcastra_conformance.modelling.crowd import Crowd
from orcastra_conformance.modelling.domain import Domain
from orcastra_conformance.modelling.proof import Proof, Size
from orcastra_conformance.modelling.script import Script, shortened
from orcastra_conformance.suite import started
from orcastra_core.backends.memory.conformance import Harness
from orcastra_core.backends.memory.session import MemorySession
from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery, Want

SMALL = Size(examples=10, steps=40, seconds=30.0, shortening=0.5)
PROOF = Size(examples=1000, steps=100, seconds=1000.0, shortening=30.0)


def report_of(
    body: CaseBody, harness: BrokerHarness | None = None, *, seed: int = 0, budget: float = 50.0
) -> CaseReport:
    case = Case("model.queue", "model", Tier.CORE, frozenset(), None, "as a queue does", body, budget=budget)
    with started(harness or Harness()) as running:
        return run_case(case, running, seed=seed)


def proving(size: Size = SMALL, seed: int = 0) -> CaseBody:
    async def body(t: Trial) -> None:
        await Proof(t, size, seed=seed).run()

    return body


@contextmanager
def spoilt(name: str) -> Iterator[BrokerHarness]:
    """A harness of the reference broker with a saboteur's fault."""
    (saboteur,) = (one for one in all_saboteurs() if one.id == name)
    with saboteur.at_work() as harness:
        yield harness


# -- the machine


def test_the_reference_broker_agrees_with_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report = report_of(proving())
    assert report.outcome is Outcome.PASSED, report
    assert list(tmp_path.iterdir()) == [], "Hypothesis leaves nothing in the caller's directory"


def test_a_seed_means_the_same_sequences() -> None:
    tried: dict[int, list[list[str]]] = {}
    for run, seed in enumerate((7, 7, 8)):
        domains: list[list[str]] = tried.setdefault(run, [])

        class Watched(Proof):
            async def _close(self) -> None:
                if self._open is not None:
                    domains.append([type(record).__name__ for record in self._open.t.history.records])  # noqa: B023
                await super()._close()

        async def body(t: Trial) -> None:
            await Watched(t, SMALL, seed=seed).run()  # noqa: B023

        assert report_of(body).outcome is Outcome.PASSED
    assert tried[0] == tried[1]
    assert tried[0] != tried[2]
    assert len(tried[0]) >= SMALL.examples


def test_a_fault_is_told_by_the_few_steps_that_show_it() -> None:
    with spoilt("a-retry-remembers-losses") as harness:
        report = report_of(proving(Size(100, 60, 30.0, 2.0)), harness)
    assert report.outcome is Outcome.FAILED
    why, _, steps = report.message.partition("  after these steps:\n")
    assert "counts" in why
    lines = steps.splitlines()
    assert len(lines) < 25, "made short"
    for parts in (("publish [",), ("fetch",), ("expire", "sweep"), ("settle #",)):
        assert any(part in line for line in lines for part in parts), f"{parts} is one of the steps that it takes"


def test_what_a_broker_raises_is_a_failure_with_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: MemorySession) -> Sequence[object]:
        raise KeyError("held")

    monkeypatch.setattr(MemorySession, "held", broken)
    report = report_of(proving())
    assert report.outcome is Outcome.FAILED
    assert "it raised KeyError('held')" in report.message
    assert "open a session" in report.message


def test_a_harness_without_powers_proves_less_and_no_wrong() -> None:
    class Plain(Harness):
        async def silence(self, session: Session) -> None:
            await BrokerHarness.silence(self, session)

    report = report_of(proving(), Plain())
    assert report.outcome is Outcome.PASSED, report
    lesser = report_of(proving(), Harness("lesser"))
    assert lesser.outcome is Outcome.PASSED, lesser


def test_a_call_that_does_not_come_back_is_told_with_the_steps_before_it() -> None:
    with spoilt("waits-for-ever-at-zero") as harness:
        harness.soon = 0.02
        report = report_of(proving(), harness)
    assert (report.outcome, report.timed_out) == (Outcome.FAILED, False)
    assert "a call does not come back" in report.message
    assert "fetch" in report.message.splitlines()[-1]


def test_a_slow_store_gets_through_the_first_examples_only() -> None:
    report = report_of(proving(Size(100, 60, 0.2, 0.1)))
    assert report.outcome is Outcome.PASSED, report
    assert any("its time was over" in line for line in report.history)


def test_the_machine_ends_with_its_case(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stuck(self: MemorySession, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(MemorySession, "fetch", stuck)
    before = threading.active_count()
    report = report_of(proving(), budget=0.5)
    assert (report.outcome, report.timed_out) == (Outcome.FAILED, True)
    assert "outlive" not in report.message
    assert report.seconds < 5.0
    assert threading.active_count() <= before


@pytest.mark.proof
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not os.environ.get("ORCASTRA_PROOF"), reason="long: make proof")
@pytest.mark.parametrize("mode", Harness.modes)
def test_a_thousand_long_sequences(mode: str) -> None:
    report = report_of(proving(PROOF), Harness(mode), budget=1100.0)
    assert report.outcome is Outcome.PASSED, report
    assert not any("its time was over" in line for line in report.history)


# -- the crowd


async def crowding(t: Trial) -> None:
    await Crowd(t).run()


@pytest.mark.parametrize("seed", range(5))
def test_the_reference_broker_bears_a_crowd(seed: int) -> None:
    report = report_of(crowding, seed=seed)
    assert report.outcome is Outcome.PASSED, report


@pytest.mark.parametrize("name", ["gives-up-on-the-unlucky", "chooses-then-marks", "remembers-late"])
def test_a_crowd_finds_what_goes_wrong_between_clients(name: str) -> None:
    with spoilt(name) as harness:
        report = report_of(crowding, harness)
    assert report.outcome is Outcome.FAILED
    assert "what is known of" in report.message


# -- the parts


async def test_the_bridge_awaits_what_a_thread_asks_for() -> None:
    bridge = Bridge()

    async def double(number: int) -> int:
        await turns(2)
        return 2 * number

    async def failing() -> None:
        raise Violation("no")

    def work() -> list[object]:
        seen: list[object] = [bridge.await_(partial(double, n)) for n in range(3)]
        try:
            bridge.await_(failing)
        except Violation as error:
            seen.append(str(error))
        return seen

    assert await bridge.run(work) == [0, 2, 4, "no"]


async def test_a_cancelled_bridge_ends_its_thread() -> None:
    bridge, ended = Bridge(), threading.Event()

    def work() -> None:
        try:
            while True:
                bridge.await_(lambda: turns(1))
        except Halt:
            ended.set()
            raise

    async with asyncio.TaskGroup() as group:
        running = group.create_task(bridge.run(work))
        await turns(50)
        running.cancel()
    assert ended.is_set()
    assert running.cancelled()


async def test_what_a_thread_raises_reaches_who_runs_the_bridge() -> None:
    def work() -> None:
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        await Bridge().run(work)


async def test_a_script_is_made_as_short_and_as_plain_as_it_can_be() -> None:
    steps = [bytes([number, 9, 9]) for number in range(40)]

    async def fails(script: Script) -> int:
        """Fail where step 7 comes before step 30."""
        first = [step[0] for step in script.steps]
        return first.index(30) + 1 if 7 in first and 30 in first and first.index(7) < first.index(30) else 0

    short = await shortened(Script(b"k", steps), fails, enough=lambda: False)
    assert short.steps == [b"\x07", b"\x1e"]
    whole = await shortened(Script(b"k", steps), fails, enough=lambda: True)
    assert len(whole.steps) == 40, "there was no time"


def test_domains_of_examples_do_not_meet() -> None:
    names: list[str] = []

    async def body(t: Trial) -> None:
        class Named(Proof):
            async def _begin(self) -> Domain:
                domain = await super()._begin()
                names.append(domain.t.domain)
                return domain

        await Named(t, SMALL, seed=1).run()
        await t.advance(FAR)

    assert report_of(body).outcome is Outcome.PASSED
    assert len(set(names)) == len(names) >= SMALL.examples
