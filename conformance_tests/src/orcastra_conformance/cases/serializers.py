"""Serializers: those that the harness names."""

from __future__ import annotations

import asyncio
import os
import sys
import time
import tracemalloc
from typing import Any

import attrs

from orcastra_conformance import universe
from orcastra_conformance.engine.app import NO_ARGUMENTS, App, in_time
from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.trial import Trial
from orcastra_core.interfaces.serializer import Serializer
from orcastra_core.model.counts import Counts
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import DeserializationError, SerializationError, TaskFailed, UnknownContentType
from orcastra_core.model.names import TaskName
from orcastra_core.model.profile import Cap
from orcastra_core.serialization.envelope_codec import decode_envelope, encode_envelope
from orcastra_core.serialization.registry import SerializerRegistry

LONGEST_READ = 1.0
"""Seconds of the processor within which 100 kB are read or refused, whatever they are."""
LARGEST_READ = 64 * 1024 * 1024
"""Bytes of memory that reading 100 kB may take."""


def _all(t: Trial) -> list[tuple[str, Serializer]]:
    return [(name, universe.serializer(name)) for name in t.harness.serializers]


@case(
    "ser.universe",
    slow=True,
    why="what was written is read as it was: aware moments, decimals, UUIDs, bytes, integers of any size, nested",
)
async def _(t: Trial) -> None:
    _no_hurry()
    for name, serializer in _all(t):
        _round_trips(t, name, serializer)


def _no_hurry() -> None:
    """Have the loop, which is in debug mode, not complain of a case that never awaits."""
    asyncio.get_running_loop().slow_callback_duration = 60.0


def _round_trips(t: Trial, name: str, serializer: Serializer) -> None:
    # not needed by those who only list cases
    from hypothesis import HealthCheck, Phase, given, seed, settings

    @seed(t.rng.getrandbits(32))
    @settings(
        max_examples=60,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(universe.values())
    def round_trip(value: Any) -> None:
        got = serializer.loads(serializer.dumps(value))
        if not universe.same(got, value):
            raise t.fail(f"{name}: {value!r} came back as {got!r}")

    round_trip()


@case("ser.deterministic", slow=True, why="the same bytes for the same value, in every process")
async def _(t: Trial) -> None:
    for name, serializer in _all(t):
        written = serializer.dumps(universe.SAMPLE)
        t.expect.equal(serializer.dumps(universe.SAMPLE), written, f"{name}: the same value a second time")
        # 0 and 8 meet in a small hash table, and come out of it in the order they went in
        t.expect.equal(serializer.dumps({8, 0}), serializer.dumps({0, 8}), f"{name}: equal sets, built differently")
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            universe.__name__,
            name,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONHASHSEED": str(t.rng.randrange(1, 2**32))},
        )
        try:
            output, _ = await child.communicate()
        finally:
            if child.returncode is None:  # the case was ended
                child.kill()
        t.expect.equal(bytes.fromhex(output.decode()), written, f"{name}: another process, another hash seed")


@case(
    "ser.hostile",
    slow=True,
    why="any bytes: the value or DeserializationError, and nothing else, in time and memory bounded by their length",
)
async def _(t: Trial) -> None:
    _no_hurry()
    for name, serializer in _all(t):
        for data in universe.hostile(serializer.dumps(universe.SAMPLE), t.rng):
            shown = f"{name}: {len(data)} bytes, {data[:40]!r}"
            began = time.thread_time()
            try:
                serializer.loads(data)
            except DeserializationError:
                pass
            except Exception as error:  # noqa: BLE001 - which one is what this is about
                raise t.fail(f"{shown}: {type(error).__name__} instead of DeserializationError") from error
            took = time.thread_time() - began
            t.expect.true(took <= LONGEST_READ, f"{shown}: {took:.1f} s")
        _judge_memory(t, name, serializer)


def _judge_memory(t: Trial, name: str, serializer: Serializer) -> None:
    if tracemalloc.is_tracing():
        return  # somebody else measures
    tracemalloc.start()
    try:
        for data in universe.hostile(b"\x00", t.rng)[:24]:
            tracemalloc.reset_peak()
            try:
                serializer.loads(data)
            except DeserializationError:
                pass
            _, peak = tracemalloc.get_traced_memory()
            t.expect.true(peak <= LARGEST_READ, f"{name}: {len(data)} bytes, {data[:40]!r}: {peak} bytes of memory")
    finally:
        tracemalloc.stop()


@case(
    "ser.unserialisable",
    why="a value that cannot be written: SerializationError that says where, and nothing is published",
)
async def _(t: Trial) -> None:
    for name, serializer in _all(t):
        for bad in (object(), {"deep": [1, {2: lambda: None}]}, float):
            try:
                written = serializer.dumps(bad)
            except SerializationError:
                continue
            raise t.fail(f"{name}: {bad!r} was written as {written!r}")
        app = App(t, serializer=name)

        @app.task(name="work", queue="q")
        async def work(anything: Any) -> None: ...

        async with app:
            error = await t.expect.raises(SerializationError, work.submit([object()]), f"{name}: it cannot be written")
            t.expect.true("work" in str(error) and "anything" in str(error), f"it names task and parameter: {error}")
            await t.nothing(await t.session(app.broker), because="nothing was published")


@case(
    "ser.unwritable-result",
    slow=True,
    needs=[Cap.RESULTS],
    why="a task whose value cannot be written has failed, with that error: nobody waits in vain",
)
async def _(t: Trial) -> None:
    for name in t.harness.serializers:
        app = App(t, serializer=name)

        @app.task(name="odd", queue="q")
        async def odd() -> Any:
            return [object()]

        async with app, app.at_work():
            result = await in_time(t, (await odd.submit()).wait(), "it ends")
            failure = t.expect.is_a(result.error, TaskFailed, f"{name}: the task has failed")
            t.expect.true("SerializationError" in failure.error.type, f"{name}: because of its value")


@case(
    "ser.unknown-content-type",
    slow=True,
    why="a body that no serializer reads: a typed error, and the message is kept whole",
)
async def _(t: Trial) -> None:
    known = SerializerRegistry(serializer for _, serializer in _all(t))
    for name, serializer in _all(t):
        t.expect.equal(known(serializer.content_type).content_type, serializer.content_type, f"{name} is found")
    try:
        known("application/x-nobody")
    except UnknownContentType as error:
        t.expect.true("application/x-nobody" in str(error), "the error names it")
    else:
        raise t.fail("a content type that nobody reads was read")
    app, spared = App(t), asyncio.Event()

    @app.task(name="work", queue="q")
    async def work() -> None:
        spared.set()

    async with app:
        strange = attrs.evolve(
            t.envelope(body=b"\x00strange\xff", content_type="application/x-nobody"), task=TaskName("work")
        )
        await t.stored(app.broker, strange)
        async with app.at_work() as worker:
            while worker.stats.fetched < 2:
                spared.clear()
                await work.submit()
                await in_time(t, spared.wait(), "the worker lives, and its neighbour runs")
        if app.broker.dead_letters is not None:
            (letter,) = await app.broker.dead_letters.get([strange.id])
            kept = t.expect.found(letter, "it is a dead letter")
            t.expect.true("UnknownContentType" in kept.error.type, f"of that error: {kept.error.type}")
            envelope = t.expect.is_a(kept.envelope, Envelope, "readable but for its body")
            t.expect.equal((envelope.body, envelope.content_type), (strange.body, strange.content_type), "kept whole")
        await t.nothing(await t.session(app.broker), because="it does not come again")


@case("ser.forward-compatible", why="wire keys and headers that this version does not know survive every hop")
async def _(t: Trial) -> None:
    broker = await t.broker()
    extras = {77: "later", 1000: [1, {"deep": b"\x00"}]}
    newer = attrs.evolve(
        t.envelope(body=NO_ARGUMENTS, headers={"x-later-field": [1, None]}), extras=extras, submitted_at=1.5
    )
    read = decode_envelope(encode_envelope(newer))
    t.expect.equal(dict(read.extras), extras, "what a newer release wrote is read, with what this one does not know")
    t.expect.equal(encode_envelope(read), encode_envelope(newer), "and written again, byte for byte")

    def check(envelope: object, after: str) -> None:
        got = t.expect.is_a(envelope, Envelope, f"readable {after}")
        t.expect.equal(dict(got.extras), extras, f"unknown keys {after}")
        t.expect.equal(dict(got.headers), {"x-later-field": [1, None]}, f"headers {after}")

    session, (delivery,) = await t.running(broker, newer)
    check(delivery.envelope, "after publish")
    await t.done(session, t.retry(delivery))
    delivery = await t.one(session)
    check(delivery.envelope, "after a retry")
    await broker.expire(session.id)
    session = await t.session(await t.broker())
    delivery = await t.one(session)
    check(delivery.envelope, "after a loss, at another client")
    if t.profile.limits.publish_window:
        await t.done(session, t.moved(delivery))
        again = attrs.evolve(t.expect.is_a(delivery.envelope, Envelope, "readable"), counts=Counts(3, 0, 0))
        await t.stored(broker, again)
        delivery = await t.one(session)
        check(delivery.envelope, "after a way through a scheduler")
    follow_up = attrs.evolve(newer, id=t.id())
    await t.done(session, t.dead(delivery, emit=[follow_up]))
    check((await t.one(session)).envelope, "after an emit")
    if broker.dead_letters is not None:
        (letter,) = await broker.dead_letters.get([newer.id])
        check(t.expect.found(letter, "it is a dead letter").envelope, "in the dead letters")
        await broker.dead_letters.replay([newer.id])
        check((await t.one(session)).envelope, "after a replay")
