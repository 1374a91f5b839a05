"""The append-only log."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from orcastra_core.model.event import LogEntry


class EventLog(ABC):
    """The append-only log: who did what to which task, and when.

    The runtime makes the records (``serialization.event_codec``); publish,
    settle and cancel append them with their effect. A backend makes but one kind
    itself, LOST: in the reap, or out of what the reap noted when the log is read.
    """

    @abstractmethod
    async def append(self, batch: Sequence[bytes], /) -> None:
        """Append event records that belong to no other step."""

    @abstractmethod
    async def read(self, *, after: str | None = None, limit: int = 1000) -> Sequence[LogEntry]:
        """Return entries behind the cursor ``after`` (from the start if None), in the log's order.

        What was appended before a read began and is behind the cursor is
        never skipped for ever by readers that go on from the last cursor they got.
        """

    @abstractmethod
    async def trim(self, *, keep: int) -> int:
        """Drop the oldest entries but about ``keep``; return how many were dropped."""
