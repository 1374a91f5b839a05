"""What cannot be run or stored ends among the dead letters, once, and the worker lives on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from core_doubles import at_work, depth, events_of, kinds_of, letters, make, until

from orcastra_core import Orcastra
from orcastra_core.backends.memory import MemoryBroker
from orcastra_core.model.counts import Counts
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.errors import TaskFailed
from orcastra_core.model.event import EventKind
from orcastra_core.model.ids import IdFactory
from orcastra_core.model.names import QueueName, TaskName
from orcastra_core.model.published import STORED
from orcastra_core.runtime.verdict import unknown_task_delay

DEFAULT = QueueName("default")
new_id = IdFactory()


async def test_a_value_that_cannot_be_written(url: str) -> None:
    app, fine = make(url)

    @app.task(name="opaque")
    async def opaque() -> object:
        return object()

    async with app, at_work(app):
        handle = await opaque.submit()
        with pytest.raises(TaskFailed, match=r"SerializationError.*opaque"):
            await handle
        (letter,) = await letters(app)
        assert letter.id == handle.id
        assert "opaque" in letter.reason
        assert await (await fine.submit()) == "fine"


async def test_a_value_that_breaks_while_it_is_written(url: str) -> None:
    class Hostile(dict[str, Any]):
        def __iter__(self) -> Any:
            raise ZeroDivisionError("while iterating")

        def items(self) -> Any:
            raise ZeroDivisionError("while iterating")

    app, fine = make(url)

    @app.task(name="hostile")
    async def hostile() -> Any:
        return Hostile(a=1)

    async with app, at_work(app):
        result = await (await hostile.submit()).wait(timeout=5)
        assert result.success or len(await letters(app)) == 1
        assert await (await fine.submit()) == "fine"


async def test_a_value_that_is_not_what_was_promised(url: str) -> None:
    app, _ = make(url)

    @app.task(name="liar")
    async def liar() -> dict[str, set[int]]:
        return 5  # type: ignore[return-value]

    async with app, at_work(app):
        with pytest.raises(TaskFailed, match="SerializationError"):
            await (await liar.submit())


async def test_a_value_that_is_too_large(url: str) -> None:
    app, _ = make(url)

    @app.task(name="huge")
    async def huge() -> bytes:
        return bytes(300_000)

    async with app, at_work(app):
        with pytest.raises(TaskFailed, match=r"its result takes 3000\d\d bytes; the limit is 262144"):
            await (await huge.submit())
        assert len(await letters(app)) == 1


@pytest.mark.parametrize("body", [b"", b"\xff\xff", b"not cbor at all", b"\x80", b"\x82\x01\x02", b"\x82\x80\xa0\x00"])
async def test_a_body_that_cannot_be_read(url: str, body: bytes) -> None:
    app, fine = make(url)
    envelope = Envelope(new_id(), DEFAULT, TaskName("fine"), body)
    async with app:
        assert await app.broker.publish([envelope]) == [STORED]
        async with at_work(app):
            with pytest.raises(TaskFailed):
                await app.handle(envelope.id)
            (letter,) = await letters(app)
            assert letter.reason.startswith("undecodable")
            assert isinstance(letter.envelope, Envelope)
            assert letter.envelope.body == body, "with its bytes intact"
            assert await (await fine.submit()) == "fine"
            assert await kinds_of(app, envelope.id) == [EventKind.DEAD]


async def test_arguments_that_no_longer_fit(url: str) -> None:
    """The program has changed since they were submitted."""
    shared = "memory://resized" if url.startswith("memory") else url
    old, new = Orcastra(shared), Orcastra(shared)

    @old.task(name="resized")
    async def before(a: int, b: int) -> None: ...

    @new.task(name="resized")
    async def after(a: str) -> None: ...

    async with old, new, at_work(new):
        with pytest.raises(TaskFailed, match="resized"):
            await (await before.submit(1, 2))


async def test_an_unknown_content_type(url: str) -> None:
    app, fine = make(url)
    envelope = Envelope(new_id(), DEFAULT, TaskName("fine"), b"\x82\x80\xa0", content_type="application/x-unheard-of")
    async with app, at_work(app):
        await app.broker.publish([envelope])
        with pytest.raises(TaskFailed, match="no serializer for content type 'application/x-unheard-of'"):
            await app.handle(envelope.id)
        assert await (await fine.submit()) == "fine"


async def test_a_message_that_is_no_envelope() -> None:
    app, fine = make("memory://")
    unreadable = Unreadable(new_id(), DEFAULT, b"\x00garbage\xff", "not CBOR")
    async with app, at_work(app):
        assert isinstance(app.broker, MemoryBroker)
        app.broker.plant(unreadable)
        assert await (await fine.submit()) == "fine"
        await until(lambda: has_dead(app, 1), "it is a dead letter")
        (letter,) = await letters(app)
        assert isinstance(letter.envelope, Unreadable)
        assert letter.envelope.raw == b"\x00garbage\xff"
        assert letter.reason == "undecodable: not CBOR"
        assert [event.kind for event in await events_of(app) if event.task_id == unreadable.id] == [EventKind.DEAD]


async def has_dead(app: Orcastra, number: int) -> bool:
    return len(await letters(app)) == number


async def test_an_unknown_task_waits_for_a_deploy(url: str) -> None:
    app, fine = make(url)
    envelope = Envelope(new_id(), DEFAULT, TaskName("shop.new"), b"\x82\x80\xa0")
    async with app, at_work(app) as worker:
        await app.broker.publish([envelope])
        assert await (await fine.submit()) == "fine"
        await until(lambda: worker.stats.fetched >= 2, "the unknown one was fetched")
        await until(lambda: is_delayed(app), "it was released with a delay")
        assert await letters(app) == []
        assert [e.detail["reason"] for e in await events_of(app, EventKind.RELEASED)] == ["unknown task"]

        @app.task(name="shop.new")
        async def new() -> str:
            return "deployed"

        assert await app.handle(envelope.id) == "deployed"


async def is_delayed(app: Orcastra) -> bool:
    return (await depth(app)).delayed == 1


async def test_an_unknown_task_is_given_up_after_its_grace(url: str) -> None:
    app, fine = make(url)
    envelope = Envelope(new_id(), DEFAULT, TaskName("shop.gone"), b"\x82\x80\xa0")
    async with app, at_work(app, unknown_task_grace=0.2):
        await app.broker.publish([envelope])
        with pytest.raises(TaskFailed, match=r"no worker knew a task named 'shop.gone' for 0\.2 s"):
            await app.handle(envelope.id)
        (letter,) = await letters(app)
        assert letter.error.type == "UnknownTask"
        assert letter.counts == Counts(attempt=0, released=letter.counts.released)
        assert letter.counts.released >= 1
        assert await (await fine.submit()) == "fine"


def test_the_delay_of_an_unknown_task_grows_until_its_grace_is_used_up() -> None:
    delays: list[float] = []
    while (delay := unknown_task_delay(len(delays), 300.0)) is not None:
        delays.append(delay)
    assert delays[:7] == [0.5, 1, 2, 4, 8, 16, 30]
    assert max(delays) == 30
    assert 300 <= sum(delays) < 331
    assert unknown_task_delay(0, 0.0) is None
    assert unknown_task_delay(10**6, 1e9) == 30 or unknown_task_delay(10**6, 1e9) is None


async def test_dead_letters_survive_the_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    app, _ = make(url)

    @app.task(name="fails")
    async def fails() -> None:
        raise ValueError("for good")

    async with app, at_work(app):
        handle = await fails.submit()
        await handle.wait(timeout=5)
    again, _ = make(url)
    async with again:
        (letter,) = await letters(again)
        assert (letter.id, letter.reason) == (handle.id, "for good")
