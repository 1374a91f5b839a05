"""An app's way to its broker: opened, owned by one loop and process, closed."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Sequence

import attrs

from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.clock import Clock
from orcastra_core.interfaces.middleware import Middleware
from orcastra_core.interfaces.results import ResultStore
from orcastra_core.interfaces.scheduler import Scheduler
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.errors import WrongLoop
from orcastra_core.model.profile import Cap, Profile
from orcastra_core.model.queue import QueueSpec
from orcastra_core.runtime.client import Client
from orcastra_core.runtime.results_elsewhere import ResultsElsewhere


@attrs.frozen
class Opened:
    """What there is while the broker is open."""

    broker: Broker
    profile: Profile
    client: Client
    scheduler: Scheduler | None
    scheduler_offset: float
    results: ResultStore | None

    @property
    def due_offset(self) -> float:
        """Seconds that the clock which judges ``due`` is ahead of ours."""
        return self.profile.clock_offset if self.profile.offers(Cap.DELAY) else self.scheduler_offset

    @property
    def elsewhere(self) -> ResultsElsewhere | None:
        """Where results are kept, if that is another store than the queue's."""
        return self.results if isinstance(self.results, ResultsElsewhere) else None


class Connection:
    """Opens and closes; guards against a second loop and against use after a fork.

    Brokers are kept between openings, so that ``memory://`` keeps what it holds.
    """

    def __init__(
        self,
        url: BrokerUrl,
        scheduler_url: BrokerUrl | None,
        *,
        clock: Clock,
        events: bool,
        results: bool | BrokerUrl,
        middleware: Sequence[Middleware],
    ) -> None:
        self._url = url
        self._scheduler_url = scheduler_url
        self._clock = clock
        self._events = events
        self._results = results
        self._middleware = middleware
        self._broker: Broker | None = None
        self._scheduling: Broker | None = None
        self._keeping: Broker | None = None
        self._opened: Opened | None = None
        self._owner: tuple[asyncio.AbstractEventLoop, int] | None = None
        self._lock: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None
        self._depth = 0

    def use(self, url: BrokerUrl) -> None:
        """Go through another broker from the next opening on. Raises WrongLoop while one is open."""
        if self._opened is not None:
            raise WrongLoop("this app is open: leave it before it goes through another broker")
        self._url = url
        self._broker = None

    async def enter(self, queues: Sequence[QueueSpec]) -> Opened:
        """Open, or join what is open in this loop.

        Raises:
            WrongLoop: It is open in another loop, or was opened before a fork.
            PluginError, BrokerError: As loading and opening the broker do.
        """
        self._check_owner()
        async with self._gate():
            if not self._depth:
                self._owner = (asyncio.get_running_loop(), os.getpid())
                try:
                    self._opened = await self._open(queues)
                except BaseException:
                    self._owner = None
                    raise
            self._depth += 1
            return self.opened

    async def leave(self) -> None:
        """Close with the last one that leaves."""
        async with self._gate():
            self._depth -= 1
            if not self._depth and self._opened is not None:
                client, self._opened = self._opened.client, None
                try:
                    await self._close(client)
                finally:
                    self._owner = None

    @property
    def opened(self) -> Opened:
        """What is open in this loop. Raises WrongLoop."""
        self._check_owner()
        if self._opened is None:
            raise WrongLoop("this app is not open: use it inside «async with app:»")
        return self._opened

    def _gate(self) -> asyncio.Lock:
        # a lock belongs to the loop it was waited for in
        loop = asyncio.get_running_loop()
        if self._lock is None or self._lock[0] is not loop:
            self._lock = (loop, asyncio.Lock())
        return self._lock[1]

    def _check_owner(self) -> None:
        if self._owner is None:
            return
        loop, pid = self._owner
        if pid != os.getpid():
            raise WrongLoop("this app was opened before a fork: let the child make an app of its own")
        if loop is not asyncio.get_running_loop():
            raise WrongLoop("this app is open in another event loop: leave it there first, or make a second app")

    async def _open(self, queues: Sequence[QueueSpec]) -> Opened:
        # stevedore costs tens of milliseconds: not at import
        from orcastra_core.plugins import load_broker

        broker = self._broker = self._broker or load_broker(self._url)
        client: Client | None = None
        try:
            profile = await broker.open()
            scheduler, scheduler_offset = broker.scheduler, profile.clock_offset
            if self._scheduler_url is not None:
                self._scheduling = self._scheduling or load_broker(self._scheduler_url)
                there = await self._scheduling.open()
                there.require(Cap.SCHEDULES)
                scheduler, scheduler_offset = self._scheduling.scheduler, there.clock_offset
            results = await self._open_results(broker)
            await broker.declare(queues)
            client = Client(
                broker,
                profile,
                scheduler=scheduler,
                clock=self._clock,
                rng=random.Random(),
                events=self._events,
                results=results,
                middleware=self._middleware,
            )
            await client.start()
        except BaseException:
            await self._close(client)
            raise
        return Opened(broker, profile, client, scheduler, scheduler_offset, results)

    async def _open_results(self, broker: Broker) -> ResultStore | None:
        if isinstance(self._results, bool):
            return broker.results if self._results else None
        from orcastra_core.plugins import load_broker

        self._keeping = self._keeping or load_broker(self._results)
        (await self._keeping.open()).require(Cap.RESULTS)
        assert self._keeping.results is not None
        return ResultsElsewhere(self._keeping.results)

    async def _close(self, client: Client | None) -> None:
        if client is not None:
            await client.stop()
        for broker in (self._broker, self._scheduling, self._keeping):
            if broker is not None:
                await broker.close()
