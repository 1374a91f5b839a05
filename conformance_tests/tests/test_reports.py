"""What is written: JSON by its schema, Markdown, JUnit, the badge; whole files, and the same for the same outcomes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from made_report import ALL_OUTCOMES, PROFILE, report, told
from schema_check import complaints

from orcastra_conformance import Outcome, Report, run_suite
from orcastra_conformance.catalogue import all_cases
from orcastra_conformance.engine.tiers import Tier
from orcastra_conformance.reports.badge import badge
from orcastra_conformance.reports.files import archive, archived, write
from orcastra_conformance.reports.json_report import document, schema, to_json
from orcastra_conformance.reports.junit import to_junit
from orcastra_conformance.reports.markdown import to_markdown
from orcastra_conformance.reports.stable import stable
from orcastra_conformance.reports.verdict import Verdict
from orcastra_conformance.reports.versions import Versions
from orcastra_conformance.suite import select
from orcastra_core.backends.memory.broker import MemoryBroker
from orcastra_core.backends.memory.conformance import Harness

UNFIT: dict[str, Any] = {
    "cases": (),
    "unfit": ("broker() returned None: return a broker",),
    "profile": None,
    "facts": None,
}


def real(seed: int = 3) -> Report:
    chosen = select(all_cases(), ["pub.*", "dedup.*", "hon.refuses-*"])
    return run_suite(Harness(without="DEDUP"), cases=chosen, seed=seed)


# -- JSON


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize(
    "made", [report(), report(**UNFIT), report(told("pub.roundtrip"), left_behind="stop() raised")]
)
def test_the_document_keeps_its_schema(made: Report, timed: bool) -> None:
    text = to_json(made if timed else stable(made))
    assert complaints(json.loads(text), schema()) == []
    assert text.endswith("}\n")


def test_a_real_run_keeps_the_schema() -> None:
    assert complaints(json.loads(to_json(real())), schema()) == []


def test_the_id_of_every_case_fits_the_schema() -> None:
    pattern = schema()["properties"]["cases"]["items"]["properties"]["id"]["pattern"]
    assert [case.id for case in all_cases() if not re.search(pattern, case.id)] == []


def spoiled(**keys: Any) -> dict[str, Any]:
    return {**document(report()), **keys}


@pytest.mark.parametrize(
    "bad",
    [
        spoiled(schema=2),
        spoiled(verdict="fine"),
        spoiled(exit_code=4),
        spoiled(counts={"passed": 0}),
        spoiled(counts={"skipped": 1}),
        spoiled(cases=[{"id": "pub.roundtrip"}]),
        spoiled(broker={**document(report())["broker"], "durability": "SOME"}),
        {key: value for key, value in document(report()).items() if key != "seed"},
    ],
)
def test_the_schema_refuses_what_is_no_report(bad: dict[str, Any]) -> None:
    assert complaints(bad, schema())


def test_the_document_says_what_ran_and_what_it_showed() -> None:
    made = document(report())
    assert made["harness"] == {"name": "acme", "mode": "cluster"}
    assert made["server"] == {"product": "Acme 7.1", "url": "acme://127.0.0.1:41234/0", "embedded": False}
    assert made["broker"]["capabilities"] == ["DEAD_LETTERS", "DELAY", "RESULTS"]
    assert made["broker"]["durability"] == "SERVER_CRASH"
    assert made["broker"]["limits"]["max_hold"] is None
    assert made["broker"]["limits"]["priorities"] == [-10, 10]
    assert made["broker"]["notes"] == {"PRIORITY": "the server | has none"}
    assert made["versions"]["backend_version"] == "2.3"
    assert (made["verdict"], made["exit_code"]) == ("failure", 1)
    assert made["started_at"] == "2025-10-09T08:53:20+00:00"
    assert made["reproduce"] == "orcastra conformance run acme --mode cluster --seed 7"
    assert [case["id"] for case in made["cases"]] == sorted(each.case.id for each in ALL_OUTCOMES)
    by_id = {case["id"]: case for case in made["cases"]}
    assert by_id["res.new"]["shown"] == "failed"
    assert by_id["set.late"]["history"] == ["publish → Stored", "fetch → []"]
    assert by_id["pub.roundtrip"]["history"] == []


def test_profiles_get_their_verdicts() -> None:
    verdicts = {name: tier["verdict"] for name, tier in document(report())["profiles"].items()}
    assert verdicts == {
        "core": "failure",
        "work-queue": "partial",
        "ordered": "not claimed",
        "results": "nothing proved",
        "scheduler": "not claimed",
        "transactional": "not claimed",
        "resilient": "partial",
    }


# -- Markdown


def section(page: str, title: str) -> str:
    return page.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_page_has_the_facts_the_verdicts_and_each_case() -> None:
    page = to_markdown(report())
    assert page.startswith("# acme (cluster): not conformant\n")
    for part in ("Acme 7.1 at `acme://127.0.0.1:41234/0`", "orcastra-acme 2.3", "CPython 3.11.9", "SERVER_CRASH"):
        assert part in page
    assert "| core | **failure** | 2 | 1 |" in section(page, "Profiles")
    assert "| ordered | **not claimed** |" in section(page, "Profiles")
    assert "| `DELAY` | yes |" in section(page, "Capabilities")
    assert "| `PRIORITY` | no |" in section(page, "Capabilities")
    assert "the server \\| has none" in section(page, "Capabilities")
    assert "| `max_hold` | without bound |" in section(page, "Limits")
    assert "| `priorities` | -10 to 10 |" in section(page, "Limits")
    cases = section(page, "Cases")
    assert cases.index("### con") < cases.index("### pub") < cases.index("### set")
    assert all(f"`{each.case.id}`" in cases for each in ALL_OUTCOMES)


def test_the_page_lists_what_did_not_pass_with_the_reason() -> None:
    told_ = section(to_markdown(report()), "Not passed")
    assert "| `set.late` | **failed** | STALE was owed &lt;here> &amp; now |" in told_
    assert "| `pub.shared` | **harness error** | OSError: the harness broke |" in told_
    assert "| `delay.past-is-now` | deviation | known gap: the server rounds up |" in told_
    assert "| `res.new` | provisional (failed) | not yet |" in told_
    assert "pub.roundtrip" not in told_


def test_the_page_says_how_to_reproduce() -> None:
    told_ = section(to_markdown(report()), "Reproduce")
    assert "$ pip install orcastra-conformance==0.1.0 orcastra-core==0.1.0 orcastra-acme==2.3\n" in told_
    assert "$ orcastra conformance run acme --mode cluster --seed 7\n" in told_


def test_every_table_row_has_as_many_cells_as_its_head() -> None:
    for table in re.findall(r"(?:^\|.*\n)+", to_markdown(report()), flags=re.MULTILINE):
        cells = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(cells) == 1, table


def test_a_page_of_an_unfit_harness_says_so_and_one_of_a_choice_too() -> None:
    unfit = to_markdown(report(**UNFIT))
    assert "nothing proved" in unfit
    assert "**harness error**: broker() returned None: return a broker" in unfit
    assert "No case was run" in unfit
    some = to_markdown(report(told("pub.roundtrip"), left_out={Tier.CORE: 149}))
    assert "A choice of 1 of 150 cases" in some
    assert "A choice" not in to_markdown(report())


# -- JUnit


def test_junit_is_read_back() -> None:
    suites = ET.fromstring(to_junit(report()))
    assert suites.tag == "testsuites"
    (suite,) = suites
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped", "time")} == {
        "tests": "9",
        "failures": "1",
        "errors": "1",
        "skipped": "5",
        "time": "12.500",
    }
    tests = {test.get("name"): test for test in suite.findall("testcase")}
    assert len(tests) == 9
    assert (tests["pub.roundtrip"].get("classname"), tests["pub.roundtrip"].get("time")) == ("acme.pub", "0.125")
    assert len(tests["pub.roundtrip"]) == 0
    failure = tests["set.late"].find("failure")
    assert failure is not None
    assert failure.get("message") == "STALE was owed <here> & now"
    assert failure.text is not None
    assert "owed: it must hold" in failure.text
    assert "--case set.late" in failure.text
    error = tests["pub.shared"].find("error")
    assert error is not None
    assert error.get("message") == "OSError: the harness broke"
    skipped = {name: test.find("skipped") for name, test in tests.items()}
    messages = {name: each.get("message") for name, each in skipped.items() if each is not None}
    assert messages["fault.server-restart"] is not None
    assert messages["fault.server-restart"].startswith("unproven: the harness cannot restart")
    assert messages["res.new"] == "provisional: failed, not yet"
    properties = {each.get("name"): each.get("value") for each in suite.iter("property")}
    assert (properties["verdict"], properties["backend"]) == ("failure", "orcastra-acme 2.3")


def test_junit_shows_a_broken_harness_as_an_error() -> None:
    (suite,) = ET.fromstring(to_junit(report(**UNFIT, left_behind="stop() raised OSError")))
    assert (suite.get("tests"), suite.get("errors")) == ("2", "2")
    assert [each.get("message") for each in suite.iter("error")] == [
        "broker() returned None: return a broker",
        "stop() raised OSError",
    ]


# -- the badge


@pytest.mark.parametrize(
    "made, message, color",
    [
        (report(told("pub.roundtrip")), "conformant", "brightgreen"),
        (report(told("pub.roundtrip"), told("con.demand", Outcome.UNPROVEN)), "partial", "yellow"),
        (report(), "failing", "red"),
        (report(told("pub.roundtrip"), told("res.roundtrip", Outcome.FAILED)), "failing", "red"),
        (report(**UNFIT), "not proved", "lightgrey"),
        (report(told("res.roundtrip")), "not proved", "lightgrey"),
        (report(told("pub.roundtrip"), left_out={Tier.CORE: 1}), "not proved", "lightgrey"),
    ],
)
def test_the_badge_claims_no_more_than_was_proved(made: Report, message: str, color: str) -> None:
    assert badge(made) == {
        "schemaVersion": 1,
        "label": "orcastra core 0.1",
        "message": message,
        "color": color,
    }


# -- files


def test_four_files_are_written_and_nothing_else_is_left(tmp_path: Path) -> None:
    directory = tmp_path / "deep" / "down"
    assert [path.name for path in write(report(), directory)] == ["report.json", "report.md", "junit.xml", "badge.json"]
    write(report(told("pub.roundtrip")), directory)
    assert sorted(path.name for path in directory.iterdir()) == ["badge.json", "junit.xml", "report.json", "report.md"]
    assert json.loads((directory / "report.json").read_text())["verdict"] == "success"
    assert complaints(json.loads((directory / "report.json").read_text()), schema()) == []
    ET.parse(directory / "junit.xml")


def test_a_file_that_cannot_be_replaced_leaves_no_draft(tmp_path: Path) -> None:
    (tmp_path / "report.json").mkdir()
    with pytest.raises(OSError, match=r"report\.json"):
        write(report(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_without_timings_two_seeds_write_the_same(tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write(real(1), tmp_path / "one", timings=False)]
    second = [path.read_bytes() for path in write(real(2), tmp_path / "two", timings=False)]
    assert first == second
    assert b"--seed" not in b"".join(first)
    third = [path.read_bytes() for path in write(real(1), tmp_path / "three")]
    assert b"--seed 1" in b"".join(third)


def test_what_is_archived_has_its_place_and_no_port(tmp_path: Path) -> None:
    paths = archive(report(), tmp_path)
    assert paths == [tmp_path / "0.1" / "acme-cluster.json", tmp_path / "0.1" / "acme-cluster.md"]
    assert paths[0] == archived(tmp_path, contract="0.1", harness="acme", mode="cluster")
    made = json.loads(paths[0].read_text())
    assert made["server"]["url"] == "acme://127.0.0.1/0"
    assert (made["seed"], made["seconds"], made["started_at"]) == (None, None, None)
    assert made["cases"][-1]["message"] == "STALE was owed <here> & now"
    assert archived(tmp_path, contract="0.1", harness="acme", mode="RESP2, AOF").name == "acme-resp2-aof.json"


# -- the report itself


def test_a_broker_of_an_editable_dist_is_found_by_its_entry_point() -> None:
    found = Versions.of(MemoryBroker)
    assert (found.backend, found.core, found.contract) == ("orcastra-core", found.backend_version, "0.1")
    nobody = Versions.of(None)
    assert (nobody.backend, nobody.backend_version) == ("", "")
    assert nobody.suite


def test_a_broker_of_no_dist_is_of_no_dist() -> None:
    class Own(MemoryBroker):
        pass

    Own.__module__ = "no_such_package.broker"
    assert Versions.of(Own).backend == ""


def test_a_broker_that_never_opened_claims_nothing() -> None:
    made = report(told("pub.roundtrip", Outcome.FAILED, "NotImplementedError"), profile=None)
    assert (made.verdict, made.exit_code) == (Verdict.FAILURE, 1)
    assert [tier.verdict for tier in made.tiers][:2] == [Verdict.FAILURE, Verdict.NOT_CLAIMED]
    assert PROFILE.clock_offset != stable(report()).profile.clock_offset  # type: ignore[union-attr]
