"""A session's calls, on the event loop's side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orcastra_core.backends.memory import handover, settling
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.waiting import Waiter
from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery, Receipt, Want
from orcastra_core.model.errors import BrokerClosed, SessionFenced
from orcastra_core.model.session import Signal
from orcastra_core.model.settlement import Settled, Settlement

if TYPE_CHECKING:
    from orcastra_core.backends.memory.store import Store


class MemorySession(Session):
    """A session of ``memory://``.

    It beats for as long as its process lives. ``suspend`` makes it silent, as
    if its process had been stopped: for tests. No call awaits between
    taking a delivery and returning it, so a cancelled fetch has taken nothing.
    """

    remote = False

    def __init__(self, store: Store, state: SessionState) -> None:
        self._store = store
        self._state = state
        self.id = state.id
        self.lease = state.lease

    async def fetch(self, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        store, state = self._store, self._state
        until: float | None = None
        while True:
            with store.lock:
                self._check_open()
                if state.fenced:
                    raise SessionFenced(f"session {self.id} was reaped; open a new one")
                taken = handover.take(store, state, want)
                if taken or wait <= 0:
                    return taken
                now = store.clock.monotonic()
                until = now + wait if until is None else until
                if now >= until:
                    return taken
                waiter = state.reader = Waiter()
                for name, _ in want.queues:
                    store.queue(name).waiters[waiter] = None
            heard = False
            try:
                await waiter.wait(until - now, store.clock)
                heard = True
            finally:
                with store.lock:
                    state.reader = None
                    for name, _ in want.queues:
                        store.queue(name).waiters.pop(waiter, None)
                    if waiter.woken and not heard:
                        handover.pass_on(store, want)

    async def settle(self, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        with self._store.lock:
            self._check_open()
            return settling.settle(self._store, self._state, batch, number)

    async def signals(self, *, wait: float) -> Sequence[Signal]:
        store, state = self._store, self._state
        until: float | None = None
        while True:
            with store.lock:
                self._check_open()
                told = state.take_signals()
                now = store.clock.monotonic()
                until = now + wait if until is None else until
                if told or now >= until:
                    return told
                waiter = state.listener = Waiter()
            try:
                await waiter.wait(until - now, store.clock)
            finally:
                state.listener = None

    async def held(self) -> Sequence[Receipt]:
        with self._store.lock:
            self._check_open()
            return [entry.receipt for entry in self._state.held.values()]

    def disown(self, receipts: Sequence[Receipt], /) -> None:
        with self._store.lock:
            state = self._state
            state.disowned.update((receipt, None) for receipt in receipts if receipt in state.held)
            if state.disowned and state.reader is not None:
                state.reader.wake()

    async def leave(self) -> None:
        with self._store.lock:
            if not self._state.closed and not self._state.fenced:
                handover.leave(self._store, self._state)
            self._state.closed = True

    def suspend(self) -> None:
        """Stop beating, as a stopped or starved process would. For tests."""
        with self._store.lock:
            if self._state.silent_since is None:
                self._state.silent_since = self._store.clock.monotonic()

    def resume(self) -> None:
        """Beat again; a session that merely lapsed is thereby revived. For tests."""
        with self._store.lock:
            if not self._state.closed:
                self._state.silent_since = None

    def _check_open(self) -> None:
        if self._state.closed:
            raise BrokerClosed(f"session {self.id} has ended, or its broker was closed")
