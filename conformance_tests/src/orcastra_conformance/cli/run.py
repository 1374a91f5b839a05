"""``orcastra conformance run``: the suite on one harness."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import ClassVar

import click

from orcastra_conformance.cli.choosing import PROFILES
from orcastra_conformance.cli.running import Order, carry_out
from orcastra_conformance.engine.case import Case
from orcastra_conformance.engine.tiers import Tier
from orcastra_conformance.reports.deviations import DeviationsError, load_deviations
from orcastra_conformance.reports.verdict import EXIT_CODES, Verdict
from orcastra_conformance.selection import NoSuchCase, select
from orcastra_core.interfaces.broker import Broker
from orcastra_core.model.errors import InvalidOption, PluginError


@click.command("run", short_help="Run the suite on a backend.")
@click.argument("name")
@click.option("--url", help="The server to prove, instead of a private one that the harness starts.")
@click.option("--mode", help="How to set up the server: one of the harness's modes.")
@click.option(
    "--profile",
    "profiles",
    multiple=True,
    type=PROFILES,
    metavar="PROFILE",
    help="Only what counts for this profile, for example core.",
)
@click.option(
    "--case", "patterns", multiple=True, metavar="PATTERN", help="Only these cases: 'con.wakes', 'set.*', set."
)
@click.option("--seed", type=int, default=0, show_default=True, help="What chance and the order are drawn from.")
@click.option("--seeds", type=click.IntRange(1), default=1, help="Run it with so many seeds, from --seed on.")
@click.option("--contract", metavar="VERSION", help="Only what this version of the contract asks for, for example 0.1.")
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1),
    default=1,
    help="Processes that run the cases, each with a server of its own.",
)
@click.option("-x", "--fail-fast", is_flag=True, help="Stop at the first case that fails.")
@click.option("--deviations", type=click.Path(path_type=Path), metavar="FILE", help="Known gaps: a deviations.toml.")
@click.option(
    "--report",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the report there: JSON, Markdown, JUnit, badge.",
)
@click.option(
    "--archive",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write it to be committed, without times: DIR/CONTRACT/NAME-MODE.json and .md.",
)
@click.option("-q", "--quiet", is_flag=True, help="Only what failed, and the verdict.")
@click.option("-v", "--verbose", is_flag=True, help="Every reason, and every failed case whole.")
def run(
    name: str,
    url: str | None,
    mode: str | None,
    profiles: tuple[str, ...],
    patterns: tuple[str, ...],
    seed: int,
    seeds: int,
    contract: str | None,
    jobs: int,
    fail_fast: bool,
    deviations: Path | None,
    directory: Path | None,
    archive: Path | None,
    quiet: bool,
    verbose: bool,
) -> int:
    """Prove that the backend behind a harness keeps the contract.

    NAME is an installed harness (orcastra conformance harnesses) or
    MODULE:CLASS.

    \b
    Exit codes:
      0    conformant: everything that was asked holds
      1    something failed
      2    partial: nothing failed, but not all is proved
           (or the command line is wrong: then no case was run,
           and the last line says what is wrong)
      3    nothing proved: the harness is broken, or no case applies
      130  Ctrl-C
    """
    from orcastra_conformance.catalogue import all_cases  # noqa: PLC0415 - imports every case

    try:
        cases = select(all_cases(), patterns, [Tier(profile) for profile in profiles])
        order = Order(
            name=name,
            mode=mode,
            url=url,
            cases=_asked_for_by(contract, cases),
            chosen_by=[*chain(*(("--case", each) for each in patterns), *(("--profile", each) for each in profiles))],
            seeds=range(seed, seed + seeds),
            deviations=load_deviations(deviations) if deviations is not None else None,
            jobs=jobs,
            fail_fast=fail_fast,
            directory=directory,
            archive=archive,
            quiet=quiet,
            verbose=verbose,
        )
        return carry_out(order)
    except (NoSuchCase, InvalidOption) as error:
        raise click.UsageError(str(error)) from error
    except DeviationsError as error:  # a gap that nobody accepts is a failure, not a partial success
        raise click.ClickException(str(error)) from error
    except PluginError as error:
        raise _BrokenHarness(str(error)) from error


class _BrokenHarness(click.ClickException):
    exit_code: ClassVar[int] = EXIT_CODES[Verdict.NOTHING]


def _asked_for_by(contract: str | None, cases: list[Case]) -> list[Case]:
    """Return the cases that a version of the contract asks for."""
    if contract is None:
        return cases
    newest = Broker.contract
    version = _version(contract)
    if version is None or version > (_version(newest) or ()):
        raise click.UsageError(f"--contract {contract}: this suite knows the contract up to {newest}")
    old = [case for case in cases if (_version(case.since) or ()) <= version]
    if not old:
        raise click.UsageError(f"--contract {contract}: no case that was chosen is as old as that")
    return old


def _version(text: str) -> tuple[int, ...] | None:
    parts = text.split(".")
    return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else None
