"""Which cases to run."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase

from orcastra_conformance.engine.case import Case


class NoSuchCase(ValueError):
    """Nothing matches what was asked for; the message names what there is."""


def select(cases: Iterable[Case], patterns: Sequence[str] = (), tiers: Collection[str] = ()) -> list[Case]:
    """Return the cases that match any of the patterns and count for any of the profiles.

    Args:
        cases: What to choose from; their order is kept.
        patterns: Ids, groups, or with ``*``, ``?`` and ``[…]`` as file names have them; none: all.
        tiers: The profiles (``Tier``, or their names); none: all.

    Raises:
        NoSuchCase: A pattern matches no case, or no case that it matches counts for these profiles.
    """
    there = list(cases)
    chosen: set[str] = set()
    for pattern in patterns:
        matched = {case.id for case in there if pattern == case.group or fnmatchcase(case.id, pattern)}
        if not matched:
            groups = sorted({case.group for case in there})
            near = difflib.get_close_matches(pattern, [case.id for case in there] + groups, n=3, cutoff=0.5)
            meant = f"did you mean {' or '.join(near)}? " if near else ""
            raise NoSuchCase(f"no case matches {pattern!r}; {meant}The groups are {', '.join(groups)}")
        chosen |= matched
    found = [case for case in there if (not patterns or case.id in chosen) and (not tiers or case.tier in tiers)]
    if not found:
        asked = f" of {', '.join(patterns)}" if patterns else ""
        raise NoSuchCase(f"no case{asked} counts for {', '.join(tiers) or 'anything'}")
    return found
