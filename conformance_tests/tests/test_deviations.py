"""``deviations.toml``: strict, and every entry has an end."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from orcastra_conformance.engine.case import Case
from orcastra_conformance.engine.outcome import CaseReport, Outcome
from orcastra_conformance.engine.tiers import Tier
from orcastra_conformance.engine.trial import Trial
from orcastra_conformance.reports.deviations import Deviations, DeviationsError, load_deviations

TODAY = date(2026, 6, 1)
GOOD = """
[[deviation]]
case = "ord.fifo"
reason = "the server reorders what it redelivers"
link = "https://acme.example/issues/12"
expires = 2026-12-31

[[deviation]]
case = ["ord.batch", "con.demand"]
reason = "a batch is split"
expires = 2026-06-01
harness = "acme"
mode = "cluster"
"""
KNOWN = ("ord.fifo", "ord.batch", "con.demand")


def loaded(tmp_path: Path, text: str) -> Deviations:
    path = tmp_path / "deviations.toml"
    path.write_text(text)
    return load_deviations(path, today=TODAY, known=KNOWN)


def entry(**keys: str) -> str:
    plain = {"case": '"ord.fifo"', "reason": '"because"', "expires": "2026-12-31"}
    return "\n".join(["[[deviation]]", *(f"{key} = {value}" for key, value in {**plain, **keys}.items() if value)])


def both(*entries: dict[str, str]) -> str:
    return "\n".join(entry(**keys) for keys in entries)


async def body(t: Trial) -> None:
    return


def report(outcome: Outcome, message: str = "") -> CaseReport:
    case = Case("ord.fifo", "ord", Tier.ORDERED, frozenset(), None, "in order", body)
    return CaseReport(case, outcome, 0.1, message)


def test_a_good_file_is_read(tmp_path: Path) -> None:
    found = loaded(tmp_path, GOOD)
    first, second = found.entries
    assert (first.cases, first.expires, first.link) == (
        ("ord.fifo",),
        date(2026, 12, 31),
        "https://acme.example/issues/12",
    )
    assert (second.cases, second.harness, second.mode) == (("ord.batch", "con.demand"), "acme", "cluster")
    assert found.of("ord.fifo", harness="any", mode="any") is first
    assert found.of("con.demand", harness="acme", mode="cluster") is second
    assert found.of("con.demand", harness="acme", mode="default") is None
    assert found.of("con.demand", harness="other", mode="cluster") is None
    assert found.of("con.wakes", harness="acme", mode="cluster") is None


def test_an_empty_file_declares_nothing(tmp_path: Path) -> None:
    assert loaded(tmp_path, "").entries == ()


def test_the_last_day_still_counts_and_the_next_does_not(tmp_path: Path) -> None:
    assert loaded(tmp_path, entry(expires="2026-06-01")).entries
    with pytest.raises(DeviationsError, match="expired on 2026-05-31"):
        loaded(tmp_path, entry(expires="2026-05-31"))


@pytest.mark.parametrize(
    "text, says",
    [
        (entry(reason=""), ["entry 1 (ord.fifo)", "needs its reason", 'reason = "…"']),
        (entry(reason='"  "'), ["reason has to be a text"]),
        (entry(expires=""), ["needs a date", "expires = 2026-12-31"]),
        (entry(expires='"2026-12-31"'), ["needs a date", "without quotes"]),
        (entry(expires="2026-12-31T00:00:00"), ["needs a date"]),
        (entry(case=""), ["entry 1", "needs the id of its case"]),
        (entry(case="[]"), ["needs the id of its case"]),
        (entry(case='"ord.fifi"'), ["no case 'ord.fifi'", "did you mean 'ord.fifo'?"]),
        (entry(case='["ord.fifo", "gone.for-good"]'), ["no case 'gone.for-good'", "remove it"]),
        (entry(expire="2026-12-31"), ["unknown key 'expire'", "did you mean 'expires'?"]),
        (entry(mode="7"), ["mode has to be a text"]),
        ('[[deviations]]\ncase = "ord.fifo"', ["unknown key 'deviations'", "did you mean 'deviation'?"]),
        ('[deviation]\ncase = "ord.fifo"', ["double brackets"]),
        ("deviation = [1]", ["entry 1", "is no table"]),
        ("[[deviation", ["is no TOML"]),
        (both({}, {}), ["entry 2 (ord.fifo)", "ord.fifo is declared already", "entry 1"]),
        (both({}, {"harness": '"acme"'}), ["declared already"]),
        (both({}, {"expires": "2020-01-01"}), ["entry 2 (ord.fifo)", "expired on 2020-01-01"]),
    ],
)
def test_a_bad_file_names_the_entry_and_says_what_to_do(tmp_path: Path, text: str, says: list[str]) -> None:
    with pytest.raises(DeviationsError) as caught:
        loaded(tmp_path, text)
    for part in [str(tmp_path / "deviations.toml"), *says]:
        assert part in str(caught.value)


def test_two_modes_may_each_have_their_entry(tmp_path: Path) -> None:
    text = both({"mode": '"one"'}, {"mode": '"two"'}, {"mode": '"one"', "harness": '"x"', "case": '"ord.batch"'})
    assert len(loaded(tmp_path, text).entries) == 3


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(DeviationsError, match=r"gone\.toml: cannot be read"):
        load_deviations(tmp_path / "gone.toml")


def test_by_default_the_suites_cases_and_the_machines_day_count(tmp_path: Path) -> None:
    path = tmp_path / "deviations.toml"
    path.write_text(entry(case='"pub.roundtrip"', expires="2999-12-31"))
    assert load_deviations(path).entries[0].cases == ("pub.roundtrip",)
    path.write_text(entry(case='"pub.roundtrip"', expires="2020-12-31"))
    with pytest.raises(DeviationsError, match="expired"):
        load_deviations(path)


def test_a_failure_becomes_a_deviation_with_its_reason(tmp_path: Path) -> None:
    (gap, _) = loaded(tmp_path, GOOD).entries
    judged = gap.judge(report(Outcome.FAILED, "1 is not 2"))
    assert (judged.outcome, judged.shown) == (Outcome.DEVIATION, Outcome.FAILED)
    for part in ("the server reorders", "2026-12-31", "https://acme.example/issues/12", "1 is not 2"):
        assert part in judged.message


def test_an_unexpected_pass_fails_and_names_the_entry(tmp_path: Path) -> None:
    (gap, _) = loaded(tmp_path, GOOD).entries
    judged = gap.judge(report(Outcome.PASSED))
    assert (judged.outcome, judged.shown) == (Outcome.FAILED, Outcome.PASSED)
    for part in ("it passes, but", "deviations.toml, entry 1 (ord.fifo)", "remove it"):
        assert part in judged.message


@pytest.mark.parametrize(
    "outcome", [Outcome.UNPROVEN, Outcome.UNSUPPORTED, Outcome.NOT_APPLICABLE, Outcome.HARNESS_ERROR]
)
def test_other_outcomes_are_left_alone(tmp_path: Path, outcome: Outcome) -> None:
    (gap, _) = loaded(tmp_path, GOOD).entries
    assert gap.judge(report(outcome, "why")) == report(outcome, "why")
