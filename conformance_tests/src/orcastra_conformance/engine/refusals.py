"""What a broker owes where it does not claim a capability: to refuse, before any side effect."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_core.interfaces.broker import Broker
from orcastra_core.model.envelope import Dedup
from orcastra_core.model.errors import Unsupported
from orcastra_core.model.profile import Cap
from orcastra_core.model.published import Refused

_FIELDS: dict[Cap, Callable[[Trial], dict[str, Any]]] = {
    Cap.DELAY: lambda t: {"due": t.now() + FAR},
    Cap.PRIORITY: lambda t: {"priority": 1},
    Cap.DEDUP: lambda t: {"dedup": Dedup("k")},
    Cap.ORDERED_KEY: lambda t: {"order_by": "k"},
}
_CALLS: dict[Cap, Callable[[Trial, Broker], Awaitable[object]]] = {
    Cap.CANCEL: lambda t, b: b.cancel([t.cancellation(t.id())]),
    Cap.LOOKUP: lambda t, b: b.find([t.id()]),
    Cap.INSPECT: lambda t, b: b.inspect(),
    Cap.PAUSE: lambda t, b: b.pause([t.queue()]),
    Cap.PURGE: lambda t, b: b.purge(t.queue()),
    Cap.TX_PUBLISH: lambda t, b: b.publish_within(object(), [t.envelope()]),
}
_STORES = {Cap.RESULTS: "results", Cap.DEAD_LETTERS: "dead_letters", Cap.EVENTS: "events"}

REFUSABLE = (*_FIELDS, *_CALLS, *_STORES, Cap.SCHEDULES, Cap.TX_COMPLETE)
"""The capabilities whose use a broker can refuse; the others are promises about what everybody uses."""


async def check_refusal(trial: Trial, cap: Cap) -> None:
    """Demand that the use of an unclaimed capability is refused and has no effect."""
    broker = await trial.broker()
    expect = trial.expect
    if cap in _FIELDS:
        envelope = trial.envelope(**_FIELDS[cap](trial))
        (answer,) = await trial.publish(broker, envelope)
        expect.is_a(answer, Refused, f"an envelope that needs {cap.name} is Refused where that is not claimed")
        session = await trial.session(broker)
        await trial.nothing(session, because="a refused envelope is not stored")
        await session.leave()
    elif cap in _CALLS:
        error = await expect.raises(Unsupported, _CALLS[cap](trial, broker), f"{cap.name} is not claimed")
        expect.equal(error.cap, cap, "Unsupported names the capability")
        if cap is Cap.TX_PUBLISH:
            session = await trial.session(broker)
            await trial.nothing(session, because="what is refused is not stored")
            await session.leave()
    elif cap in _STORES:
        expect.equal(getattr(broker, _STORES[cap]), None, f"{cap.name} is not claimed: the sub-service is None")
    elif cap is Cap.SCHEDULES and broker.scheduler is not None:
        adding = broker.scheduler.add([trial.schedule("s", trial.now() + FAR, trigger="interval:60")])
        await expect.raises(Unsupported, adding, "SCHEDULES is not claimed")
    elif cap is Cap.TX_COMPLETE:
        session, (delivery,) = await trial.running(broker, trial.envelope())
        error = await expect.raises(Unsupported, session.transaction(delivery), "TX_COMPLETE is not claimed")
        expect.equal(error.cap, cap, "Unsupported names the capability")
        await trial.done(session, trial.complete(delivery))
        await session.leave()
