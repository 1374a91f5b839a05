"""Storage of results, and how they reach those who wait."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from orcastra_core.model.errors import Unsupported
from orcastra_core.model.ids import TaskId
from orcastra_core.model.profile import Cap
from orcastra_core.model.result import Absence, Result


class ResultFeed(ABC):
    """The pushed results of one client: those whose envelope names ``channel`` as its ``reply``.

    A feed may miss results (a lost connection, a full buffer): whoever waits
    subscribes first, then reads, then waits, and reads again now and then.
    """

    channel: str
    """Short text, unique in the domain."""

    @abstractmethod
    async def next(self, *, wait: float) -> Sequence[Result]:
        """Return results pushed since the last call, waiting up to ``wait`` seconds for the first.

        Raises:
            BrokerUnavailable: Retryable; some may have been missed.
            BrokerClosed: After ``close``.
        """

    @abstractmethod
    async def close(self) -> None:
        """Stop listening. Idempotent."""


class ResultStore(ABC):
    """Results of tasks that ended for good. Written by ``settle`` and ``cancel``, or by ``put``."""

    async def put(self, batch: Sequence[tuple[Result, str | None]], /) -> None:
        """Store results, each with the reply channel to push it to, for a queue in another store.

        Idempotent. A later ``ended_at`` replaces an earlier one: a replay ends again. Written first, settled second. A
        store that serves only its own queue leaves this as it is.
        """
        raise Unsupported(Cap.RESULTS)

    @abstractmethod
    async def get(self, ids: Sequence[TaskId], /) -> Sequence[Result | Absence]:
        """Return results, or why there is none.

        A store without Cap.LOOKUP cannot tell and says PENDING. EXPIRED is
        said for as long as the store remembers the id: ``limits.publish_window`` at least, from the end of the TTL.
        """

    @abstractmethod
    async def subscribe(self) -> ResultFeed:
        """Open a feed; what is settled after this returned is pushed to it."""

    @abstractmethod
    async def prune(self, *, limit: int) -> int:
        """Drop results past their TTL, at most ``limit``; return how many. Never blocks other work for long."""
