"""Odd but legal values: whatever the names, numbers and bytes are, they arrive as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import attrs

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_conformance.modelling import oddities
from orcastra_core.model.counts import Counts
from orcastra_core.model.envelope import Dedup, Envelope
from orcastra_core.model.names import TaskName
from orcastra_core.model.profile import Cap
from orcastra_core.model.published import Duplicate
from orcastra_core.model.result import ErrorInfo, Outcome, Result
from orcastra_core.model.settlement import Complete

T = TypeVar("T")

_NAMES = 16


@case(
    "fuzz.payload",
    budget=5.0,
    why="an envelope is an immutable message: any bytes, headers and unknown keys arrive as they were published",
)
async def _(t: Trial) -> None:
    rng, most = t.rng, t.profile.limits.max_body

    def odd() -> dict[str, Any]:
        return {
            "body": oddities.some_bytes(rng, rng.choice((most, 1000))),
            "content_type": oddities.some_media_type(rng),
            "headers": oddities.some_headers(rng),
            "extras": oddities.some_extras(rng),
            "reply": rng.choice((None, oddities.some_text(rng))),
        }

    await _arrive(t, odd, rounds=8, each=20)


@case(
    "fuzz.numbers",
    budget=5.0,
    why="numbers arrive as they were published, from the least to the largest that an envelope may have",
)
async def _(t: Trial) -> None:
    rng = t.rng
    low, high = t.profile.limits.priorities

    def odd() -> dict[str, Any]:
        moment = oddities.some_moment
        return {
            "submitted_at": moment(rng),
            "expires": rng.choice((None, moment(rng))),
            "timeout": rng.choice((None, moment(rng))),
            "result_ttl": rng.choice((None, moment(rng))),
            "counts": Counts(*rng.choices((0, 1, 2**31 - 1), k=3)),
            "priority": rng.choice((low, 0, high)) if t.claims(Cap.PRIORITY) else 0,
            "due": rng.choice((None, 0.0, t.now() - FAR)) if t.claims(Cap.DELAY) else None,
            "parent": rng.choice((None, oddities.some_id(rng))),
        }

    await _arrive(t, odd, rounds=5, each=20)


@case(
    "fuzz.result",
    budget=5.0,
    needs=[Cap.RESULTS],
    why="a result is stored as it was settled, whatever its bytes and texts are",
)
async def _(t: Trial) -> None:
    broker, other = await t.broker(), await t.broker()
    store = t.expect.found(other.results, "RESULTS is claimed: the sub-service is there")
    session = await t.session(broker)
    for page in _pages(t, t.envelopes(60)):
        await t.stored(broker, *page)
        settled = [Complete(d, _odd_result(t, d.envelope.id)) for d in await t.take(session, len(page))]
        await t.done(session, *settled)
        for item, got in zip(settled, await store.get([item.result.id for item in settled]), strict=True):
            stored = attrs.evolve(t.expect.is_a(got, Result, "it has a result"), ttl=item.result.ttl)
            _same(t, stored, item.result)


@case(
    "fuzz.names",
    budget=10.0,
    why="names are kept apart whatever they are made of: queues, tasks and ids",
)
async def _(t: Trial) -> None:
    broker, other = await t.broker(), await t.broker()
    names = oddities.some_names(t.rng, _NAMES)
    sent = [
        Envelope(oddities.some_id(t.rng), name, TaskName(t.rng.choice(names)), bytes([at]))
        for at, name in enumerate(names)
    ]
    sent = list({envelope.id: envelope for envelope in sent}.values())
    for page in _pages(t, sent):
        await t.stored(broker, *page)
    if t.claims(Cap.INSPECT):
        ready = [depth.ready for depth in await other.inspect([envelope.queue for envelope in sent])]
        t.expect.equal(ready, [1] * len(sent), "one in each queue")
    session = await t.session(other, *names)
    for envelope in t.rng.sample(sent, len(sent)):
        got = await t.one(session, envelope.queue)
        t.expect.equal((got.envelope.id, got.envelope.queue), (envelope.id, envelope.queue), "that of its queue")
        await t.nothing_now(session, envelope.queue, because="there was one in it")
        _same(t, got.envelope, envelope)
    held = await session.held()
    t.expect.equal(len(held), len(sent), "all of them are held")


@case(
    "fuzz.dedup-keys",
    budget=5.0,
    needs=[Cap.DEDUP],
    why="a dedup key is any text: different ones are different keys, and equal ones the same",
)
async def _(t: Trial) -> None:
    broker, other = await t.broker(), await t.broker()
    keys = oddities.some_texts(t.rng, 40)
    first = {key: t.envelope(dedup=Dedup(key)) for key in keys}
    for page in _pages(t, keys):
        await t.stored(broker, *(first[key] for key in page))
    for page in _pages(t, t.rng.sample(keys, len(keys))):
        answers = await t.publish(other, *(t.envelope(dedup=Dedup(key)) for key in page))
        for key, answer in zip(page, answers, strict=True):
            t.expect.equal(answer, Duplicate(first[key].id), f"the key {key[:40]!r} is held by the first of it")
    for page in _pages(t, keys):  # another queue has keys of its own
        await t.stored(broker, *(t.envelope("other", dedup=Dedup(key)) for key in page))


@case(
    "fuzz.ordering-keys",
    budget=5.0,
    needs=[Cap.ORDERED_KEY],
    why="an ordering key is any text: one of each key runs at a time, and no key waits for another",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    keys = oddities.some_texts(t.rng, 25)
    heads, others = ([t.envelope(order_by=key) for key in keys] for _ in range(2))
    for page in _pages(t, [*heads, *others]):
        await t.stored(broker, *page)
    session = await t.session(broker)
    for expected in (heads, others):
        taken = [delivery for page in _pages(t, keys) for delivery in await t.take(session, len(page))]
        t.expect.same([d.envelope.id for d in taken], [e.id for e in expected], "the first of each key, and no other")
        await t.nothing_now(session, because="one of a key at a time")
        for settled in _pages(t, taken):
            await t.done(session, *(t.complete(delivery) for delivery in settled))


async def _arrive(t: Trial, odd: Callable[[], dict[str, Any]], *, rounds: int, each: int) -> None:
    """Publish envelopes with odd fields, and demand that another client gets them as they were."""
    broker, other = await t.broker(), await t.broker()
    session = await t.session(other)
    for _ in range(rounds):
        number = min(each, t.profile.limits.max_batch)
        sent = {envelope.id: envelope for envelope in (t.envelope(**odd()) for _ in range(number))}
        await t.stored(broker, *sent.values())
        taken = await t.take(session, len(sent))
        for delivery in taken:
            want = t.expect.found(sent.get(delivery.envelope.id), "what arrives was sent")
            _same(t, delivery.envelope, want)
            t.expect.equal(delivery.counts, want.counts, "a delivery starts with its envelope's counts")
        t.expect.equal(len({d.envelope.id for d in taken}), len(sent), "each once")
        await t.done(session, *(t.complete(delivery) for delivery in taken))


def _same(t: Trial, got: object, want: Envelope | Result) -> None:
    """Demand equal fields; where an envelope's counts travel is the backend's business."""
    for field in (field.name for field in attrs.fields(type(want))):
        if not (field == "counts" and isinstance(want, Envelope)):
            have, ought = getattr(got, field, None), getattr(want, field)
            if field in ("headers", "extras") and have is not None:
                have, ought = dict(have), dict(ought)
            t.expect.equal(have, ought, f"{field} arrives as it was sent")


def _odd_result(t: Trial, task_id: Any) -> Result:
    rng = t.rng
    kind, message, where = (oddities.some_text(rng) for _ in range(3))
    error = ErrorInfo(kind, message, where, rng.random() < 0.5)
    outcome = rng.choice((Outcome.COMPLETED, Outcome.FAILED))
    value = oddities.some_bytes(rng, min(2000, t.profile.limits.max_body)) if outcome is Outcome.COMPLETED else b""
    media = oddities.some_media_type(rng)
    return Result(
        task_id, outcome, value, media, error if outcome is Outcome.FAILED else None, oddities.some_moment(rng), FAR
    )


def _pages(t: Trial, items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Split what may be too much for one call."""
    size = min(50, t.profile.limits.max_batch)
    return (items[at : at + size] for at in range(0, len(items), size))
