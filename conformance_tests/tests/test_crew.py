"""``orcastra conformance run --jobs``: several processes share a run."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from command_line import ORCASTRA, conformance, ended, program
from odd_harnesses import MARKS


def outcomes(*args: str) -> str:
    """Return the verdict table of a run."""
    run = conformance("run", *args)
    assert run.code == 0, run.out
    return run.out.partition("profile")[2].partition(" cases in")[0]


def test_they_show_what_one_process_shows() -> None:
    chosen = ("memory", "--mode", "lesser", "--case", "pub", "--case", "con", "--case", "delay", "--case", "hon")
    assert outcomes(*chosen, "-j", "3") == outcomes(*chosen)


def test_one_case_needs_one_process() -> None:
    assert "1 case in" in conformance("run", "memory", "-j", "8", "--case", "pub.empty-batch").out


def test_a_process_that_dies_costs_its_case_and_no_other() -> None:
    run = ended(
        program(*ORCASTRA, "run", "odd_harnesses:Doomed", "-j", "2", "--case", "con.competing", "--case", "con.wakes*")
    )
    assert run.code == 1, run.out
    assert "HARNESS ERROR  con.competing: its process ended with exit code -9" in run.out
    assert re.search(r"con +2 passed, 1 harness error", run.out), run.out


def test_where_none_is_left_no_case_is_passed_over() -> None:
    run = ended(program(*ORCASTRA, "run", "odd_harnesses:Doomed", "-j", "2", "--case", "con"))
    assert run.code == 1, run.out
    assert run.out.count("its process ended with exit code -9") >= 2
    assert "15 cases in" in run.out


def test_a_server_that_only_some_of_them_get_fails_their_cases() -> None:
    run = ended(program(*ORCASTRA, "run", "odd_harnesses:Second", "-j", "2", "--case", "pub"))
    assert run.code == 3
    assert "start() raised OSError: no second server" in run.out


def test_the_first_failure_ends_them_all_where_asked() -> None:
    run = conformance("run", "odd_harnesses:Liar", "-j", "2", "-x", "--case", "con")
    assert run.code == 1
    told = int(re.findall(r"(\d+) cases? in", run.out)[-1])
    assert told < 15


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_stops_every_harness(number: signal.Signals, code: int, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    os.mkfifo(marks)
    run = program(
        *ORCASTRA, "run", "odd_harnesses:Stuck", "-j", "2", "--case", "life.idempotent", env={MARKS: str(marks)}
    )
    seen: list[str] = []
    try:
        while "publishing" not in seen:
            seen += marks.read_text().split()  # each mark opens the pipe, so each read ends with one or more
        run.send_signal(number)
        while seen.count("stopped") < 2:
            seen += marks.read_text().split()
    finally:
        if seen.count("stopped") < 2:
            run.kill()
    told = ended(run)
    assert told.code == code, told.out
    assert seen.index("cancelled") < seen.index("stopped"), "the case ends, then the harness it ran on"
    assert "Traceback" not in told.out
    assert "Interrupted: 0 of 1 cases were over." in told.out
