"""When a schedule fires next."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol, runtime_checkable


@runtime_checkable
class Trigger(Protocol):
    """A pure function of time with a text form. Immutable."""

    def next_after(self, moment: datetime, /) -> datetime | None:
        """Return the first tick strictly after an aware ``moment``; None if there is none any more."""
        ...

    def __str__(self) -> str:
        """Return the text that the trigger's class method ``parse`` reads back, without its scheme."""
        ...
