"""How a process that works is asked to stop, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType, TracebackType
from typing import Any, NoReturn

_log = logging.getLogger("orcastra.shutdown")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LINGER = 0.2
"""Seconds that threads get to end by themselves at the very end."""


class StopSignals:
    """Turns SIGINT and SIGTERM into calls of ``stop`` in the running loop.

    The first asks, the second hurries: ``stop`` is called for each. The third
    ends the process at once, for tasks that block the event loop.

    Use as a context manager, in the main thread, inside a coroutine.

    Args:
        stop: What to call.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self.received: list[signal.Signals] = []
        """The signals that came, in order."""
        self._stop = stop
        self._before: dict[signal.Signals, Any] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> StopSignals:
        self._loop = asyncio.get_running_loop()
        # not loop.add_signal_handler: its callbacks never run while a task blocks the loop
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, as shells expect; else 0: to end on SIGTERM is to do as one was told."""
        return 130 if signal.SIGINT in self.received else 0

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.received.append(signal.Signals(number))
        if len(self.received) > 2:
            os._exit(128 + number)
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._ask, self.received[-1], len(self.received))

    def _ask(self, number: signal.Signals, count: int) -> None:
        if count == 1:
            _log.info("stopping on %s: running tasks may end; a second one hurries", number.name)
        else:
            _log.info("hurrying on %s: running tasks are stopped and handed back; a third ends at once", number.name)
        self._stop()


class DetachedThreads(ThreadPoolExecutor):
    """A default executor that nobody waits for at the end of the loop.

    A task that was cancelled in ``asyncio.to_thread`` leaves its thread behind; it must not keep the process.
    """

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=False, cancel_futures=True)


def leave_process(code: int) -> NoReturn:
    """End the process with ``code``, also if a task's thread never ends.

    The interpreter joins all threads before it ends. If some are still at work it is
    left without that: no ``atexit``, but everything written is flushed.
    """
    if any(_lingers(thread) for thread in threading.enumerate()):
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError, AttributeError):  # closed, full, or never there
                pass
        os._exit(code)
    sys.exit(code)


def _lingers(thread: threading.Thread) -> bool:
    if thread.daemon or thread is threading.main_thread():
        return False
    thread.join(_LINGER)
    return thread.is_alive()
