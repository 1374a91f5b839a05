"""What a shepherd does for its processes, and when it replaces them."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orcastra_core.model.delivery import Want
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.ids import IdFactory
from orcastra_core.model.names import QueueName, TaskName
from orcastra_core.runtime.shepherd import Shepherd
from orcastra_core.runtime.vouch import Voucher

Make = Callable[..., Shepherd]
QUEUE = QueueName("q")
LONG = 3600.0


async def held(broker: Any) -> Any:
    """Return a session that holds one delivery, and that only an expiry can end."""
    session = await broker.open_session([QUEUE], lease=LONG)
    await broker.publish([Envelope(IdFactory()(), QUEUE, TaskName("t"), b"")])
    assert len(await session.fetch(Want(1, [(QUEUE, 1)]), wait=1)) == 1
    return session


def pids(tmp_path: Path) -> list[int]:
    return [int(line) for line in (tmp_path / "pids").read_text().split()]


async def turns_until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until ``condition`` holds: what it depends on tells nobody else."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_the_sessions_of_a_dead_process_are_expired_at_once(broker: Any, make: Make) -> None:
    first, second = await held(broker), await held(broker)
    other = await broker.open_session([QUEUE], lease=LONG)
    shepherd = make("wait", first.id, second.id, lease=LONG)
    running = asyncio.create_task(shepherd.run())
    await shepherd.proven.wait()
    (process,) = shepherd._herd.values()
    await turns_until(lambda: len(process.sessions) == 2)
    os.kill(process.pid, signal.SIGKILL)
    found = [*await other.fetch(Want(1, [(QUEUE, 1)]), wait=10), *await other.fetch(Want(1, [(QUEUE, 1)]), wait=10)]
    assert [delivery.counts.lost for delivery in found] == [1, 1]
    shepherd.stop()
    assert await running == 0
    assert shepherd.recovered == 2


async def test_it_beats_for_a_process_at_work_and_not_for_a_stopped_one(broker: Any, make: Make) -> None:
    session = await held(broker)
    shepherd = make("wait", session.id, lease=0.04)
    running = asyncio.create_task(shepherd.run())
    await shepherd.proven.wait()
    await turns_until(lambda: len(broker.beaten) >= 5)
    assert set(broker.beaten) == {session.id}
    (process,) = shepherd._herd.values()
    os.kill(process.pid, signal.SIGSTOP)
    await turns_until(lambda: not process.at_work)
    await shepherd._voucher._beat(broker)  # may end a beat that had begun before
    before = len(broker.beaten)
    await shepherd._voucher._beat(broker)
    assert len(broker.beaten) == before
    os.kill(process.pid, signal.SIGCONT)
    await turns_until(lambda: len(broker.beaten) > before)
    shepherd.stop()
    assert await running == 0


async def test_a_session_that_was_reaped_is_not_beaten_for_any_more(broker: Any, make: Make) -> None:
    session = await held(broker)
    shepherd = make("wait", session.id, lease=0.04)
    running = asyncio.create_task(shepherd.run())
    await shepherd.proven.wait()
    (process,) = shepherd._herd.values()
    await broker.expire(session.id)
    await turns_until(lambda: not process.sessions)
    assert process.alive
    shepherd.stop()
    assert await running == 0


async def test_crashes_are_answered_with_growing_pauses(
    make: Make, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    shepherd = make("crash", "s-1")

    class StopAfterFour(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if shepherd.restarts == 4:
                shepherd.stop()

    log = logging.getLogger("orcastra.shepherd")
    log.addHandler(handler := StopAfterFour())
    try:
        assert await shepherd.run() == 0
    finally:
        log.removeHandler(handler)
    said = [record.getMessage() for record in caplog.records if "starting another" in record.getMessage()]
    assert [line.rpartition(" in ")[2] for line in said[:4]] == ["0.10 s", "0.20 s", "0.40 s", "0.80 s"]
    assert "ended with exit code 7" in said[0]
    assert len(pids(tmp_path)) == 4


async def test_what_cannot_start_is_tried_once(make: Make, tmp_path: Path) -> None:
    shepherd = make("fail", processes=4)
    assert await shepherd.run() == 1
    assert len(pids(tmp_path)) == 1


async def test_finite_processes_are_not_replaced(make: Make, tmp_path: Path) -> None:
    shepherd = make("done", "s-1", processes=3, finite=True)
    assert await shepherd.run() == 0
    assert len(pids(tmp_path)) == 3
    assert shepherd.restarts == 0
    assert shepherd.stats.completed == 15


async def test_what_does_not_stop_is_killed_and_expired(
    broker: Any, make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    session = await held(broker)
    shepherd = make("deaf", session.id, grace=0.05, margin=0.05)
    running = asyncio.create_task(shepherd.run())
    await shepherd.proven.wait()
    shepherd.stop()
    assert await running == 1
    assert shepherd.killed == 1
    assert shepherd.recovered == 1
    assert all(map(gone, pids(tmp_path)))
    assert "did not stop in time" in caplog.text


async def test_a_stop_before_the_start_starts_nothing(make: Make, tmp_path: Path) -> None:
    shepherd = make("wait", "s-1")
    shepherd.stop()
    assert await shepherd.run() == 0
    assert not (tmp_path / "pids").exists()


async def test_cancelled_it_leaves_no_process(make: Make, tmp_path: Path) -> None:
    shepherd = make("deaf", "s-1", processes=2)
    running = asyncio.create_task(shepherd.run())
    await turns_until(lambda: len(shepherd.pids) == 2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert all(map(gone, pids(tmp_path)))


async def test_a_broker_that_does_not_load_keeps_nobody_from_working(
    make: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orcastra_core.model.errors import BackendNotFound

    def refuse(url: str) -> Any:
        raise BackendNotFound(f"nothing for {url}")

    caplog.set_level(logging.WARNING)
    shepherd = make("wait", "s-1")
    shepherd._voucher = Voucher(refuse, shepherd._herd.values, shepherd._clock, shepherd._rng)
    running = asyncio.create_task(shepherd.run())
    await shepherd.proven.wait()
    shepherd.stop()
    assert await running == 0
    assert "no beats for the worker processes: nothing for memory://" in caplog.text
