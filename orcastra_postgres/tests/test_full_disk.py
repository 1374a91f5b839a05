"""A disk that is full in earnest: what cannot be stored is refused, nothing is lost, and it goes on once there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from postgres_rig import Open, Shop, at_work, completions, make, until

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
async def disk(ground: Ground, postgres: Server) -> AsyncIterator[Disk]:
    """A disk where everything of the server's default database is kept, but for its log."""
    path = ground.place("disk")
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(path)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("this account may not mount a file system")
    try:
        ground.give(path)
        (path / "tables").mkdir()
        ground.give(path / "tables")
        await postgres.ask(f"create tablespace small location '{path}/tables'")
        await postgres.ask("alter role postgres set default_tablespace = 'small'")
        yield Disk(path)
    finally:
        postgres.kill()
        subprocess.run(["umount", str(path)], check=True)


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


async def test_workers_wait_for_room_and_lose_nothing(postgres: Server, disk: Disk) -> None:
    shop, other = Shop(f"{postgres.url()}?timeout=3", seconds=0.01), Shop(postgres.url(), seconds=0.01)
    refused = 0
    async with shop.app, other.app, at_work(shop.app, lease=2.0), at_work(other.app, lease=2.0):
        await shop.submit(range(200))
        disk.fill()
        while not refused:  # what was freed within the tables is used up first
            envelopes = [make.envelope("bulk", body=b"x" * 4096) for _ in range(100)]
            answers = await shop.app.broker.publish(envelopes)
            refused += sum(isinstance(one, Unknown) and isinstance(one.error, StoreFull) for one in answers)
        disk.make_room()
        await until(lambda: stores(shop), "it stores again", seconds=BACK)
        await shop.submit(range(200, 400))
        await until(lambda: all_done(shop), "all that was confirmed is completed", seconds=20)
        counted = await completions(shop.app.broker)
    assert len(shop.stored) == 400
    assert shop.stored <= set(counted)
    assert set(counted.values()) == {1}, "nothing was completed twice"
    assert set((shop.ran + other.ran).values()) == {1}, "and nothing ran twice"


async def stores(shop: Shop) -> bool:
    return await shop.app.broker.publish([make.envelope("other")]) == [STORED]


async def all_done(shop: Shop) -> bool:
    return shop.stored <= set(await completions(shop.app.broker))
