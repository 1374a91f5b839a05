"""``orcastra new backend``: a skeleton that installs, and whose suite runs at once, red; and the guide, taken at its word."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from clean_environment import ROOT, CleanEnvironment
from click.testing import CliRunner, Result

from orcastra_conformance.cli.new import command
from orcastra_conformance.engine.tiers import CLAIMED_BY
from orcastra_conformance.reports.deviations import load_deviations

GUIDE = ROOT / "docs" / "guides" / "backend-author.md"
BLOCK = re.compile(r"(?:<!-- exits (\d) -->\n)?```(\w+)\n(.*?)```", re.DOTALL)
FILES = {
    ".gitignore",
    "README.md",
    "pyproject.toml",
    *(
        f"src/orcastra_acme/{name}.py"
        for name in ("__init__", "broker", "conformance", "errors", "session", "settings")
    ),
    "src/orcastra_acme/py.typed",
    "tests/test_conformance.py",
}


def new_backend(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["backend", *arguments])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_writes_a_package_and_says_what_to_do_next(here: Path) -> None:
    run = new_backend("acme")
    assert run.exit_code == 0, run.output
    written = {str(path.relative_to(here / "orcastra_acme")) for path in here.rglob("*") if path.is_file()}
    assert written == FILES
    *_, pip, suite, edit = run.output.split("Next:")[1].strip().splitlines()
    assert [pip.strip(), suite.strip()] == ["pip install -e ./orcastra_acme", "orcastra conformance run acme"]
    assert edit.endswith("./orcastra_acme/src/orcastra_acme/broker.py")
    assert [path.name for path in here.iterdir()] == ["orcastra_acme"]
    assert not any("$" in path.read_text() for path in here.rglob("*") if path.is_file())


def test_a_name_of_two_words_is_a_scheme_with_a_hyphen(here: Path) -> None:
    assert new_backend("my_queue").exit_code == 0
    project = tomllib.loads((here / "orcastra_my_queue" / "pyproject.toml").read_text())["project"]
    assert project["name"] == "orcastra-my-queue"
    assert project["entry-points"] == {
        "orcastra.brokers": {"my-queue": "orcastra_my_queue:MyQueueBroker"},
        "orcastra.conformance": {"my-queue": "orcastra_my_queue.conformance:Harness"},
    }


@pytest.mark.parametrize("name", ["", "Acme", "a-b", "1a", "_a", "a__b", "a_", "a b", "../a", "ä", "class", "a" * 31])
def test_what_is_no_name_is_refused(here: Path, name: str) -> None:
    run = new_backend(name)
    assert run.exit_code == 2
    assert repr(name) in run.output
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    "name, why",
    [
        ("memory", "memory:// is taken by orcastra-core"),
        ("sqlite", "sqlite:// is taken by orcastra-core"),
        ("postgresql", "postgresql:// is taken by orcastra-postgres"),
        ("core", "another package called orcastra_core"),
        ("conformance", "another package called orcastra_conformance"),
    ],
)
def test_a_name_that_is_taken_is_refused(here: Path, name: str, why: str) -> None:
    run = new_backend(name)
    assert run.exit_code == 1
    assert why in run.output
    assert list(here.iterdir()) == []


def test_nothing_is_written_over(here: Path) -> None:
    (here / "orcastra_acme").mkdir()
    run = new_backend("acme")
    assert run.exit_code == 1
    assert "exists already" in run.output
    assert list((here / "orcastra_acme").iterdir()) == []


def test_another_directory(here: Path) -> None:
    (here / "made").mkdir()
    run = new_backend("acme", "--directory", "made")
    assert "pip install -e ./made/orcastra_acme\n" in run.output
    assert (here / "made" / "orcastra_acme" / "pyproject.toml").is_file()
    assert new_backend("acme", "--directory", "nowhere").exit_code == 2
    assert [path.name for path in here.iterdir()] == ["made"]


def test_it_is_there_whole_or_not_at_all(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "rename", full)
    run = new_backend("acme")
    assert isinstance(run.exception, OSError)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("name", ["acme", "zz_a_rather_long_name_42"])
def test_the_skeleton_is_typed_and_tidy(here: Path, name: str) -> None:
    assert new_backend(name).exit_code == 0
    for tool in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]):
        program = [sys.executable, "-m", *tool, *(["src", "tests"] if tool == ["mypy"] else ["."])]
        done = subprocess.run(
            program, cwd=here / f"orcastra_{name}", capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_the_guide_is_taken_at_its_word(clean_environment: CleanEnvironment, tmp_path: Path) -> None:
    blocks = [(int(exits or 0), language, text) for exits, language, text in BLOCK.findall(GUIDE.read_text())]
    tried = 0
    for exits, language, text in blocks:
        if language == "sh":
            done = clean_environment.run("bash", "-euc", text, cwd=tmp_path, timeout=200)
            assert done.returncode == exits, f"{text}{done.stdout}{done.stderr}"
            tried += 1
        elif language == "python" and "if not batch" in text:
            broker = tmp_path / "orcastra_acme" / "src" / "orcastra_acme" / "broker.py"
            before, error, after = broker.read_text().partition('        raise not_written("publish"')
            assert error
            broker.write_text(f"{before}{text}{error}{after}")
        elif language == "text":
            titles = [line.split("  ")[0].split(":")[0] for line in text.splitlines()]
            assert [title for title in titles if title not in done.stdout] == []
    assert tried == len(re.findall(r"^```sh$", GUIDE.read_text(), re.MULTILINE)) > 5
    _is_red_by_expectation(tmp_path / "report" / "report.json")


def _is_red_by_expectation(path: Path) -> None:
    """Demand that every case that fails does so because something is not written yet, and says what."""
    report = json.loads(path.read_text())
    failed = [case for case in report["cases"] if case["outcome"] == "failed"]
    assert len(failed) > 50
    assert [case["id"] for case in failed if "is not written yet; it has to" not in case["message"]] == []
    assert "harness error" not in report["counts"]
    assert report["counts"]["passed"] >= 10
    assert report["unfit"] == []


def test_the_guide_says_what_is_so(tmp_path: Path) -> None:
    text = GUIDE.read_text()
    assert "pip install ./orcastra_core './conformance_tests[pytest]'" in text
    claimed = {
        tier: set(re.findall(r"[A-Z_]{3,}", row))
        for tier, row in re.findall(r"^\| `([\w-]+)` \| ([^|]*) \|.*\|$", text, re.MULTILINE)
    }
    assert {tier.value: {cap.name for cap in caps} for tier, caps in CLAIMED_BY.items()} == {
        tier.value: claimed[tier.value] for tier in CLAIMED_BY
    }
    (gap,) = (block for _, language, block in BLOCK.findall(text) if language == "toml")
    (tmp_path / "deviations.toml").write_text(re.sub(r"expires = .*", "expires = 9999-12-31", gap))
    assert load_deviations(tmp_path / "deviations.toml") is not None
