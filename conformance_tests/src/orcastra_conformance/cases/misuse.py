"""Bad arguments, bad items, bad moments: a typed answer, and nobody else is harmed."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeAlias

import attrs

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.trial import Trial
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery, Receipt, Want
from orcastra_core.model.envelope import Dedup, DedupMode, Envelope
from orcastra_core.model.errors import BrokerError, OrcastraError
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import SessionId
from orcastra_core.model.profile import Cap, Durability
from orcastra_core.model.published import Refused, Stored
from orcastra_core.model.queue import QueueSpec
from orcastra_core.model.schedule import Fired, ScheduleId
from orcastra_core.model.settlement import Done, Failed, Settlement
from orcastra_core.model.task_state import State

Misuse: TypeAlias = "Callable[[Session, Delivery], Awaitable[object]]"

NOBODY = [TaskId(""), TaskId("nobody"), TaskId("\x00'\";--"), TaskId("ü" * 300)]
"""Ids that nobody has."""


def _of_the_broker(t: Trial, broker: Broker) -> Iterator[tuple[str, Awaitable[object]]]:
    q = t.queue()
    yield "publish nothing", broker.publish([])
    yield "declare nothing", broker.declare([])
    yield "declare a bound of none", broker.declare([QueueSpec(q, max_lost=0)])
    for lease in (0.0, -1.0, math.nan):
        yield f"open_session(lease={lease})", broker.open_session([q], lease=lease)
    yield "sweep at most none", broker.sweep(limit=0)
    yield "sweep fewer than none", broker.sweep(limit=-1)
    for name in ("", "nobody", "\x00'\";--", "1-", "-1", "9" * 40):
        yield f"expire {name!r}", broker.expire(SessionId(name))
        yield f"beat {name!r}", broker.beat(SessionId(name))
    yield "cancel nobody", broker.cancel([t.cancellation(task_id) for task_id in NOBODY])
    yield "cancel nothing", broker.cancel([])
    yield "find nobody", broker.find(NOBODY)
    yield "find nothing", broker.find([])
    yield "inspect nothing", broker.inspect([])
    yield "inspect a queue twice", broker.inspect([q, q])
    yield "pause nothing", broker.pause([])
    yield "resume what was not paused", broker.resume([t.queue("nowhere")])
    yield "purge what is not there", broker.purge(t.queue("nowhere"))
    yield "purge no state", broker.purge(q, states=frozenset())
    yield "purge what runs", broker.purge(q, states=frozenset({State.RUNNING, State.FINISHED}))


def _of_the_stores(t: Trial, broker: Broker) -> Iterator[tuple[str, Awaitable[object]]]:
    if (results := broker.results) is not None:
        yield "results.get nobody", results.get(NOBODY)
        yield "results.get nothing", results.get([])
        yield "results.put nothing", results.put([])
        yield "results.put for no channel", results.put([(t.result(t.id()), "no\x00such/channel")])
        yield "results.prune at most none", results.prune(limit=0)
    if (dead := broker.dead_letters) is not None:
        yield "dead_letters.get nobody", dead.get(NOBODY)
        yield "dead_letters.put nothing", dead.put([])
        yield "dead_letters.replay nobody", dead.replay(NOBODY)
        yield "dead_letters.replay nobody twice", dead.replay([*NOBODY, *NOBODY])
        yield "dead_letters.page behind nobody", dead.page(after=TaskId("zzz"), queue=t.queue("nowhere"))
        yield "dead_letters.page of none", dead.page(limit=0)
        yield "dead_letters.purge nobody", dead.purge(ids=NOBODY)
        yield "dead_letters.purge at most none", dead.purge(limit=0)
    if (log := broker.events) is not None:
        yield "events.append nothing", log.append([])
        for cursor in ("", "nonsense", "-1", "1.x", "9" * 30 + ".1"):
            yield f"events.read behind {cursor!r}", log.read(after=cursor)
        yield "events.read none", log.read(limit=0)
        yield "events.trim to fewer than none", log.trim(keep=-1)
    if (scheduler := broker.scheduler) is not None and t.claims(Cap.SCHEDULES):
        nobody = [ScheduleId(task_id) for task_id in NOBODY]
        yield "scheduler.add nothing", scheduler.add([])
        yield "scheduler.get nobody", scheduler.get(nobody)
        yield "scheduler.remove nobody", scheduler.remove(nobody)
        yield "scheduler.settle nobody", scheduler.settle([Fired(one, 0.0, None) for one in nobody])
        yield "scheduler.page behind nobody", scheduler.page(after=ScheduleId("zzz"), limit=0)
        yield "scheduler.claim none", scheduler.claim(limit=0, lease=1.0)


def _of_the_session(t: Trial) -> dict[str, Misuse]:
    q, nowhere = t.queue(), t.queue("nowhere")

    def fetch(want: Want, wait: float = 0.0) -> Misuse:
        return lambda session, _: session.fetch(want, wait=wait)

    def forged(receipt: Receipt) -> Misuse:
        return lambda session, held: t.settle(session, t.complete(attrs.evolve(held, receipt=receipt)))

    def numbered(number: int) -> Misuse:
        return lambda session, held: session.settle([t.complete(held)], number=number)

    def retried(after: float) -> Misuse:
        return lambda session, held: t.settle(session, t.retry(held, after))

    calls: dict[str, Misuse] = {
        "fetch for less than no time": fetch(Want(1, [(nowhere, 1)]), -1.0),
        "signals for less than no time": lambda session, _: session.signals(wait=-1.0),
    }
    for want in (Want(0, [(q, 1)]), Want(-1, [(q, -1)]), Want(1, []), Want(1, [(q, 0)]), Want(2, [(q, 1), (q, 1)])):
        calls[f"fetch {want}"] = fetch(want)
    receipts: tuple[Receipt, ...] = ("", "nonsense", b"\xff", -1, 2**80)
    for receipt in receipts:
        calls[f"settle a forged {receipt!r}"] = forged(receipt)
    for number in (0, -1):
        calls[f"settle under number {number}"] = numbered(number)
    for after in (-1.0, math.nan, math.inf):
        calls[f"retry after {after}"] = retried(after)
    return calls


async def _ask(t: Trial, what: str, call: Awaitable[object]) -> None:
    """Demand that a call answers, or raises an error of the tree."""
    try:
        answer = await call
    except OrcastraError as error:
        t.note(f"{what} → {type(error).__name__}: {error}")
        if isinstance(error, BrokerError):
            t.expect.true(not error.retryable, f"{what}: no repeat can mend a misuse: {error!r}")
    except Exception as error:  # noqa: BLE001 - which one is what this is about
        raise t.fail(f"{what}: {type(error).__name__}: {error}") from error
    else:
        t.note(f"{what} → {answer!r:.60}")
        if isinstance(answer, Session):
            await answer.leave()


@case(
    "hon.typed-errors",
    slow=True,
    why="only errors of the tree leave a broker, whatever it is asked; and it goes on as if nothing had been",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    for calls in (_of_the_broker, _of_the_stores):
        for what, call in calls(t, broker):
            await _ask(t, what, call)
    for what, misuse in _of_the_session(t).items():
        session, (held,) = await t.running(broker, t.envelope())
        await _ask(t, what, misuse(session, held))
        await broker.expire(session.id)
        await session.leave()
        heir = await t.session(broker)
        await t.drain(heir, because=f"whatever became of it: {what}")
        await heir.leave()
    session, (delivery,) = await t.running(broker, t.envelope())
    await t.done(session, t.complete(delivery))
    await t.nothing(session, because="nothing came of all that")


@case(
    "hon.profile-stable",
    why="the profile is the same after every open, for every domain, and its numbers make sense",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    first = t.profile
    for _ in range(2):
        await broker.close()
        t.expect.equal(await broker.open(), first, "the same after it was opened again")
    another = await t.harness.broker(f"{t.domain}-other")
    t.mishap.push_async_callback(t.harness.wipe, f"{t.domain}-other")
    t.mishap.push_async_callback(another.close)
    other = await another.open()
    t.expect.equal(
        (other.capabilities, other.limits, other.durability),
        (first.capabilities, first.limits, first.durability),
        "the same for another domain",
    )
    limits = first.limits
    t.expect.true(limits.max_body >= 1024 and limits.max_batch >= 1, "a body and a batch of some size are taken")
    t.expect.true(isinstance(first.durability, Durability), "it says what a confirmed publish survives")
    for name in ("max_delay", "max_hold", "time_resolution", "min_lease", "recovery_time", "connect_timeout"):
        t.expect.true(getattr(limits, name) > 0, f"{name} is a number of seconds")
    t.expect.true(limits.publish_window >= 0 and limits.settle_window >= 0, "a window is not negative")
    for cap in Cap:
        if cap not in first.capabilities and cap in first.notes:
            t.expect.true(bool(first.notes[cap]), f"what is missing has its reason: {cap.name}")


def _bad_items(t: Trial) -> dict[str, Envelope]:
    """Return envelopes that no store may take, by what is wrong with them."""
    limits = t.profile.limits
    bad = {
        "its body is too large": t.envelope(body=bytes(limits.max_body + 1)),
        "its priority is outside the limits": t.envelope(priority=limits.priorities[1] + 1),
        "its priority is below the limits": t.envelope(priority=limits.priorities[0] - 1),
    }
    if t.claims(Cap.DELAY):
        bad["it is due too far away"] = t.envelope(due=t.now() + limits.max_delay + 1000.0)
        bad["it is due at no time"] = t.envelope(due=math.nan)
    if t.claims(Cap.DEDUP):
        bad["its key is for a window without a length"] = t.envelope(dedup=Dedup("w", DedupMode.WINDOW))
    return bad


@case(
    "pub.bad-item-alone",
    why="whatever is wrong with an item: it is Refused, with a reason, and its neighbours are stored",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    bad, good = _bad_items(t), list[Envelope]()
    batch: list[Envelope] = [t.envelope()]
    good.append(batch[0])
    for envelope in bad.values():
        good.append(t.envelope())
        batch += [envelope, good[-1]]
    most = t.profile.limits.max_batch
    answers = [a for at in range(0, len(batch), most) for a in await t.publish(broker, *batch[at : at + most])]
    for what, answer in zip(bad, answers[1::2], strict=True):
        t.expect.true(bool(t.expect.is_a(answer, Refused, what).why), f"{what}: it says why")
    t.expect.equal({type(answer) for answer in answers[::2]}, {Stored}, "every neighbour is stored")
    for what, envelope in bad.items():
        (answer,) = await t.publish(broker, envelope)
        t.expect.is_a(answer, Refused, f"{what}: also when it comes alone, and again")
    got = await t.drain(await t.session(broker), because="the good ones")
    t.in_order(got, [envelope.id for envelope in good], "they and nothing else")


@case(
    "set.bad-item-alone",
    why="whatever is wrong with a settlement it fails alone, is still held and can be settled again; a bad follow-up is Refused alone",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    bad = _bad_items(t)
    limits = t.profile.limits
    session, taken = await t.running(broker, *t.envelopes(6))
    strange, large, far, never, emits, fine = taken
    follow_ups = [t.envelope("next"), *bad.values(), t.envelope("next")]
    batch: list[Settlement] = [
        attrs.evolve(t.complete(strange), result=t.result(t.id())),
        attrs.evolve(t.dead(large), result=t.result(large.envelope.id, bytes(limits.max_body + 1))),
        t.retry(far, limits.max_delay * 2),
        t.release(never, math.nan),
        t.complete(emits, emit=follow_ups),
        t.complete(fine),
    ]
    answers = await t.settle(session, *batch)  # under number 1
    for answer, what in zip(answers, ("another's result", "too large", "too far away", "at no time"), strict=False):
        t.expect.is_a(answer, Failed, f"{what}: it fails")
    emitted = t.expect.is_a(answers[4], Done, "its own follow-ups do not hold it up").emitted
    kinds = [type(answer) for answer in emitted]
    t.expect.equal(kinds, [Stored, *[Refused] * len(bad), Stored], "each follow-up has its own answer")
    t.expect.is_a(answers[5], Done, "its neighbours are settled")
    t.expect.same(map(str, await session.held()), [str(d.receipt) for d in taken[:4]], "what failed is still held")
    if limits.settle_window:
        repeated = await t.settle(session, *batch, number=1)
        t.expect.equal([type(a) for a in repeated], [type(a) for a in answers], "a repeat: the same answers")
        t.expect.equal(list(repeated[4:]), list(answers[4:]), "to the word, where they are values")
    again = await t.settle(session, *(t.complete(delivery) for delivery in taken[:4]))
    t.expect.equal([type(answer) for answer in again], [Done] * 4, "put right, it is settled")
    t.expect.equal(len(await t.drain(session, t.queue("next"), because="the good ones")), 2, "two follow-ups are there")
    await t.nothing(session, because="all six have ended")
