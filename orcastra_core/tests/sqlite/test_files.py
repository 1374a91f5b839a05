"""Which files are taken, which are refused, and what happens to them while they are open."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path

import pytest
from sqlite_actors.making import QUEUE, completed, envelope, envelopes, want

from orcastra_core.backends.sqlite import SqliteBroker, schema, statements
from orcastra_core.backends.sqlite.filesystem import check_place, file_system_of, is_network
from orcastra_core.backends.sqlite.prune import anything_untidy, tidy
from orcastra_core.backends.sqlite.settings import Settings, path_of
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.errors import BrokerError, BrokerUnavailable, ContractMismatch, InvalidOption
from orcastra_core.model.names import DomainName
from orcastra_core.model.profile import Durability
from orcastra_core.model.published import Duplicate, Stored, Unknown
from orcastra_core.model.result import Result

MOUNTS = """\
/dev/vda / ext4 rw,relatime 0 0
server:/export /home nfs4 rw 0 0
tmpfs /home/me/local tmpfs rw 0 0
me@host:/ /mnt/with\\040space fuse.sshfs rw 0 0
drive /mnt/c 9p rw 0 0
"""


@pytest.mark.parametrize(
    "text, says",
    [
        ("sqlite://", "which file"),
        ("sqlite:///", "which file"),
        ("sqlite:///dir/", "which file"),
        ("sqlite://file.db", "a file has no host"),
        ("sqlite:///:memory:", "write memory://"),
        ("sqlite:///file.db?synchronus=full", "did you mean 'synchronous'"),
        ("sqlite:///file.db?synchronous=maybe", "expected full or normal"),
        ("sqlite:///file.db?events_max=0", "expected at least 1"),
    ],
)
def test_urls_that_are_refused_say_what_to_write(text: str, says: str) -> None:
    with pytest.raises(InvalidOption, match=says):
        SqliteBroker(BrokerUrl.parse(text))


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings.of(BrokerUrl.parse("sqlite:///file.db")).path == f"{tmp_path}/file.db"
    assert Settings.of(BrokerUrl.parse("sqlite:////var/lib/file.db")).path == "/var/lib/file.db"
    assert Settings.of(BrokerUrl.parse("sqlite:////v/file.db?domain=shop")).path == "/v/file.shop.db"
    assert path_of("/v/file.db", DomainName("a/b")) == "/v/file.a%2Fb.db"
    assert len(os.path.basename(path_of("/v/file.db", DomainName("ü" * 100)))) < 200


async def test_durability_is_as_the_url_says(tmp_path: Path) -> None:
    for mode, durability in [("full", Durability.POWER_LOSS), ("normal", Durability.SERVER_CRASH)]:
        broker = SqliteBroker(BrokerUrl.parse(f"sqlite:///{tmp_path}/{mode}.db?synchronous={mode}"))
        assert (await broker.open()).durability is durability
        await broker.publish(envelopes(1))
        core = broker._open_core()
        (level,) = await core.write(lambda tx: tx.conn.execute("PRAGMA synchronous").fetchone(), durable=True)
        assert level == {"full": 2, "normal": 1}[mode]
        await broker.close()


@pytest.mark.parametrize(
    "directory, kind, network",
    [
        ("/var/lib", "ext4", False),
        ("/home/me", "nfs4", True),
        ("/homes", "ext4", False),
        ("/home/me/local/x", "tmpfs", False),
        ("/mnt/with space/deep", "fuse.sshfs", True),
        ("/mnt/c/users", "9p", True),
    ],
)
def test_network_file_systems_are_recognised(directory: str, kind: str, network: bool) -> None:
    assert file_system_of(directory, MOUNTS) == kind
    assert is_network(kind) is network


def test_a_network_file_system_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="network file system"):
        check_place(str(tmp_path / "file.db"), f"server:/x {tmp_path} nfs rw 0 0")


async def test_places_that_do_not_do_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokerUnavailable, match="no directory"):
        await SqliteBroker(BrokerUrl.parse(f"sqlite:///{tmp_path}/nowhere/file.db")).open()
    with pytest.raises(BrokerError, match="is a directory"):
        await SqliteBroker(BrokerUrl.parse(f"sqlite:///{tmp_path}")).open()
    (tmp_path / "notes.txt").write_text("no database at all\n" * 100)
    with pytest.raises(BrokerError, match="is no SQLite database"):
        await SqliteBroker(BrokerUrl.parse(f"sqlite:///{tmp_path}/notes.txt")).open()
    assert (tmp_path / "notes.txt").read_text() == "no database at all\n" * 100
    with sqlite3.connect(tmp_path / "other.db") as conn:
        conn.execute("CREATE TABLE things (x)")
    conn.close()
    with pytest.raises(BrokerError, match="another program"):
        await SqliteBroker(BrokerUrl.parse(f"sqlite:///{tmp_path}/other.db")).open()


def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.R_OK)  # root may write anywhere
    with pytest.raises(BrokerError, match="cannot be written"):
        check_place(str(tmp_path / "file.db"))


async def test_a_newer_layout_is_refused_and_left_alone(
    url: str, tmp_path: Path, opened: Callable[..., Awaitable[SqliteBroker]]
) -> None:
    await (await opened()).close()
    conn = sqlite3.connect(tmp_path / "orcastra.db")
    conn.execute("PRAGMA user_version = 99")
    conn.close()
    with pytest.raises(ContractMismatch, match="layout 99"):
        await opened()


async def test_an_older_layout_is_migrated_by_the_first_opener(
    tmp_path: Path, opened: Callable[..., Awaitable[SqliteBroker]], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await opened()
    await first.publish(envelopes(3))
    await first.close()
    steps = {"migrate_1": "CREATE TABLE one (x);\nINSERT INTO one VALUES (1);\n", "migrate_2": "ALTER TABLE one ADD y;"}
    known = statements.sql
    monkeypatch.setattr(schema, "VERSION", 3)
    monkeypatch.setattr(statements, "sql", lambda name: steps.get(name) or known(name))
    brokers = [await opened(), await opened()]
    conn = sqlite3.connect(tmp_path / "orcastra.db")
    assert conn.execute("PRAGMA user_version").fetchone() == (3,)
    assert conn.execute("SELECT x, y FROM one").fetchall() == [(1, None)]
    conn.close()
    (depth,) = await brokers[1].inspect([QUEUE])
    assert depth.ready == 3


async def test_a_migration_that_fails_changes_nothing(
    tmp_path: Path, opened: Callable[..., Awaitable[SqliteBroker]], monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await opened()).close()
    known = statements.sql
    monkeypatch.setattr(schema, "VERSION", 2)
    monkeypatch.setattr(
        statements, "sql", lambda name: "CREATE TABLE one (x);\nNONSENSE;" if "migrate" in name else known(name)
    )
    with pytest.raises(BrokerError, match="syntax error"):
        await opened()
    conn = sqlite3.connect(tmp_path / "orcastra.db")
    assert conn.execute("PRAGMA user_version").fetchone() == (1,)
    assert conn.execute("SELECT count(*) FROM sqlite_master WHERE name = 'one'").fetchone() == (0,)
    conn.close()


async def test_two_domains_of_one_path_never_meet(
    tmp_path: Path, opened: Callable[..., Awaitable[SqliteBroker]]
) -> None:
    shop = await opened(f"sqlite:///{tmp_path}/file.db?domain=shop")
    other = await opened(f"sqlite:///{tmp_path}/file.db")
    one = envelope()
    assert isinstance((await shop.publish([one]))[0], Stored)
    assert isinstance((await other.publish([one]))[0], Stored)
    await shop.close()
    with pytest.raises(BrokerError, match="holds the domain 'shop'"):
        await opened(f"sqlite:///{tmp_path}/file.shop.db")


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_file_that_goes_away_under_us_is_told(tmp_path: Path, broker: SqliteBroker, replaced: bool) -> None:
    session = await broker.open_session([QUEUE], lease=10.0)
    (tmp_path / "orcastra.db").unlink()
    if replaced:
        (tmp_path / "orcastra.db").write_bytes(b"")
    (answer,) = await broker.publish([envelope()])
    assert isinstance(answer, Unknown)
    assert ("replaced" if replaced else "deleted") in str(answer.error)
    assert not answer.error.retryable
    with pytest.raises(BrokerError, match="while it was open"):
        await session.fetch(want(1), wait=0)
    with pytest.raises(BrokerError, match="while it was open"):
        await broker.inspect()


async def test_the_journal_and_the_file_do_not_grow_without_bound(tmp_path: Path, broker: SqliteBroker) -> None:
    """The journal starts anew again and again, and a drained file gives its pages back."""
    file, journal = tmp_path / "orcastra.db", tmp_path / "orcastra.db-wal"
    session = await broker.open_session([QUEUE], lease=10.0)
    for _ in range(8):
        await broker.publish(envelopes(200, body=bytes(20_000)))
    numbers = count(1)
    while got := await session.fetch(want(100), wait=0):
        await session.settle([completed(one) for one in got], number=next(numbers))
        assert journal.stat().st_size < 100_000_000
    grown = file.stat().st_size
    core = broker._open_core()
    while await core.read(lambda conn: anything_untidy(conn, 0.0)):
        await core.write(tidy)
    await session.leave()
    await broker.close()
    assert grown > 20_000_000
    assert file.stat().st_size < 10_000_000


async def test_large_bodies_leave_no_large_rows_behind(broker: SqliteBroker) -> None:
    session = await broker.open_session([QUEUE], lease=10.0)
    batch = envelopes(500, body=bytes(2000))
    await broker.publish(batch)
    got = await session.fetch(want(500), wait=0)
    await session.settle([completed(one) for one in got], number=1)
    pages = "SELECT (SELECT page_count FROM pragma_page_count) - (SELECT freelist_count FROM pragma_freelist_count)"
    (used,) = await broker._open_core().read(lambda conn: conn.execute(pages).fetchone())
    assert used < 100, "500 results of some 50 bytes, their events and ids"
    results = await broker.results.get([e.id for e in batch])
    assert all(isinstance(one, Result) for one in results)
    assert {type(one) for one in await broker.publish(batch)} == {Duplicate}
