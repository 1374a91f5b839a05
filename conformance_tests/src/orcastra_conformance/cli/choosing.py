"""Naming cases, profiles and capabilities on a command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import click

from orcastra_conformance.engine.case import Case
from orcastra_conformance.engine.tiers import Tier
from orcastra_core.model.profile import Cap

PROFILES = click.Choice([tier.value for tier in Tier])
CAPABILITIES = click.Choice([cap.name for cap in Cap], case_sensitive=False)


def case_called(cases: Iterable[Case], name: str) -> Case:
    """Return the case of that id.

    Raises:
        click.UsageError: There is none; names the nearest.
    """
    known = {case.id: case for case in cases}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3) or [each for each in known if name in each][:5]
    raise click.UsageError(f"there is no case {name!r}; {_hint(near)}")


def checked_group(cases: Iterable[Case], group: str) -> str:
    """Return a group that has cases.

    Raises:
        click.UsageError: There is no such group; names all.
    """
    groups = list(dict.fromkeys(case.group for case in cases))
    if group not in groups:
        raise click.UsageError(f"there is no group {group!r}; there are {', '.join(groups)}")
    return group


def _hint(near: list[str]) -> str:
    return f"did you mean {' or '.join(near)}?" if near else "see: orcastra conformance list"
