"""A lane of a share session: one topic of a queue, read by a member of its share group, or by two where acknowledging takes its time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from orcastra_core.model.names import QueueName
from orcastra_kafka.errors import CLIENT_ERRORS
from orcastra_kafka.share.acks import AckType
from orcastra_kafka.share.consumer import ShareConsumer
from orcastra_kafka.share.records import ShareRecord

_log = logging.getLogger("orcastra.kafka")

_COLD_PARK = 0.05
"""Seconds the first fetch may stay with the broker, which has to load the lane's state."""
_PATIENCE = 10
"""Fetches that had to wait for acknowledgements before a second member joins."""


class Lane:
    """Fetches by the member that is free.

    The requests of a member go one after the other, and an acknowledgement is answered when the cluster has written it
    down: while one member waits for that, the other fetches.

    Args:
        queue: Whose topic it is.
        make: Makes a member.
    """

    def __init__(self, queue: QueueName, make: Callable[[], ShareConsumer]) -> None:
        self.queue = queue
        self.members = [make()]
        self._make = make
        self._warm = False
        self._waits = 0
        self._unsure: ShareConsumer | None = None  # was asked last, and nobody has heard what it brought
        self._joining: asyncio.Task[None] | None = None
        self._suspended = False

    async def start(self, *, within: float) -> None:
        """Join the group. Raises KafkaError, OSError or TimeoutError."""
        (member,) = self.members
        await member.start()
        async with asyncio.timeout(within):
            await member.ready()

    async def fetch(self, limit: int) -> list[ShareRecord]:
        """Fetch what is there; what a call before this one was too late for comes first."""
        member = self._unsure = self._unsure or self._free()
        records = await member.fetch(limit, 0.0 if self._warm else _COLD_PARK)
        self._unsure, self._warm = None, True
        return records

    async def acknowledge(self, records: Sequence[ShareRecord], kind: AckType) -> list[int]:
        """Acknowledge; return for each 0, or Kafka's error code."""
        if len(self.members) == 1:
            return await self.members[0].acknowledge([(record, kind) for record in records])
        shares: dict[ShareConsumer, list[ShareRecord]] = {}
        for record in records:
            holder = next((member for member in self.members if member.holds(record)), self.members[0])
            shares.setdefault(holder, []).append(record)
        async with asyncio.TaskGroup() as group:
            answering = [
                (some, group.create_task(member.acknowledge([(record, kind) for record in some])))
                for member, some in shares.items()
            ]
        codes = {record: code for some, task in answering for record, code in zip(some, task.result(), strict=True)}
        return [codes[record] for record in records]

    async def held(self) -> list[ShareRecord]:
        """Return what its members hold."""
        return [record for member in self.members for record in await member.held()]

    def suspend(self, suspended: bool) -> None:
        """Stop heartbeats and renewals, or resume them. For tests."""
        self._suspended = suspended
        for member in self.members:
            member.suspend(suspended)

    def drop(self) -> None:
        """End all conversations."""
        if self._joining is not None:
            self._joining.cancel()
        for member in self.members:
            member.drop()

    async def close(self) -> None:
        """Leave the group."""
        if self._joining is not None:
            self._joining.cancel()
            await asyncio.wait([self._joining])
        async with asyncio.TaskGroup() as group:
            for member in self.members:
                group.create_task(member.close())

    def _free(self) -> ShareConsumer:
        for member in self.members:
            if not member.busy:
                return member
        self._waits += 1
        if self._waits >= _PATIENCE and self._joining is None:
            self._joining = asyncio.get_running_loop().create_task(self._join(), name="kafka-second-member")
        return self.members[0]

    async def _join(self) -> None:
        member = self._make()
        try:
            await member.start()
        except CLIENT_ERRORS as error:  # the group may be as large as it may be: one member will do
            _log.debug("no second member: %s", error)
            member.drop()
            return
        member.suspend(self._suspended)
        self.members.append(member)
