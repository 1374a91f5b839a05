"""How the harness and the tests configure brokers: stock values, and short ones that a test can wait for."""

from __future__ import annotations

from collections.abc import Mapping

NODE: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "INSIDE",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT,RELAYED:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "4",
    # a share group's limit may lie above what its own guard against crash loops allows
    "group.share.max.delivery.count.limit": "25",
    # a small process
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "log.cleaner.dedupe.buffer.size": "8388608",
    "log.index.size.max.bytes": "1048576",
}
"""What every private broker has."""

FAST: Mapping[str, str] = {
    # sessions and locks as short as asked for; nobody waits for members that may join later
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    "group.share.min.session.timeout.ms": "500",
    "group.share.session.timeout.ms": "3000",
    "group.share.min.heartbeat.interval.ms": "100",
    "group.share.heartbeat.interval.ms": "500",
    "group.share.assignment.interval.ms": "0",
    "group.share.initialize.retry.interval.ms": "1000",
    "group.share.min.record.lock.duration.ms": "1000",
    "group.share.max.record.lock.duration.ms": "3600000",
    "group.share.max.partition.max.record.locks": "10000",
    "group.share.partition.max.record.locks": "10000",
    # after a kill -9 it waits for its own registration to lapse
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "400",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "log.cleaner.backoff.ms": "1000",
}
"""Short timeouts, below those that a stock broker allows."""

STOCK: Mapping[str, str] = {}
"""The timeouts that a broker has as it comes."""


def copies(nodes: int) -> Mapping[str, str]:
    """Return how often a cluster of so many nodes keeps each record: on all of up to three, and all but one must have it."""
    number, least = str(min(nodes, 3)), str(2 if nodes >= 3 else 1)
    return {
        "default.replication.factor": number,
        "min.insync.replicas": least,
        "offsets.topic.replication.factor": number,
        "transaction.state.log.replication.factor": number,
        "transaction.state.log.min.isr": least,
        "share.coordinator.state.topic.replication.factor": number,
        "share.coordinator.state.topic.min.isr": least,
    }
