"""A disk that is full in earnest: what cannot be stored is refused, nothing is lost, and it goes on once there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from postgres_rig import Open
from server_rig import Shop, at_work, completions, make, until

from orcastra_core.model.errors import StoreFull
from orcastra_core.model.published import STORED, Unknown
from orcastra_postgres.conformance_ground import Ground
from orcastra_postgres.conformance_servers import Server

DISK = "24m"
BACK = 5.0
"""Seconds after room was made within which work goes on."""


class Disk:
    """A small file system with a part of the server's tables on it, and a file that takes up its room.

    Attributes:
        path: Where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Leave no room."""
        with self._ballast.open("ab", buffering=0) as ballast:
            for size in (65536, 4096):
                try:
                    while ballast.write(b"\0" * size):
                        pass
                except OSError:
                    continue
            os.fsync(ballast.fileno())

    def make_room(self) -> None:
        """Leave as much as there was."""
        self._ballast.unlink()


@pytest.fixture
def small(ground: Ground) -> Iterator[Path]:
    """A small file system."""
    path = ground.place("disk")
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(path)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("this account may not mount a file system")
    yield path
    subprocess.run(["umount", str(path)], check=True)


@pytest.fixture
async def disk(ground: Ground, small: Path, postgres: Server) -> AsyncIterator[Disk]:
    """A disk where all tables of the server are that are made from now on; its log is elsewhere."""
    (small / "tables").mkdir()
    for path in (small, small / "tables"):
        ground.give(path)
    await postgres.ask(f"create tablespace small location '{small}/tables'")
    await postgres.ask("alter role postgres set default_tablespace = 'small'")
    yield Disk(small)
    postgres.kill()


async def test_what_cannot_be_stored_is_refused(postgres: Server, disk: Disk, opened: Open) -> None:
    broker = await opened()
    disk.fill()
    envelopes = [make.envelope(body=b"x" * 4096) for _ in range(200)]
    answers = list(await broker.publish(envelopes))
    assert all(isinstance(one, Unknown) and isinstance(one.error, StoreFull) for one in answers)
    assert all(one.error.retryable for one in answers if isinstance(one, Unknown))
    assert await broker.find([one.id for one in envelopes]) == [None] * 200, "nothing of it is there"
    disk.make_room()
    assert await broker.publish(envelopes) == [STORED] * 200, "the same broker takes them now"


async def test_workers_wait_for_room_and_lose_nothing(
    postgres: Server, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    shop, other = Shop(postgres.url(), seconds=0.05), Shop(postgres.url(), seconds=0.05)
    async with shop.app, other.app, at_work(shop.app, lease=2.0), at_work(other.app, lease=2.0):
        await shop.submit(range(5000))
        disk.fill()
        refused = 0
        while not refused:  # what was free within the tables is used up first
            answers = await shop.app.broker.publish([make.envelope("bulk", body=b"x" * 4096) for _ in range(100)])
            refused += sum(isinstance(one, Unknown) and isinstance(one.error, StoreFull) for one in answers)
        await until(lambda: "settling failed" in caplog.text, "the workers meet it too")
        assert len(shop.ran + other.ran) < 5000, "it was in mid-run"
        disk.make_room()
        await until(lambda: stores(shop), "it stores again", seconds=BACK)
        await shop.submit(range(5000, 5200))
        await until(lambda: all_done(shop), "all that was confirmed is completed", seconds=30)
        counted = await completions(shop.app.broker)
    assert "No space left" in caplog.text
    assert len(shop.stored) == 5200
    assert shop.stored <= set(counted)
    assert set(counted.values()) == {1}, "nothing was completed twice"
    assert set((shop.ran + other.ran).values()) == {1}, "and nothing ran twice"


async def stores(shop: Shop) -> bool:
    return await shop.app.broker.publish([make.envelope("other")]) == [STORED]


async def all_done(shop: Shop) -> bool:
    return shop.stored <= set(await completions(shop.app.broker))
