"""``orcastra demo``: real files, real processes, nothing lost and nothing left."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from orcastra_core.cli.demo_files import source_files
from orcastra_core.cli.demo_report import Totals, package_table
from orcastra_core.cli.demo_tasks import FileReport, parse_file

Orca = Callable[..., Awaitable[Any]]
Start = Callable[..., Awaitable[Any]]


def processes_in(folder: Path) -> list[str]:
    """Return the processes whose working directory is ``folder``."""
    found = []
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            try:
                if os.readlink(f"/proc/{pid}/cwd") == str(folder):
                    found.append(pid)
            except OSError:
                pass
    return found


@pytest.fixture
def alone(place: Any) -> Any:
    """No broker is named, and temporary files go where the test sees them."""
    del place.env["ORCASTRA_URL"]
    place.env["TMPDIR"] = str(place.path)
    return place


async def test_it_counts_and_loses_nothing(orcastra: Orca, alone: Any) -> None:
    ended = await orcastra("demo", "--limit", "300")
    assert (ended.code, ended.err) == (0, "")
    assert "durability POWER_LOSS" in ended.out
    assert re.search(r"^run      300 tasks in [\d.]+ s \([\d,]+ tasks/s\) by 2 worker processes", ended.out, re.M)
    assert "300 submitted, 300 ended, 0 recovered, 0 lost, 0 completed twice" in ended.out
    total = re.search(r"^all \d+ +([\d,]+) +([\d,]+)", ended.out, re.M)
    assert total is not None
    here = [parse_file(file.package, file.path) for file in source_files(300)]
    assert int(total[1].replace(",", "")) == sum(report.problem is None for report in here)
    assert int(total[2].replace(",", "")) == sum(report.lines for report in here)
    assert "\x1b" not in ended.out
    assert sorted(path.name for path in alone.path.iterdir() if path.name.startswith("orcastra-")) == []


async def test_workers_are_killed_and_nothing_is_lost(orcastra: Orca, alone: Any) -> None:
    ended = await orcastra("demo", "--limit", "900", "--chaos")
    assert ended.code == 0, ended
    assert "kill -9 of 2 worker processes" in ended.out
    assert re.search(r"900 submitted, 900 ended, \d+ recovered, 0 lost, 0 completed twice", ended.out)
    assert ended.err.count("was ended by SIGKILL") == 2
    assert "Traceback" not in ended.err


async def test_in_one_process(orcastra: Orca, alone: Any) -> None:
    ended = await orcastra("demo", "--url", "memory://", "--limit", "50")
    assert (ended.code, ended.err) == (0, "")
    assert "by a worker in this process" in ended.out
    assert "50 submitted, 50 ended, 0 recovered, 0 lost, 0 completed twice" in ended.out


async def test_its_tasks_meet_nobody_elses(orcastra: Orca, place: Any) -> None:
    app = place.client()
    async with app:
        mine = await app.orca("greet").submit("Alice", age=1)
        ended = await orcastra("demo", "--limit", "20")
        assert (ended.code, ended.err) == (0, "")
        (state,) = await app.broker.find([mine.id])
        assert state.state.name == "READY"
        assert [entry.event.task_id for entry in await app.broker.events.read()] == [mine.id]


async def test_what_it_keeps_can_be_looked_into(orcastra: Orca, alone: Any) -> None:
    ended = await orcastra("demo", "--limit", "20", "--keep")
    url = ended.out.splitlines()[-1].rpartition(" ")[2]
    assert (await orcastra("dead", "list", "--url", url)).out == "no dead letters\n"


@pytest.mark.parametrize("moment", ["submitted ", "parsed"])
async def test_ctrl_c_in_the_middle_leaves_nothing(start: Start, alone: Any, moment: str) -> None:
    demo = await start("demo")
    await demo.line(moment)
    demo.send(signal.SIGINT)
    assert await demo.end() == 130
    assert "Traceback" not in demo.text
    assert "lost" not in demo.text
    assert processes_in(alone.path) == []
    assert [path.name for path in alone.path.iterdir() if path.name.startswith("orcastra-")] == []


@pytest.mark.parametrize("colour", [True, False])
async def test_on_a_terminal_it_shows_bars(alone: Any, colour: bool) -> None:
    master, slave = pty.openpty()
    env = {**alone.env, "TERM": "xterm-256color", "COLUMNS": "40"} | ({} if colour else {"NO_COLOR": "1"})
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "orcastra_core.cli", "demo", "--limit", "100"),
        cwd=alone.path,
        env=env,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    loop = asyncio.get_running_loop()
    seen = bytearray()
    ended = asyncio.Event()

    def read() -> None:
        try:
            data = os.read(master, 65536)
        except OSError:  # how a terminal ends
            data = b""
        seen.extend(data)
        if not data:
            loop.remove_reader(master)
            ended.set()

    loop.add_reader(master, read)
    await ended.wait()
    assert await process.wait() == 0
    os.close(master)
    assert b"100/100" in seen
    assert b"0 lost" in seen
    assert (b"\x1b[32m" in seen or b"\x1b[38;" in seen) is colour


def test_what_does_not_parse_is_a_finding_not_a_failure(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    for source in (b"def f(:", b"\0", b"# coding: nothing\n", "x = '\udce9'".encode("latin-1", "surrogateescape")):
        bad.write_bytes(source)
        assert parse_file("p", str(bad)).problem is not None
    assert "FileNotFoundError" in str(parse_file("p", str(tmp_path / "none.py")).problem)


def test_definitions_are_counted_at_any_depth(tmp_path: Path) -> None:
    source = tmp_path / "a.py"
    source.write_text(
        "import a, b\nfrom c import d\n"
        "class A:\n    async def f(self):\n        def g(): pass\n"
        "try:\n    def h(): pass\nexcept E:\n    class B: pass\nelse:\n    import e\nfinally:\n    def i(): pass\n"
        "match x:\n    case 1:\n        def j(): pass"
    )
    assert parse_file("p", str(source)) == FileReport(
        package="p", path=str(source), lines=16, classes=2, functions=4, async_functions=1, imports=4
    )
    source.write_bytes(b"")
    assert parse_file("p", str(source)).lines == 0


def test_a_long_tail_of_packages_is_added_up() -> None:
    reports = [FileReport(package=f"p{n:02}", path="x", lines=100 - n, functions=1) for n in range(40)]
    table = package_table(reports)
    assert table.row_count == 17
    names = list(table.columns[0].cells)
    assert names[0] == "p00"
    assert names[-2:] == ["25 others", "all 40"]
    assert list(table.columns[4].cells)[-2:] == ["25", "40"]
    assert Totals().cells() == ["0"] * 6
