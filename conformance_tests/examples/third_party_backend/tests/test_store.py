"""What the suite cannot know of: how a domain is kept on the disk."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from orcastra_files import FilesBroker

from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.delivery import Want
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import BrokerError, InvalidOption
from orcastra_core.model.ids import IdFactory
from orcastra_core.model.names import QueueName, TaskName
from orcastra_core.model.profile import Durability
from orcastra_core.model.published import STORED, Unknown
from orcastra_core.model.result import Outcome, Result
from orcastra_core.model.settlement import DONE, Complete

QUEUE = QueueName("q")
WANT = Want(100, [(QUEUE, 100)])
make_id = IdFactory()


def broker(directory: Path, options: str = "") -> FilesBroker:
    return FilesBroker(BrokerUrl.parse(f"files://{directory}{options}"))


def envelopes(number: int, body: bytes = b"\x80") -> list[Envelope]:
    return [Envelope(make_id(), QUEUE, TaskName("t"), body) for _ in range(number)]


def journal(directory: Path) -> Path:
    (path,) = directory.glob("*/journal")
    return path


def test_half_a_record_is_cut_off(tmp_path: Path) -> None:
    async def main() -> None:
        one = broker(tmp_path)
        await one.open()
        first, second, third = envelopes(3)
        assert await one.publish([first]) == [STORED]
        whole = journal(tmp_path).read_bytes()
        assert await one.publish([second]) == [STORED]
        await one.close()
        for torn in (journal(tmp_path).read_bytes()[:-1], whole + b"\0" * 100, whole + b"\xff" * 5):
            journal(tmp_path).write_bytes(torn)
            other = broker(tmp_path)
            await other.open()
            assert journal(tmp_path).read_bytes() == whole
            session = await other.open_session([QUEUE], lease=1.0)
            assert [d.envelope.id for d in await session.fetch(WANT, wait=0)] == [first.id]
            assert await other.publish([third]) == [STORED]
            await other.close()

    asyncio.run(main())


def test_the_journal_is_written_anew_under_the_eyes_of_others(tmp_path: Path) -> None:
    async def main() -> None:
        one, other = broker(tmp_path, "?fsync=0"), broker(tmp_path, "?fsync=0")
        await one.open()
        await other.open()
        session = await other.open_session([QUEUE], lease=1.0)
        (kept,) = envelopes(1)
        files = set[int]()
        for number in range(1, 13):
            assert await one.publish(envelopes(8, bytes(50_000))) == [STORED] * 8
            taken = await session.fetch(Want(8, [(QUEUE, 8)]), wait=0)
            done = [Complete(d, Result(d.envelope.id, Outcome.COMPLETED)) for d in taken]
            assert await session.settle(done, number=number) == [DONE] * 8
            files.add(journal(tmp_path).stat().st_ino)
        assert len(files) > 1
        assert journal(tmp_path).stat().st_size < 3_000_000
        assert await one.publish([kept]) == [STORED]
        assert [d.envelope.id for d in await session.fetch(WANT, wait=0)] == [kept.id]
        await other.close()
        await one.close()

    asyncio.run(main())


def test_what_is_done_is_on_the_disk(tmp_path: Path) -> None:
    async def main() -> None:
        one = broker(tmp_path)
        assert (await one.open()).durability is Durability.POWER_LOSS
        sent = envelopes(3)
        await one.publish(sent)
        session = await one.open_session([QUEUE], lease=1.0)
        done, *_ = await session.fetch(WANT, wait=0)
        await session.settle([Complete(done, Result(done.envelope.id, Outcome.COMPLETED))], number=1)
        await one.close()  # without leaving: as good as killed
        other = broker(tmp_path)
        await other.open()
        swept = await other.sweep(limit=100)
        assert [lost.id for lost in swept.lost] == [envelope.id for envelope in sent[1:]]
        await other.close()

    asyncio.run(main())


def test_a_directory_that_went_away(tmp_path: Path) -> None:
    async def main() -> None:
        one = broker(tmp_path / "store")
        await one.open()
        (tmp_path / "store").rename(tmp_path / "elsewhere")
        (answer,) = await one.publish(envelopes(1))
        assert isinstance(answer, Unknown)
        assert answer.error.retryable
        (tmp_path / "elsewhere").rename(tmp_path / "store")
        assert await one.publish(envelopes(1)) == [STORED]
        await one.close()

    asyncio.run(main())


def test_a_path_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BrokerError):
        asyncio.run(broker(tmp_path / "file").open())


@pytest.mark.parametrize(
    "url", ["files://", "files:///", "files://host/path", "files:///path?fsnc=1", "files:///p?fsync=x"]
)
def test_urls_that_mean_nothing(url: str) -> None:
    with pytest.raises(InvalidOption):
        FilesBroker(BrokerUrl.parse(url))
