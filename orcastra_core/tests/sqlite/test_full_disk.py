"""No room left: said, survived, and over when it is over."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from sqlite_actors.making import QUEUE, completed, envelopes, want

from orcastra_core.backends.sqlite import SqliteBroker
from orcastra_core.backends.sqlite.session import SqliteSession
from orcastra_core.backends.sqlite.tx import Tx
from orcastra_core.model.errors import StoreFull
from orcastra_core.model.published import Stored, Unknown
from orcastra_core.model.session import Swept
from orcastra_core.model.settlement import Done


async def fill(broker: SqliteBroker) -> int:
    """Publish large bodies until there is no room; how many were stored."""
    stored = 0
    while True:
        (answer,) = await broker.publish(envelopes(1, body=bytes(100_000)))
        if isinstance(answer, Unknown):
            assert isinstance(answer.error, StoreFull)
            assert answer.error.retryable
            return stored
        assert isinstance(answer, Stored)
        stored += 1


async def test_a_size_limit_gives_store_full_and_nothing_half_done(
    broker: SqliteBroker, session: SqliteSession
) -> None:
    await broker.publish(envelopes(10))
    got = await session.fetch(want(10), wait=0)
    core = broker._open_core()

    def limit(tx: Tx, pages: int) -> None:
        tx.conn.execute(f"PRAGMA max_page_count = {pages}")

    await core.write(lambda tx: limit(tx, 300))
    stored = await fill(broker)
    (depth,) = await broker.inspect([QUEUE])
    assert (depth.ready, depth.running) == (stored, 10), "nothing half done"
    many = await broker.publish(envelopes(50, body=bytes(50_000)))
    assert {type(one) for one in many} == {Unknown}, "one batch, one transaction"
    await core.write(lambda tx: limit(tx, 1_000_000))
    assert all(isinstance(one, Stored) for one in await broker.publish(envelopes(50, body=bytes(50_000))))
    assert all(isinstance(one, Done) for one in await session.settle([completed(one) for one in got], number=1))


async def test_one_that_is_too_much_does_not_take_the_others_of_its_group_down(broker: SqliteBroker) -> None:
    core = broker._open_core()

    def limit(tx: Tx) -> None:
        tx.conn.execute("PRAGMA max_page_count = 300")

    await core.write(limit)
    async with asyncio.TaskGroup() as group:
        small = [group.create_task(broker.publish(envelopes(1))) for _ in range(5)]
        large = group.create_task(broker.publish(envelopes(1000, body=bytes(10_000))))
        after = [group.create_task(broker.publish(envelopes(1))) for _ in range(5)]
    assert all(isinstance(one, Unknown) for one in large.result())
    assert all(isinstance(task.result()[0], Stored) for task in small + after)


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB, where the test may make one."""
    point = tmp_path / "tiny"
    point.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(point)], capture_output=True)
    if made.returncode:
        pytest.skip("may not mount a file system here")
    yield point
    subprocess.run(["umount", "-l", str(point)], check=True)


async def test_a_full_disk_and_room_again_without_restart(
    tiny: Path, opened: Callable[..., Awaitable[SqliteBroker]]
) -> None:
    broker = await opened(f"sqlite:///{tiny}/orcastra.db")
    session = await broker.open_session([QUEUE], lease=0.5)
    ballast = tiny / "ballast"
    ballast.write_bytes(bytes(500_000))
    (first,) = envelopes(1)
    assert isinstance((await broker.publish([first]))[0], Stored)
    (held,) = await session.fetch(want(1), wait=0)
    stored = await fill(broker)
    while _grow(ballast):
        pass
    with pytest.raises(StoreFull):
        await session.settle([completed(held, bytes(50_000))], number=1)
    assert isinstance(session, SqliteSession)
    assert await session._beat_once(), "a beat needs no room"
    assert await broker.sweep(limit=10) == Swept(), "and nobody is fenced"
    ballast.unlink()
    (answer,) = await session.settle([completed(held, bytes(50_000))], number=1)
    assert isinstance(answer, Done), "the same number, once there is room"
    assert isinstance((await broker.publish(envelopes(1)))[0], Stored)
    (depth,) = await broker.inspect([QUEUE])
    assert (depth.ready, depth.running) == (stored + 1, 0)
    await session.leave()
    await broker.close()
    with sqlite3.connect(tiny / "orcastra.db") as conn:
        assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    conn.close()


def _grow(file: Path) -> bool:
    """Fill the file system up to the last block; False once it is full."""
    try:
        with file.open("ab") as stream:
            stream.write(bytes(4096))
            stream.flush()
    except OSError:
        return False
    return True
