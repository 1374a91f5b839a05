"""The example of an outside backend: installed by pip where nothing else is, found by entry point, conformant, of use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from clean_environment import ROOT, CleanEnvironment

EXAMPLE = ROOT / "conformance_tests" / "examples" / "third_party_backend"
APP = """
import os
from orcastra_core import Orcastra

app = Orcastra(os.environ["URL"])

@app.task
async def note(name: str) -> None:
    with open("ran", "a") as file:
        file.write(f"{name}\\n")
"""
SUBMIT = """
import asyncio
from shop import app, note

async def main():
    async with app:
        await app.submit_many(note.call(name) for name in ("a", "b", "c"))

asyncio.run(main())
"""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def environment(clean_environment: CleanEnvironment) -> CleanEnvironment:
    clean_environment.install(str(EXAMPLE))
    return clean_environment


def test_it_is_found_by_its_entry_points(environment: CleanEnvironment, tmp_path: Path) -> None:
    listed = environment.run("orcastra", "plugins", "--json", cwd=tmp_path)
    plugins = [json.loads(line) for line in listed.stdout.splitlines()]
    brought = [plugin for plugin in plugins if plugin["dist"] == "orcastra-files 0.1.0"]
    assert {(plugin["group"], plugin["name"]) for plugin in brought} == {
        ("orcastra.brokers", "files"),
        ("orcastra.conformance", "files"),
    }
    assert [plugin for plugin in plugins if plugin["error"] is not None] == []


def test_it_is_conformant(environment: CleanEnvironment, tmp_path: Path) -> None:
    run = environment.run(
        "orcastra", "conformance", "run", "files", "--quiet", "--report", "report", cwd=tmp_path, timeout=240
    )
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (report["verdict"], report["whole"], report["versions"]["backend"]) == ("success", True, "orcastra-files")
    verdicts = {name: profile["verdict"] for name, profile in report["profiles"].items()}
    assert {name for name, verdict in verdicts.items() if verdict == "success"} >= {"core", "ordered", "resilient"}
    assert {name for name, verdict in verdicts.items() if verdict == "not claimed"} == {
        "work-queue",
        "results",
        "scheduler",
    }


def test_its_own_tests_pass(environment: CleanEnvironment, tmp_path: Path) -> None:
    tests = ("tests/test_store.py", "tests/test_conformance.py::test_conformance[pub.roundtrip]")
    leave_nothing = {"PYTHONDONTWRITEBYTECODE": "1", "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path)}
    command = ("python", "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *tests)
    run = environment.run(*command, cwd=EXAMPLE, env=leave_nothing)
    assert run.returncode == 0, run.stdout + run.stderr


def test_an_application_runs_on_it(environment: CleanEnvironment, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    url = {"URL": f"files://{tmp_path / 'store'}", "PYTHONPATH": str(tmp_path)}
    submitted = environment.run("python", "-c", SUBMIT, cwd=tmp_path, env=url)
    assert submitted.returncode == 0, submitted.stderr
    worked = environment.run("orcastra", "worker", "shop:app", "--drain", cwd=tmp_path, env=url)
    assert worked.returncode == 0, worked.stderr
    assert (tmp_path / "ran").read_text() == "a\nb\nc\n"
    assert _session_files(tmp_path / "store") == []


def _session_files(store: Path) -> list[Any]:
    return [path.name for path in store.glob("*/sessions/*")]
