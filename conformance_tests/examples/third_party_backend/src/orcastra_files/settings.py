"""What a URL says, and what the broker declares."""

from __future__ import annotations

import hashlib
import os
from urllib.parse import quote

import attrs

from orcastra_core.model.broker_url import BrokerUrl, flag
from orcastra_core.model.errors import InvalidOption
from orcastra_core.model.profile import Cap, Durability, Limits

CLAIMS = frozenset({Cap.STABLE_SESSION, Cap.FENCED, Cap.ATOMIC_SETTLE, Cap.ORDERED_QUEUE, Cap.DELAY})

LIMITS = Limits(
    settle_window=8,
    time_resolution=0.02,  # who waits looks every 10 ms
    min_lease=0.2,
    recovery_time=1.0,
    connect_timeout=5.0,
)


@attrs.frozen
class Settings:
    """The parameters of ``files:///path?domain=…&fsync=…``.

    Attributes:
        directory: The domain's own, inside the one that the path names.
        fsync: Whether a confirmed step was flushed to the disk.
    """

    directory: str
    fsync: bool = True

    @classmethod
    def of(cls, url: BrokerUrl) -> Settings:
        """Read a URL. Raises InvalidOption for what it cannot mean."""
        if url.hosts or not url.path.strip("/"):
            raise InvalidOption(f"{url}: expected files:///path/to/a/directory")
        # The name for people, the digest because names may be long, or differ in case only.
        digest = hashlib.sha256(url.domain.encode()).hexdigest()[:16]
        name = f"{quote(url.domain, safe='')[:100]}-{digest}"
        return cls(os.path.join(os.path.abspath(url.path), name), **url.options({"fsync": flag}))

    @property
    def durability(self) -> Durability:
        """What a confirmed publish survives."""
        return Durability.POWER_LOSS if self.fsync else Durability.SERVER_CRASH
