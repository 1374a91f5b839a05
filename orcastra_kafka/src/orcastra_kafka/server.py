"""What a cluster says about itself when it is greeted."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from orcastra_core.model.errors import BrokerError
from orcastra_core.model.profile import Cap, Durability, Limits, Profile
from orcastra_kafka.protocol.topics import DescribeBroker
from orcastra_kafka.settings import LIMITS, Settings
from orcastra_kafka.share.cluster import Cluster
from orcastra_kafka.share.messages import ShareFetch

_LOCK_LEAST = "group.share.min.record.lock.duration.ms"
_LOCK_MOST = "group.share.max.record.lock.duration.ms"
_DELIVERIES = "group.share.delivery.count.limit"
_DELIVERIES_MOST = "group.share.max.delivery.count.limit"
_HELD_MOST = "group.share.max.partition.max.record.locks"
_IN_SYNC = "min.insync.replicas"
_REPLICAS = "default.replication.factor"
_STOCK: Mapping[str, str] = {
    _LOCK_LEAST: "15000",
    _LOCK_MOST: "60000",
    _DELIVERIES: "5",
    _DELIVERIES_MOST: "10",
    _HELD_MOST: "4000",
    _IN_SYNC: "1",
    _REPLICAS: "1",
}
"""What a broker has as it comes: for those who may not ask it."""

SHARE = frozenset({Cap.PRIORITY, Cap.EVENTS, Cap.RESULTS, Cap.DEAD_LETTERS, Cap.PURGE, Cap.SCHEDULES})
"""What the share lane offers at most."""

NOTES: Mapping[Cap, str] = {
    Cap.STABLE_SESSION: "a lost connection is a lost session",
    Cap.FENCED: "a late settlement's follow-ups are published before the broker can refuse its acknowledgement",
    Cap.ATOMIC_SETTLE: "acknowledgements of a share group join no transaction; follow-ups have derived ids",
    Cap.DELAY: "Kafka keeps nothing until it is due; the scheduler does, and the runtime goes through it",
    Cap.PRIORITY: "a topic for each of up to three priorities: a fetch asks one after the other",
    Cap.DEDUP: "Kafka knows no keys across a log",
    Cap.ORDERED_QUEUE: "share groups give no order",
    Cap.ORDERED_KEY: "share groups give no order; the classic lane keeps it",
    Cap.CANCEL: "a record cannot be taken out of a log",
    Cap.LOOKUP: "a log has no index",
    Cap.INSPECT: "a share group does not tell what runs from what waits",
    Cap.PAUSE: "there is no flag that every worker would see",
    Cap.PURGE: "takes what waits record by record, as a worker would",
    Cap.RESULTS: "looking one up reads its partition from the task's own time on",
    Cap.DEAD_LETTERS: "a compacted topic without an index: whatever is asked, its partitions are read from their beginning",
    Cap.SCHEDULES: "a compacted topic; Kafka has no clock to ask, so what is due is judged by the workers' own",
}


@attrs.frozen
class ServerFacts:
    """What the brokers allow.

    Attributes:
        locks: Shortest and longest lock on a shared record, seconds.
        deliveries: Hand-overs of a record after which the brokers archive it.
        for_groups: Configs of a share group that let it have the most: hand-overs of a record, and records of a
            partition that are held at a time. None where groups have no such configs (before Kafka 4.4).
        replicas: Of a topic, unless it says otherwise.
        in_sync: How many of them must have a record before it is confirmed.
    """

    locks: tuple[float, float]
    deliveries: int
    for_groups: Mapping[str, str]
    replicas: int
    in_sync: int


async def learn(cluster: Cluster) -> ServerFacts:
    """Ask a broker how it is set up; where that is not allowed, take it to be as brokers come."""
    facts = await cluster.open()
    node = next(iter(facts.nodes))
    error, configs = await cluster.ask(node, DescribeBroker(node, list(_STOCK)))
    found = {**_STOCK, **({} if error else configs)}
    for_groups: dict[str, str] = {}
    if not error and _HELD_MOST in configs:
        for_groups = {
            "share.delivery.count.limit": found[_DELIVERIES_MOST],
            "share.partition.max.record.locks": found[_HELD_MOST],
        }
    return ServerFacts(
        (int(found[_LOCK_LEAST]) / 1000, int(found[_LOCK_MOST]) / 1000),
        int(for_groups.get("share.delivery.count.limit", found[_DELIVERIES])),
        for_groups,
        int(found[_REPLICAS]),
        int(found[_IN_SYNC]),
    )


def offers_share(cluster: Cluster) -> bool:
    """Whether the brokers speak the version of ShareFetch that hands out no more than asked for, and renews."""
    least, most = cluster.versions.get(ShareFetch.key, (0, -1))
    return least <= ShareFetch.version <= most


def share_profile(settings: Settings, facts: ServerFacts, cluster: Cluster) -> Profile:
    """Return what the share lane offers. Raises BrokerError where the brokers are too old for it."""
    if not offers_share(cluster):
        raise BrokerError(f"lane=share needs Kafka 4.2 or later at {where(settings)}; lane=classic does not")
    capabilities = SHARE if settings.levels > 1 else SHARE - {Cap.PRIORITY}
    return Profile(
        server=f"Apache {where(settings).capitalize()}, share groups",
        capabilities=capabilities,
        limits=limits(settings, min_lease=facts.locks[0]),
        durability=durability(settings, facts),
        server_reaps=True,
        notes=NOTES,
    )


def limits(settings: Settings, *, min_lease: float) -> Limits:
    """Return the numbers that follow from the URL and the brokers."""
    priorities = (min(settings.priorities), max(settings.priorities))
    return attrs.evolve(LIMITS, priorities=priorities, min_lease=min_lease, connect_timeout=settings.connect_timeout)


def durability(settings: Settings, facts: ServerFacts) -> Durability:
    """Return what a confirmed record survives. Kafka does not flush: a machine's loss is for its replicas to survive."""
    replicas = facts.replicas if settings.replication < 0 else settings.replication
    in_sync = facts.in_sync if settings.min_insync is None else settings.min_insync
    return Durability.REPLICATED if min(replicas, in_sync) >= 2 else Durability.SERVER_CRASH


def where(settings: Settings) -> str:
    """Return what the cluster is called in messages."""
    return "kafka at " + ",".join(f"{host}:{port}" for host, port in settings.hosts)
