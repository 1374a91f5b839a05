"""Storage of tasks that failed for good."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from orcastra_core.model.dead_letter import DeadLetter
from orcastra_core.model.errors import Unsupported
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName
from orcastra_core.model.profile import Cap
from orcastra_core.model.published import Published


class DeadLetterStore(ABC):
    """Tasks that failed for good, kept whole for 30 days. Written by ``settle``, or by ``put``."""

    async def put(self, batch: Sequence[DeadLetter], /) -> None:
        """Store dead letters of a queue in another store. Idempotent by id; written first, settled second."""
        raise Unsupported(Cap.DEAD_LETTERS)

    @abstractmethod
    async def page(
        self, *, queue: QueueName | None = None, after: TaskId | None = None, limit: int = 100
    ) -> Sequence[DeadLetter]:
        """Return dead letters in order of their ids, behind ``after``."""

    @abstractmethod
    async def get(self, ids: Sequence[TaskId], /) -> Sequence[DeadLetter | None]:
        """Return dead letters, None for ids that are none."""

    @abstractmethod
    async def replay(self, ids: Sequence[TaskId], /, *, events: Sequence[bytes] = ()) -> Sequence[Published | None]:
        """Put dead letters back into their queues, counts at zero, their failed results forgotten; each atomically.

        ``events`` are aligned with ``ids``, each appended if its letter is Stored. Keeps the id. Takes the dedup key again: Duplicate if somebody else
        holds it, and then the dead letter stays. Refused for unreadable bytes. None for ids that are no dead letters.
        """

    @abstractmethod
    async def purge(
        self,
        *,
        ids: Sequence[TaskId] | None = None,
        queue: QueueName | None = None,
        older_than: float = 0.0,
        limit: int = 1000,
    ) -> int:
        """Forget dead letters.

        Args:
            ids: Only these.
            queue: Only those of this queue.
            older_than: Only those dead for at least this many seconds.
            limit: At most this many in one call.

        Returns:
            How many were forgotten; call again while it is ``limit``.
        """
