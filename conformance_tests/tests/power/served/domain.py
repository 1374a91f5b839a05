"""What the server keeps of a domain: a memory store, and whom it told what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import attrs

from orcastra_conformance.engine.harness import REMEMBERED
from orcastra_core.backends.memory.broker import MemoryBroker
from orcastra_core.backends.memory.entry import Entry
from orcastra_core.backends.memory.feed_state import FeedState
from orcastra_core.backends.memory.intake import admit
from orcastra_core.backends.memory.results import MemoryFeed
from orcastra_core.backends.memory.session import MemorySession
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.envelope import Unreadable
from orcastra_core.model.errors import BrokerClosed, BrokerUnavailable, InvalidOption
from orcastra_core.model.names import DomainName, QueueName, SessionId
from orcastra_core.model.profile import Durability, Profile
from orcastra_core.model.result import Result
from orcastra_core.model.schedule import Firing, Promotion, Schedule, Tally
from power.served.seat import Repeated, Seat

MIN_LEASE = 0.2


class Domain:
    """One domain. Sessions and feeds outlive the connections that they were made on."""

    def __init__(self, server: str, name: DomainName) -> None:
        self._server = server
        self._name = name
        self._made = 0
        self._open()

    def _open(self) -> None:
        # each time a store of another name: what was wrecked is gone
        self._made += 1
        self._url = BrokerUrl("memory", (f"{self._server}-{self._made}",), domain=self._name)
        self._anchor = self.client()
        self._seats: dict[SessionId, Seat] = {}
        self._feeds: dict[str, tuple[MemoryFeed, Repeated]] = {}

    def client(self) -> MemoryBroker:
        """Return one more broker on the store: a connection's own, for it is contact that makes a judge."""
        return MemoryBroker(self._url)

    @property
    def store(self) -> Store:
        return self._anchor._store

    async def profile(self) -> tuple[Profile, float]:
        """Open, and say what is offered, and what time it is."""
        profile = await self._anchor.open()
        limits = attrs.evolve(profile.limits, min_lease=MIN_LEASE, time_resolution=0.01)
        told = attrs.evolve(
            profile,
            server="memory, served",
            limits=limits,
            durability=Durability.SERVER_CRASH,  # a restart is of the socket only
            notes=dict(profile.notes),
        )
        return told, self.store.clock.now()

    async def open_session(self, queues: Sequence[QueueName], *, lease: float) -> SessionId:
        """Make a session that lapses unless it beats."""
        if not lease >= MIN_LEASE:
            raise InvalidOption(f"a lease of {lease:g} s is below this server's least, {MIN_LEASE:g} s")
        session = await self._anchor.open_session(queues, lease=lease)
        assert isinstance(session, MemorySession)
        session.suspend()  # memory's own beat without end; from here on `beat` has to come
        self._seats = {name: seat for name, seat in self._seats.items() if name in self.store.sessions}
        self._seats[session.id] = Seat(session)
        return session.id

    def seat(self, session: SessionId) -> Seat:
        """Return a session; one that is not known any more counts as reaped."""
        if session in self.store.sessions:
            return self._seats[session]
        gone = SessionState(session, MIN_LEASE)
        gone.fenced = True
        return Seat(MemorySession(self.store, gone))

    async def subscribe(self) -> str:
        """Make a feed."""
        assert self._anchor.results is not None
        feed = await self._anchor.results.subscribe()
        assert isinstance(feed, MemoryFeed)
        self._feeds[feed.channel] = feed, Repeated(lambda wait: _listen(feed, wait))
        return feed.channel

    def feed(self, channel: str) -> Repeated:
        """Return how to ask a feed; one that is not known any more is made anew."""
        if channel not in self._feeds:
            state = self.store.feeds[channel] = FeedState(channel)
            feed = MemoryFeed(self.store, state)
            self._feeds[channel] = feed, Repeated(lambda wait: _listen(feed, wait))
        return self._feeds[channel][1]

    async def unsubscribe(self, channel: str) -> None:
        """End a feed."""
        if channel in self._feeds:
            await self._feeds.pop(channel)[0].close()

    async def ripen(self, limit: int) -> int:
        """Make delayed envelopes ready that are due."""
        with self.store.lock:
            return self.store.promote(limit)

    async def due(self, limit: int) -> tuple[float, Sequence[Schedule]]:
        """Return the store's now and the schedules that are due, unclaimed: who fires first has fired."""
        with self.store.lock:
            now = self.store.clock.now()
            return now, self.store.schedules.claim(now, limit, 0.0)

    async def fire(self, now: float, due: Sequence[tuple[Schedule, Firing]]) -> Promotion:
        """Publish each firing and move its schedule on, in one step, unless somebody else did."""
        store, tally = self.store, Tally()
        with store.lock:
            for schedule, firing in due:
                if store.schedules.get(schedule.id) == schedule:
                    settled = tally.take(schedule, firing, admit(store, firing.publish), now)
                    if settled is not None:
                        store.schedules.settle(settled)
            following = store.next_due()
            return tally.promotion(None if following is None else max(0.0, following - store.clock.now()))

    async def plant(self, unreadable: Unreadable) -> None:
        """Put bytes that are no envelope into a queue."""
        self._anchor.plant(unreadable)

    async def census(self) -> Mapping[str, int]:
        """Count what is kept."""
        store = self.store
        with store.lock:
            kept = Counter(map(_kind, store.ledger.known.values()))
            return {
                **kept,
                "session": len(store.sessions),
                "feed": len(store.feeds),
                "dead letter": len(store.dead),
                "schedule": len(store.schedules.page(None, 1_000_000)),
                "waiter": sum(len(queue.waiters) for queue in store.queues.values()),
            }

    async def wreck(self) -> None:
        """Lose everything. Whoever waits finds out that his session is gone."""
        for session in list(self.store.sessions.values()):
            session.end(fenced=True)
        for state in self.store.feeds.values():
            state.close()
        self._open()
        await self._anchor.open()


def _kind(known: object) -> str:
    if isinstance(known, Entry):
        return "task"
    return "result" if isinstance(known, tuple) else REMEMBERED


async def _listen(feed: MemoryFeed, wait: float) -> Sequence[Result]:
    try:
        return await feed.next(wait=wait)
    except BrokerClosed:
        raise BrokerUnavailable("the server has lost this feed") from None
