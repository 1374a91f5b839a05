"""A member of a share group that reads some topics."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from orcastra_kafka.share.acks import Ack, AckType, Answers
from orcastra_kafka.share.cluster import Cluster
from orcastra_kafka.share.errors import KafkaCode, SessionLost
from orcastra_kafka.share.leader_session import LeaderSession
from orcastra_kafka.share.leadership import Leadership
from orcastra_kafka.share.membership import Membership
from orcastra_kafka.share.messages import Partition, ShareFetched
from orcastra_kafka.share.pauses import pause
from orcastra_kafka.share.private import Connection
from orcastra_kafka.share.records import ShareRecord

_log = logging.getLogger(__name__)

RENEWALS_PER_LOCK = 3
_RETRY = 0.1


class ShareConsumer:
    """Fetches records that are locked for this member until it acknowledges them, or its connection ends.

    Nothing is fetched but on demand: who has no room does not fetch, and that is all the backpressure there is.
    Locks are renewed for as long as a record is held. For one event loop.

    Args:
        cluster: Where the brokers are. Stays its owner's.
        group: The share group.
        topics: What to read. They must exist.
        lost: Called with records that are no longer held, by no doing of the caller's, and why.
        follow_assignment: Read only what the group's coordinator assigned. False: every partition of the topics,
            so that no record waits for a member that has no room. Partition leaders admit both.
    """

    def __init__(
        self,
        cluster: Cluster,
        group: str,
        topics: Sequence[str],
        *,
        lost: Callable[[Sequence[ShareRecord], BaseException], None] | None = None,
        follow_assignment: bool = True,
    ) -> None:
        self.group = group
        self.id = str(uuid.uuid4())
        self.topics = list(topics)
        self._cluster = cluster
        self._on_lost = lost
        self._follow = follow_assignment
        self._membership = Membership(cluster, group, self.id, self.topics, self._assign)
        self._leadership = Leadership(cluster, self.topics, self._assign)
        self._leaders: dict[Partition, int] = {}
        self._passed: set[Partition] = set()
        self._sessions: dict[int, LeaderSession] = {}
        self._unclaimed: deque[ShareRecord] = deque()
        self._lock = 0.0
        self._ready = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._turn = 0
        self._closed = False
        self._failure: BaseException | None = None
        self._fetching = asyncio.Lock()

    async def start(self) -> None:
        """Join the group. Raises KafkaError, OSError or TimeoutError."""
        await self._leadership.read()
        await self._membership.join()
        self._assign()
        for work in (self._membership.run(), self._leadership.keep(), self._keep_locks()):
            self._spawn(work)

    def pass_over(self, partitions: Iterable[Partition]) -> None:
        """Fetch nothing more from these."""
        self._passed.update(partitions)
        self._assign()

    def doubt(self) -> None:
        """Something says that partitions have other leaders, or topics are gone: read who leads anew."""
        self._leadership.doubt()

    async def ready(self) -> None:
        """Wait until the coordinator has assigned something: the group's state exists from then on."""
        await self._ready.wait()

    async def close(self) -> None:
        """Close the connections, which releases what is held, and leave the group."""
        self.drop()
        tasks, self._tasks = self._tasks, []
        if tasks:
            await asyncio.wait(tasks)
        await self._membership.leave()

    def drop(self) -> None:
        """End all conversations without a word to the coordinator, as a dying process would."""
        self._closed = True
        for task in self._tasks:
            task.cancel()

    def suspend(self, suspended: bool = True) -> None:
        """Stop heartbeats and renewals, or resume them. For tests."""
        self._membership.suspended = suspended

    async def held(self) -> list[ShareRecord]:
        """Return what this member holds, handed out by ``fetch`` or not."""
        for session in self._sessions.values():
            await session.settled()
        return [record for session in self._sessions.values() for record in session.held.values()]

    def holds(self, record: ShareRecord) -> bool:
        """Whether this member holds a record."""
        place = (record.partition, record.offset)
        return any(session.held.get(place) is record for session in self._sessions.values())

    @property
    def busy(self) -> bool:
        """Whether a fetch would have to wait for something else to be answered first."""
        return any(session.busy for session in self._sessions.values())

    @property
    def failing(self) -> BaseException | None:
        """Why the last heartbeat had no answer; None if it had one."""
        return self._membership.failing

    async def fetch(self, limit: int, wait: float) -> list[ShareRecord]:
        """Fetch at most ``limit`` records, waiting up to ``wait`` seconds for the first.

        After a call that was cancelled the next one first returns what came meanwhile.

        Raises:
            SessionLost: A broker that should have been asked was not to be had, or the consumer was closed.
            ShareError: A topic was removed; said once.
        """
        async with self._fetching:
            if self._closed:
                raise SessionLost(KafkaCode.SHARE_SESSION_NOT_FOUND, "the consumer was closed") from self._failure
            taken = self._claim(limit)
            if taken or limit <= 0:
                return taken
            if self._leadership.gone is not None:
                gone, self._leadership.gone = self._leadership.gone, None
                raise gone
            if wait > 0:
                return await self._ask(self._in_turn()[:limit], limit, wait)
            for session in self._in_turn():
                try:
                    taken += await self._ask([session], limit - len(taken), 0.0)
                except BaseException:
                    self._unclaimed.extend(taken)
                    raise
                if len(taken) >= limit:
                    break
            return taken

    async def acknowledge(self, items: Sequence[tuple[ShareRecord, AckType]]) -> list[int]:
        """Acknowledge records; return for each 0, or the error code: 121 if its lock had run out, 122 if the
        connection was lost (what the broker made of it is not known then)."""
        answers = Answers(len(items))
        orders: dict[int, list[Ack]] = {}
        sessions = list(self._sessions.values())
        for number, (record, kind) in enumerate(items):
            place = (record.partition, record.offset)
            for session in sessions:
                if session.held.get(place) is record:
                    orders.setdefault(session.node, []).append(Ack(*place, kind, answers, number))
                    break
            else:
                answers.give(number, KafkaCode.INVALID_RECORD_STATE)
        for node, acks in orders.items():
            self._sessions[node].acknowledge(acks)
        return await answers.all()

    async def _ask(self, sessions: Sequence[LeaderSession], limit: int, wait: float) -> list[ShareRecord]:
        """Ask sessions at the same time, each for its part of ``limit``; return with the first that has something."""
        if not sessions:
            if wait > 0:
                self._leadership.doubt()
                await pause(min(wait, _RETRY))
            return []
        part, more = divmod(limit, len(sessions))
        orders = [session.fetch(part + (number < more), wait) for number, session in enumerate(sessions)]
        try:
            pending = set(orders)
            while pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                if any(order.exception() is not None or order.result() for order in done):
                    break
            taken = [record for order in orders if order.done() and not order.exception() for record in order.result()]
            failure = next((order.exception() for order in orders if order.done() and order.exception()), None)
            if not taken and failure is not None:
                raise failure
            return taken
        except asyncio.CancelledError:
            for order in orders:
                if order.done() and not order.cancelled() and not order.exception():
                    self._unclaimed.extend(order.result())
            raise
        finally:
            for order in orders:
                order.cancel()

    def _claim(self, limit: int) -> list[ShareRecord]:
        taken: list[ShareRecord] = []
        while self._unclaimed and len(taken) < limit:
            record = self._unclaimed.popleft()
            place = (record.partition, record.offset)
            if any(session.held.get(place) is record for session in self._sessions.values()):
                taken.append(record)
        return taken

    def _in_turn(self) -> list[LeaderSession]:
        wanted = set(self._leaders.values())
        sessions = [session for node, session in sorted(self._sessions.items()) if node in wanted]
        self._turn += 1
        at = self._turn % len(sessions) if sessions else 0
        return sessions[at:] + sessions[:at]

    # What the sessions ask of their member.

    def led_by(self, node: int) -> frozenset[Partition]:
        return frozenset(partition for partition, leader in self._leaders.items() if leader == node)

    def topic_name(self, topic: bytes) -> str:
        return self._leadership.name(topic)

    def moved(self, fetched: ShareFetched | None) -> None:
        if fetched is not None:
            self._cluster.learn(fetched.nodes)
        self._leadership.doubt()

    def lost(self, records: Sequence[ShareRecord], why: BaseException) -> None:
        if self._on_lost is not None and not self._closed:
            self._on_lost(records, why)

    def locked(self, seconds: float) -> None:
        self._lock = seconds

    async def connect(self, node: int, closed: Callable[[], None]) -> Connection:
        return await self._cluster.connect(node, closed=closed)

    # What runs beside the calls.

    def _assign(self) -> None:
        assigned = self._membership.assigned
        if assigned:
            self._ready.set()
        leaders = {partition: node for partition, node in self._leadership.leaders.items() if node >= 0}
        mine = leaders if not self._follow else {p: node for p, node in leaders.items() if p in (assigned or ())}
        self._leaders = {partition: node for partition, node in mine.items() if partition not in self._passed}
        for node, session in self._sessions.items():
            session.let_go(partition for partition, leader in leaders.items() if leader != node)
        for node in set(self._leaders.values()) - self._sessions.keys():
            session = self._sessions[node] = LeaderSession(self, node, self._unclaimed.extend)
            self._spawn(session.run())

    async def _keep_locks(self) -> None:
        while True:
            await pause((self._lock or 1.0) / RENEWALS_PER_LOCK)
            if not self._membership.suspended:
                for session in self._sessions.values():
                    session.renew()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"share-{self.group}")
        task.add_done_callback(self._over)
        self._tasks.append(task)

    def _over(self, task: asyncio.Task[None]) -> None:
        """None of the tasks ends by itself: one that has failed takes the others with it, and fetches say so."""
        if not task.cancelled() and (failure := task.exception()) is not None:
            _log.error("the member of share group %s has failed", self.group, exc_info=failure)
            self._failure = failure
            self.lost([record for session in self._sessions.values() for record in session.held.values()], failure)
            self.drop()
