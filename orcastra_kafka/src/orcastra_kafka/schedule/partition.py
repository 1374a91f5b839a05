"""One partition of the log: what it says, and what is changed in it by transactions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

import attrs

from orcastra_core.model.errors import BrokerTimeout
from orcastra_kafka.core import Core
from orcastra_kafka.errors import CLIENT_ERRORS
from orcastra_kafka.logs import next_offset, offset_at
from orcastra_kafka.patience import pause
from orcastra_kafka.producer import MAX_BATCH_BYTES, Record
from orcastra_kafka.protocol.log import EARLIEST
from orcastra_kafka.schedule.calendar import Due
from orcastra_kafka.schedule.hanging import end_open
from orcastra_kafka.schedule.log import Batch, Log, Writer, batches_of
from orcastra_kafka.schedule.removals import Removals
from orcastra_kafka.schedule.table import Table
from orcastra_kafka.schedule.tenure import Tenure
from orcastra_kafka.schedule_topic import FORGETS_AFTER
from orcastra_kafka.settings import CODECS
from orcastra_kafka.share.errors import KafkaCode, ShareError
from orcastra_kafka.transaction import Fenced, Transactions

MOST_CHANGED = MAX_BATCH_BYTES // 4 * 3
"""Bytes of schedules that a transaction changes: they have to be one batch, or others could come in between unseen."""

_STUCK = 1.0
"""Seconds that a transaction may hold up readers before it is aborted."""
_PAUSE = 0.003
_FENCED = 90


@attrs.frozen
class Draft:
    """What a transaction is to do.

    Attributes:
        values: What becomes of schedules, by key; None removes one.
        publish: What else is appended.
    """

    values: Mapping[bytes, bytes | None]
    publish: Sequence[Record] = ()


Drafting: TypeAlias = Callable[[], Awaitable[Draft]]
"""Decides, with the table as it is now and nobody else able to change it unnoticed. An empty draft changes nothing."""


class Partition:
    """Follows a partition, and changes it.

    Plain appends, such as additions and removals, need no leave: the log says in which order they took effect. What
    depends on the state before it, such as firing, is a transaction under the partition's transactional id: whoever takes that has it
    alone, and before it commits he looks whether a plain append has come in between.

    Attributes:
        number: Which one.
        table: What it says.
        position: Up to where it was read.
        removals: Those of ours that are under way.
    """

    def __init__(self, core: Core, log: Log, number: int, patience: float) -> None:
        self.number = number
        self.table = Table(core.clock.now())
        self.position = 0
        self.removals = Removals()
        self._core = core
        self._log = log
        self._transactions = Transactions(
            core.cluster,
            f"{core.names.schedule}.{number}",
            timeout=core.settings.timeout,
            codec=CODECS[core.settings.compression],
        )
        self._reading = asyncio.Lock()
        self._changing = asyncio.Lock()
        self._tenure = Tenure(patience)
        self._touched: set[bytes] | None = None
        self._open = False
        self._read_at = core.clock.now()
        self._last = (-1, -1)
        self._written = -1

    # -- reading

    async def read_to(self, end: int) -> None:
        """Read up to an offset; a transaction that holds it up for long is aborted. Raises what a cluster raises."""
        stuck_at, begun = self._now() + _STUCK, False
        while self.position < end:
            async with self._reading:
                before = self.position
                if before < end:
                    await self._read_page()
            if self.position > before:
                stuck_at = self._now() + _STUCK
            elif self._now() < stuck_at or self._open:
                await pause(_PAUSE)
            elif begun:
                raise TimeoutError(f"the transaction {self._transactions.name} does not end")
            else:
                self._transactions.forget()
                await end_open(self._core, self._transactions.name)
                stuck_at, begun = self._now() + self._core.settings.timeout, True
        self._read_at = self._core.clock.now()

    async def _read_page(self) -> None:
        now = self._core.clock.now()
        if now - self._read_at > FORGETS_AFTER:  # the log may have forgotten removals that were not read
            self._begin_anew(0)
        try:
            page = await self._log.page(self.number, self.position)
        except ShareError as error:
            if error.code != KafkaCode.OFFSET_OUT_OF_RANGE:
                raise
            self._begin_anew(await offset_at(self._core, self._log.facts, self.number, EARLIEST))
            return
        begin = self.position
        self._read_at = now
        for batch in batches_of(page, begin):
            self._apply(batch)
        self.position = max(begin, next_offset(page, begin))

    def _begin_anew(self, offset: int) -> None:
        keeps, self.table = self.table.keeps, Table(self._core.clock.now())
        self.table.keeps = keeps
        self.position, self._read_at = offset, self._core.clock.now()

    def _apply(self, batch: Batch) -> None:
        now = self._core.clock.now()
        if batch.writer is not None:
            self._heed(batch.writer, batch.base, now)
        for offset, key, value, headers in batch.records:
            if headers and not value:
                self.removals.note(key, headers, found=key in self.table)
            if self._touched is not None:
                self._touched.add(key)
            self.table.apply(offset, key, value, now)

    def _heed(self, writer: Writer, base: int, now: float) -> None:
        mine = self._transactions.identity
        if (writer.id, writer.epoch) == self._last:
            self._written = base
            return
        if mine is not None:
            if mine.id == writer.id and writer.epoch < mine.epoch:
                return
            self._transactions.forget()
        self.table.keeps = False
        self._tenure.lost(self._now() - max(0.0, now - writer.at))

    # -- whose it is

    async def idle(self) -> None:
        """Return once no change of ours is under way here."""
        async with self._changing:
            pass

    def is_due(self, now: float) -> bool:
        """Whether something is due here, and for us to fire."""
        first = self.table.calendar.first(now)
        return first is not None and first <= now and not self.wait(now)

    def moment(self, now: float) -> float | None:
        """Return when this process is to look at something here, Unix seconds; None if nothing waits."""
        first = self.table.calendar.first(now)
        return None if first is None else max(first, now) + self.wait(now)

    def wait(self, now: float) -> float:
        """Return the seconds for which firing is left to somebody else; 0: it is for us to do."""
        first = self.table.calendar.first(now)
        return self._tenure.wait(self._now(), 0.0 if first is None else now - first)

    # -- changing

    async def change(self, drafting: Drafting) -> None:
        """Do what is drafted, once, whoever else wants to; drafted anew whenever somebody else was faster. Raises what a cluster raises, and BrokerTimeout."""
        until = self._now() + max(self._core.settings.timeout, _STUCK) * 2
        while self._now() < until:
            async with self._changing:
                if await self._try(drafting):
                    return
            await pause(self._tenure.held_back(self._now()))
        raise BrokerTimeout(f"{self._core.where}: too many at once change {self._transactions.name}")

    async def fire(self, drafting: Drafting) -> bool:
        """Do what is drafted, if it is for us to do; False if not, or if somebody else is faster. Raises what a cluster raises."""
        fired = False

        async def noted() -> Draft:
            nonlocal fired
            draft = await drafting()
            fired = bool(draft.values)
            return draft

        async with self._changing:
            if not self.is_due(self._core.clock.now()) or not await self._try(noted):
                return False
        if fired:
            self.table.keeps = True
            self._tenure.fired()
        return fired

    async def _try(self, drafting: Drafting) -> bool:
        try:
            while True:
                if self._transactions.identity is None:
                    await self._transactions.begin()
                identity = self._transactions.identity
                await self.read_to((await self._log.ends())[self.number])
                self._touched = set()
                draft = await drafting()
                if self._transactions.identity is not identity:
                    raise Fenced(_FENCED)
                if not (draft.values or draft.publish) or await self._commit(draft):
                    self._tenure.succeeded()
                    return True
        except Fenced:
            self._tenure.fenced(self._now())
            return False
        finally:
            self._touched = None

    async def _commit(self, draft: Draft) -> bool:
        """Append and commit; False if it did not take effect, and is to be drafted anew."""
        identity = self._transactions.identity
        assert identity is not None
        topic, keys = self._log.facts.name, list(draft.values)
        own = [Record(topic, key, draft.values[key], spread=self.number) for key in keys]
        self._last, begin = (identity.id, identity.epoch), self.position
        base = -1

        async def overtaken(offsets: Mapping[tuple[str, int], int]) -> bool:
            nonlocal base
            base = offsets[topic, self.number]
            return await self._overtaken(base, keys)

        self._open = True
        try:
            if not await self._transactions.commit([*draft.publish, *own], unless=overtaken):
                return False
        except CLIENT_ERRORS as error:
            # the answer to the commit may have got lost: what the log says is true
            self._open = False
            if not isinstance(error, Fenced):
                await self._transactions.begin()
            await self.read_to((await self._log.ends())[self.number])
            if self._written < begin:
                raise error
            return True
        finally:
            self._open = False
        now = self._core.clock.now()
        for offset, key in enumerate(keys, base):
            self.table.apply(offset, key, draft.values[key], now)
        return True

    async def _overtaken(self, base: int, keys: Sequence[bytes]) -> bool:
        """Read what was appended before our own records; whether it is of the same schedules."""
        until = self._now() + self._core.settings.timeout / 2
        while self.position < base or base < 0:
            if base < 0 or self._now() >= until:
                return True
            async with self._reading:
                before = self.position
                if before < base:
                    await self._read_page()
            if self.position == before:
                await pause(_PAUSE)
        return self._touched is None or not self._touched.isdisjoint(keys)

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
