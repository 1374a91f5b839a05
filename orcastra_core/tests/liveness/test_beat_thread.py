"""A thread that beats, whatever the caller's event loop does."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from orcastra_core.liveness.beat_thread import BEATS_PER_LEASE, BeatThread
from orcastra_core.model.errors import BrokerUnavailable

LEASE = 0.08


class Store:
    """Takes beats, and answers as a test says."""

    def __init__(self) -> None:
        self.moments: list[float] = []
        self.answers: list[bool | Exception] = []
        self.beaten = threading.Condition()
        self.fenced = threading.Event()
        self.fenced_in: list[str] = []
        self.stopped_in: list[str] = []

    async def beat(self) -> bool:
        with self.beaten:
            self.moments.append(time.monotonic())
            self.beaten.notify_all()
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        return answer

    def on_fenced(self) -> None:
        self.fenced_in.append(threading.current_thread().name)
        self.fenced.set()

    async def on_stop(self) -> None:
        self.stopped_in.append(threading.current_thread().name)

    def thread(self) -> BeatThread:
        return BeatThread("test", lease=LEASE, beat=self.beat, on_fenced=self.on_fenced, on_stop=self.on_stop)

    def wait_for(self, beats: int) -> None:
        with self.beaten:
            assert self.beaten.wait_for(lambda: len(self.moments) >= beats, 3), f"{len(self.moments)} of {beats} beats"


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("orcastra-beat")]


async def test_it_beats_while_the_loop_is_blocked() -> None:
    store = Store()
    thread = store.thread()
    thread.start()
    try:
        store.wait_for(3 * BEATS_PER_LEASE)  # blocks the loop: nothing of it runs meanwhile
    finally:
        thread.stop()
    gaps = [later - earlier for earlier, later in zip(store.moments, store.moments[1:], strict=False)]
    assert sum(gap > LEASE for gap in gaps) == 0 or max(gaps) < 3 * LEASE, gaps
    assert threads() == []
    number = len(store.moments)
    await asyncio.sleep(LEASE)
    assert len(store.moments) == number, "stopped is stopped"
    assert store.stopped_in == ["orcastra-beat-test"]


def test_it_stops_when_its_session_was_reaped() -> None:
    store = Store()
    store.answers = [True, True, False]
    thread = store.thread()
    thread.start()
    assert store.fenced.wait(3)
    thread.stop()
    assert len(store.moments) == 3
    assert store.fenced_in == ["orcastra-beat-test"], "called once, in the thread"
    assert store.stopped_in == ["orcastra-beat-test"]
    assert threads() == []


def test_it_survives_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    import logging

    caplog.set_level(logging.INFO, "orcastra")
    store = Store()
    store.answers = [True, *[BrokerUnavailable("gone") for _ in range(5)]]
    thread = store.thread()
    thread.start()
    try:
        store.wait_for(9)
    finally:
        thread.stop()
    assert not store.fenced.is_set()
    assert caplog.text.count("did not reach the store") == 1
    assert caplog.text.count("beats reach the store again") == 1


def test_it_survives_what_a_backend_should_not_raise(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    store.answers = [OSError("not translated"), ValueError("a bug"), True]
    thread = store.thread()
    thread.start()
    try:
        store.wait_for(4)
    finally:
        thread.stop()
    assert not store.fenced.is_set()
    assert "a bug" in caplog.text or "not translated" in caplog.text


def test_stopping_again_and_before_the_start() -> None:
    store = Store()
    thread = store.thread()
    thread.stop()
    thread.start()
    store.wait_for(1)
    thread.stop()
    thread.stop()
    assert threads() == []


def test_stopping_at_once() -> None:
    for _ in range(20):
        thread = Store().thread()
        thread.start()
        thread.stop()
    assert threads() == []


def test_stopped_from_its_own_callback() -> None:
    """What on_fenced calls may well stop the thread it runs in."""
    store = Store()
    store.answers = [False]

    def on_fenced() -> None:
        thread.stop()
        store.fenced.set()

    thread = BeatThread("own", lease=LEASE, beat=store.beat, on_fenced=on_fenced)
    thread.start()
    assert store.fenced.wait(3)
    thread.stop()
    assert threads() == []


def test_a_beat_that_hangs_does_not_hold_up_stop_for_ever() -> None:
    released = threading.Event()

    async def hang() -> bool:
        return await asyncio.to_thread(released.wait, 5)

    thread = BeatThread("hangs", lease=LEASE, beat=hang, on_fenced=lambda: None)
    thread.start()
    begun = time.monotonic()
    time.sleep(LEASE)
    thread.stop(join=0.1)
    assert time.monotonic() - begun < 2
    released.set()
    thread.stop()
