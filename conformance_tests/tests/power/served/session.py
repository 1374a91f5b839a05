"""A session, on the client's side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from orcastra_core.interfaces.session import Session
from orcastra_core.liveness.beat_thread import BeatThread
from orcastra_core.model.delivery import Delivery, Receipt, Want
from orcastra_core.model.errors import BrokerClosed, BrokerError
from orcastra_core.model.names import SessionId
from orcastra_core.model.session import Signal
from orcastra_core.model.settlement import Failed, Settled, Settlement
from power.served.talk import Line


class ServedSession(Session):
    """Beats in a thread of its own, over a connection of its own.

    Every fetch has a number, so that the server can tell one that was given
    up. After one whose answer its caller did not get, the next one says what the caller
    has; what the server says the session holds beside that comes first.
    """

    def __init__(
        self, session_id: SessionId, lease: float, line: Line, beats: Line, ended: Callable[[ServedSession], None]
    ) -> None:
        self.id = session_id
        self.lease = lease
        self._line = line
        self._beats = beats
        self._ended = ended
        self._left = False
        self._suspended = False
        self._known: set[Receipt] = set()
        self._number = 0
        self._sure_of = 0  # the last fetch that left no doubt what its caller has
        self._hearing = 1
        self._thread = BeatThread(
            session_id, lease=lease, beat=self._beat, on_fenced=_server_tells, on_stop=self._hang_up
        )
        self._thread.start()

    async def fetch(self, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        self._check()
        sure = self._sure_of == self._number
        number = self._number = self._number + 1
        taken: Sequence[Delivery] = await self._line.call(
            "session.fetch", self.id, number, want, wait, None if sure else list(self._known)
        )
        self._known.update(delivery.receipt for delivery in taken)
        self._sure_of = number
        return taken

    async def settle(self, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        self._check()
        answers: Sequence[Settled] = await self._line.call("session.settle", self.id, batch, number=number)
        for item, answer in zip(batch, answers, strict=True):
            if not isinstance(answer, Failed):
                self._known.discard(item.delivery.receipt)
        return answers

    async def signals(self, *, wait: float) -> Sequence[Signal]:
        self._check()
        told: Sequence[Signal] = await self._line.call("session.signals", self.id, self._hearing, wait)
        self._hearing += 1
        return told

    async def held(self) -> Sequence[Receipt]:
        self._check()
        return await self._line.call("session.held", self.id)

    def disown(self, receipts: Sequence[Receipt], /) -> None:
        self._known.difference_update(receipts)
        self._number += 1

    async def leave(self) -> None:
        if self._left:
            return
        try:
            await self._line.call("session.leave", self.id)
        except BrokerError:
            pass  # out of reach: it lapses
        self._left = True
        self._ended(self)
        await self.fall_silent()

    async def fall_silent(self) -> None:
        """Beat no more."""
        await asyncio.to_thread(self._thread.stop)

    def suspend(self) -> None:
        """Beat no more for now, as a stopped process."""
        self._suspended = True

    async def resume(self) -> None:
        """Beat again, at once."""
        self._suspended = False
        await self._line.call("broker.beat", self.id)

    async def _beat(self) -> bool:
        return self._suspended or await self._beats.call("broker.beat", self.id)

    async def _hang_up(self) -> None:
        await self._beats.closed()

    def _check(self) -> None:
        if self._left:
            raise BrokerClosed(f"session {self.id} has ended")


def _server_tells() -> None:
    """A reaped session hears of it in every call: nothing to note here."""
