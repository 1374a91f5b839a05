"""A session's calls, on the event loop's side."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence

from orcastra_core.backends.sqlite import reap
from orcastra_core.backends.sqlite.core import Core
from orcastra_core.backends.sqlite.ears import Ears
from orcastra_core.backends.sqlite.fetch import Handout, name_them, nameless, take, unpack, unseen
from orcastra_core.backends.sqlite.outcomes import prepare
from orcastra_core.backends.sqlite.session_file import SessionFile
from orcastra_core.backends.sqlite.settle import settle
from orcastra_core.backends.sqlite.statements import sql
from orcastra_core.backends.sqlite.tx import Tx
from orcastra_core.interfaces.session import Session
from orcastra_core.liveness.beat_thread import BeatThread
from orcastra_core.model.delivery import Delivery, Receipt, Want
from orcastra_core.model.errors import BrokerClosed, BrokerError, BrokerUnavailable, SessionFenced, WrongLoop
from orcastra_core.model.names import SessionId
from orcastra_core.model.session import Signal
from orcastra_core.model.settlement import STALE, Done, Settled, Settlement

_LOOK_AROUND = 1.0
"""Seconds between looks for signals that no doorbell told of."""


class SqliteSession(Session):
    """A session on the file."""

    remote = False

    def __init__(
        self,
        core: Core,
        number: int,
        session_id: SessionId,
        lease: float,
        file: SessionFile,
        ended: Callable[[SqliteSession], None],
    ) -> None:
        self.id = session_id
        self.lease = lease
        self.number = number
        self._core = core
        self._file = file
        self._ended = ended
        self._closed = False
        self._suspended = False
        self._doubt = False
        self._idle = False
        self._seen: set[Receipt] = set()
        self._ears = Ears(core, number)
        self._beat = BeatThread(session_id, lease=lease, beat=self._beat_once, on_fenced=self._fenced_elsewhere)
        self._beat.start()

    async def fetch(self, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        if wait <= 0 or not self._idle:
            taken = await self._take(want)
            if taken or wait <= 0:
                return taken
        self._check_open()
        self._file.set_waiting(True)
        self._core.reader.watch()
        self._core.listeners.add(self._ears.ready.set)
        try:
            while True:
                # first the flag above, then the look, then the wait: who publishes in between sees the flag, or is seen
                self._ears.ready.clear()
                rung, self._ears.rung = self._ears.rung, False
                sooner = until
                if not rung:
                    found, due_in = await self._peek(want)
                    rung = found
                    if due_in is not None:
                        sooner = min(until, loop.time() + due_in)
                if rung:
                    taken = await self._take(want)
                    if taken:
                        return taken
                    continue
                if loop.time() >= until:
                    return []
                try:
                    async with asyncio.timeout_at(sooner):
                        await self._ears.ready.wait()
                except TimeoutError:
                    pass
                self._check_open()
        finally:
            self._core.listeners.discard(self._ears.ready.set)
            self._core.reader.watchers -= 1
            self._file.set_waiting(False)

    async def settle(self, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        self._check_open()
        if self._ears.fenced:
            return [STALE] * len(batch)
        prepared = prepare(batch)

        def work(tx: Tx) -> tuple[bool, list[Settled]]:
            return settle(tx, self.number, prepared, number)

        alive, answers = await self._core.write(work, durable=True, weight=len(batch))
        if not alive:
            self._ears.note_fenced()
        for item, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Done) or answer is STALE:
                self._seen.discard(item.delivery.receipt)
        return answers

    async def signals(self, *, wait: float) -> Sequence[Signal]:
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        while True:
            self._check_open()
            self._ears.signal.clear()
            signals = await self._ears.signals()
            now = loop.time()
            if signals or now >= until:
                return signals
            try:
                async with asyncio.timeout_at(min(until, now + _LOOK_AROUND)):
                    await self._ears.signal.wait()
            except TimeoutError:
                self._ears.look_for_wishes = True

    async def held(self) -> Sequence[Receipt]:
        self._check_open()
        if self._ears.fenced:
            return []

        def work(conn: sqlite3.Connection) -> list[Receipt]:
            if conn.execute("SELECT 1 FROM session WHERE num = ?", (self.number,)).fetchone() is None:
                return []
            return [row[0] for row in conn.execute("SELECT receipt FROM running WHERE session = ?", (self.number,))]

        if self._doubt:  # a fetch that was given up may still be on its way: look behind it
            return await self._core.write(lambda tx: work(tx.conn))
        return await self._core.read(work)

    def disown(self, receipts: Sequence[Receipt], /) -> None:
        self._seen.difference_update(receipts)
        self._doubt = True
        self._ears.ready.set()

    async def leave(self) -> None:
        if self._closed:
            return
        self._close()
        try:
            await self._core.read(lambda conn: self._beat.stop(join=1.0))
            if not self._ears.fenced:
                async with asyncio.timeout(self.lease):
                    await self._core.write(lambda tx: reap.release_all(tx, self.number))
                self._file.close(remove=True)
        except (BrokerError, TimeoutError):
            pass  # it is gone, then, and a sweep hands out what it held
        finally:
            self.drop()

    def drop(self) -> None:
        """Stop living without a word to the store: a sweep finds the lock free. Idempotent."""
        self._close()
        self._beat.stop(join=0.0)
        self._file.close(remove=False)
        self._ears.close()
        self._ended(self)

    def suspend(self) -> None:
        """Stop beating, as a stopped or starved process would. For tests."""
        self._suspended = True

    def resume(self) -> None:
        """Beat again; a session that merely lapsed is thereby revived. For tests."""
        self._suspended = False
        self._file.beat()

    async def _take(self, want: Want) -> list[Delivery]:
        self._check_open()
        if self._ears.fenced:
            raise SessionFenced(f"session {self.id} was reaped; open a new one")
        doubt, self._doubt = self._doubt, True  # until the answer has arrived
        given_up = False

        def work(tx: Tx) -> Handout:
            handout = unseen(tx.conn, self.number, self._seen, want) if doubt else None
            if handout is None:
                handout = take(tx, self.number, want)
            if given_up:
                raise BrokerClosed("nobody waits for this any more")  # so that it is rolled back
            return handout

        try:
            handout = await self._core.write(work, weight=max(1, want.limit))
        except asyncio.CancelledError:
            given_up = True
            raise
        except SessionFenced:
            self._ears.note_fenced()
            raise
        if handout.suspects:
            self._ears.look_for_wishes = True
            self._ears.signal.set()
        deliveries = unpack(handout)
        strange = nameless(deliveries)
        if strange:
            held = deliveries
            deliveries = await self._core.read(lambda conn: name_them(conn, held, strange))
        for part in handout.parts:
            self._seen.update(part.pairs[::2])
        self._doubt = handout.more
        # where there is nothing more, the next fetch looks before it takes the write lock: a task that stops this whole
        # process right after it was handed out must not stop all others with it
        self._idle = len(deliveries) < want.limit
        return deliveries

    async def _peek(self, want: Want) -> tuple[bool, float | None]:
        """Return whether there is something to take, and the seconds until something may be."""
        if self._ears.fenced or self._doubt:
            return True, None
        now = self._core.clock.now()

        def work(conn: sqlite3.Connection) -> tuple[bool, float | None]:
            for name, most in want.queues:
                if most > 0 and conn.execute(sql("anything_ready"), (name,)).fetchone() is not None:
                    return True, None
            (due,) = conn.execute("SELECT min(due) FROM delayed").fetchone()
            if due is not None and due <= now:
                return True, None
            alive = conn.execute("SELECT 1 FROM session WHERE num = ?", (self.number,)).fetchone() is not None
            return not alive, None if due is None else due - now

        return await self._core.read(work)

    async def _beat_once(self) -> bool:
        if self._suspended or self._closed:
            return not self._closed
        try:
            return self._file.beat() or self._closed
        except OSError as error:
            raise BrokerUnavailable(f"{self._file.path}: {error}") from error

    def _fenced_elsewhere(self) -> None:
        if not self._closed:
            try:
                self._core.loop.call_soon_threadsafe(self._ears.note_fenced)
            except RuntimeError:  # the loop is closed
                pass

    def _close(self) -> None:
        self._closed = True
        self._ears.wake_all()

    def _check_open(self) -> None:
        if os.getpid() != self._core.pid:
            raise WrongLoop(
                f"session {self.id} belongs to the process that was forked; open one of its own in the child"
            )
        if self._closed or self._core.closed:
            raise BrokerClosed(f"session {self.id} has ended, or its broker was closed")
