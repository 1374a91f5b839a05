"""A session's calls, on the event loop's side."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from orcastra_core.interfaces.session import Session
from orcastra_core.liveness.beat_thread import BeatThread
from orcastra_core.model.delivery import Delivery, Receipt, Want
from orcastra_core.model.errors import BrokerClosed, BrokerError, SessionFenced
from orcastra_core.model.names import SessionId
from orcastra_core.model.session import Fenced, Signal
from orcastra_core.model.settlement import STALE, Done, Settled, Settlement
from orcastra_files.handover import release_all, take
from orcastra_files.life import SessionFile
from orcastra_files.settings import LIMITS
from orcastra_files.settling import Item, prepare, settle
from orcastra_files.step import Step
from orcastra_files.store import Store


class FilesSession(Session):
    """A session of ``files://``."""

    def __init__(
        self,
        store: Store,
        session_id: SessionId,
        lease: float,
        file: SessionFile,
        ended: Callable[[FilesSession], None],
    ) -> None:
        self.id = session_id
        self.lease = lease
        self._store = store
        self._file = file
        self._ended = ended
        self._closed = False
        self._fenced = False
        self._suspended = False
        self._seen: set[Receipt] = set()
        self._disowned = False  # since the last look
        # A session does not outlive its process here, so its process may keep its answers. Where
        # sessions survive on a server, the server keeps them, in the same step as the effects.
        self._answers: dict[int, list[Settled]] = {}
        self._last = 0
        self._beat = BeatThread(session_id, lease=lease, beat=self._beat_once, on_fenced=lambda: None)
        self._beat.start()

    async def fetch(self, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        ends = time.monotonic() + wait
        while True:
            self._check_open()
            before = self._store.mark()  # first this, then the look: who publishes in between is not missed
            taken, due_in = await self._look(want)
            left = ends - time.monotonic()
            if taken or left <= 0:
                return taken
            await self._store.until(partial(self._may_look_again, before), min(left, due_in))

    async def settle(self, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        self._check_open()
        items = prepare(batch)
        answers = await self._store.run(lambda step: self._settle(step, items, number))
        for item, answer in zip(batch, answers, strict=True):
            if answer is STALE or isinstance(answer, Done):
                self._seen.discard(item.delivery.receipt)
        return answers

    async def signals(self, *, wait: float) -> Sequence[Signal]:
        self._check_open()
        await self._store.until(lambda: self._closed or self._is_fenced(), wait)
        self._check_open()
        return [Fenced()] if self._is_fenced() else []

    async def held(self) -> Sequence[Receipt]:
        self._check_open()
        return await self._store.run(lambda step: list(step.state.held.get(self.id, {})))

    def disown(self, receipts: Sequence[Receipt], /) -> None:
        self._seen.difference_update(receipts)
        self._disowned = True

    async def leave(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            await self._store.run(self._leave)
        except BrokerError:
            pass  # a sweep will find it dead
        finally:
            self.drop()

    def drop(self) -> None:
        """Stop living, without a word to the store: a sweep finds the lock free. Idempotent."""
        self._closed = True
        self._beat.stop(join=1.0)
        self._file.close()
        self._ended(self)

    def suspend(self) -> None:
        """Stop beating, as a stopped or starved process would. For tests."""
        self._suspended = True

    def resume(self) -> None:
        """Beat again. For tests."""
        self._suspended = False
        self._file.beat()

    async def _look(self, want: Want) -> tuple[list[Delivery], float]:
        seen, self._disowned = frozenset(self._seen), False
        taken, due_in = await self._store.run(lambda step: self._take(step, want, seen), flush=False)
        self._seen.update(delivery.receipt for delivery in taken)
        return taken, due_in

    def _may_look_again(self, before: object) -> bool:
        return self._closed or self._disowned or self._store.mark() != before

    def _take(self, step: Step, want: Want, seen: frozenset[Receipt]) -> tuple[list[Delivery], float]:
        """Return what there is, and the seconds until there may be something; in the store's thread."""
        try:
            taken = take(step, self.id, want, seen)
        except SessionFenced:
            self._fenced = True
            raise
        first = step.state.first_delayed()
        return taken, first[0] - step.now if first is not None else LIMITS.max_delay

    def _settle(self, step: Step, items: Sequence[Item], number: int) -> list[Settled]:
        held = step.state.held.get(self.id)
        if held is None:
            self._fenced = True
            return [STALE] * len(items)
        if number in self._answers:
            return self._answers[number]
        if number <= self._last:
            return [STALE] * len(items)
        answers = settle(step, held, items)
        step.afterwards.append(lambda: self._keep(number, answers))
        return answers

    def _keep(self, number: int, answers: list[Settled]) -> None:
        self._last = number
        self._answers[number] = answers
        if len(self._answers) > LIMITS.settle_window:
            del self._answers[min(self._answers)]

    def _leave(self, step: Step) -> None:
        release_all(step, self.id)
        step.afterwards.append(lambda: self._store.remove_session(self.id))

    async def _beat_once(self) -> bool:
        return self._suspended or self._file.beat()

    def _is_fenced(self) -> bool:
        return self._fenced or self._file.removed()

    def _check_open(self) -> None:
        if self._closed:
            raise BrokerClosed(f"session {self.id} has ended, or its broker was closed")
