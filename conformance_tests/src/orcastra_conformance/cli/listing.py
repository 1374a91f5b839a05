"""``orcastra conformance list``: what has to hold."""

from __future__ import annotations

from typing import Any

import click

from orcastra_conformance.cli.choosing import CAPABILITIES, PROFILES, checked_group
from orcastra_conformance.engine.case import Case
from orcastra_core.cli.terminal import as_json, console, table


@click.command("list", short_help="List the cases.")
@click.option("--group", "groups", multiple=True, metavar="GROUP", help="Only this group, the part before the dot.")
@click.option(
    "--profile",
    "profiles",
    multiple=True,
    type=PROFILES,
    metavar="PROFILE",
    help="Only what counts for this profile, for example core.",
)
@click.option(
    "--needs", type=CAPABILITIES, metavar="CAP", help="Only what needs this capability, or proves its refusal."
)
@click.option("--json", "json_", is_flag=True, help="One JSON object a line.")
def list_cases(groups: tuple[str, ...], profiles: tuple[str, ...], needs: str | None, json_: bool) -> None:
    """List the cases with what each proves."""
    from orcastra_conformance.catalogue import all_cases  # noqa: PLC0415 - imports every case

    there = all_cases()
    wanted = {checked_group(there, group) for group in groups}
    chosen = [
        case
        for case in there
        if (not wanted or case.group in wanted)
        and (not profiles or case.tier in profiles)
        and (needs is None or needs in claims_of(case))
    ]
    if json_:
        for case in chosen:
            click.echo(as_json(described(case)))
        return
    if not chosen:
        raise click.ClickException("no case is all of that; see: orcastra conformance list")
    listed = table("case", "profile", "needs", "owed")
    for case in chosen:
        unclaimed = [f"no {case.unclaimed.name}"] if case.unclaimed is not None else []
        needed = [*sorted(cap.name for cap in case.needs), *unclaimed]
        listed.add_row(case.id, case.tier.value, "\n".join(needed), case.why)
    out = console()
    out.print(listed)
    out.print(f"\n{len(chosen)} of {len(there)} cases. More about one: orcastra conformance explain {chosen[0].id}")


def claims_of(case: Case) -> set[str]:
    """Return the names of the capabilities that a case is about."""
    return {cap.name for cap in case.needs} | ({case.unclaimed.name} if case.unclaimed is not None else set())


def described(case: Case) -> dict[str, Any]:
    """Return a case as JSON shows it."""
    return {
        "id": case.id,
        "group": case.group,
        "profile": case.tier.value,
        "needs": sorted(cap.name for cap in case.needs),
        "unclaimed": case.unclaimed.name if case.unclaimed is not None else None,
        "since": case.since,
        "provisional": case.provisional,
        "budget": case.budget,
        "why": case.why,
        "hint": case.hint,
    }
