"""``orcastra conformance list | explain | harnesses``: what there is to prove."""

from __future__ import annotations

import json
from pathlib import Path

from command_line import ORCASTRA, conformance, ended, program

from orcastra_conformance.catalogue import all_cases
from orcastra_conformance.cli.explain import source_of
from orcastra_conformance.cli.powers import powers_used

CASES = {case.id: case for case in all_cases()}


def test_alone_it_says_what_it_can() -> None:
    helped = conformance()
    assert helped.code == 0
    for name in ("run", "list", "explain", "harnesses", "Start with: orcastra conformance run memory"):
        assert name in helped.out


def test_list_names_every_case() -> None:
    listed = conformance("list")
    assert listed.code == 0
    assert {line.split(" ")[0] for line in listed.out.splitlines()} >= CASES.keys()
    assert f"{len(CASES)} of {len(CASES)} cases" in listed.out


def test_list_as_json_is_an_object_a_line() -> None:
    listed = [json.loads(line) for line in conformance("list", "--json").out.splitlines()]
    assert [item["id"] for item in listed] == list(CASES)
    for item in listed:
        case = CASES[item["id"]]
        assert (item["why"], item["profile"], item["budget"]) == (case.why, case.tier.value, case.budget)
        assert set(item["needs"]) == {cap.name for cap in case.needs}


def test_list_chooses_by_group_profile_and_capability() -> None:
    def ids(*args: str) -> list[str]:
        return [json.loads(line)["id"] for line in conformance("list", "--json", *args).out.splitlines()]

    assert ids("--group", "pub", "--group", "con") == [i for i, case in CASES.items() if case.group in ("pub", "con")]
    assert ids("--profile", "ordered") == [i for i, case in CASES.items() if case.tier == "ordered"]
    pausing = ids("--needs", "pause")
    assert "pause.resume-wakes" in pausing
    assert "hon.refuses-pause" in pausing, "what proves the refusal is about the capability, too"
    assert ids("--group", "pause", "--profile", "core") == []


def test_list_says_what_it_does_not_know() -> None:
    unknown = conformance("list", "--group", "pubs")
    assert unknown.code == 2
    assert "no group 'pubs'; there are" in unknown.out
    assert conformance("list", "--needs", "TELEPATHY").code == 2
    assert "no case is all of that" in conformance("list", "--group", "pause", "--profile", "core").out


def test_explain_says_all_of_a_case() -> None:
    explained = conformance("explain", "ses.reap-fences")
    assert explained.code == 0
    case = CASES["ses.reap-fences"]
    for part in (case.why, "FENCED", "core", "contract 0.1", "reaps.py:", '@case(\n    "ses.reap-fences"'):
        assert part in explained.out


def test_explain_as_json() -> None:
    explained = json.loads(conformance("explain", "con.unreadable", "--json").out)
    assert (explained["id"], explained["powers"]) == ("con.unreadable", ["plant"])
    assert "t.harness.plant(" in explained["source"]


def test_every_case_can_be_explained() -> None:
    for case in CASES.values():
        source = source_of(case)
        assert case.id in source or "case(" in source or "async def" in source, case.id
        assert powers_used(case) == sorted(powers_used(case), key=powers_used(case).index)


def test_powers_are_found_behind_the_moves_of_a_trial() -> None:
    assert {"advance", "silence", "revive"} <= set(powers_used(CASES["ses.lapse-revived"]))
    assert powers_used(CASES["pub.empty-batch"]) == []


def test_explain_names_what_is_near() -> None:
    unknown = conformance("explain", "ses.reap-fence")
    assert unknown.code == 2
    assert "no case 'ses.reap-fence'; did you mean ses.reap-fences" in unknown.out
    assert "see: orcastra conformance list" in conformance("explain", "qqqqqq").out


def test_harnesses_are_listed_with_their_modes() -> None:
    found = {(item := json.loads(line))["name"]: item for line in conformance("harnesses", "--json").out.splitlines()}
    assert found["memory"]["modes"] == ["default", "lesser"]
    assert found["sqlite"]["modes"] == ["full", "normal"]
    assert found["memory"]["error"] is None
    assert "orcastra-core" in conformance("harnesses").out


def test_a_harness_that_does_not_load_takes_no_other_down(tmp_path: Path) -> None:
    dist = tmp_path / "acme-1.0.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text(
        "[orcastra.conformance]\nacme = acme_conformance:Harness\nodd = acme_odd:Harness\n"
    )
    (tmp_path / "acme_conformance.py").write_text("import no_such_client\n")
    (tmp_path / "acme_odd.py").write_text("class Harness: ...\n")
    listed = ended(program(*ORCASTRA, "harnesses", "--json", env={"PYTHONPATH": str(tmp_path)}))
    assert listed.code == 0, listed.out
    found = {(item := json.loads(line))["name"]: item for line in listed.out.splitlines()}
    assert "No module named 'no_such_client'" in found["acme"]["error"]
    assert "is no BrokerHarness" in found["odd"]["error"]
    assert found["acme"]["dist"] == "acme 1.0"
    assert found["memory"]["error"] is None
    run = ended(program(*ORCASTRA, "run", "acme", env={"PYTHONPATH": str(tmp_path)}))
    assert (run.code, run.out.count("\n")) == (3, 1), run.out
    assert "no_such_client" in run.out
