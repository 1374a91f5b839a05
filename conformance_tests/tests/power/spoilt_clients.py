"""Clients of the served broker with one fault each, brought by a harness's ``dial``: so other processes have it too."""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections.abc import Sequence
from typing import Any, cast

import attrs

from orcastra_core.interfaces.broker import Broker
from orcastra_core.liveness.beat_thread import BeatThread
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.published import Published, Stored
from orcastra_core.model.session import Swept
from orcastra_core.model.settlement import Complete, Done, Settled, Settlement
from power.served.broker import ServedBroker
from power.served.harness import Harness
from power.served.session import ServedSession
from power.served.talk import Line


class WriteBehindBroker(ServedBroker):
    """Confirms what it has only buffered; each publish writes what the one before it left."""

    _buffer: Sequence[Envelope] = ()

    async def publish(self, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()) -> Sequence[Published]:
        before, self._buffer = self._buffer, list(batch)
        await super().publish(before)
        return [Stored()] * len(batch)


class WriteBehind(Harness):
    @staticmethod
    def dial(url: str) -> Broker:
        return WriteBehindBroker(BrokerUrl.parse(url))


class EmitsLaterSession(ServedSession):
    """Settles in two steps; the second, what is emitted, comes with the next settle."""

    _owed: Sequence[Envelope] = ()

    async def settle(self, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        owed, self._owed = self._owed, [e for item in batch if isinstance(item, Complete) for e in item.emit]
        bare = [attrs.evolve(item, emit=()) if isinstance(item, Complete) else item for item in batch]
        answers = await super().settle(bare, number=number)
        await self._line.call("broker.publish", owed)
        return answers


class EmitsLaterBroker(ServedBroker):
    kind = EmitsLaterSession


class EmitsLater(Harness):
    @staticmethod
    def dial(url: str) -> Broker:
        return EmitsLaterBroker(BrokerUrl.parse(url))


class EmitsFirstSession(ServedSession):
    """Settles in two steps; the second, the end of the delivery, comes with the next settle."""

    _owed: tuple[Sequence[Settlement], int] | None = None

    async def settle(self, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        emit = [envelope for item in batch if isinstance(item, Complete) for envelope in item.emit]
        await self._line.call("broker.publish", emit)
        bare = [attrs.evolve(item, emit=()) if isinstance(item, Complete) else item for item in batch]
        owed, self._owed = self._owed, (bare, number)
        if owed is not None:
            await super().settle(owed[0], number=owed[1])
        return [Done()] * len(batch)


class EmitsFirstBroker(ServedBroker):
    kind = EmitsFirstSession


class EmitsFirst(Harness):
    @staticmethod
    def dial(url: str) -> Broker:
        return EmitsFirstBroker(BrokerUrl.parse(url))


class _LoopBeats:
    """In the place of a beat thread: a timer of the caller's event loop."""

    def __init__(self, session: LoopBeatsSession) -> None:
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._beating: asyncio.Task[Any] | None = None
        self._timer = self._loop.call_later(session.lease / 4, self._beat)

    def stop(self, *, join: float = 0.0) -> None:
        self._loop.call_soon_threadsafe(self._timer.cancel)

    def _beat(self) -> None:
        self._beating = asyncio.create_task(self._session.beat_once())
        self._timer = self._loop.call_later(self._session.lease / 4, self._beat)


class LoopBeatsSession(ServedSession):
    """Beats as its caller's event loop finds the time."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._thread.stop()
        self._thread = cast("BeatThread", _LoopBeats(self))

    async def beat_once(self) -> None:
        """Beat, over the caller's connection."""
        await self._line.call("broker.beat", self.id)


class LoopBeatsBroker(ServedBroker):
    kind = LoopBeatsSession


class LoopBeats(Harness):
    @staticmethod
    def dial(url: str) -> Broker:
        return LoopBeatsBroker(BrokerUrl.parse(url))


class ForkedBeatsSession(ServedSession):
    """Has a forked child beat too, for as long as that lives."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        _open.add(self)

    def go_on(self) -> None:
        """Beat in this process, whichever that is."""
        line = Line(self._beats._address, self._beats._domain)
        name, lease = self.id, self.lease
        BeatThread(name, lease=lease, beat=lambda: line.call("broker.beat", name), on_fenced=lambda: None).start()


_open: weakref.WeakSet[ForkedBeatsSession] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for session in list(_open):
        session.go_on()


os.register_at_fork(after_in_child=_after_fork_in_child)


class ForkedBeatsBroker(ServedBroker):
    kind = ForkedBeatsSession


class ForkedBeats(Harness):
    @staticmethod
    def dial(url: str) -> Broker:
        return ForkedBeatsBroker(BrokerUrl.parse(url))


class OwnClockJudgeBroker(ServedBroker):
    """Judges who is silent by its own wall clock; the server's part is ``domain.sweep_at``."""

    async def sweep(self, *, limit: int) -> Swept:
        return await self.call("domain.sweep_at", time.time(), limit)


class OwnClockJudge(Harness):
    @staticmethod
    def dial(url: str) -> Broker:
        return OwnClockJudgeBroker(BrokerUrl.parse(url))


class OwnClockReaderSession(ServedSession):
    """Takes what is due by its own wall clock; the server's part is ``domain.ripen_at``."""

    async def fetch(self, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        await self._line.call("domain.ripen_at", time.time())
        return await super().fetch(want, wait=wait)


class OwnClockReaderBroker(ServedBroker):
    kind = OwnClockReaderSession


class OwnClockReader(Harness):
    @staticmethod
    def dial(url: str) -> Broker:
        return OwnClockReaderBroker(BrokerUrl.parse(url))
