"""``orcastra conformance run``: what it says, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from command_line import HERE, ORCASTRA, conformance, ended, program
from odd_harnesses import MARKS

from orcastra_conformance.catalogue import all_cases
from orcastra_conformance.reports.stored import read_report


@pytest.fixture
def marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file into which a harness writes what happened to it."""
    path = tmp_path / "marks"
    path.touch()
    monkeypatch.setenv(MARKS, str(path))
    return path


def test_a_conformant_broker() -> None:
    run = conformance("run", "memory", "--profile", "results", "--profile", "ordered", "--seed", "3")
    assert run.code == 0, run.out
    lines = run.out.splitlines()
    assert re.match(r"memory \(default\): \d+ cases, seed 3$", lines[0])
    assert any(re.match(r"ord +\d+ passed  \(\d+\.\d s\)$", line) for line in lines), "a line a group"
    assert re.search(r"^results +success +\d+", run.out, re.MULTILINE)
    assert "memory at memory://conformance" in run.out
    assert "what was chosen holds" in lines[-1]
    assert "Start here" not in run.out


def test_the_whole_of_a_conformant_broker_is_a_verdict() -> None:
    run = conformance("run", "memory", "-q")
    assert run.code == 0, run.out
    assert "memory (default) is conformant with contract 0.1: core, work-queue, ordered, results" in run.out
    assert f"{len(all_cases())} cases in" in run.out


def test_a_lying_broker_is_told_whole_and_with_the_command_that_shows_it_again() -> None:
    run = conformance("run", "odd_harnesses:Liar", "--case", "con.demand", "--seed", "7")
    assert run.code == 1
    case = next(case for case in all_cases() if case.id == "con.demand")
    assert re.search(r"^FAILED  con.demand: ", run.out, re.MULTILINE)
    for part in (
        case.why,
        "fetch returns at most the 3 it was asked for",
        "publish [",
        "seed    7",
        "not conformant: 1 failed",
        "Start here: ",
    ):
        assert " ".join(part.split()) in " ".join(run.out.split())
    again = next(line for line in run.out.splitlines() if line.startswith("again "))
    words = shlex.split(again.removeprefix("again"))
    assert words[:3] == ["orcastra", "conformance", "run"]
    assert conformance(*words[2:]).code == 1


def test_where_to_start_when_nothing_works_yet() -> None:
    run = conformance("run", "odd_harnesses:Nothing")
    assert run.code == 1
    start = run.out.index("Start here: ")
    first = all_cases()[0]
    assert first.id == "pub.empty-batch"  # the smallest step there is
    assert run.out[start:].startswith(f"Start here: {first.id}\n")
    assert first.why in run.out[start:]
    assert f"orcastra conformance explain {first.id}" in run.out[start:]
    assert len(run.out.splitlines()) < 120, "two hundred cases that fail alike are not told two hundred times"
    assert re.search(r"alike: .* and \d+ more", run.out)
    verbose = conformance("run", "odd_harnesses:Nothing", "--case", "pub", "-v")
    assert verbose.out.count("\nowed ") == 1 + sum(case.group == "pub" for case in all_cases())


def test_what_the_harness_cannot_prove_makes_it_partial() -> None:
    run = conformance("run", "odd_harnesses:Blind", "--case", "ses.*")
    assert run.code == 2, run.out
    assert re.search(r"^unproven +\d+  nothing here stops beats", run.out, re.MULTILINE)
    assert "no verdict" in run.out


def test_nothing_to_prove_is_no_success() -> None:
    run = conformance("run", "memory", "--case", "hon.refuses-delay")
    assert run.code == 3
    assert "Nothing proved: no case that was chosen has anything to prove" in run.out


@pytest.mark.parametrize(
    "args, says",
    [
        (["memroy"], "no harness 'memroy' is installed; did you mean 'memory'?"),
        (["no.such.module:Harness"], "there is no module 'no'"),
        (["odd_harnesses:Absent"], "has no 'Absent'"),
        (["memory", "--mode", "loud"], "has no mode 'loud'; it has default, lesser"),
        (["memory", "--url", "redis://localhost"], "takes no URL"),
        (["memory", "--case", "con.demnad"], "did you mean con.demand"),
        (["memory", "--profile", "perfect"], "'perfect'"),
        (["memory", "--case", "ord", "--profile", "results"], "counts for results"),
        (["memory", "--contract", "9.9"], "knows the contract up to 0.1"),
        (["memory", "--contract", "0.0"], "no case that was chosen is as old"),
        (["memory", "--seeds", "0"], "'--seeds'"),
    ],
)
def test_a_wrong_command_line_runs_nothing_and_says_what_there_is(args: list[str], says: str) -> None:
    wrong = conformance("run", *args)
    assert wrong.code == 2
    assert says in wrong.out
    assert "cases in" not in wrong.out


def test_a_wrong_command_line_is_one_line_of_a_program() -> None:
    wrong = ended(program(*ORCASTRA, "run", "memroy"))
    assert wrong.code == 2
    assert wrong.out.startswith("orcastra conformance run: no harness 'memroy'")
    assert len(wrong.out.splitlines()) == 1


@pytest.mark.parametrize(
    "name, says",
    [
        ("Broken", "start() raised OSError: acme-server is not on the PATH"),
        ("Unmakeable", "failed: KeyError: 'ACME_HOME'"),
        ("Unfinished", "lacks stop"),
        ("NoBroker", "is no BrokerHarness"),
    ],
)
def test_a_broken_harness_proves_nothing(name: str, says: str, marks: Path) -> None:
    run = conformance("run", f"odd_harnesses:{name}")
    assert run.code == 3
    assert says in " ".join(run.out.split())
    assert "FAILED" not in run.out
    if name == "Broken":
        assert marks.read_text() == "stopped\n", "what start() got half done is stopped all the same"


def test_what_a_harness_raises_is_not_the_brokers_fault() -> None:
    run = conformance("run", "odd_harnesses:Untidy", "--case", "pub.roundtrip")
    assert run.code == 3, "nothing was proved"
    assert "HARNESS ERROR  pub.roundtrip: OSError: the disk is gone" in run.out


def test_an_expired_gap_fails_before_anything_runs(tmp_path: Path) -> None:
    gaps = tmp_path / "deviations.toml"
    gaps.write_text('[[deviation]]\ncase = "con.demand"\nreason = "greedy"\nexpires = 2020-01-01\n')
    run = conformance("run", "odd_harnesses:Liar", "--case", "con.demand", "--deviations", str(gaps))
    assert run.code == 1
    assert "expired on 2020-01-01" in run.out
    gaps.write_text(f'[[deviation]]\ncase = "con.demand"\nreason = "greedy"\nexpires = {date(2999, 1, 1)}\n')
    args = ("run", "odd_harnesses:Liar", "--case", "con.demand", "--case", "con.empty-wait", "--deviations", str(gaps))
    accepted = conformance(*args)
    assert accepted.code == 2, accepted.out
    assert "known gap: greedy" in accepted.out


def test_fail_fast_stops_at_the_first_in_order() -> None:
    run = conformance("run", "odd_harnesses:Nothing", "-x")
    assert run.code == 1
    assert run.out.count("FAILED") == 1
    assert f"FAILED  {all_cases()[0].id}: " in run.out, "not shuffled: the first to make green is the first to run"
    assert "\n1 case in" in run.out


def test_several_seeds_end_with_the_one_that_fails() -> None:
    run = conformance("run", "memory", "--case", "pub.roundtrip", "--seed", "4", "--seeds", "3")
    assert run.code == 0
    assert [line for line in run.out.splitlines() if line.startswith("memory (default): pub")] == [
        f"memory (default): pub.roundtrip, seed {seed}" for seed in (4, 5, 6)
    ]
    failing = conformance("run", "odd_harnesses:Liar", "--case", "con.demand", "--seeds", "3")
    assert failing.code == 1
    assert failing.out.count(": con.demand, seed 0\n") == 1
    assert ": con.demand, seed 1" not in failing.out


def test_reports_are_written_and_read_back(tmp_path: Path) -> None:
    run = conformance(
        *("run", "memory", "--mode", "lesser", "--case", "pub", "-q"),
        *("--report", str(tmp_path / "out"), "--archive", str(tmp_path / "kept")),
    )
    assert run.code == 0, run.out
    written = [line.removeprefix("written  ") for line in run.out.splitlines() if line.startswith("written")]
    assert written
    assert all(Path(path).is_file() for path in written)
    for path in (tmp_path / "out/report.json", tmp_path / "kept/0.1/memory-lesser.json"):
        stored = read_report(path)
        assert (stored.harness, stored.mode) == ("memory", "lesser")
        assert set(stored.outcomes) == {case.id for case in all_cases() if case.group == "pub"}
    document = json.loads((tmp_path / "out/report.json").read_text())
    assert "orcastra conformance run memory --mode lesser --case pub" in json.dumps(document)


def test_sqlite_is_proved_beside_the_file_that_the_url_names(tmp_path: Path) -> None:
    run = conformance(
        "run", "sqlite", "--mode", "normal", "--url", f"sqlite:///{tmp_path}/x.db", "--case", "life", "-q"
    )
    assert run.code == 0, run.out
    assert list(tmp_path.iterdir()) == [], "and leaves nothing there"
    assert "proves sqlite:///path" in conformance("run", "sqlite", "--url", "memory://").out
    assert "has no parameters" in conformance("run", "sqlite", "--url", "sqlite:///x.db?synchronous=full").out


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_interrupted_stops_the_harness_and_says_what_ran(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    os.mkfifo(marks)
    run = program(*ORCASTRA, "run", "odd_harnesses:Stuck", "-x", "--case", "life.idempotent", env={MARKS: str(marks)})
    seen: list[str] = []
    try:
        while "publishing" not in seen:
            seen += marks.read_text().split()  # each mark opens the pipe, so each read ends with one or more
        run.send_signal(number)
        while seen[-1] != "stopped":
            seen += marks.read_text().split()
    finally:
        if "stopped" not in seen:
            run.kill()
    told = ended(run)
    assert told.code == code, told.out
    assert seen[-3:] == ["cancelled", "wiped", "stopped"], "the case ends, its domain goes, then the harness"
    assert "Traceback" not in told.out
    assert "Interrupted: 0 of 1 cases were over. The harness was stopped." in told.out


def test_on_a_terminal_a_bar_shows_what_runs_and_goes_away() -> None:
    ours, theirs = pty.openpty()
    run = subprocess.Popen(
        [sys.executable, *ORCASTRA, "run", "odd_harnesses:Liar", "--case", "con", "--case", "num"],
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(HERE), "TERM": "xterm-256color", "COLUMNS": "100"},
    )
    os.close(theirs)
    out = b""
    try:
        while block := os.read(ours, 65536):
            out += block
    except OSError:  # how a terminal says that nobody is left at its other end
        pass
    os.close(ours)
    assert run.wait(timeout=50) == 1
    text = out.decode()
    assert "con.empty-wait" in text, "what runs now is seen"
    assert re.search(r"\d+/\d+.*\d:\d\d:\d\d", text)
    assert "\x1b[1;31m" in text, "failures are red"
    assert "\x1b[?25h" in text, "the cursor is there again"
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    assert "is not conformant" in plain.splitlines()[-1]


def test_a_pipe_gets_no_colours() -> None:
    run = ended(program(*ORCASTRA, "run", "memory", "--case", "num", env={"NO_COLOR": ""}))
    assert run.code == 0
    assert "\x1b" not in run.out
