"""Whatever is wrong is one line on standard error that says what to do, and never a traceback."""

from __future__ import annotations

import asyncio
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

Orca = Callable[..., Awaitable[Any]]


def one_line(ended: Any, code: int, *parts: str) -> None:
    assert ended.code == code, ended
    lines = ended.err.splitlines()
    assert len(lines) == 1, ended
    for part in parts:
        assert part in lines[0]


@pytest.mark.parametrize(
    "args, code, parts",
    [
        (["wroker"], 2, ["no command 'wroker'", "did you mean 'worker'?"]),
        (["worker"], 2, ["Missing argument", "orcastra worker --help"]),
        (["worker", "--lesae", "1", "shop:app"], 2, ["--lesae", "--lease"]),
        (["worker", "shop"], 2, ["expected MODULE:APP"]),
        (["worker", "shop.py:app"], 2, ["is a file", "did you mean shop:app?"]),
        (["worker", "shp:app"], 1, ["no module 'shp'", "did you mean 'shop'?"]),
        (["worker", "nowhere.tasks:app"], 1, ["no module 'nowhere'", "pip install"]),
        (["worker", "shop:ap"], 1, ["has no 'ap'", "did you mean shop:app?"]),
        (["worker", "shop:asyncio"], 1, ["of type module, not an Orcastra", "shop:app"]),
        (["worker", "shop:greet"], 1, ["is a task, not an Orcastra"]),
        (["worker", "shop:app", "-q", ","], 2, ["-q names no queue"]),
        (["worker", "shop:app", "-c", "0"], 2, ["-c"]),
        (["worker", "shop:app", "--burst", "--drain"], 2, ["exclude each other"]),
        (["worker", "shop:app", "--grace", "soon"], 2, ["no duration", "2h"]),
        (["worker", "shop:app", "--url", "sqlite3:///x.db"], 1, ["sqlite3://", "did you mean sqlite://?"]),
        (["worker", "shop:app", "--url", "nats://h/"], 1, ["nats://", "memory://", "pip install"]),
        (["worker", "shop:app", "--url", "sqlite:///x.db?laese=3"], 1, ["'laese'", "did you mean 'lease'?"]),
        (["worker", "shop:app", "--url", "nonsense"], 1, ["not a broker URL"]),
        (["worker", "shop:app", "--url", "sqlite:////proc/nowhere/x.db"], 1, ["/proc/nowhere"]),
        (["submit", "shop:app", "gret", '"A"', "1"], 1, ["no task is named 'gret'", "did you mean 'greet'?"]),
        (["submit", "shop:app", "greet", "Alice", "1"], 2, ["not JSON: 'Alice'"]),
        (["submit", "shop:app", "greet", '"Alice"'], 1, ["missing parameter 'age'"]),
        (["submit", "shop:app", "greet", '"Alice"', '"old"'], 1, ["'greet'", "'age'"]),
        (["submit", "shop:app", "greet", '"Alice"', "--kw", "age"], 2, ["NAME=JSON"]),
        (["submit", "shop:app", "greet", '"A"', "1", "--url", "memory://"], 1, ["lives in one process"]),
        (["submit", "shop:app", "greet", '"A"', "1", "--priority", "1000000"], 1, ["priority"]),
        (["task", "show", "x"], 1, ["'x' is not a task id"]),
        (["task", "show", "01920f5e-0000-7000-8000-000000000000"], 1, ["no task 01920f5e", "is known"]),
        (["dead", "show", "01920f5e-0000-7000-8000-000000000000"], 1, ["no dead letter", "dead list"]),
        (["dead", "replay"], 2, ["--all"]),
        (["dead", "purge"], 2, ["--yes"]),
        (["dead", "list", "--queue", " "], 1, ["white space"]),
        (["demo", "--url", "memory://", "--chaos", "--limit", "1"], 1, ["--chaos kills worker processes"]),
        (["demo", "--keep"], 2, ["--keep"]),
    ],
)
async def test_a_mistake_is_one_line(orcastra: Orca, args: list[str], code: int, parts: list[str]) -> None:
    one_line(await orcastra(*args), code, *parts)


async def test_no_url_names_the_ways_to_give_one(orcastra: Orca, place: Any) -> None:
    del place.env["ORCASTRA_URL"]
    one_line(await orcastra("dead", "list"), 2, "--url", "ORCASTRA_URL")
    one_line(await orcastra("worker", "shop:app"), 1, "shop.py, line 10", "ORCASTRA_URL")


@pytest.mark.parametrize(
    "source, parts",
    [
        ("import nothing_like_it\n", ["broken.py, line 1", "No module named 'nothing_like_it'"]),
        ("\nx = 1 / 0\n", ["broken.py, line 2", "ZeroDivisionError"]),
        ("import json\n\njson.loads('{')\n", ["broken.py, line 3", "JSONDecodeError"]),
        ("def f(:\n", ["broken.py, line 1", "SyntaxError"]),
        ("raise SystemExit(3)\n", ["ended the program", "__main__"]),
        ("from orcastra_core import Orcastra\napp = Orcastra()\n", ["has no tasks", "@app.task"]),
        (
            "from orcastra_core import Orcastra\napp = Orcastra()\n@app.task(queue='')\ndef f(): ...\n",
            ["broken.py, line 3", "queue"],
        ),
    ],
)
async def test_a_module_that_fails_says_in_which_line(
    orcastra: Orca, place: Any, source: str, parts: list[str]
) -> None:
    (place.path / "broken.py").write_text(source)
    one_line(await orcastra("worker", "broken:app"), 1, *parts)


async def test_a_line_deep_in_a_package_of_the_user_is_named(orcastra: Orca, place: Any) -> None:
    package = place.path / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "tasks.py").write_text("from pack import deep\n")
    (package / "deep.py").write_text("\n\nimport nothing_like_it\n")
    one_line(await orcastra("worker", "pack.tasks:app"), 1, "pack/deep.py, line 3")
    one_line(await orcastra("worker", "pack.task:app"), 1, "did you mean 'pack.tasks'?")


async def test_debug_shows_the_traceback(orcastra: Orca) -> None:
    ended = await orcastra("--debug", "worker", "shp:app")
    assert ended.code == 1
    assert "Traceback" in ended.err


async def test_an_argument_that_is_not_utf8(orcastra: Orca) -> None:
    one_line(await orcastra("submit", "shop:app", b"gr\xffet"), 1, "gr\\udcffet")
    one_line(await orcastra("dead", "list", b"--queue=\xff"), 1, "not valid Unicode")


async def test_a_reader_that_has_gone_ends_it_quietly(place: Any) -> None:
    process = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m orcastra_core.cli plugins --json | true; "
        f"{sys.executable} -m orcastra_core.cli plugins >&-; echo $?",
        cwd=place.path,
        env=place.env,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    out, err = await process.communicate()
    assert (out, err) == (b"0\n", b"")


async def test_a_full_disk_behind_standard_output(place: Any) -> None:
    process = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m orcastra_core.cli plugins >/dev/full", cwd=place.path, env=place.env, stderr=PIPE
    )
    _, err = await process.communicate()
    assert process.returncode == 1
    assert b"No space left" in err
    assert b"Traceback" not in err
    assert err.count(b"\n") == 1


async def test_a_plugin_command_that_does_not_load_harms_no_other(orcastra: Orca, place: Any) -> None:
    site = place.path / "site"
    info = site / "acme-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[orcastra.commands]\nacme = acme:command\nodd = acme_odd:command\n")
    (site / "acme.py").write_text("raise RuntimeError('acme is broken')\n")
    (site / "acme_odd.py").write_text("command = 3\n")
    env = {"PYTHONPATH": str(site)}
    helped = await orcastra("--help", **env)
    assert helped.code == 0
    assert helped.err == ""
    assert re.search(r"^ +acme +\(does not load", helped.out, re.MULTILINE)
    assert re.search(r"^ +odd +\(does not load", helped.out, re.MULTILINE)
    assert re.search(r"^ +worker +Run an app's tasks\.", helped.out, re.MULTILINE)
    one_line(await orcastra("acme", "--anything", **env), 1, "RuntimeError: acme is broken")
    one_line(await orcastra("odd", **env), 1, "not a click command")
    listed = await orcastra("plugins", **env)
    assert listed.code == 0
    assert "no: RuntimeError: acme is broken" in listed.out
    assert "acme 1.2" in listed.out
    doctor = await orcastra("doctor", **env)
    assert doctor.code == 1
    assert "fail  plugin acme of orcastra.commands (acme 1.2) does not load" in doctor.out
