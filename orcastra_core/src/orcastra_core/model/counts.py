"""The three counts that live beside the immutable envelope."""

from __future__ import annotations

import attrs


@attrs.frozen
class Counts:
    """How often a task was handed out in vain, and why.

    Attributes:
        attempt: Attempts that ended in failure or timeout.
        lost: Sessions that died holding it since its last settlement.
        released: Times it was handed back without an attempt.
    """

    attempt: int = 0
    lost: int = 0
    released: int = 0

    def retried(self) -> Counts:
        """Return the counts after an attempt that failed."""
        return Counts(self.attempt + 1, 0, self.released)

    def handed_back(self) -> Counts:
        """Return the counts after a release."""
        return Counts(self.attempt, 0, self.released + 1)

    def bereaved(self) -> Counts:
        """Return the counts after the session that held it was reaped."""
        return Counts(self.attempt, self.lost + 1, self.released)


FRESH = Counts()
