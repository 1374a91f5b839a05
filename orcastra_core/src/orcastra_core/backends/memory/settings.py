"""What a memory broker's URL says, and what the broker declares."""

from __future__ import annotations

import attrs

from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.profile import Cap, Limits

CLAIMS = frozenset(Cap) - {Cap.TX_PUBLISH, Cap.TX_COMPLETE}

NOTES = {
    Cap.TX_PUBLISH: "there is no transaction to join",
    Cap.TX_COMPLETE: "there is no transaction to join",
}

LIMITS = Limits(
    priorities=(-100, 100),
    time_resolution=0.001,
    min_lease=0.01,
    recovery_time=1.0,
    connect_timeout=1.0,
)

EVENTS_MAX = 100_000
"""Entries the event log keeps unless the URL says otherwise."""


@attrs.frozen
class Settings:
    """The parameters of ``memory://name?events_max=…&without=…``.

    Attributes:
        name: Which store of this process; None for one of the broker's own.
        events_max: Entries the event log keeps; the oldest go first.
        without: Capabilities not to offer: for trying programs against a lesser broker.
    """

    name: str | None = None
    events_max: int = EVENTS_MAX
    without: frozenset[Cap] = frozenset()

    @classmethod
    def of(cls, url: BrokerUrl) -> Settings:
        """Read a URL. Raises InvalidOption for a parameter that is unknown or bad."""
        options = url.options({"events_max": _at_least_one, "without": _caps})
        return cls(name=",".join(url.hosts) + url.path or None, **options)


def _at_least_one(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError("expected at least 1")
    return value


def _caps(text: str) -> frozenset[Cap]:
    try:
        return frozenset(Cap[name.strip().upper()] for name in text.split(",") if name.strip())
    except KeyError as error:
        raise ValueError(
            f"{error.args[0]} is no capability; there are {', '.join(cap.name for cap in CLAIMS)}"
        ) from None
