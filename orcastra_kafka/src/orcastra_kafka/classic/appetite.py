"""What a member asks for, and what it leaves to others: idle partitions when it is sated, and what is more than its share."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from orcastra_kafka.classic.assignment import Place

_SATED = 0.1
"""Leases without a fetch after which idle partitions are for others."""
_DRAINING = 1.0
"""Leases that it hands out nothing of a partition that others are to get, so that it comes to an end there."""
_STUCK = 30.0
"""Leases after which a partition that had not come to an end by then is tried again."""
_AGAIN = 0.25
"""Leases from one rebalance to the next that a member asks for, at least."""


class Appetite:
    """What a member wants, and what it told its group of that.

    Args:
        lease: Seconds after which the group misses it.

    Attributes:
        suspended: Whether it stands still, and asks its group for nothing.
    """

    def __init__(self, lease: float) -> None:
        self.suspended = False
        self._lease = lease
        self._company = False
        self._fetching = 0
        self._fetched_at = self._agreed_at = _now()
        self._told_sated = False
        self._wanted: frozenset[Place] = frozenset()
        self._drained_by = 0.0
        self._stuck: dict[Place, float] = {}

    @contextmanager
    def fetching(self) -> Iterator[None]:
        """Somebody waits for deliveries."""
        self._fetching += 1
        try:
            yield
        finally:
            self._fetching -= 1
            self._fetched_at = _now()

    def told(self, company: bool, wanted: frozenset[Place]) -> None:
        """The group has other members, or has not; with the partitions ``wanted`` it is to come to an end for them."""
        self._company = company
        self._wanted = wanted
        self._drained_by = _now() + _DRAINING * self._lease

    @property
    def draining(self) -> frozenset[Place]:
        """The partitions of which nothing more is to be handed out."""
        return self._wanted if self._wanted and _now() < self._drained_by else frozenset()

    @property
    def stuck(self) -> frozenset[Place]:
        """Those with which it did not come to an end in time."""
        now = _now()
        self._stuck = {place: until for place, until in self._stuck.items() if until > now}
        return frozenset(self._stuck)

    def has_drained(self, busy: Collection[Place]) -> bool:
        """Whether the group is to share out anew because there is no work left in what others are to get, or time is over."""
        if not self._wanted or (self._wanted & set(busy) and _now() < self._drained_by):
            return False
        free = self._wanted - set(busy)
        self._stuck |= dict.fromkeys(self._wanted & set(busy), _now() + _STUCK * self._lease)
        self._wanted = frozenset()
        return bool(free)

    def agreed(self) -> None:
        """The group has shared out anew."""
        self._agreed_at = _now()

    def tell(self) -> bool:
        """Return whether nothing is asked for at the moment: the group is told so."""
        self._told_sated = self._sated
        return self._told_sated

    def has_changed(self, *, waiting: bool, fed: bool) -> bool:
        """Whether the group is to share out anew: others wait for what we do not ask for any more, or we do, for theirs.

        Args:
            waiting: Whether there are partitions of which nothing is in hand, and something is ready.
            fed: Whether anything is ready.
        """
        if self.suspended or not self._company or _now() - self._agreed_at < _AGAIN * self._lease:
            return False
        hungry = self._fetching and not fed
        return bool((self._sated and not self._told_sated and waiting) or (hungry and self._told_sated))

    @property
    def _sated(self) -> bool:
        return not self._fetching and _now() - self._fetched_at > _SATED * self._lease


def _now() -> float:
    return asyncio.get_running_loop().time()
