"""The settler: numbered batches, repeats, and what to do with bad answers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest
from core_doubles.clock import EagerClock

from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery, Receipt, Want
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import AuthenticationFailed, BodyTooLarge, BrokerUnavailable, InvalidOption
from orcastra_core.model.ids import IdFactory
from orcastra_core.model.names import QueueName, SessionId, TaskName
from orcastra_core.model.result import ErrorInfo, Outcome, Result
from orcastra_core.model.session import Signal
from orcastra_core.model.settlement import DONE, STALE, Complete, Dead, Failed, Release, Retry, Settled, Settlement
from orcastra_core.runtime import settler as settling
from orcastra_core.runtime.patience import Patience
from orcastra_core.runtime.settler import Settler
from orcastra_core.runtime.stats import Stats
from orcastra_core.runtime.tenure import Tenure

new_id = IdFactory()
CLOCK = EagerClock()


class Scripted(Session):
    """Answers settles as a test says, with Done where it says nothing."""

    def __init__(self) -> None:
        self.id = SessionId("s")
        self.lease = 10.0
        self.batches: list[tuple[int, list[Settlement]]] = []
        self.script: list[Any] = []
        self.gate: asyncio.Event | None = None

    async def settle(self, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        assert batch, "empty batches are not sent"
        self.batches.append((number, list(batch)))
        if self.gate is not None:
            await self.gate.wait()
        answer = self.script.pop(0) if self.script else DONE
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, list) else [answer] * len(batch)

    async def fetch(self, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        raise NotImplementedError

    async def signals(self, *, wait: float) -> Sequence[Signal]:
        raise NotImplementedError

    async def held(self) -> Sequence[Receipt]:
        return []

    def disown(self, receipts: Sequence[Receipt], /) -> None: ...

    async def leave(self) -> None: ...

    @property
    def numbers(self) -> list[int]:
        return [number for number, _ in self.batches]

    @property
    def sizes(self) -> list[int]:
        return [len(batch) for _, batch in self.batches]


def completed(size: int = 0) -> Complete:
    envelope = Envelope(new_id(), QueueName("q"), TaskName("t"), b"")
    return Complete(Delivery(envelope, envelope.id), Result(envelope.id, Outcome.COMPLETED, bytes(size)))


def make(session: Scripted, max_batch: int = 1000) -> tuple[Settler, list[Settlement], list[Settlement]]:
    stale: list[Settlement] = []
    refused: list[Settlement] = []

    def on_refused(settlement: Settlement, error: Exception) -> Settlement:
        refused.append(settlement)
        return Release(settlement.delivery)

    settler = Settler(
        session,
        max_batch=max_batch,
        patience=Patience("settling", CLOCK, random.Random(1)),
        on_stale=stale.extend,
        on_refused=on_refused,
    )
    return settler, stale, refused


async def drain(settler: Settler, *items: Settlement) -> None:
    for item in items:
        settler.add(item)
    settler.close()
    async with asyncio.timeout(2):
        await settler.run()


async def test_at_once_when_idle_and_gathered_while_one_is_on_its_way() -> None:
    session = Scripted()
    session.gate = asyncio.Event()
    settler, _, _ = make(session)
    running = asyncio.create_task(settler.run())
    settler.add(completed())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert session.sizes == [1]
    for _ in range(10):
        settler.add(completed())
    await asyncio.sleep(0)
    assert len(settler.receipts()) == 11
    session.gate.set()
    await settler.idle()
    assert session.sizes == [1, 10]
    assert session.numbers == [1, 2]
    assert settler.receipts() == set()
    running.cancel()


async def test_bounded_by_items_and_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Scripted()
    settler, _, _ = make(session, max_batch=4)
    await drain(settler, *(completed() for _ in range(10)))
    assert session.sizes == [4, 4, 2]
    monkeypatch.setattr(settling, "BATCH_BYTES", 1000)
    session = Scripted()
    settler, _, _ = make(session)
    await drain(settler, *(completed(size) for size in (600, 300, 200, 5000, 1)))
    assert session.sizes == [2, 1, 1, 1]


async def test_a_repeat_has_the_same_number_and_batch() -> None:
    session = Scripted()
    session.script = [BrokerUnavailable("a"), BrokerUnavailable("b"), DONE]
    settler, stale, _ = make(session)
    one, two = completed(), completed()
    await drain(settler, one, two)
    assert session.numbers == [1, 1, 1]
    assert all(batch == [one, two] for _, batch in session.batches)
    assert stale == []


async def test_what_no_repeat_mends_is_raised() -> None:
    session = Scripted()
    session.script = [AuthenticationFailed("no")]
    settler, _, _ = make(session)
    with pytest.raises(AuthenticationFailed):
        await drain(settler, completed())


async def test_stale_items_are_told() -> None:
    session = Scripted()
    one, two = completed(), completed()
    session.script = [[STALE, DONE]]
    settler, stale, _ = make(session)
    await drain(settler, one, two)
    assert stale == [one]


async def test_a_bad_item_fails_alone() -> None:
    session = Scripted()
    good, slow, bad = completed(), completed(), completed()
    session.script = [[DONE, Failed(BrokerUnavailable("later")), Failed(BodyTooLarge("never"))]]
    settler, stale, refused = make(session)
    await drain(settler, good, slow, bad)
    assert session.numbers == [1, 2]
    assert session.batches[1][1] == [slow, Release(bad.delivery)]
    assert (stale, refused) == ([], [bad])


async def test_after_the_reap_all_that_got_no_answer_came_too_late() -> None:
    session = Scripted()
    session.gate = asyncio.Event()
    settler, stale, _ = make(session)
    running = asyncio.create_task(settler.run())
    one, two = completed(), completed()
    settler.add(one)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    settler.add(two)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    settler.discard()
    assert stale == [one, two]
    await settler.idle()


def tenure(session: Session, stats: Stats | None = None) -> tuple[Tenure, list[bytes]]:
    log: list[bytes] = []
    return (
        Tenure(
            session,
            max_batch=1000,
            clock=CLOCK,
            rng=random.Random(1),
            stats=stats or Stats(),
            log_events=log.append,
        ),
        log,
    )


@pytest.mark.parametrize("kind", ["complete", "retry", "release", "dead"])
async def test_an_outcome_that_can_never_be_stored_ends_somewhere(kind: str) -> None:
    """Each kind is replaced by one that is simpler, and never by itself for ever."""
    session = Scripted()
    kept, _ = tenure(session)
    info = ErrorInfo("E", "x")
    whole = completed()
    kinds: dict[str, Settlement] = {
        "complete": whole,
        "retry": Retry(whole.delivery, 1e12, info),
        "release": Release(whole.delivery, 1e12),
        "dead": Dead(whole.delivery, "r", info, whole.result),
    }
    session.script = [[Failed(InvalidOption("never"))]]
    kept.settle(kinds[kind])
    kept.settler.close()
    async with asyncio.timeout(2):
        await kept.settler.run()
    assert session.numbers == [1, 2]
    (instead,) = session.batches[1][1]
    assert isinstance(instead, Release if kind == "dead" else Dead)
    assert instead.delivery is whole.delivery
    if isinstance(instead, Dead):
        assert "could not be stored: never" in instead.reason


async def test_what_is_settled_after_the_reap_is_discarded_with_an_event() -> None:
    from orcastra_core.model.event import EventKind
    from orcastra_core.serialization.event_codec import decode_events

    stats = Stats()
    kept, log = tenure(Scripted(), stats)
    kept.fence()
    item = completed()
    kept.settle(item)
    assert stats.stale == 1
    (event,) = decode_events(b"".join(log))
    assert (event.kind, event.task_id, event.session) == (EventKind.DISCARDED, item.result.id, "s")
