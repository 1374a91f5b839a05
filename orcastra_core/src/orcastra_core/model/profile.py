"""What a broker can do, in words and in numbers."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from types import MappingProxyType

import attrs

from orcastra_core.model.errors import Unsupported


class Cap(enum.Enum):
    """An optional capability. Claimed, it must work; not claimed, it must be refused."""

    STABLE_SESSION = "sessions and what they hold survive lost connections and server restarts"
    FENCED = "late settlements are refused"
    ATOMIC_SETTLE = "a settlement, its result, events and emitted envelopes appear together or not at all"
    DELAY = "keeps envelopes until they are due"
    PRIORITY = "serves higher priorities first"
    DEDUP = "at most one task holds a dedup key"
    ORDERED_QUEUE = "one consumer sees a queue in publish order"
    ORDERED_KEY = "tasks of an ordering key run one after another"
    CANCEL = "cancels waiting and running tasks"
    LOOKUP = "finds a task by its id"
    INSPECT = "counts what is in a queue"
    PAUSE = "pauses and resumes queues"
    PURGE = "empties queues"
    TX_PUBLISH = "publishes in the caller's transaction"
    TX_COMPLETE = "settles in a transaction that the task writes in"
    SCHEDULES = "stores recurring schedules"
    RESULTS = "stores results and pushes them to waiters"
    DEAD_LETTERS = "keeps dead letters"
    EVENTS = "keeps the event log"


class Durability(enum.IntEnum):
    """What a confirmed publish survives; each level includes those before it."""

    NONE = 0
    PROCESS = 1
    """The publishing process may die."""
    SERVER_CRASH = 2
    """The store's process may die."""
    POWER_LOSS = 3
    """The machine may lose power: it was flushed to disk."""
    REPLICATED = 4
    """The machine may be lost: another one has it."""


@attrs.frozen(kw_only=True)
class Limits:
    """Numbers a broker declares. Bytes and seconds.

    Attributes:
        max_body: Largest ``Envelope.body`` and encoded result value, bytes. The
            same default everywhere, so that a change of URL refuses nothing new.
        max_batch: Most items of one publish, fetch or settle.
        max_delay: Farthest ``due`` from now, seconds.
        priorities: Lowest and highest priority it takes, inclusive.
        publish_window: Seconds within which a repeat is a Duplicate, even after the task ended; 0: never, do not repeat.
        max_hold: Seconds a delivery may be held before the server takes it away.
        settle_window: How many settles back a repeated number still gets its answer; 0: none, do not repeat.
        time_resolution: Seconds by which a due task may be late on an idle store.
        min_lease: Shortest lease it grants, seconds.
        recovery_time: Seconds until the deliveries of a killed process may be
            handed out again, at the longest, given a lease of ``min_lease`` and a running sweeper.
        connect_timeout: Seconds within which ``open`` gives up.
    """

    max_body: int = 256 * 1024
    max_batch: int = 1000
    max_delay: float = 366 * 86400.0
    priorities: tuple[int, int] = (0, 0)
    publish_window: float = 60.0
    max_hold: float = math.inf
    settle_window: int = 8
    time_resolution: float = 0.01
    min_lease: float = 1.0
    recovery_time: float = 3.0
    connect_timeout: float = 5.0


@attrs.frozen(kw_only=True)
class Profile:
    """What ``open`` found out about this store.

    Attributes:
        server: Product and version, for people.
        capabilities: What it offers; a subset of ``Broker.claims``.
        limits: Its numbers.
        durability: What a confirmed publish survives.
        clock_offset: Seconds the store's clock is ahead of ours.
        server_reaps: Whether the store's server itself hands out again what a dead
            session held: ``sweep`` finds nothing to do then, and nobody learns which session it was.
        partitioned: Whether a queue is read in partitions, each by one session at a time: what waits in one goes to
            another session only once its reader holds nothing of it and asks for nothing. So the sequence of queues and
            their priorities hold within what a session reads, not across sessions.
        notes: Why a capability is missing, or what an emulated one costs.
    """

    server: str
    capabilities: frozenset[Cap]
    limits: Limits
    durability: Durability
    clock_offset: float = 0.0
    server_reaps: bool = False
    partitioned: bool = False
    notes: Mapping[Cap, str] = MappingProxyType({})

    def offers(self, cap: Cap) -> bool:
        """Whether ``cap`` is claimed."""
        return cap in self.capabilities

    def require(self, cap: Cap) -> None:
        """Raise Unsupported, with the broker's own reason, unless ``cap`` is claimed."""
        if cap not in self.capabilities:
            note = self.notes.get(cap)
            raise Unsupported(
                cap, f"{self.server} does not offer {cap.name} ({cap.value})" + (f": {note}" if note else "")
            )
