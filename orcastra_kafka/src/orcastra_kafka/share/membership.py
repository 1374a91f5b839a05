"""A member's place in its share group: joining, heartbeats, leaving."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from orcastra_kafka.share.cluster import Cluster
from orcastra_kafka.share.errors import COORDINATOR_MOVED, DENIED, REJOIN, ShareError, check
from orcastra_kafka.share.messages import Heartbeat, Partition, ShareGroupHeartbeat
from orcastra_kafka.share.pauses import pause
from orcastra_kafka.share.private import KafkaError

_log = logging.getLogger(__name__)

_JOIN, _LEAVE = 0, -1
_SOON = 0.05
"""Seconds until the next heartbeat while nothing is assigned yet, or the coordinator is not to be had."""


class Membership:
    """Keeps a member in its group.

    Attributes:
        assigned: What the group's coordinator assigned, None before the first time.
        failing: Why the last heartbeat was refused, or had no answer; None if it was answered.
        suspended: Stops the heartbeats, as a stopped process would. For tests.
    """

    def __init__(
        self, cluster: Cluster, group: str, member: str, topics: Sequence[str], changed: Callable[[], None]
    ) -> None:
        self.assigned: frozenset[Partition] | None = None
        self.suspended = False
        self._cluster = cluster
        self._group = group
        self._member = member
        self._topics = list(topics)
        self._changed = changed
        self._epoch = _JOIN
        self._interval = 0.5
        self.failing: BaseException | None = None

    async def join(self) -> None:
        """Join, waiting for a coordinator that is still loading. Raises KafkaError, OSError or TimeoutError."""
        while not await self._beat(raising=True):
            await pause(_SOON)

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await pause(self._interval if self.assigned and self.failing is None else min(self._interval, _SOON))
            if not self.suspended:
                await self._beat(raising=False)

    async def leave(self) -> None:
        """Leave, if the coordinator can be told. Never fails."""
        try:
            await self._cluster.ask_coordinator(self._group, ShareGroupHeartbeat(self._group, self._member, _LEAVE))
        except (KafkaError, OSError, TimeoutError) as error:
            _log.debug("could not leave %s: %s", self._group, error)

    async def _beat(self, *, raising: bool) -> bool:
        topics = self._topics if self._epoch == _JOIN else None
        try:
            said: Heartbeat = await self._cluster.ask_coordinator(
                self._group, ShareGroupHeartbeat(self._group, self._member, self._epoch, topics)
            )
            check(said.error, said.message, doing=f"share group {self._group}")
        except ShareError as error:
            self.failing = error
            if error.code in REJOIN:
                self._epoch = _JOIN
            elif error.code in COORDINATOR_MOVED:
                self._cluster.forget_coordinator(self._group)
            elif raising or error.code in DENIED:
                if raising:
                    raise
                _log.warning("%s", error)
            return False
        except (KafkaError, OSError, TimeoutError) as error:
            if raising:
                raise
            self.failing = error
            _log.debug("no heartbeat in %s: %s", self._group, error)
            return False
        self.failing = None
        self._epoch, self._interval = said.epoch, max(said.interval, 0.05)
        if said.assignment is not None and said.assignment != self.assigned:
            self.assigned = said.assignment
            self._changed()
        return True
