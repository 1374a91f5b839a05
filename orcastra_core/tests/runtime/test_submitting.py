"""The publishing side: batches by themselves, withdrawing, and holding back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from core_doubles import FaultyBroker, attach, depth, until

from orcastra_core import Orcastra
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import BrokerClosed
from orcastra_core.model.ids import IdFactory
from orcastra_core.model.names import QueueName, TaskName
from orcastra_core.model.published import STORED, Published
from orcastra_core.plugins import load_broker
from orcastra_core.runtime import batcher as batching
from orcastra_core.runtime.batcher import Batcher

new_id = IdFactory()


def envelope(size: int = 0) -> Envelope:
    return Envelope(new_id(), QueueName("q"), TaskName("t"), bytes(size))


def make(url: str) -> tuple[Orcastra, Any, FaultyBroker]:
    app = Orcastra(url)

    @app.task
    async def note(n: int) -> int:
        return n

    broker = FaultyBroker(load_broker(url))
    attach(app, broker)
    return app, note, broker


async def test_concurrent_submits_become_few_calls(url: str) -> None:
    app, note, broker = make(url)
    async with app:
        handles = await asyncio.gather(*(note.submit(n) for n in range(100)))
        assert len({handle.id for handle in handles}) == 100
        assert sum(broker.batches) == 100
        assert len(broker.batches) <= 2, broker.batches
        assert (await depth(app)).ready == 100


async def test_one_submit_waits_for_nobody() -> None:
    app, note, broker = make("memory://")
    async with app:
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for n in range(20):
            await note.submit(n)
        assert broker.batches == [1] * 20
        assert loop.time() - begun < 0.5, "no timer collects them"


async def test_what_comes_while_a_batch_is_on_its_way_is_the_next_one() -> None:
    app, note, broker = make("memory://")
    broker.gate = asyncio.Event()
    async with app:
        first = asyncio.create_task(note.submit(0))
        await until(lambda: broker.batches != [], "the first batch is on its way")
        others = [asyncio.create_task(note.submit(n)) for n in range(1, 2501)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert broker.batches == [1]
        broker.gate.set()
        await asyncio.gather(first, *others)
        assert broker.batches == [1, 1000, 1000, 500]


async def test_order_is_kept() -> None:
    app, note, _ = make("memory://")
    async with app:
        handles = await asyncio.gather(*(note.submit(n) for n in range(50)))
        assert [handle.id for handle in handles] == sorted(handle.id for handle in handles)


async def test_cancelled_before_its_batch_is_sent_it_is_withdrawn() -> None:
    app, note, broker = make("memory://")
    broker.gate = asyncio.Event()
    async with app:
        first = asyncio.create_task(note.submit(0))
        await until(lambda: broker.batches != [], "the first batch is on its way")
        withdrawn = asyncio.create_task(note.submit(1))
        kept = asyncio.create_task(note.submit(2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        withdrawn.cancel()
        broker.gate.set()
        await asyncio.gather(first, kept)
        with pytest.raises(asyncio.CancelledError):
            await withdrawn
        assert broker.batches == [1, 1]
        assert (await depth(app)).ready == 2


async def test_cancelled_after_it_was_sent_it_counts_as_sent() -> None:
    app, note, broker = make("memory://")
    broker.gate = asyncio.Event()
    async with app:
        one = asyncio.create_task(note.submit(0))
        await until(lambda: broker.batches != [], "the first batch is on its way")
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one
        broker.gate.set()
        await note.submit(1)
        assert (await depth(app)).ready == 2


class Recorder:
    """Takes batches when it may."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Envelope]] = []
        self.gate = asyncio.Event()

    async def __call__(self, batch: Sequence[Envelope]) -> Sequence[Published]:
        self.batches.append(batch)
        await self.gate.wait()
        return [STORED] * len(batch)


async def test_submits_wait_when_too_many_have_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "WAITING_ITEMS", 10)
    send = Recorder()
    batcher = Batcher(send, max_batch=4)
    running = asyncio.create_task(batcher.run())
    submits = [asyncio.create_task(batcher.submit(envelope())) for _ in range(30)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(batcher._waiting) <= 10, "ten wait, the others have not been let in"
    send.gate.set()
    assert await asyncio.gather(*submits) == [STORED] * 30
    assert sum(map(len, send.batches)) == 30
    assert max(map(len, send.batches)) <= 4
    running.cancel()


async def test_submits_wait_when_too_many_bytes_have_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "WAITING_BYTES", 1000)
    send = Recorder()
    batcher = Batcher(send, max_batch=1000)
    running = asyncio.create_task(batcher.run())
    submits = [asyncio.create_task(batcher.submit(envelope(400))) for _ in range(20)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert batcher._bytes <= 1400
    send.gate.set()
    assert len(await asyncio.gather(*submits)) == 20
    running.cancel()


async def test_a_batch_closes_at_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "BATCH_BYTES", 1000)
    send = Recorder()
    send.gate.set()
    batcher = Batcher(send, max_batch=1000)
    running = asyncio.create_task(batcher.run())
    await asyncio.gather(*(batcher.submit(envelope(size)) for size in (600, 300, 200, 5000, 1, 1)))
    assert [[len(one.body) for one in batch] for batch in send.batches] == [[600, 300], [200], [5000], [1, 1]]
    running.cancel()


async def test_withdrawn_ones_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "WAITING_ITEMS", 3)
    send = Recorder()
    batcher = Batcher(send, max_batch=2)
    running = asyncio.create_task(batcher.run())
    submits = [asyncio.create_task(batcher.submit(envelope())) for _ in range(9)]
    for _ in range(5):
        await asyncio.sleep(0)
    for submit in submits[2:8]:
        submit.cancel()
    send.gate.set()
    async with asyncio.timeout(2):
        ended = await asyncio.gather(*submits, return_exceptions=True)
    assert [one is STORED for one in ended] == [True, True, *[False] * 6, True]
    running.cancel()


async def test_stopped_it_frees_all_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "WAITING_ITEMS", 3)
    batcher = Batcher(Recorder(), max_batch=2)
    running = asyncio.create_task(batcher.run())
    submits = [asyncio.create_task(batcher.submit(envelope())) for _ in range(9)]
    for _ in range(5):
        await asyncio.sleep(0)
    running.cancel()
    async with asyncio.timeout(2):
        ended = await asyncio.gather(*submits, return_exceptions=True)
    assert {type(one) for one in ended} == {BrokerClosed}
    assert "may be stored or not" in str(ended[0])
    assert "before this was submitted" in str(ended[-1])


async def test_the_chunk_before_leaves_while_the_next_one_is_made(url: str) -> None:
    app, note, broker = make(url)
    sent_at: list[int] = []

    def calls() -> Iterator[Any]:
        for n in range(2000):
            sent_at.append(len(broker.batches))
            yield note.call(n)

    async with app:
        await app.submit_many(calls())
    assert broker.batches == [1000, 1000]
    assert sent_at[1001] <= 1, "the first chunk is whole before it is sent"
    assert sent_at[1200] == 1, "it left long before the second one was made"
