"""A task that waits is cancelled, its result stored and pushed to who waits for it, in one step."""

from __future__ import annotations

from typing import Any

import pytest
from redis_rig import Open
from server_rig import make, until

from orcastra_core.model.envelope import Envelope
from orcastra_core.model.result import Outcome, Result
from orcastra_core.model.task_state import Cancelled
from orcastra_redis import RedisBroker
from orcastra_redis.conformance_servers import Server

SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "no body": {"body": b""},
    "long body": {"body": b"\x06" * 70_000},
    "body that looks like keys": {"body": bytes.fromhex("a10663626164")},
    "times": {"submitted_at": 1727776800.25, "timeout": 5.0, "result_ttl": 60.0},
    "more": {
        "priority": -7,
        "content_type": "application/json",
        "extras": {24: {"a": [1, None, 2.5]}, 200: b"x"},
        "headers": {"x-shop-a": ["b", {"c": True}], "x-shop-z": 2**40},
    },
}


def repr_of(raw: bytes) -> str:
    return f"{raw[:8].hex() or 'nothing'}-{len(raw)}"


@pytest.mark.parametrize("fields", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("length", [1, 16, 23, 24, 255, 256, 1024])
async def test_the_result_is_pushed_to_whoever_waits(
    redis: Server, opened: Open, length: int, fields: dict[str, Any]
) -> None:
    broker = await opened()
    reply = "r" * length
    envelope = make.envelope(reply=reply, **fields)
    async with redis.client() as client, client.pubsub() as listening:
        await listening.subscribe(f"{{orcastra}}:r:{reply}")
        assert (await listening.get_message(timeout=5))["type"] == "subscribe"
        await _cancel(broker, envelope)
        message = await listening.get_message(timeout=5)
        assert message["data"][:4] == (len(message["data"]) - 4).to_bytes(4, "big")


async def test_it_is_one_call(redis: Server, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    broker, waiting = await opened(), await opened()
    feed = await waiting.results.subscribe()
    envelopes = [make.envelope(reply=feed.channel) for _ in range(20)]
    await broker.publish(envelopes)
    calls: list[Any] = []
    link = broker._open_core().link
    call = link.call

    async def counted(*command: Any, **options: Any) -> Any:
        calls.append(command[0])
        return await call(*command, **options)

    monkeypatch.setattr(link, "call", counted)
    wishes = [make.cancellation(one.id) for one in envelopes]
    assert await broker.cancel(wishes) == [Cancelled.REMOVED] * 20
    assert calls in (["EVALSHA"], ["EVALSHA", "EVAL"])
    got: list[Result] = []

    async def all_came() -> bool:
        got.extend(await feed.next(wait=0.1))
        return len(got) >= 20

    await until(all_came, "all results were pushed")
    assert {one.id for one in got} == {one.id for one in envelopes}
    assert {one.outcome for one in got} == {Outcome.CANCELLED}


@pytest.mark.parametrize(
    "fields", [{"due": 4e9}, {"order_by": "k"}, {"reply": None}], ids=["delayed", "in line", "nobody waits"]
)
async def test_wherever_it_waits(redis: Server, opened: Open, fields: dict[str, Any]) -> None:
    broker = await opened()
    feed = await broker.results.subscribe()
    if "due" in fields:
        fields = {"due": make.result(make.id()).ended_at + 3600}
    first = make.envelope(order_by=fields.get("order_by"))
    await broker.publish([first])
    envelope = make.envelope(**{"reply": feed.channel} | fields)
    await _cancel(broker, envelope)
    got = await feed.next(wait=0.2 if fields.get("reply", True) is None else 5.0)
    assert [one.id for one in got] == ([envelope.id] if fields.get("reply", True) else [])


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        bytes.fromhex("bf06"),  # no definite length
        bytes.fromhex("a106"),  # it ends in the middle
        bytes.fromhex("a1061a"),
        bytes.fromhex("a10601"),  # no text
        bytes.fromhex("bb7fffffffffffffff"),  # it announces more than there is
        bytes.fromhex("a1009b7fffffffffffffff"),
        b"\xa1\x00" + b"\x81" * 100_000,  # containers in one another, without end
        b"\xc1" * 100_000,
        b"a sentence",
    ],
    ids=repr_of,
)
async def test_bytes_that_cannot_be_read_are_removed_like_others(redis: Server, opened: Open, raw: bytes) -> None:
    broker = await opened()
    unreadable, envelope = make.unreadable(raw), make.envelope()
    await broker.plant(unreadable)
    await broker.publish([envelope])
    wishes = [make.cancellation(unreadable.id), make.cancellation(envelope.id)]
    assert await broker.cancel(wishes) == [Cancelled.REMOVED] * 2
    (depth,) = await broker.inspect()
    assert depth.ready == 0
    assert isinstance((await broker.results.get([unreadable.id]))[0], Result)


async def _cancel(broker: RedisBroker, envelope: Envelope) -> None:
    await broker.publish([envelope])
    assert await broker.cancel([make.cancellation(envelope.id)]) == [Cancelled.REMOVED]
    (result,) = await broker.results.get([envelope.id])
    assert isinstance(result, Result)
    assert result.outcome is Outcome.CANCELLED
