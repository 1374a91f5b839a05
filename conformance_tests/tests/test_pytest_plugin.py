"""The suite under pytest: the two-line file, and ``--pyargs``. Each time a pytest of its own, in a project of its own."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from command_line import Ended, conformance, ended, program
from odd_harnesses import MARKS

from orcastra_conformance.catalogue import all_cases

TWO_LINES = """
from orcastra_conformance.pytest_plugin import conformance
from {module} import {name} as Harness
test_conformance = conformance(Harness{more})
"""
STRICT = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
PYARGS = ("--pyargs", "orcastra_conformance")


class Project:
    """A directory with tests in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.marks = path / "marks"

    def two_lines(self, harness: str, more: str = "") -> None:
        """Write the test file of a backend's author."""
        module, _, name = harness.partition(":")
        (self.path / "test_acme.py").write_text(TWO_LINES.format(module=module, name=name, more=more))

    def run(self, *args: str, **env: str) -> Ended:
        """Run pytest in it."""
        self.marks.write_text("")
        plain = ("-p", "no:cacheprovider", "-q", "-rsf", "--rootdir", str(self.path), *args)
        return ended(program("-m", "pytest", *plain, cwd=self.path, env={MARKS: str(self.marks), **env}))

    @property
    def marked(self) -> list[str]:
        """What happened to the harness."""
        return self.marks.read_text().split()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


MEMORY = "orcastra_core.backends.memory.conformance:Harness"
ONE = "con.demand"
TWO = "con.empty-wait or num.repeat"


def test_two_lines_run_every_case(project: Project) -> None:
    project.two_lines("odd_harnesses:Marked")
    listed = project.run("--collect-only")
    ids = [line.partition("[")[2].rstrip("]") for line in listed.out.splitlines() if "::" in line]
    assert ids == [case.id for case in all_cases()]
    assert project.marked == [], "collecting starts nothing"


def test_two_lines_start_the_harness_once_and_stop_it(project: Project) -> None:
    project.two_lines("odd_harnesses:Marked")
    (project.path / "pytest.ini").write_text(STRICT)
    run = project.run("-k", f"{TWO} or hon.refuses-delay")
    assert run.code == 0, run.out
    assert "2 passed, 1 skipped" in run.out
    assert "not applicable: DELAY is claimed" in run.out, "what is no pass is shown as skipped, with the reason"
    marked = [mark for mark in project.marked if mark != "wiped"]
    assert marked == ["started", "stopped"]


def test_a_failing_case_says_all_and_how_to_see_it_again(project: Project) -> None:
    project.two_lines("odd_harnesses:Liar", ", seed=7")
    run = project.run("-k", ONE)
    assert run.code == 1
    for part in ("owed: at most want.limit", "fetch returns at most the 3", "history:", "publish [", "seed 7"):
        assert part in run.out
    assert "Traceback" not in run.out
    again = next(line for line in run.out.splitlines() if line.startswith("again: "))
    words = shlex.split(again.removeprefix("again: "))
    assert words == ["pytest", f"test_acme.py::test_conformance[{ONE}]"]
    assert "1 failed" in project.run(*words[1:]).out


def test_a_broken_harness_fails_once(project: Project) -> None:
    project.two_lines("odd_harnesses:Broken")
    run = project.run("-k", TWO)
    assert run.code == 1
    assert "1 failed, 1 skipped" in run.out
    assert "the harness is not fit, so no case was run" in run.out
    assert "acme-server is not on the PATH" in run.out
    assert project.marked == ["stopped"]


def test_the_environment_runs_every_case_with_many_seeds(project: Project) -> None:
    project.two_lines("odd_harnesses:Liar", ", seed=5")
    run = project.run("-k", ONE, ORCASTRA_CONFORMANCE_SEEDS="3")
    assert "3 failed" in run.out
    again = f"again: ORCASTRA_CONFORMANCE_SEEDS=3 pytest 'test_acme.py::test_conformance[{ONE}@7]'"
    assert again in run.out


@pytest.fixture
def kept(project: Project) -> Path:
    """A committed report of two cases."""
    run = conformance(
        "run",
        "memory",
        "--case",
        "con.empty-wait",
        "--case",
        "num.repeat",
        "-q",
        "--archive",
        str(project.path / "reports"),
    )
    assert run.code == 0, run.out
    path = project.path / "reports/0.1/memory-default.json"
    project.two_lines(MEMORY, ", report=__import__('pathlib').Path('reports/0.1/memory-default.json')")
    return path


def test_a_committed_report_that_is_true(project: Project, kept: Path) -> None:
    run = project.run("-k", f"{TWO} or committed-report")
    assert run.code == 0, run.out
    assert "3 passed" in run.out


def test_a_committed_report_that_is_no_longer_true(project: Project, kept: Path) -> None:
    document = json.loads(kept.read_text())
    case = next(case for case in document["cases"] if case["id"] == "num.repeat")
    document["cases"].append(case | {"id": "num.of-old"})
    case["outcome"] = "unsupported"
    document["broker"]["capabilities"].remove("DELAY")
    kept.write_text(json.dumps(document))
    run = project.run("-k", f"{TWO} or committed-report or con.demand")
    assert "3 failed" in run.out, run.out
    for said in (
        "num.repeat: unsupported in reports/0.1/memory-default.json, now passed",
        "con.demand: passed, but reports/0.1/memory-default.json does not have it",
        "num.of-old: reports/0.1/memory-default.json has it, but there is no such case any more",
        "DELAY: claimed now, but not in reports/0.1/memory-default.json",
        "renew it: orcastra conformance run memory --archive reports",
    ):
        assert said in run.out
    cases = ("--case", "num.repeat", "--case", "con.empty-wait", "--case", "con.demand")
    conformance("run", "memory", "--archive", str(project.path / "reports"), *cases)
    assert project.run("-k", f"{TWO} or committed-report or con.demand").code == 0, "the command renews it"


def test_a_committed_report_that_is_not_there(project: Project, kept: Path) -> None:
    kept.unlink()
    run = project.run("-k", f"{TWO} or committed-report")
    assert "1 failed" in run.out
    assert "reports/0.1/memory-default.json: No such file or directory" in run.out
    assert "renew it: orcastra conformance run memory --archive reports" in run.out


def test_known_gaps_are_skipped(project: Project) -> None:
    (project.path / "deviations.toml").write_text(
        f'[[deviation]]\ncase = "{ONE}"\nreason = "greedy"\nexpires = 2999-12-31\n'
    )
    project.two_lines("odd_harnesses:Liar", ", deviations=__import__('pathlib').Path('deviations.toml')")
    run = project.run("-k", ONE)
    assert run.code == 0, run.out
    assert "deviation: known gap: greedy" in run.out
    pyargs = (*PYARGS, "--orcastra-harness", "odd_harnesses:Liar", "--orcastra-deviations", "deviations.toml")
    assert project.run(*pyargs, "-k", ONE).code == 0


@pytest.mark.parametrize("settings", ["", STRICT, "[pytest]\naddopts = --import-mode=importlib\n"])
def test_pyargs_need_nothing_written(project: Project, settings: str) -> None:
    (project.path / "pytest.ini").write_text(settings or "[pytest]\n")
    run = project.run(*PYARGS, "--orcastra-harness", "odd_harnesses:Marked", "-k", f"{TWO} or ser.unserialisable")
    assert run.code == 0, run.out
    assert "3 passed" in run.out
    assert [mark for mark in project.marked if mark != "wiped"] == ["started", "stopped"]


def test_pyargs_tell_how_to_see_it_again(project: Project) -> None:
    run = project.run(*PYARGS, "--orcastra-harness", "odd_harnesses:Liar", "--orcastra-seed", "9", "-k", ONE)
    assert run.code == 1
    again = next(line for line in run.out.splitlines() if line.startswith("again: "))
    words = shlex.split(again.removeprefix("again: "))
    assert words[0] == "pytest"
    second = project.run(*words[1:])
    assert "1 failed" in second.out, second.out
    assert "(seed 9)" in second.out


def test_pyargs_take_a_mode(project: Project) -> None:
    options = ("--orcastra-harness", "memory", "--orcastra-mode", "lesser")
    run = project.run(*PYARGS, *options, "-k", "hon.refuses-delay")
    assert (run.code, "1 passed" in run.out) == (0, True), run.out


@pytest.mark.parametrize(
    "options, says",
    [
        ([], "which harness? Add --orcastra-harness NAME"),
        (["--orcastra-harness", "memroy"], "no harness 'memroy' is installed; did you mean 'memory'?"),
        (["--orcastra-harness", "memory", "--orcastra-mode", "x"], "has no mode 'x'"),
        (["--orcastra-harness", "memory", "--orcastra-url", "redis://h"], "takes no URL"),
        (["--orcastra-harness", "odd_harnesses:Unmakeable"], "KeyError: 'ACME_HOME'"),
    ],
)
def test_pyargs_refuse_what_cannot_be_run(project: Project, options: list[str], says: str) -> None:
    run = project.run(*PYARGS, *options)
    assert run.code == pytest.ExitCode.USAGE_ERROR
    assert says in run.out
    assert len(run.out.strip().splitlines()) == 1


def test_the_file_itself_says_what_it_lacks(project: Project) -> None:
    spec = find_spec("orcastra_conformance.test_conformance")
    assert spec is not None
    assert spec.origin is not None
    run = project.run(spec.origin)
    assert run.code == pytest.ExitCode.INTERRUPTED
    assert "which harness? Add --orcastra-harness NAME" in run.out
    assert "Traceback" not in run.out


@pytest.mark.skipif(find_spec("xdist") is None, reason="pytest-xdist is not installed")
def test_pyargs_with_xdist(project: Project) -> None:
    run = project.run(*PYARGS, "--orcastra-harness", "odd_harnesses:Marked", "-n", "2", "-k", TWO)
    assert run.code == 0, run.out


def test_every_other_pytest_pays_next_to_nothing() -> None:
    code = """
import sys, pytest
before = set(sys.modules)
import orcastra_conformance.pytest_options
print(sorted(name for name in set(sys.modules) - before if not name.startswith("encodings")))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "['orcastra_conformance', 'orcastra_conformance.pytest_options']"
