"""What the classic lane offers."""

from __future__ import annotations

from types import MappingProxyType

import attrs

from orcastra_core.model.profile import Cap, Profile
from orcastra_kafka.classic.ledger import HEADS
from orcastra_kafka.classic.settles import KEPT
from orcastra_kafka.protocol.topics import DescribeBroker
from orcastra_kafka.server import NOTES, ServerFacts, durability, limits, where
from orcastra_kafka.settings import Settings
from orcastra_kafka.share.cluster import Cluster

CLASSIC = frozenset(
    {Cap.PRIORITY, Cap.ORDERED_KEY, Cap.EVENTS, Cap.RESULTS, Cap.DEAD_LETTERS, Cap.SCHEDULES, Cap.ATOMIC_SETTLE}
)
"""What the classic lane offers at most."""

_SESSION_LEAST = "group.min.session.timeout.ms"
_STOCK_SESSION = "6000"

_NOTES = MappingProxyType(
    {
        **NOTES,
        Cap.ATOMIC_SETTLE: "with transactions=1 each batch of settlements is a transaction, about 30 ms; else results,"
        " events and follow-ups come first, then the commit",
        Cap.FENCED: "a late settlement's follow-ups are published before the group can refuse its commit",
        Cap.ORDERED_KEY: "a key keeps to one partition, so more partitions move keys; of each partition the last"
        f" {HEADS} keys whose head waits in a scheduler are remembered when it changes hands",
        Cap.ORDERED_QUEUE: "partitions are read side by side",
        Cap.STABLE_SESSION: "a member that its group misses for a lease has lost what it held",
        Cap.PURGE: "a log cannot be emptied without what runs; the share lane can",
        Cap.INSPECT: "what is done ahead of the watermark is known to the members only",
        Cap.PRIORITY: "a topic for each of up to three priorities: strict among the partitions that a session reads",
    }
)


async def classic_profile(settings: Settings, facts: ServerFacts, cluster: Cluster) -> Profile:
    """Return what the classic lane offers on these brokers. Raises what a cluster raises."""
    least = await _shortest_session(cluster)
    without = set() if settings.levels > 1 else {Cap.PRIORITY}
    if not settings.transactions:
        without.add(Cap.ATOMIC_SETTLE)
    common = limits(settings, min_lease=least)
    return Profile(
        server=f"Apache Kafka at {where(settings)}, consumer groups{', transactions' if settings.transactions else ''}",
        capabilities=CLASSIC - without,
        # a member that died is missed after its lease; then the group shares out anew
        server_reaps=True,
        partitioned=True,
        limits=attrs.evolve(common, settle_window=KEPT, recovery_time=least + 2.0),
        durability=durability(settings, facts),
        notes=_NOTES,
    )


async def _shortest_session(cluster: Cluster) -> float:
    """Ask for the shortest session that the brokers grant, in seconds; where that may not be asked, take what they come with."""
    node = next(iter((await cluster.open()).nodes))
    error, configs = await cluster.ask(node, DescribeBroker(node, [_SESSION_LEAST]))
    return int(_STOCK_SESSION if error else configs.get(_SESSION_LEAST, _STOCK_SESSION)) / 1000
