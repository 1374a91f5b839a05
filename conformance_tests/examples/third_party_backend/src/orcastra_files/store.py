"""A domain's store: one step at a time, among all processes, in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from orcastra_core.liveness.system_clock import SystemClock
from orcastra_core.model.errors import BrokerClosed, BrokerTimeout, OrcastraError, WrongLoop
from orcastra_files.errors import translate
from orcastra_files.journal import Journal
from orcastra_files.locks import LockedFile
from orcastra_files.settings import LIMITS, Settings
from orcastra_files.state import State
from orcastra_files.step import Step

T = TypeVar("T")

_LOOK_EVERY = 0.01
_ROOM = 1 << 20
"""Bytes of a journal that nobody minds."""


class Store:
    """An open domain.

    A step takes the domain's lock, reads what others wrote since the last one, does its work and writes
    its changes as one record. So a step is atomic, whatever dies in it: its record is
    there, or it is not.

    Waiting means looking at the journal's size now and then, which takes no lock.
    """

    def __init__(self, settings: Settings) -> None:
        """Make the directory that the URL names. Raises OSError."""
        self.directory = settings.directory
        self._sessions = os.path.join(settings.directory, "sessions")
        os.makedirs(os.path.dirname(settings.directory), exist_ok=True)
        self.clock = SystemClock()
        self._path = os.path.join(settings.directory, "journal")
        self._journal = Journal(self._path, fsync=settings.fsync)
        self._state: State | None = None
        self._closing = threading.Event()
        self._pid = os.getpid()
        # One thread, so that steps are made in the order they were asked for: a fetch that was
        # cancelled is over before the next one begins.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="orcastra-files")

    async def run(self, work: Callable[[Step], T], *, flush: bool = True) -> T:
        """Make one step and return what ``work`` returned. Cancelled, it is made wholly or not at all.

        Args:
            work: What to do, in the store's thread.
            flush: Whether it is lost to a power failure if it was not flushed to the disk.

        Raises:
            BrokerClosed: The store was closed.
            BrokerTimeout: Another process has kept the lock for too long.
            BrokerError: Anything else that keeps it from being made; nothing was changed then.
        """
        if os.getpid() != self._pid:
            raise WrongLoop(f"{self.directory}: opened before a fork; open a broker of its own in the child")
        if self._closing.is_set():
            raise self._closed()
        return await asyncio.wrap_future(self._thread.submit(self._step, work, flush))

    def later(self, call: Callable[[], object]) -> None:
        """Call something in the store's thread, behind the steps that were asked for before."""
        try:
            self._thread.submit(call)
        except RuntimeError:  # it has ended, and they with it
            call()

    def session_path(self, session: str) -> str:
        """Where a session's file is."""
        return os.path.join(self._sessions, session)

    def remove_session(self, session: str) -> None:
        """Remove a session's file; that tells it that it was reaped. What cannot be removed now is a stray."""
        try:
            os.unlink(self.session_path(session))
        except OSError:
            pass

    def session_names(self) -> list[str]:
        """Return the sessions that have a file."""
        return os.listdir(self._sessions)

    def remove_strays(self, known: Container[str]) -> None:
        """Remove files whose sessions are over: who ended them died before it could. In a step only."""
        for name in self.session_names():
            if name not in known:
                self.remove_session(name)

    def mark(self) -> object:
        """Return something that is equal as long as nothing changes."""
        try:
            there = os.stat(self._path)
        except OSError:
            return None
        return there.st_ino, there.st_size, there.st_mtime_ns

    async def until(self, happened: Callable[[], bool], seconds: float) -> None:
        """Return once something has happened, or the store is closed, or after ``seconds``."""
        ends = self.clock.monotonic() + seconds
        while not (happened() or self._closing.is_set()) and (left := ends - self.clock.monotonic()) > 0:
            await self.clock.sleep(min(left, _LOOK_EVERY))

    async def close(self) -> None:
        """End the thread; whoever waits for a step gets BrokerClosed. Idempotent."""
        self._closing.set()
        await asyncio.to_thread(self._thread.shutdown)
        self._journal.close()

    def _step(self, work: Callable[[Step], T], flush: bool) -> T:
        try:
            with self._alone():
                step = Step(self._read(), self.clock.now())
                try:
                    answer = work(step)
                    if step.changes:
                        self._journal.append(step.changes, flush=flush)
                except BaseException:
                    if step.changes:
                        self._state = None  # it is ahead of the journal
                    raise
                for call in step.afterwards:
                    call()
                self._tidy(step)
                return answer
        except OrcastraError:
            raise
        except Exception as error:
            raise translate(error, self.directory) from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        for directory in (self.directory, self._sessions):  # in every step: somebody may have removed them
            try:
                os.mkdir(directory)
            except FileExistsError:
                pass
        with LockedFile(os.path.join(self.directory, "lock")) as lock:
            # Not a blocking flock: its holder may have been stopped, and we may be told to close.
            ends = time.monotonic() + LIMITS.connect_timeout
            while not lock.try_lock():
                if self._closing.wait(0.001):
                    raise self._closed()
                if time.monotonic() > ends:
                    raise BrokerTimeout(
                        f"{self.directory}: another process has kept the lock for {LIMITS.connect_timeout:g} s; was it stopped?"
                    )
            yield

    def _read(self) -> State:
        state, self._state = self._state, None  # until all of it is read
        if state is None:
            self._journal.close()
        if self._journal.open() or state is None:
            state = State()
        for record in self._journal.read():
            for change in record:
                state.apply(change)
        self._state = state
        return state

    def _tidy(self, step: Step) -> None:
        """Write the journal anew when little of it still counts."""
        step.state.forget(step.now - LIMITS.publish_window)
        if self._journal.size > _ROOM + 4 * step.state.weight():
            try:
                self._journal.replace(list(step.state.rows()))
            except OSError:
                pass  # no room, perhaps: the old one is as good, and the step was made

    def _closed(self) -> BrokerClosed:
        return BrokerClosed(f"{self.directory}: the broker was closed")
