"""One partition of the log: what it says, and what is changed in it by transactions."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

import attrs

from orcastra_core.model.errors import AuthenticationFailed, BrokerTimeout
from orcastra_kafka.core import Core
from orcastra_kafka.patience import pause
from orcastra_kafka.logs import next_offset
from orcastra_kafka.schedule.calendar import Due
from orcastra_kafka.schedule.log import Batch, Log, Writer, batches_of
from orcastra_kafka.schedule.messages import Place
from orcastra_kafka.schedule.table import Table
from orcastra_kafka.schedule.transactor import Doubtful, Fenced, Item, Transactor
from orcastra_kafka.settings import CODECS
from orcastra_kafka.share.errors import ShareError

PATIENCE = 0.5
"""Seconds, up to twice that, for which somebody else's partition stands still with something due before it is taken over."""

_STUCK = 1.0
"""Seconds that a transaction may hold up readers before it is aborted."""
_PAUSE = 0.003
_MARK = "mark"
"""The header by which who removes a schedule recognises his record."""


@attrs.frozen
class Draft:
    """What a transaction is to do.

    Attributes:
        values: What becomes of schedules, by key; None removes one.
        publish: What else is written, by topic and partition.
    """

    values: Mapping[bytes, bytes | None]
    publish: Mapping[Place, Sequence[Item]] = attrs.Factory(dict)


Drafting: TypeAlias = Callable[[], Awaitable[Draft | None]]
"""Decides, with the table as it is now and nobody else able to change it unnoticed; None: nothing is to be done."""


class Partition:
    """Follows a partition, and changes it.

    Plain appends, such as additions and removals, need no leave: the log says in which order they took effect. What
    depends on the state before it, such as firing, is a transaction under the partition's transactional id: whoever takes that has it
    alone, and before it commits he looks whether a plain append has come in between.

    Attributes:
        number: Which one.
        table: What it says.
        position: Up to where it was read.
        owned: Whether it was this process which fired from it last.
    """

    def __init__(self, core: Core, log: Log, number: int, patience: float) -> None:
        self.number = number
        self.table = Table()
        self.position = 0
        self.owned = False
        self._core = core
        self._log = log
        self._place: Place = (core.names.schedule, number)
        self._transactor = Transactor(
            core.cluster,
            f"{core.names.schedule}.{number}",
            codec=CODECS[core.settings.compression],
            timeout=core.settings.timeout,
        )
        self._reading = asyncio.Lock()
        self._changing = asyncio.Lock()
        self._patience = patience
        self._others_at: float | None = None
        self._yield_until = 0.0
        self._refusals = 0
        self._removals: dict[bytes, dict[bytes, bool]] = {}
        self._touched: set[bytes] | None = None
        self._open = False
        self._last = (-1, -1)
        self._written = -1

    # -- reading

    async def read_to(self, end: int) -> None:
        """Read up to an offset; a transaction that holds it up for long is aborted. Raises what a cluster raises."""
        stuck_at = self._now() + _STUCK
        while self.position < end:
            async with self._reading:
                before = self.position
                if before < end:
                    await self._read_page()
            if self.position > before:
                stuck_at = self._now() + _STUCK
            elif self._now() < stuck_at:
                await pause(_PAUSE)
            elif self._open:
                await pause(_PAUSE)  # it is our own
            else:
                await self._transactor.take()
                stuck_at = self._now() + self._core.settings.timeout

    async def _read_page(self) -> None:
        page = await self._log.page(self.number, self.position)
        if page.start > self.position:
            self.position = page.start
        begin = self.position
        for batch in batches_of(page, begin):
            self._apply(batch)
        self.position = max(begin, next_offset(page, begin))

    def _apply(self, batch: Batch) -> None:
        now = self._core.clock.now()
        if batch.writer is not None:
            self._heed(batch.writer, batch.base, now)
        for offset, key, value, headers in batch.records:
            if headers and not value:
                self._answer(key, headers)
            if self._touched is not None:
                self._touched.add(key)
            self.table.apply(offset, key, value, now)

    def _heed(self, writer: Writer, base: int, now: float) -> None:
        mine = self._transactor.identity
        if (writer.id, writer.epoch) == self._last:
            self._written = base
            return
        if mine is not None:
            if mine.id == writer.id and writer.epoch < mine.epoch:
                return
            self._transactor.identity = None
        self.owned = self.table.keeps = False
        self._others_at = max(self._others_at or 0.0, self._now() - max(0.0, now - writer.at))

    def _answer(self, key: bytes, headers: Sequence[tuple[str, bytes]]) -> None:
        for name, mark in headers:
            if name == _MARK and mark in self._removals:
                self._removals[mark][key] = key in self.table

    # -- removing

    def expect(self, mark: bytes) -> Mapping[bytes, bool]:
        """Begin to note for which keys a marked removal found something."""
        return self._removals.setdefault(mark, {})

    def forget(self, mark: bytes) -> None:
        """Stop that."""
        self._removals.pop(mark, None)

    @staticmethod
    def headers(mark: bytes) -> Sequence[tuple[str, bytes]]:
        """Return what marks a removal."""
        return ((_MARK, mark),)

    # -- whose it is

    def wait(self, now: float) -> float:
        """Return the seconds for which firing is left to somebody else; 0: it is for us to do."""
        moment = self._now()
        held_back = max(0.0, self._yield_until - moment)
        if self.owned or self._others_at is None:
            return held_back
        first = self.table.calendar.first(now)
        late = 0.0 if first is None else now - first
        still_since = max(self._others_at, moment - max(0.0, late))
        return max(held_back, still_since + self._patience - moment)

    # -- changing

    async def change(self, drafting: Drafting) -> None:
        """Do what is drafted, once, whoever else wants to; drafted anew whenever somebody else was faster. Raises what a cluster raises, and BrokerTimeout."""
        until = self._now() + max(self._core.settings.timeout, _STUCK) * 2
        while self._now() < until:
            async with self._changing:
                if await self._try(drafting):
                    return
            await pause(max(0.0, self._yield_until - self._now()))
        raise BrokerTimeout(f"{self._core.where}: too many at once change {self._transactor.name}")

    async def fire(self, drafting: Drafting) -> bool:
        """Do what is drafted as the owner; False if somebody else is faster. Raises what a cluster raises."""
        async with self._changing:
            done = await self._try(drafting)
        if done:
            self.owned = self.table.keeps = True
        return done

    async def _try(self, drafting: Drafting) -> bool:
        try:
            if self._transactor.identity is None:
                await self._transactor.take()
            while True:
                await self.read_to((await self._log.ends())[self.number])
                self._touched = set()
                draft = await drafting()
                if draft is None or not (draft.values or draft.publish) or await self._commit(draft):
                    self._refusals = 0
                    return True
        except Fenced:
            self._refusals = min(self._refusals + 1, 6)
            self._yield_until = self._now() + 0.02 * 2**self._refusals * random.uniform(0.5, 1.0)
            return False
        finally:
            self._touched = None

    async def _commit(self, draft: Draft) -> bool:
        """Write and commit; False if a plain append has come in between."""
        keys = list(draft.values)
        own: list[Item] = [(key, draft.values[key], ()) for key in keys]
        if (identity := self._transactor.identity) is None:
            raise Fenced
        self._last = identity.id, identity.epoch
        self._open = True
        base = -1
        try:
            base = (await self._transactor.write({**draft.publish, self._place: own}))[self._place]
            overtaken = await self._overtaken(base, keys)
            await self._transactor.end(commit=not overtaken)
            if overtaken:
                return False
        except Doubtful:
            if not await self._took_effect(base):
                return False
        except Fenced:
            raise
        except BaseException as error:
            self._transactor.identity = None
            if isinstance(error, ShareError | AuthenticationFailed):
                await self._transactor.take()  # it aborts what is open; else the next one to take it does
            raise
        finally:
            self._open = False
        now = self._core.clock.now()
        for offset, key in enumerate(keys, base):
            self.table.apply(offset, key, draft.values[key], now)
        return True

    async def _overtaken(self, base: int, keys: Sequence[bytes]) -> bool:
        """Read what was appended before our own records; whether it is of the same schedules."""
        until = self._now() + self._core.settings.timeout
        while self.position < base:
            if self._now() >= until:
                return True
            async with self._reading:
                before = self.position
                if before < base:
                    await self._read_page()
            if self.position == before:
                await pause(_PAUSE)
        return self._touched is None or not self._touched.isdisjoint(keys)

    async def _took_effect(self, base: int) -> bool:
        """Whether a transaction whose commit got no answer was committed."""
        await self._transactor.take()
        await self.read_to((await self._log.ends())[self.number])
        return self._written >= base >= 0

    # -- values

    async def values(self, due: Sequence[Due]) -> Mapping[bytes, bytes]:
        """Return the values of entries, from memory or read again. Raises what a cluster raises."""
        found = {key: entry.value for key, entry in due if entry.value is not None}
        missing = {entry.offset: key for key, entry in due if entry.value is None}
        if missing:
            for offset, value in (await self._log.values(self.number, list(missing))).items():
                found[missing[offset]] = value
        return found

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
