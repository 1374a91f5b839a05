"""What a share session asks of the member that it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from orcastra_kafka.share.messages import Partition, ShareFetched
from orcastra_kafka.share.private import Connection
from orcastra_kafka.share.records import ShareRecord


class Member(Protocol):
    """What a session asks of the member it belongs to."""

    group: str
    id: str

    def led_by(self, node: int) -> frozenset[Partition]:
        """Return what this member wants of a broker."""

    def topic_name(self, topic: bytes) -> str:
        """Return a topic's name."""

    def moved(self, fetched: ShareFetched | None) -> None:
        """Some partition is led by somebody else now."""

    def lost(self, records: Sequence[ShareRecord], why: BaseException) -> None:
        """These are not held any more."""

    def locked(self, seconds: float) -> None:
        """So long the broker keeps what it hands over."""

    async def connect(self, node: int, closed: Callable[[], None]) -> Connection:
        """Open a connection for one session; ``closed`` is called when it is closed."""
