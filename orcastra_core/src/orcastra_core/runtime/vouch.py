"""Speaking for worker processes: a beat for those that live, the end for those that died."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection

from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.clock import Clock
from orcastra_core.liveness.beat_thread import BEATS_PER_LEASE
from orcastra_core.model.errors import BrokerError, OrcastraError, Unsupported
from orcastra_core.runtime.patience import Patience
from orcastra_core.runtime.worker_process import WorkerProcess

_log = logging.getLogger("orcastra.shepherd")

_OPENING = 10.0
"""Seconds a burial waits for the broker to be opened."""


class Voucher:
    """Beats for the sessions of processes at work, which may hold the GIL for longer than a lease.

    Only a supervisor may: it knows that a process lives without asking it. A
    stopped process is not vouched for; its sessions lapse.

    Args:
        load: From a URL to the broker, not yet opened.
        herd: The processes there are.
    """

    def __init__(
        self,
        load: Callable[[str], Broker],
        herd: Callable[[], Collection[WorkerProcess]],
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._load = load
        self._herd = herd
        self._clock = clock
        self._rng = rng
        self._broker: Broker | None = None
        self._opened = asyncio.Event()
        self._news = asyncio.Event()

    def hear(self, process: WorkerProcess) -> None:
        """Note that a process has announced something."""
        self._news.set()

    async def run(self) -> None:
        """Beat until cancelled. Trouble with the broker is logged: the processes beat for themselves as well."""
        broker = await self._open()
        self._opened.set()
        if broker is None:
            return
        try:
            self._broker = broker
            try:
                await self._beat_for_ever(broker)
            except Unsupported:
                _log.debug("this broker takes no beats for other processes")
                await asyncio.Event().wait()
        finally:
            self._broker = None
            await broker.close()

    async def bury(self, process: WorkerProcess) -> int:
        """Expire all sessions of a dead process; return how many deliveries were handed out again."""
        if not process.sessions:
            return 0
        try:
            async with asyncio.timeout(_OPENING):
                await self._opened.wait()
        except TimeoutError:
            return 0
        recovered = 0
        for session in process.sessions:
            if self._broker is None:
                break
            try:
                recovered += await self._broker.expire(session)
            except BrokerError as error:
                _log.warning("session %s could not be expired, sweepers will find it: %s", session, error)
        process.sessions.clear()
        return recovered

    async def _open(self) -> Broker | None:
        while not (urls := [process.url for process in self._herd() if process.url is not None]):
            self._news.clear()
            await self._news.wait()
        patience = Patience("opening the broker", self._clock, self._rng)
        try:
            broker = self._load(urls[0])
            while True:
                try:
                    await broker.open()
                except BrokerError as error:
                    await patience.pause(error)
                else:
                    return broker
        except OrcastraError as error:
            _log.warning("no beats for the worker processes: %s", error)
            return None

    async def _beat_for_ever(self, broker: Broker) -> None:
        failing = False
        while True:
            leases = [lease for process in self._herd() for lease in process.sessions.values()]
            try:
                async with asyncio.timeout(min(leases) / BEATS_PER_LEASE if leases else None):
                    self._news.clear()
                    await self._news.wait()
            except TimeoutError:
                pass
            try:
                await self._beat(broker)
            except BrokerError as error:
                if not failing:
                    _log.warning("a beat for the worker processes did not reach the store: %s", error)
                failing = True
            else:
                failing = False

    async def _beat(self, broker: Broker) -> None:
        for process in list(self._herd()):
            for session in list(process.sessions):
                if process.at_work and not await broker.beat(session):
                    # left or reaped; where it was reaped, the process opens another
                    process.sessions.pop(session, None)
