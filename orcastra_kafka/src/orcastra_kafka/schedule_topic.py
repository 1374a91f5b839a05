"""How the topic of schedules is set up."""

from __future__ import annotations

from collections.abc import Mapping

_HOUR = 3600.0

CONFIGS: Mapping[str, str] = {
    "cleanup.policy": "compact",
    # a new owner reads all of it: what has been fired should not lie there for long
    "min.cleanable.dirty.ratio": "0.2",
    "segment.bytes": str(32 << 20),
    "segment.ms": str(round(_HOUR * 1000)),
    "delete.retention.ms": str(round(_HOUR * 1000)),
}
"""Beside those that all topics have."""

FORGETS_AFTER = _HOUR / 2
"""Seconds without reading after which the topic is read from its beginning: it forgets removals after twice that."""
