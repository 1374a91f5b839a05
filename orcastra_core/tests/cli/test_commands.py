"""submit, task show, dead, plugins, doctor: what they print and how they end."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import orcastra_core

Orca = Callable[..., Awaitable[Any]]
Start = Callable[..., Awaitable[Any]]


async def test_version_and_help(orcastra: Orca) -> None:
    assert (await orcastra("--version")).out == f"orcastra {orcastra_core.__version__}\n"
    for args in ([], ["--help"], ["-h"]):
        helped = await orcastra(*args)
        assert helped.code == 0
        for name in ("dead", "demo", "doctor", "plugins", "submit", "task", "worker"):
            assert f"  {name}" in helped.out
    for command in ("dead", "demo", "doctor", "plugins", "submit", "task", "worker"):
        assert (await orcastra(command, "--help")).code == 0


async def test_submit_and_wait(orcastra: Orca, start: Start) -> None:
    worker = await start("worker", "shop:app")
    await worker.line("started")
    done = await orcastra("submit", "shop:app", "greet", '"Åse"', "--kw", "age=25", "--wait", "--timeout", "10")
    assert (done.code, done.err) == (0, "")
    task_id, _, value = done.out.partition("\n")
    assert json.loads(value) == {"text": "Hello Åse, 25"}
    failed = await orcastra("submit", "shop:app", "fail", "-3", "--wait", "--timeout", "10")
    assert failed.code == 1
    assert failed.err.splitlines()[0] == "Traceback (most recent call last):"  # the worker's, not ours
    assert failed.err.splitlines()[-1].endswith("failed: ValueError: no -3")
    shown = await orcastra("task", "show", task_id)
    assert "finished: completed" in shown.out
    assert '{"text": "Hello Åse, 25"}' in shown.out
    assert "submitted" in shown.out


async def test_a_wait_that_is_too_short(orcastra: Orca) -> None:
    ended = await orcastra("submit", "shop:app", "fail", "1", "--wait", "--timeout", "0.1")
    assert ended.code == 1
    assert "had not ended after 0.1 s" in ended.err
    assert len(ended.err.splitlines()) == 1


async def test_the_options_of_a_submit(orcastra: Orca, place: Any) -> None:
    args = [
        "submit",
        "shop:app",
        "greet",
        '"A"',
        "1",
        "--delay",
        "1h",
        "--priority",
        "7",
        "--queue",
        "slow",
        "--dedup",
        "a",
    ]
    first = await orcastra(*args)
    assert (first.code, first.err) == (0, "")
    second = await orcastra(*args)
    assert second.out == first.out
    assert "holds the dedup key" in second.err
    shown = json.loads((await orcastra("task", "show", first.out.strip(), "--json", "--app", "shop:app")).out)
    assert (shown["state"], shown["queue"], shown["priority"], shown["dedup"]) == ("delayed", "slow", "7", "a")
    assert "due" in shown
    assert [event["event"] for event in shown["history"]] == ["submitted"]


async def test_a_task_is_found_by_the_end_of_its_name(orcastra: Orca, place: Any) -> None:
    (place.path / "two.py").write_text(
        "from orcastra_core import Orcastra\napp = Orcastra()\n"
        "@app.task(name='a.b.run')\nasync def one() -> None: ...\n"
        "@app.task(name='a.c.run')\nasync def two() -> None: ...\n"
    )
    assert (await orcastra("submit", "two:app", "b.run")).code == 0
    unclear = await orcastra("submit", "two:app", "run")
    assert unclear.code == 1
    assert "may be a.b.run or a.c.run" in unclear.err


async def test_typed_arguments_are_built_from_json(orcastra: Orca, place: Any, start: Start) -> None:
    (place.path / "typed.py").write_text(
        "import attrs\nfrom datetime import datetime\nfrom orcastra_core import Orcastra\napp = Orcastra()\n"
        "@attrs.frozen\nclass Point:\n    x: int\n    y: int\n"
        "@app.task(name='move')\nasync def move(point: Point, by: int = 1) -> Point:\n"
        "    return Point(point.x + by, point.y)\n"
    )
    worker = await start("worker", "typed:app")
    await worker.line("started")
    done = await orcastra("submit", "typed:app", "move", '{"x": 1, "y": 2}', "--wait", "--timeout", "10")
    assert json.loads(done.out.partition("\n")[2]) == {"x": 2, "y": 2}
    wrong = await orcastra("submit", "typed:app", "move", '{"x": 1}')
    assert wrong.code == 1
    assert "'point'" in wrong.err
    assert len(wrong.err.splitlines()) == 1


async def test_dead_letters(orcastra: Orca, start: Start) -> None:
    assert (await orcastra("dead", "list")).out == "no dead letters\n"
    for n in range(3):
        await orcastra("submit", "shop:app", "fail", str(n))
    worker = await start("worker", "shop:app", "--burst")
    assert await worker.end() == 0
    listed = await orcastra("dead", "list", "--json")
    letters = [json.loads(line) for line in listed.out.splitlines()]
    assert [letter["error"] for letter in letters] == [f"ValueError: no {n}" for n in range(3)]
    table = await orcastra("dead", "list", "--queue", "default", "--limit", "2")
    assert letters[0]["id"] in table.out
    assert letters[2]["id"] not in table.out
    assert "raise --limit above 2" in table.out
    shown = await orcastra("dead", "show", letters[1]["id"])
    assert "ValueError: no 1" in shown.out
    assert 'raise ValueError(f"no {n}")' in shown.out
    assert (await orcastra("dead", "replay", letters[0]["id"])).out == "1 replayed\n"
    again = await orcastra("dead", "replay", letters[0]["id"])
    assert (again.code, again.out) == (1, "0 replayed, 1 not\n")
    assert "is no dead letter" in again.err
    history = json.loads((await orcastra("task", "show", letters[0]["id"], "--json")).out)
    assert history["state"] == "ready"
    assert [event["event"] for event in history["history"]] == ["submitted", "dead", "replayed"]
    assert (await orcastra("dead", "purge", "--older-than", "7d", "--yes")).out == "0 forgotten\n"
    assert (await orcastra("dead", "replay", "--all", "--queue", "default")).out == "2 replayed\n"
    worker = await start("worker", "shop:app", "--burst")
    assert await worker.end() == 0
    assert (await orcastra("dead", "purge", "--queue", "mail", "--yes")).out == "0 forgotten\n"
    assert (await orcastra("dead", "purge", "--yes")).out == "3 forgotten\n"
    assert (await orcastra("dead", "list")).out == "no dead letters\n"


async def test_plugins(orcastra: Orca) -> None:
    listed = await orcastra("plugins")
    assert listed.code == 0
    assert "orcastra.brokers" in listed.out
    entries = [json.loads(line) for line in (await orcastra("plugins", "--json")).out.splitlines()]
    sqlite = next(entry for entry in entries if (entry["group"], entry["name"]) == ("orcastra.brokers", "sqlite"))
    assert sqlite["dist"] == f"orcastra-core {orcastra_core.__version__}"
    assert sqlite["error"] is None


async def test_doctor(orcastra: Orca, place: Any) -> None:
    well = await orcastra("doctor")
    assert well.code == 0
    assert {line.split()[0] for line in well.out.splitlines()} == {"ok"}
    for text in ("Python 3.", "uvloop", "SQLite 3.", "server SQLite", "capabilities", "durability", "round trip"):
        assert text in well.out
    ill = await orcastra("doctor", "--url", "nats://h")
    assert ill.code == 1
    assert "fail  server: no installed backend handles nats://" in ill.out
    del place.env["ORCASTRA_URL"]
    alone = await orcastra("doctor")
    assert alone.code == 0
    assert "warn  server: none was named" in alone.out
