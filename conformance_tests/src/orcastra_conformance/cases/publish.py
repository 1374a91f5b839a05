"""Publishing."""

from __future__ import annotations

import attrs

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.steps import cancelled_after, growing_steps
from orcastra_conformance.engine.trial import Trial
from orcastra_core.model.counts import Counts
from orcastra_core.model.envelope import CBOR, Envelope
from orcastra_core.model.published import Duplicate, Refused, Stored


@case("pub.empty-batch", why="sequences answer sequences: nothing for nothing")
async def _(t: Trial) -> None:
    broker = await t.broker()
    t.expect.equal(list(await broker.publish([])), [], "publish([]) answers []")


@case("pub.roundtrip", why="an envelope is an immutable message: all of it arrives as it was published")
async def _(t: Trial) -> None:
    broker = await t.broker()
    sent = [
        t.envelope(body=bytes(range(256)) + b"\x00end\x00", content_type="application/x-any"),
        t.envelope(body=b"", content_type=CBOR, timeout=0.0, result_ttl=0.0),
        t.envelope(
            expires=t.now() + 9000.25,
            reply="no-such-channel",
            submitted_at=1_700_000_000.123456,
            timeout=12.5,
            result_ttl=7.0,
            parent=t.id(),
            counts=Counts(2, 0, 3),
            headers={"x-test-a-1": ["a", 1, b"\x00", {"deep": True}], "x-test-n": None},
            extras={77: "later", 78: [1, 2]},
        ),
    ]
    session, taken = await t.running(broker, *sent)
    got = {delivery.envelope.id: delivery for delivery in taken}
    for envelope in sent:
        t.expect.equal(_plain(got[envelope.id].envelope), _plain(envelope), "the envelope arrives as it was published")
        t.expect.equal(got[envelope.id].counts, envelope.counts, "a delivery starts with its envelope's counts")
    await session.leave()


def _plain(envelope: object) -> dict[str, object]:
    """Return the fields to compare; where the counts travel is the backend's business."""
    fields = {name: getattr(envelope, name) for name in (field.name for field in attrs.fields(Envelope))}
    fields["headers"], fields["extras"] = dict(envelope.headers), dict(envelope.extras)  # type: ignore[attr-defined]
    del fields["counts"]
    return fields


@case("pub.results-align", why="Stored, Duplicate or Refused for each, aligned, in one batch")
async def _(t: Trial) -> None:
    broker = await t.broker()
    t.needs_repeats()
    old, new, last = t.envelopes(3)
    await t.stored(broker, old)
    big = t.envelope(body=bytes(t.profile.limits.max_body + 1))
    answers = await t.publish(broker, new, old, big, new, last)
    t.expect.is_a(answers[0], Stored, "a new envelope is Stored")
    t.expect.equal(answers[1], Duplicate(old.id), "an envelope stored before is Duplicate of itself")
    t.expect.is_a(answers[2], Refused, "a body beyond max_body is Refused")
    t.expect.equal(answers[3], Duplicate(new.id), "the same envelope twice in a batch: the second is Duplicate")
    t.expect.is_a(answers[4], Stored, "a bad item never harms its neighbours")
    session = await t.session(broker)
    got = await t.drain(session, because="the three that were Stored")
    t.in_order(got, [old.id, new.id, last.id], "what was Stored is there once, and nothing else")


@case(
    "pub.confirmed-visible",
    why="when publish returns, each Stored envelope can be fetched by any session of the domain",
)
async def _(t: Trial) -> None:
    one, other = await t.broker(), await t.broker()
    session = await t.session(other)
    for _ in range(3):
        sent = t.envelopes(50)
        await t.stored(one, *sent)
        taken = await t.take(session, 50)
        t.expect.same(
            [d.envelope.id for d in taken], [e.id for e in sent], "another client gets all that was confirmed"
        )
        await t.done(session, *(t.complete(d) for d in taken))


@case(
    "pub.idempotent-by-id",
    why="a repeat, the same id with the same counts, is Duplicate of itself within publish_window, alive or finished",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    t.needs_repeats()
    envelope = t.envelope()
    session, (delivery,) = await t.running(broker, envelope)
    t.expect.equal(list(await t.publish(broker, envelope)), [Duplicate(envelope.id)], "it is running")
    await t.done(session, t.retry(delivery))
    t.expect.equal(list(await t.publish(broker, envelope)), [Duplicate(envelope.id)], "it waits for its second attempt")
    await t.done(session, t.complete(await t.one(session), ttl=0.0))
    t.expect.equal(list(await t.publish(broker, envelope)), [Duplicate(envelope.id)], "it has just finished")
    other = await t.broker()
    t.expect.equal(list(await t.publish(other, envelope)), [Duplicate(envelope.id)], "another client asks")
    await t.nothing(session, because="none of the repeats stored anything")


@case("pub.input-untouched", why="arguments belong to the caller: they are neither changed nor kept")
async def _(t: Trial) -> None:
    broker = await t.broker()
    headers = {"x-test-list": [1, 2]}
    batch = [t.envelope(headers=headers), t.envelope()]
    first, second = batch
    await broker.publish(batch)
    t.expect.equal([e.id for e in batch], [first.id, second.id], "the caller's list is not changed")
    batch.clear()
    headers["x-test-list"].append(3)
    headers["x-test-more"] = []
    session = await t.session(broker)
    taken = await t.take(session, 2)
    seen = next(d.envelope for d in taken if d.envelope.id == first.id)
    t.expect.true(isinstance(seen, Envelope), "it is readable")
    if isinstance(seen, Envelope):
        t.expect.equal(
            dict(seen.headers), {"x-test-list": [1, 2]}, "what the caller does later does not reach the store"
        )


@case("pub.body-limits", why="a body of max_body bytes is taken, one more byte is Refused and not stored")
async def _(t: Trial) -> None:
    broker = await t.broker()
    most = t.profile.limits.max_body
    sent = [t.envelope(body=bytes(size)) for size in (0, 1, most)]
    session, taken = await t.running(broker, *sent)
    sizes = [len(d.envelope.body) for d in taken if isinstance(d.envelope, Envelope)]
    t.expect.same(sizes, [0, 1, most], "bodies arrive whole")
    (answer,) = await t.publish(broker, t.envelope(body=bytes(most + 1)))
    t.expect.is_a(answer, Refused, "one byte more than max_body is Refused")
    await t.nothing(session, because="what was Refused is not stored")


@case("pub.batch-limit", why="max_batch envelopes are taken in one call")
async def _(t: Trial) -> None:
    broker = await t.broker()
    sent = t.envelopes(t.profile.limits.max_batch)
    await t.stored(broker, *sent)
    session = await t.session(broker)
    got = await t.drain(session, because="a full batch")
    t.expect.same(got, [e.id for e in sent], "all of a full batch is there")


@case("pub.cancelled", slow=True, why="a cancelled publish took place wholly or not at all, and a repeat is harmless")
async def _(t: Trial) -> None:
    broker = await t.broker()
    t.needs_repeats()
    sent: list[str] = []
    for steps in growing_steps(2000):
        batch = t.envelopes(3)
        sent += [e.id for e in batch]
        cut = await cancelled_after(steps, broker.publish(batch))
        answers = await t.publish(broker, *batch)
        stored = [isinstance(answer, Stored) for answer in answers]
        t.expect.true(len(set(stored)) == 1, f"cancelled after {steps} steps: all of a small batch or none of it")
        t.expect.true(not (cut.finished and any(stored)), "what was confirmed is Duplicate when repeated")
        for answer, envelope in zip(answers, batch, strict=True):
            t.expect.true(
                answer == Duplicate(envelope.id) or isinstance(answer, Stored),
                "a repeat is Stored or Duplicate of itself",
            )
        if cut.finished:
            break
    session = await t.session(broker)
    t.expect.same(await t.drain(session, because="every batch once"), sent, "each was stored exactly once")
