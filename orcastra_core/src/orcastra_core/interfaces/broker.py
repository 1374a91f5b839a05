"""The driver contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from orcastra_core.interfaces.dead_letters import DeadLetterStore
from orcastra_core.interfaces.events import EventLog
from orcastra_core.interfaces.results import ResultStore
from orcastra_core.interfaces.scheduler import Scheduler
from orcastra_core.interfaces.session import Session
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import Unsupported
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.profile import Cap, Profile
from orcastra_core.model.published import Published
from orcastra_core.model.queue import QueueDepth, QueueSpec
from orcastra_core.model.session import Swept
from orcastra_core.model.task_state import Cancellation, Cancelled, State, TaskState


class Broker(ABC):
    """What a backend author writes. Applications meet Orcastra, Client and Worker.

    A broker speaks for one domain on one server. It is constructed by
    ``Broker(url)`` from a parsed ``BrokerUrl`` without touching the network,
    and raises InvalidOption there for a parameter it does not know.

    Every method may run concurrently with every other in one event loop.
    Arguments belong to the caller: they are neither changed nor kept after the
    call. Sequences answer sequences, aligned, one answer an item; a bad item
    never harms its neighbours. Only errors of ``orcastra_core.model.errors``
    leave a method, translated at one edge, ``__cause__`` and ``retryable`` set.
    A method that a broker does not offer raises Unsupported before any side
    effect; that is the default of all that are not abstract.

    Retries, batching, size and capability checks, timers and closing order are
    written once, in the runtime; a broker should not repeat them.

    Cancelling a call may happen at every await in it. The operation then took
    place wholly or not at all, and the broker stays usable.
    """

    contract: ClassVar[str] = "0.1"
    """The contract version this class was written against."""

    claims: ClassVar[frozenset[Cap]] = frozenset()
    """The most it can ever offer; ``open`` tells what this server offers."""

    scheduler: Scheduler | None = None
    """Deferred envelopes and schedules in this store; None: not offered."""

    results: ResultStore | None = None
    """Results in this store; None: not offered."""

    dead_letters: DeadLetterStore | None = None
    """Dead letters in this store; None: not offered."""

    events: EventLog | None = None
    """The event log in this store; None: not offered."""

    @abstractmethod
    async def open(self) -> Profile:
        """Connect, check or create the layout, and say what this store offers.

        Idempotent: a second call answers the same profile. The broker belongs
        to the running event loop until ``close``; it may be opened again
        after that, also in another loop.

        Raises:
            BrokerUnavailable: Not reachable within ``limits.connect_timeout`` seconds.
            AuthenticationFailed: The credentials were refused.
            ContractMismatch: The store was written by a newer contract.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let go of everything that ``open`` took.

        Idempotent. Whoever waits in another method is freed within a second
        and gets BrokerClosed. Does not fail because the server is gone.
        Sessions that were not left are not released: they lapse.
        """

    @abstractmethod
    async def declare(self, queues: Sequence[QueueSpec], /) -> None:
        """Make the queues known. Idempotent; safe from many processes at once.

        Publishing to, or fetching from, a queue that was never declared
        creates it with defaults.
        """

    @abstractmethod
    async def publish(self, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()) -> Sequence[Published]:
        """Store envelopes, each on its own: Stored, Duplicate, Refused or Unknown.

        When it returns, each Stored envelope survives what
        ``Profile.durability`` names, can be fetched by any session of the
        domain, and wakes one that waits. Where Cap.ORDERED_QUEUE is claimed, order
        is kept within the batch for each queue and priority.

        A repeat, the same id with the same counts, is Duplicate of itself
        within ``limits.publish_window`` seconds, alive or finished. The same id with
        other counts is the next hand-over of a task that went through a Scheduler: stored,
        or Unknown and retryable while its Moved is still on the way. A dedup key that
        is held is Duplicate of its holder, and open to that very id; of two
        equal keys in a batch the first wins. A Duplicate stores, changes and delays nothing.

        A task that comes back through a Scheduler and finds its WINDOW or
        UNTIL_START key with another goes on without it. What the broker does not
        claim (DELAY, PRIORITY, DEDUP, ORDERED_KEY) and an envelope asks for is Refused.

        Does not raise for a part of the batch, nor for the whole of it when
        the store is unreachable: those items are Unknown.

        Args:
            batch: At most ``limits.max_batch`` envelopes.
            events: Empty, or one event record an envelope, appended with each that is Stored.

        Raises:
            BrokerClosed: The broker is not open.
        """

    async def publish_within(
        self, transaction: object, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()
    ) -> Sequence[Published]:
        """Store envelopes in a transaction of the caller's own. Cap.TX_PUBLISH.

        Answers like ``publish``: Stored, Duplicate or Refused for each. None can be fetched, found or told of
        before the caller commits, then all can; after a rollback none was ever there. An open transaction keeps from
        others the ids and dedup keys that it took, and nothing else: who wants those waits for its end.

        Args:
            transaction: A connection of the caller's, to this store, with a transaction begun on it; the
                broker says which client libraries' it knows. It is neither committed nor rolled back here.
            batch: At most ``limits.max_batch`` envelopes.
            events: As in ``publish``; appended by the same commit.

        Raises:
            InvalidOption: It is no connection this broker knows, or no transaction is open on it.
            BrokerError: Whatever happened, the transaction is the caller's to roll back.
        """
        raise Unsupported(Cap.TX_PUBLISH)

    @abstractmethod
    async def open_session(self, queues: Sequence[QueueName], /, *, lease: float) -> Session:
        """Start a session that may fetch from ``queues``.

        The backend grants id and lease. The session begins to beat before
        this returns.

        Args:
            queues: What it will fetch from.
            lease: Seconds it wants to be able to be silent.

        Raises:
            InvalidOption: ``lease`` is below ``limits.min_lease``; the message
                names the server's setting, where there is one.
            BrokerUnavailable, BrokerTimeout: As ever.
        """

    @abstractmethod
    async def sweep(self, *, limit: int) -> Swept:
        """Reap dead sessions and hand their deliveries out again, ``lost`` + 1.

        A reap is one atomic step that removes the session's record: from
        then on its beats, fetches and settles are refused, for ever. Then
        its deliveries are handed out again (where Cap.ORDERED_QUEUE is claimed: ahead
        of what was published after them), at most ``limit`` of them in this call,
        with a LOST event each. A crash between the two strands
        nothing: the next sweep finds deliveries without a session.

        Judges by proof (a kernel lock, a closed connection) or by lapse: no
        beat for a lease. It judges lapse only after one full lease of unbroken
        contact with this incarnation of the store, as seen by this broker; a
        restart, a failover, a stall or a clock jump starts that anew. So the first
        sweep of a fresh broker reaps nobody by lapse, and an outage reaps nobody.

        Where the server does all that by itself (``Profile.server_reaps``) a sweep is empty.

        The runtime decides when. Concurrent sweeps are harmless.
        """

    @abstractmethod
    async def expire(self, session: SessionId, /) -> int:
        """Reap a session whose death the caller knows of, now.

        Where the server reaps (``Profile.server_reaps``) it knows of the death as soon as the connection closes; then
        only the broker that opened a session has to end it.

        Returns:
            How many deliveries were handed out again; 0 if it was gone already.
        """

    async def beat(self, session: SessionId, /) -> bool:
        """Beat once for a session of another process, which the caller supervises.

        Returns:
            False if the session was reaped.
        """
        raise Unsupported(Cap.STABLE_SESSION)

    async def cancel(self, batch: Sequence[Cancellation], /) -> Sequence[Cancelled]:
        """Cancel tasks. Cap.CANCEL.

        A waiting or delayed task is REMOVED: in one atomic step it will never
        be handed out, its dedup key is free (a WINDOW's stays for its window), its cancelled Result is stored and
        pushed, its events are appended. A running one is SIGNALLED: its session
        gets CancelTask, and so does the next holder if that one is reaped; the outcome
        is the session's to settle. A dead letter or a finished task, a
        cancelled one included, is TOO_LATE.
        """
        raise Unsupported(Cap.CANCEL)

    async def find(self, ids: Sequence[TaskId], /) -> Sequence[TaskState | None]:
        """Say where tasks are; None for those the store does not know. Cap.LOOKUP."""
        raise Unsupported(Cap.LOOKUP)

    async def inspect(self, queues: Sequence[QueueName] | None = None, /) -> Sequence[QueueDepth]:
        """Count what is in the named queues, or in all the store knows, by name. Cap.INSPECT."""
        raise Unsupported(Cap.INSPECT)

    async def pause(self, queues: Sequence[QueueName], /) -> None:
        """Hand out nothing more from these queues, in every process, until ``resume``. Cap.PAUSE.

        Running tasks go on; publishing goes on. Idempotent.
        """
        raise Unsupported(Cap.PAUSE)

    async def resume(self, queues: Sequence[QueueName], /) -> None:
        """End a pause and wake waiting fetches. Cap.PAUSE. Idempotent."""
        raise Unsupported(Cap.PAUSE)

    async def purge(
        self, queue: QueueName, /, *, states: frozenset[State] = frozenset({State.READY, State.DELAYED})
    ) -> int:
        """Forget the tasks of a queue that are in one of ``states``, keys and all. Cap.PURGE.

        READY, DELAYED and DEAD may be named; their waiters are not told. What is
        forgotten is unknown: publishing its id again stores it.

        Returns:
            How many were forgotten.
        """
        raise Unsupported(Cap.PURGE)
