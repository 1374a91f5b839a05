"""Whose it is to fire: his who did so last, until something due stands still for long enough."""

from __future__ import annotations

import random

PATIENCE = 0.5
"""Seconds, up to twice that, for which something due of somebody else's stands still before it is taken over."""

_MOST = 8.0
"""Seconds, the same once others have proved to be faster: or two slow ones would go on taking it from each other."""
_YIELD = 0.02
"""Seconds that who was fenced leaves to who fenced him; twice that the next time."""


class Tenure:
    """What one process knows of a partition's owner. ``moment`` is the event loop's time.

    Nobody asks who is alive: an owner that is gone is missed when something is due that it does not fire.

    Attributes:
        owned: Whether it was this process which fired last.
    """

    def __init__(self, patience: float) -> None:
        self.owned = False
        self._patience = self._least = patience
        self._others_at: float | None = None
        self._yield_until = 0.0
        self._refusals = 0

    def fired(self) -> None:
        """This process has fired."""
        if not self.owned:
            self.owned = True
            self._patience = max(self._patience / 2, self._least)

    def lost(self, moment: float) -> None:
        """Somebody else has changed something, at this moment."""
        if self.owned:
            self._patience = min(2 * self._patience, _MOST)
        self.owned = False
        self._others_at = moment if self._others_at is None else max(self._others_at, moment)

    def fenced(self, moment: float) -> None:
        """Somebody else is changing something, at this moment."""
        self._refusals = min(self._refusals + 1, 6)
        self._yield_until = moment + _YIELD * 2**self._refusals * random.uniform(0.5, 1.0)

    def succeeded(self) -> None:
        """Nobody else came in between."""
        self._refusals = 0

    def held_back(self, moment: float) -> float:
        """Return the seconds for which nothing is to be changed."""
        return max(0.0, self._yield_until - moment)

    def wait(self, moment: float, late: float) -> float:
        """Return the seconds for which firing is left to somebody else; 0: it is for this process to do.

        Args:
            moment: Now.
            late: Seconds for which something has been due.
        """
        if self.owned or self._others_at is None:
            return self.held_back(moment)
        still_since = max(self._others_at, moment - max(0.0, late))
        return max(self.held_back(moment), still_since + self._patience - moment)
