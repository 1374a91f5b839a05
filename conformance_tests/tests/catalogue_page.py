"""docs/conformance/cases.md: all cases by group, and what is left out; ``python catalogue_page.py`` writes it anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orcastra_conformance.catalogue import all_cases
from orcastra_conformance.engine.case import Case

PAGE = Path(__file__).parents[2] / "docs" / "conformance" / "cases.md"

TITLES = {
    "pub": "Publishing",
    "con": "Fetching",
    "set": "Settling",
    "num": "Numbered settles",
    "ses": "Sessions and reaps",
    "conc": "Two calls at once",
    "life": "Lifecycle",
    "hon": "Honesty",
    "fuzz": "Chance",
    "model": "The model",
    "ser": "Serializers",
    "run": "The runtime on this broker",
    "delay": "Delay",
    "prio": "Priority",
    "dedup": "Dedup keys",
    "ord": "Order and ordering keys",
    "can": "Cancelling",
    "dead": "Dead letters",
    "res": "Results",
    "sch": "Schedules",
    "evt": "The event log",
    "find": "Finding",
    "ins": "Inspecting",
    "pause": "Pausing",
    "purge": "Purging",
    "tx": "Transactions of callers and of tasks",
    "proc": "Processes killed, stopped and forked",
    "fault": "Connections cut, servers restarted",
}

LEFT_OUT = {
    "A lease for each message, and extending it": "Deliveries stand and fall with their session, which beats by itself: "
    "`ses.*` and `proc.*` prove what a lease would have to.",
    "Acknowledging, refusing, releasing": "There is one call, settle, with five settlements: `set.*`, and `num.*` for its repeats.",
    "Expiry judged by the broker": "The runtime judges `expires` at hand-over, the same way on every broker "
    "([ADR 2](../adr/0002-sessions-and-numbered-settles.md)): `run.expired`.",
    "Batches that are stored as a whole or not at all": "Publish answers for each item, and one bad item harms no other "
    "(`pub.bad-item-alone`). There is no capability for the opposite.",
    "Two releases at one queue": "There is one release. What an older or newer one writes and this one does not know is "
    "carried along: `ser.forward-compatible`, `pub.roundtrip`.",
}
"""What a catalogue of a queue's promises would have, and why it is not here or looks otherwise."""

_HEAD = """# What is proved

<!-- Written by conformance_tests/tests/catalogue_page.py; do not edit. -->

Every case of the suite, by group. A case runs where all that it *needs* is claimed; elsewhere the refusal of what is missing
is proved instead. The *profile* is where the report counts it. `orcastra conformance explain ID` tells more of one.

There are {number} cases.
"""


def render() -> str:
    """Return the page."""
    cases = all_cases()
    groups = [*TITLES, *sorted({case.group for case in cases} - TITLES.keys())]
    parts = [_HEAD.format(number=len(cases))]
    for group in groups:
        rows = sorted((case for case in cases if case.group == group), key=lambda case: case.id)
        if rows:
            parts.append("\n".join(_table(TITLES.get(group, group), rows)))
    parts.append("\n".join(_left_out()))
    return "\n".join(parts)


def _table(title: str, rows: list[Case]) -> Iterator[str]:
    yield f"## {title}\n"
    yield "| Case | What is owed | Needs | Profile |"
    yield "|---|---|---|---|"
    for case in rows:
        needs = ", ".join(f"`{cap.name}`" for cap in sorted(case.needs, key=lambda cap: cap.name))
        if case.unclaimed is not None:
            needs = f"not `{case.unclaimed.name}`"
        owed = case.why.replace("|", "\\|").replace("<", "&lt;")
        yield f"| `{case.id}`{' (provisional)' if case.provisional else ''} | {owed} | {needs} | {case.tier} |"
    yield ""


def _left_out() -> Iterator[str]:
    yield "## What is not here, and why\n"
    for what, why in LEFT_OUT.items():
        yield f"- **{what}.** {why}"
    yield ""


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(render(), encoding="utf-8")
