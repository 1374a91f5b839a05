"""Whether a member asks for deliveries: whoever does not leaves idle partitions to others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

_SATED = 0.1
"""Leases without a fetch after which idle partitions are for others."""
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

    @contextmanager
    def fetching(self) -> Iterator[None]:
        """Somebody waits for deliveries."""
        self._fetching += 1
        try:
            yield
        finally:
            self._fetching -= 1
            self._fetched_at = _now()

    def told(self, company: bool) -> None:
        """The group has other members, or has not."""
        self._company = company

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
