"""One single tick."""

from __future__ import annotations

from datetime import datetime

import attrs

from orcastra_core.triggers import moments


def _aware(value: object) -> datetime:
    return moments.aware("Once(at)", value)


@attrs.frozen
class Once:
    """Fires at one moment, and never again.

    Attributes:
        at: An aware datetime. InvalidOption for a naive one.
    """

    at: datetime = attrs.field(converter=_aware)

    @classmethod
    def parse(cls, text: str) -> Once:
        """Read an ISO 8601 moment with its offset. Raises InvalidOption."""
        return cls(moments.read("once", text.strip()))

    def next_after(self, moment: datetime, /) -> datetime | None:
        """Return ``at`` if it is after the aware ``moment``, else None."""
        return self.at if moments.instant(self.at) > moments.instant(moment) else None

    def __str__(self) -> str:
        return self.at.isoformat()
