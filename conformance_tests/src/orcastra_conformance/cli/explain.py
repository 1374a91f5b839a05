"""``orcastra conformance explain``: one case, all about it."""

from __future__ import annotations

import inspect
import os

import click
from rich.syntax import Syntax

from orcastra_conformance.cli.choosing import case_called
from orcastra_conformance.cli.listing import described
from orcastra_conformance.cli.powers import powers_used
from orcastra_conformance.engine.case import Case
from orcastra_core.cli.terminal import as_json, console, facts


@click.command("explain", short_help="Explain one case.")
@click.argument("case_id", metavar="ID")
@click.option("--json", "json_", is_flag=True, help="One JSON object.")
def explain(case_id: str, json_: bool) -> None:
    """Show what a case proves, what it needs, and its code."""
    from orcastra_conformance.catalogue import all_cases  # noqa: PLC0415 - imports every case

    case = case_called(all_cases(), case_id)
    if json_:
        click.echo(as_json({**described(case), "powers": powers_used(case), "source": source_of(case)}))
        return
    out = console()
    out.print(facts(about(case)))
    out.print()
    code = source_of(case)
    if out.is_terminal:
        out.print(Syntax(code, "python", theme="ansi_dark", background_color="default", word_wrap=True))
    else:
        click.echo(code)


def about(case: Case) -> dict[str, str | None]:
    """Return what is to be said of a case, by title; None is left out."""
    powers = powers_used(case)
    return {
        "case": case.id + (" (provisional: it runs, but does not count yet)" if case.provisional else ""),
        "owed": case.why,
        "hint": case.hint or None,
        "profile": case.tier.value,
        "needs": ", ".join(sorted(cap.name for cap in case.needs)) or "nothing: every broker owes it",
        "unclaimed": f"{case.unclaimed.name}: it proves the refusal" if case.unclaimed is not None else None,
        "powers": ", ".join(f"BrokerHarness.{power}" for power in powers) or None,
        "since": f"contract {case.since}",
        "budget": f"{case.budget:g} s",
        "code": where(case),
    }


def where(case: Case) -> str:
    """Return the file and line of a case."""
    code = inspect.unwrap(case.body).__code__
    path = os.path.relpath(code.co_filename)
    return f"{code.co_filename if path.startswith('..') else path}:{code.co_firstlineno}"


def source_of(case: Case) -> str:
    """Return the code of a case."""
    return inspect.getsource(case.body).rstrip()
