"""The fence around what the classic lane needs of aiokafka's private half; nobody else in it imports that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import cbor2
from aiokafka import AIOKafkaProducer
from aiokafka.consumer import AIOKafkaConsumer
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.errors import CommitFailedError
from aiokafka.producer.sender import CoordinationType, TxnOffsetCommitHandler
from aiokafka.structs import TopicPartition

from orcastra_kafka.classic.assignment import Place, Stand, assign, surplus
from orcastra_kafka.classic.messages import Membership, OffsetFetch, TxnOffsetCommit
from orcastra_kafka.share.errors import check
from orcastra_kafka.share.private import KafkaError  # also checks the version

PROTOCOL = "orcastra-1"
"""What members of a group call the way they share partitions out."""
EXPELLED = frozenset({22, 25, 27, 82})
"""Illegal generation, unknown member, rebalance in progress, fenced instance."""
_MOVED = frozenset({15, 16})
"""Coordinator not available, not coordinator."""
_UNSETTLED = _MOVED | {14, 88}
"""And: coordinator loads, a transaction is still under way."""
_PAUSE = 0.02


def assignor(
    tell: Callable[[Sequence[str]], Stand], told: Callable[[bool, frozenset[Place]], None]
) -> type[AbstractPartitionAssignor]:
    """Return an assignor class for one consumer: aiokafka asks classes.

    Args:
        tell: What this member says of itself when it joins.
        told: Called after each assignment: whether there are other members, and with which partitions it is to come to
            an end for them.
    """

    class Assignor(AbstractPartitionAssignor):  # type: ignore[misc]  # aiokafka is not typed
        name = PROTOCOL

        @classmethod
        def metadata(cls, topics: Iterable[str]) -> Any:
            names = sorted(topics)
            return ConsumerProtocolMemberMetadata(0, names, tell(names).dumps())

        @classmethod
        def assign(cls, cluster: Any, members: Mapping[str, Any]) -> dict[str, Any]:
            stands = {name: Stand.loads(told.subscription, told.user_data or b"") for name, told in members.items()}
            topics = {topic for stand in stands.values() for topic in stand.topics}
            given = assign({topic: cluster.partitions_for_topic(topic) or () for topic in topics}, stands)
            wanted = surplus(stands, given)
            return {
                name: ConsumerProtocolMemberAssignment(
                    0, _grouped(places), cbor2.dumps([len(members) > 1, sorted(wanted[name])])
                )
                for name, places in given.items()
            }

        @classmethod
        def on_assignment(cls, assignment: Any) -> None:
            try:
                company, wanted = cbor2.loads(assignment.user_data or b"")
                told(bool(company), frozenset(map(tuple, wanted)))
            except (ValueError, TypeError, cbor2.CBORDecodeError):
                told(True, frozenset())  # a leader of another kind

    return Assignor


def _grouped(places: Iterable[tuple[str, int]]) -> list[tuple[str, list[int]]]:
    found: dict[str, list[int]] = {}
    for topic, partition in sorted(places):
        found.setdefault(topic, []).append(partition)
    return list(found.items())


async def committed(
    consumer: AIOKafkaConsumer, places: Iterable[TopicPartition]
) -> Mapping[TopicPartition, tuple[int, str]]:
    """Return what the group last committed for each, metadata included; -1 where it never did. Raises KafkaError.

    Waits for transactions that may still change it.
    """
    coordinator = consumer._coordinator
    while True:
        await coordinator.ensure_coordinator_known()
        error, found = OffsetFetch.read(await coordinator._send_req(OffsetFetch(coordinator.group_id, list(places))))
        if error in _MOVED:
            coordinator.coordinator_dead()
        elif error not in _UNSETTLED:
            check(error, doing=f"offsets of {coordinator.group_id}")
            return found
        await asyncio.sleep(_PAUSE)  # noqa: TID251 - between two questions


def position(consumer: AIOKafkaConsumer, place: TopicPartition) -> int:
    """Return the offset behind the last record that was given out; -1 before the first is asked for."""
    subscription = consumer._subscription.subscription
    assignment = None if subscription is None else subscription.assignment
    if assignment is None or place not in assignment.tps:
        return -1
    state = assignment.state_value(place)
    return state.position if state.has_valid_position else -1


def generation(consumer: AIOKafkaConsumer) -> int:
    """Return the number of the group's last agreement that this member was part of."""
    number: int = consumer._coordinator.generation
    return number


def membership(consumer: AIOKafkaConsumer) -> Membership:
    """Return who this member is to its group right now."""
    coordinator = consumer._coordinator
    return Membership(coordinator.generation, coordinator.member_id)


def commit_as(producer: AIOKafkaProducer, member: Callable[[str], Membership]) -> None:
    """Have a producer's transactions commit offsets as a member of the group, so that one that was expelled cannot.

    aiokafka speaks a version of the protocol that does not say who asks.

    Args:
        producer: Not started yet.
        member: Who commits to a group.
    """
    sender = producer._sender

    class Handler(TxnOffsetCommitHandler):  # type: ignore[misc]  # aiokafka is not typed
        def create_request(self) -> Any:
            transactions = self._sender._txn_manager
            return TxnOffsetCommit(
                transactions.transactional_id,
                self._group_id,
                transactions.producer_id,
                transactions.producer_epoch,
                member(self._group_id),
                self._offsets,
            )

        def handle_response(self, response: Any) -> Any:
            said = TxnOffsetCommit.read(response)
            if any(error in EXPELLED for _, _, error in said):
                # abortable: the producer itself is well
                self._sender._txn_manager.error_transaction(CommitFailedError("the group has gone on without us"))
                return None
            return super().handle_response(SimpleNamespace(errors=[(topic, [(n, error)]) for topic, n, error in said]))

    async def commit(offsets: Any, group: str) -> None:
        if offsets:
            node = await sender._find_coordinator(CoordinationType.GROUP, group)
            await Handler(sender, offsets, group).do(node)

    sender._do_txn_offset_commit = commit


def abort_in_earnest(producer: AIOKafkaProducer) -> None:
    """Have a producer tell the coordinator of a transaction that it gives up after an error.

    aiokafka forgets what was in it by then, takes it for empty and says nothing. It would hang, and hold up all readers,
    until it times out; or be committed along with the next one.

    Args:
        producer: Not started yet.
    """
    manager = producer._txn_manager
    forget = manager.error_transaction

    def error_transaction(error: BaseException) -> None:
        places, group = set(manager._txn_partitions), manager._txn_consumer_group
        forget(error)
        manager._txn_partitions.update(places)
        manager._txn_consumer_group = group
        manager._transaction_waiter.exception()  # it is told elsewhere

    manager.error_transaction = error_transaction


def is_broken(producer: AIOKafkaProducer) -> bool:
    """Whether a transactional producer is good for nothing any more."""
    broken: bool = producer._txn_manager.is_fatal_error()
    return broken


def check_well(consumer: AIOKafkaConsumer) -> None:
    """Raise why the consumer reads nothing any more, if that is so: it would seem well else. Where its heart stopped, join again."""
    coordinator = consumer._coordinator
    for task in (consumer._fetcher._fetch_task, coordinator._coordination_task):
        if task.done():
            raise (None if task.cancelled() else task.exception()) or RuntimeError(
                "a part of the client has just ended"
            )
    beating = coordinator._heartbeat_task
    if beating is not None and beating.done() and not beating.cancelled() and beating.exception() is not None:
        join_again(consumer)


def join_again(consumer: AIOKafkaConsumer) -> None:
    """Have the group share its partitions out again."""
    consumer._coordinator.request_rejoin()


async def stop(consumer: AIOKafkaConsumer) -> None:
    """Leave the group and close the connections: those too if a task has failed, which is raised."""
    try:
        await consumer.stop()
    except Exception:
        await consumer._client.close()
        raise


async def stop_heartbeats(consumer: AIOKafkaConsumer) -> None:
    """Say nothing more to the coordinator, as a process that stands still. For tests of what others do then."""
    await consumer._coordinator._stop_heartbeat_task()


def start_heartbeats(consumer: AIOKafkaConsumer) -> None:
    """Go on after ``stop_heartbeats``."""
    if consumer._coordinator._heartbeat_task is None:
        consumer._coordinator._start_heartbeat_task()


__all__ = [
    "PROTOCOL",
    "KafkaError",
    "abort_in_earnest",
    "assignor",
    "check_well",
    "commit_as",
    "committed",
    "generation",
    "is_broken",
    "join_again",
    "membership",
    "position",
    "start_heartbeats",
    "stop",
    "stop_heartbeats",
]
