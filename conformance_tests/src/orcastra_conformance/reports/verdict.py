"""From outcomes to a verdict: the rules, and nothing else.

=============== =============================================================================
failed          makes a failure, whether its profile is claimed or not: something was owed
harness error   makes a failure: the run is no proof
unproven        makes it partial, never a success
deviation       makes it partial, never a success
unsupported     harms nothing: the refusal was proved
not applicable  harms nothing: there is nothing to prove
provisional     does not count
=============== =============================================================================

Nothing passed and nothing failed: nothing is proved, and silence is no success.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from orcastra_conformance.engine.outcome import Outcome


class Verdict(enum.StrEnum):
    """What a profile, or a whole run, comes to."""

    SUCCESS = "success"
    """All that is owed was proved."""
    PARTIAL = "partial"
    """Nothing is wrong beyond the declared deviations, but not all was proved."""
    FAILURE = "failure"
    NOT_CLAIMED = "not claimed"
    """The broker lacks the capabilities by which a profile is claimed. Of a profile only."""
    NOTHING = "nothing proved"
    """No case passed and none failed: none ran, or none had anything to prove here."""


EXIT_CODES: Mapping[Verdict, int] = {
    Verdict.SUCCESS: 0,
    Verdict.FAILURE: 1,
    Verdict.PARTIAL: 2,
    Verdict.NOTHING: 3,
}
"""The exit code of a program that ran the suite. (2 is also what a command line with a mistake in it exits with.)"""


def judge_profile(counts: Mapping[Outcome, int], *, claimed: bool) -> Verdict:
    """Return the verdict of one profile.

    Args:
        counts: How many of its cases had each outcome.
        claimed: Whether the broker claims the capabilities that the profile asks for.
    """
    if counts.get(Outcome.FAILED) or counts.get(Outcome.HARNESS_ERROR):
        return Verdict.FAILURE
    if not claimed:
        return Verdict.NOT_CLAIMED
    if counts.get(Outcome.UNPROVEN) or counts.get(Outcome.DEVIATION):
        return Verdict.PARTIAL
    return Verdict.SUCCESS if counts.get(Outcome.PASSED) else Verdict.NOTHING


def judge_run(counts: Mapping[Outcome, int], *, unfit: bool = False, left_behind: bool = False) -> Verdict:
    """Return the verdict of a whole run.

    An unclaimed profile's gaps count too: what a case of it could not prove,
    the broker does claim, or the case would be «unsupported».

    Args:
        counts: How many cases had each outcome.
        unfit: Whether the harness did not start, or failed its preflight, so that no case was run.
        left_behind: Whether the harness could not be stopped.
    """
    if unfit:
        return Verdict.NOTHING
    if counts.get(Outcome.FAILED) or left_behind:
        return Verdict.FAILURE
    if counts.get(Outcome.PASSED):
        if counts.get(Outcome.HARNESS_ERROR):
            return Verdict.FAILURE
        return Verdict.PARTIAL if counts.get(Outcome.UNPROVEN) or counts.get(Outcome.DEVIATION) else Verdict.SUCCESS
    return Verdict.NOTHING
