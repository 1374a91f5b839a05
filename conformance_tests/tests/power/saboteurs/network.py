"""Faults that only broken connections bring to light: on the served broker."""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from orcastra_core.model.delivery import Delivery, Receipt, Want
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.published import STORED, Published, Unknown
from orcastra_core.model.settlement import Complete, Release, Settled, Settlement
from power.saboteur import saboteur
from power.served.broker import ServedBroker
from power.served.frames import Frames
from power.served.harness import Harness
from power.served.seat import Repeated, Seat, supersede
from power.served.server import Connection
from power.served.session import ServedSession


def brisk() -> Harness:
    """Return a harness whose clients soon give up: what never comes is soon noticed."""
    harness = Harness(timeout=0.3)
    harness.soon = 0.4
    return harness


@saboteur(
    "publish-raises",
    "raises for a publish whose reply was lost, instead of answering Unknown",
    killed_by=("pub.lost-reply", "fault.cut-during-publish", "fault.half-open", "fault.half-close"),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    async def publish(
        self: ServedBroker, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()
    ) -> Sequence[Published]:
        return await self.call("broker.publish", batch, events=events)

    patch.setattr(ServedBroker, "publish", publish)
    return brisk()


@saboteur(
    "confirms-what-it-sent",
    "answers Stored for what it has sent, whether or not a reply came",
    killed_by=("fault.cut-during-publish", "hon.typed-errors-on-the-wire", "fault.half-open"),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    publish = ServedBroker.publish

    async def trusting(
        self: ServedBroker, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()
    ) -> Sequence[Published]:
        answers = await publish(self, batch, events=events)
        return [STORED if isinstance(answer, Unknown) else answer for answer in answers]

    patch.setattr(ServedBroker, "publish", trusting)
    return brisk()


@saboteur(
    "knows-repeats-by-connection",
    "tells a repeat from a new envelope on the connection that sent it first, and on no other",
    killed_by=("pub.lost-reply",),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    lost = Connection.connection_lost

    def lose(self: Connection, exc: Exception | None) -> None:
        lost(self, exc)
        if self.domain is not None:
            self.domain.store.ledger.known.clear()

    patch.setattr(Connection, "connection_lost", lose)
    return brisk()


@saboteur(
    "forgets-what-was-not-heard",
    "holds what a lost reply handed out, and never hands it out again",
    killed_by=("con.lost-reply", "fault.cut-during-receive"),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    fetch = Seat.fetch

    async def forgetful(
        self: Seat, number: int, want: Want, wait: float, known: Sequence[Receipt] | None
    ) -> Sequence[Delivery]:
        return await fetch(self, number, want, wait, None)

    patch.setattr(Seat, "fetch", forgetful)
    return brisk()


@saboteur(
    "releases-what-was-not-heard",
    "hands back what a lost reply handed out, and counts it as released",
    killed_by=("con.lost-reply", "fault.cut-during-receive"),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    fetch = Seat.fetch

    async def releasing(
        self: Seat, number: int, want: Want, wait: float, known: Sequence[Receipt] | None
    ) -> Sequence[Delivery]:
        if known is not None:
            held = self._session._state.held.values()
            lost = [Delivery(e.envelope, e.receipt, e.counts) for e in held if e.receipt not in known]
            await self.settle([Release(delivery) for delivery in lost], number=10_000 + number)
            self._session._state.last_number = 0
        return await fetch(self, number, want, wait, None)

    patch.setattr(Seat, "fetch", releasing)
    return brisk()


@saboteur(
    "serves-late-fetches",
    "takes deliveries for a fetch that was given up long ago",
    killed_by=("con.late-request",),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    async def fetch(
        self: Seat, number: int, want: Want, wait: float, known: Sequence[Receipt] | None
    ) -> Sequence[Delivery]:
        self._fetching = await supersede(self._fetching)
        if known is not None:
            self._session.disown([one for one in await self._session.held() if one not in set(known)])
        return await self._session.fetch(want, wait=wait)

    patch.setattr(Seat, "fetch", fetch)
    return brisk()


@saboteur(
    "keeps-answers-by-connection",
    "keeps the answers of settles for as long as the connection lasts",
    killed_by=("num.lost-reply", "set.atomic-cut"),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    lost = Connection.connection_lost

    def lose(self: Connection, exc: Exception | None) -> None:
        lost(self, exc)
        if self.domain is not None:
            for session in self.domain.store.sessions.values():
                session.answers.clear()

    patch.setattr(Connection, "connection_lost", lose)
    return brisk()


@saboteur("tells-signals-once", "tells a signal once, heard or not", killed_by=("can.lost-reply",))
def _(patch: pytest.MonkeyPatch) -> Harness:
    async def ask(self: Repeated, number: int, wait: float) -> Sequence[Any]:
        self._asking = await supersede(self._asking)
        return await self._ask(wait)

    patch.setattr(Repeated, "__call__", ask)
    return brisk()


def _without_emit(item: Settlement) -> Settlement:
    return attrs.evolve(item, emit=()) if isinstance(item, Complete) else item


def _emit_of(batch: Sequence[Settlement]) -> list[Envelope]:
    return [envelope for item in batch if isinstance(item, Complete) for envelope in item.emit]


@saboteur(
    "publishes-then-settles",
    "publishes what a settlement emits in a request of its own, and then settles",
    killed_by=("set.atomic-cut",),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    settle = ServedSession.settle

    async def in_two(self: ServedSession, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        # so that what marks the settle on the wire is in the first of the two
        await self._line.call("broker.publish", _emit_of(batch))
        return await settle(self, [_without_emit(item) for item in batch], number=number)

    patch.setattr(ServedSession, "settle", in_two)
    return brisk()


@saboteur(
    "settles-then-publishes",
    "settles, and then publishes what the settlement emits in a request of its own",
    killed_by=("set.atomic-cut",),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    settle = ServedSession.settle

    async def in_two(self: ServedSession, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        answers = await settle(self, [_without_emit(item) for item in batch], number=number)
        await self._line.call("broker.publish", _emit_of(batch))
        return answers

    patch.setattr(ServedSession, "settle", in_two)
    return brisk()


@saboteur(
    "one-slow-client-stops-all",
    "waits until a client has read its answer before it does anything else",
    killed_by=("fault.slow-consumer",),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    class Waiting:
        """A transport that returns from ``write`` when everything is written."""

        def __init__(self, transport: asyncio.Transport) -> None:
            self._transport = transport

        def write(self, data: bytes) -> None:
            descriptor = self._transport.get_extra_info("socket").fileno()
            while data and descriptor >= 0:
                try:
                    select.select([], [descriptor], [])
                    data = data[os.write(descriptor, data[:65536]) :]
                except OSError:
                    return

        def __getattr__(self, name: str) -> Any:
            return getattr(self._transport, name)

    send = Frames.send

    def wait(self: Connection, value: object) -> None:
        if isinstance(self.transport, asyncio.Transport):
            vars(self)["transport"] = Waiting(self.transport)
        send(self, value)

    patch.setattr(Connection, "send", wait)
    return brisk()


@saboteur(
    "feeds-go-deaf",
    "forgets a feed with the connection that listened, and lets its client listen on",
    killed_by=("fault.feed-recovers",),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    lost = Connection.connection_lost

    def lose(self: Connection, exc: Exception | None) -> None:
        lost(self, exc)
        if self.domain is not None:
            self.domain.store.feeds.clear()

    patch.setattr(Connection, "connection_lost", lose)
    return brisk()
