"""A session's calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery, Receipt, Want
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.errors import BrokerClosed, BrokerError, DeserializationError, SessionFenced
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.session import CancelTask, DueSoon, Fenced, Signal
from orcastra_core.model.settlement import STALE, Done, Release, Settled, Settlement
from orcastra_core.serialization.envelope_codec import decode_envelope
from orcastra_redis.beat import Beat
from orcastra_redis.core import Core
from orcastra_redis.publish import pack_events, read_counts
from orcastra_redis.settings import LIMITS
from orcastra_redis.settle import Batch, Held

_LOOK_AROUND = 1.0
"""Seconds between looks that no message asked for: it may have been lost."""


class RedisSession(Session):
    """A session: a key with a TTL, and a consumer of its name in every lane that it reads."""

    def __init__(self, core: Core, session_id: SessionId, lease: float, ended: Callable[[RedisSession], None]) -> None:
        self.id = session_id
        self.lease = lease
        self._core = core
        self._ended = ended
        self._holding: dict[Receipt, Held] = {}
        self._released: set[bytes] = set()  # positions that may be handed out to this session again
        self._answers: dict[int, Sequence[Settled]] = {}
        self._in_doubt: set[int] = set()  # numbers of settles that got no answer
        self._fetches = 0
        self._doubt = False  # a fetch got no answer, or what it gave was disowned
        self._registered = False
        self._fenced = False
        self._closed = False
        self._due_soon = False
        self._told_last = 0  # how many wishes to cancel the last call told of
        self._bell = asyncio.Event()
        self._ears = asyncio.Event()
        self._beat = Beat(core.settings, session_id, lease, self._fenced_elsewhere)

    async def begin(self) -> None:
        """Listen, and start to beat."""
        await self._core.listener.add(self._channel, self._told)
        self._beat.start()

    async def fetch(self, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        rung = False
        try:
            while True:
                self._check()
                self._bell.clear()
                rung = False
                left = max(0.0, until - loop.time())
                taken = await self._take(want, left)
                if taken or left <= 0:
                    return taken
                try:
                    async with asyncio.timeout(min(left, _LOOK_AROUND)):
                        await self._bell.wait()
                    rung = True
                except TimeoutError:
                    pass
        except asyncio.CancelledError:
            if self._registered:
                self._registered = False
                self._pass_on(want, rung or self._bell.is_set())
            raise

    async def settle(self, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        self._check(fenced=False)
        if self._fenced:
            return [STALE] * len(batch)
        known = self._answers.get(number)
        doubt = bool(self._in_doubt - {number})
        prepared = Batch([] if known is not None else batch, self._holding, self._core.now(), verify=doubt)
        self._in_doubt.add(number)
        said = await self._core.link.run(
            "settle",
            self._core.settings.events_max,
            self.id,
            number,
            number % LIMITS.settle_window,
            *pack_events(prepared.events),
            *prepared.args,
        )
        self._in_doubt.discard(number)
        if said in (b"F", b"T"):
            if said == b"F":
                self._fence()
            return [STALE] * len(batch)
        if known is not None:
            return known
        answers = prepared.answers(said)
        for item, answer in zip(batch, answers, strict=True):
            if answer is STALE or isinstance(answer, Done):
                held = self._holding.pop(item.delivery.receipt, None)
                if held is not None and isinstance(item, Release):
                    self._released.add(held.position)
        self._answers[number] = answers
        if len(self._answers) > LIMITS.settle_window:
            del self._answers[min(self._answers)]
        return answers

    async def signals(self, *, wait: float) -> Sequence[Signal]:
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        while True:
            self._check(fenced=False)
            self._ears.clear()
            told: list[Signal] = []
            if not self._fenced:
                arrived, self._told_last = self._told_last, 0
                said = await self._core.link.run("signals", self.id, arrived)
                if said == b"F":
                    self._fence()
                else:
                    self._told_last = len(said)
                    told = [CancelTask(TaskId(one.decode())) for one in said]
            if self._fenced:
                return [Fenced()]
            if self._due_soon:
                self._due_soon = False
                told.append(DueSoon())
            left = until - loop.time()
            if told or left <= 0:
                return told
            try:
                async with asyncio.timeout(min(left, _LOOK_AROUND)):
                    await self._ears.wait()
            except TimeoutError:
                pass

    async def held(self) -> Sequence[Receipt]:
        self._check(fenced=False)
        if self._fenced:
            return []
        positions = await self._core.link.run("held", self.id)
        receipts = {held.position: receipt for receipt, held in self._holding.items()}
        return [receipts.get(position, position) for position in positions]

    def disown(self, receipts: Sequence[Receipt], /) -> None:
        for receipt in receipts:
            if self._holding.pop(receipt, None) is not None or isinstance(receipt, str):
                self._doubt = True
        self._bell.set()

    async def leave(self) -> None:
        if self._closed:
            return
        self.drop()
        if not self._fenced:
            try:
                more = True
                how = "leave"
                while more:
                    said = await self._core.link.run("reclaim", self._core.settings.events_max, self.id, 1000, how)
                    more, how = bool(said[1]), "leave"
            except BrokerError:
                pass  # it lapses
        await asyncio.to_thread(self._beat.stop)

    def drop(self) -> None:
        """End the session here, without a word to the server: it lapses."""
        if self._closed:
            return
        self._closed = True
        self._core.listener.drop(self._channel)
        self._bell.set()
        self._ears.set()
        self._ended(self)

    def stop_beating(self) -> None:
        """Stop the beat's thread and wait for it."""
        self._beat.stop()

    def suspend(self) -> None:
        """Stop beating, as a stopped process would; waits for a beat under way. For tests."""
        self._beat.suspend()

    def resume(self) -> None:
        """Beat again. For tests."""
        self._beat.resume()

    def due_soon(self) -> None:
        """Have the session told that the next due moment has moved."""
        self._due_soon = True
        self._ears.set()

    @property
    def _channel(self) -> str:
        return f"{self._core.link.prefix}n:{self.id}"

    async def _take(self, want: Want, wait: float) -> list[Delivery]:
        if self._doubt:
            recovered, more = await self._run_fetch(
                want, 0.0, [held.position for held in self._holding.values()] or [b""]
            )
            self._doubt = more
            if recovered or more:
                return recovered
        taken, _ = await self._run_fetch(want, wait, [])
        return taken

    async def _run_fetch(self, want: Want, wait: float, seen: Sequence[bytes]) -> tuple[list[Delivery], bool]:
        self._fetches += 1
        number = self._fetches
        args: list[Any] = [
            self.id, number, want.limit, round(wait * 1000), int(self._registered), len(want.queues),
        ]  # fmt: skip
        for queue, most in want.queues:
            args += (queue, most)
        doubt, self._doubt = self._doubt, True
        said = await self._core.link.run("fetch", *args, *seen)
        self._doubt = doubt
        if said == b"F":
            self._fence()
            raise SessionFenced(f"session {self.id} was reaped; open a new one")
        if said == b"O":  # one of its own that was given up has come after it: ask again
            self._doubt = True
            return [], True
        taken = [one for part in said[1:] for one in self._unpack(*part)]
        self._registered = wait > 0 and not taken
        return taken, bool(said[0])

    def _unpack(self, queue: bytes, level: bytes, entries: Sequence[bytes], rich: Sequence[Any]) -> Iterator[Delivery]:
        name = QueueName(queue.decode())
        more = {rich[i]: (rich[i + 1], rich[i + 2]) for i in range(0, len(rich), 3)}
        holding = self._holding
        for at in range(0, len(entries), 2):
            position, value = entries[at], entries[at + 1]
            envelope: Envelope | Unreadable
            try:
                envelope = decode_envelope(value[36:])
                task_id = envelope.id
            except DeserializationError as error:
                task_id = TaskId(value[:36].decode("utf-8", "replace"))
                envelope = Unreadable(task_id, name, value[36:], str(error))
            held = Held(position, level, name, task_id)
            if more and (facts := more.get(at // 2)) is not None:
                held.counts, held.special, held.counted = read_counts(facts[0]), facts[1], bool(facts[0])
            receipt: Receipt = position
            if position in self._released:  # the same place, but another hand-over
                receipt = position + b"/%d" % self._fetches
            holding[receipt] = held
            yield Delivery(envelope, receipt, held.counts)

    def _pass_on(self, want: Want, rung: bool) -> None:
        names = [name for name, _ in want.queues]
        self._core.later(lambda: self._core.link.run("stop_waiting", self.id, int(rung), *names))

    def _told(self, message: bytes | None) -> None:
        if message == b"f":
            self._fence()
        elif message == b"q":
            self._bell.set()
        else:  # a wish to cancel, or something may have been missed
            self._ears.set()
            if message is None:
                self._bell.set()

    def _fence(self) -> None:
        self._fenced = True
        self._holding.clear()
        self._bell.set()
        self._ears.set()

    def _fenced_elsewhere(self) -> None:
        try:
            self._core.loop.call_soon_threadsafe(self._fence)
        except RuntimeError:
            pass  # the loop is closed: nobody is left to be told

    def _check(self, *, fenced: bool = True) -> None:
        if self._closed or self._core.closed:
            raise BrokerClosed(f"session {self.id} has ended, or its broker was closed")
        if fenced and self._fenced:
            raise SessionFenced(f"session {self.id} was reaped; open a new one")
