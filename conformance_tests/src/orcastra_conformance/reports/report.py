"""What a whole run showed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import attrs

from orcastra_conformance.engine.harness import ServerFacts
from orcastra_conformance.engine.outcome import CaseReport, Outcome
from orcastra_conformance.engine.tiers import CLAIMED_BY, Tier
from orcastra_conformance.reports.verdict import EXIT_CODES, Verdict, judge_profile, judge_run
from orcastra_conformance.reports.versions import Versions
from orcastra_core.model.profile import Profile


@attrs.frozen
class TierReport:
    """What a run showed of one profile of the report.

    Attributes:
        tier: Which.
        claimed: Whether the broker claims it, by its capabilities.
        counts: How many of its cases had each outcome; outcomes that none had are absent.
        left_out: How many of its cases there are that this run did not choose.
        verdict: What that comes to.
    """

    tier: Tier
    claimed: bool
    counts: Mapping[Outcome, int]
    left_out: int

    @property
    def verdict(self) -> Verdict:
        return judge_profile(self.counts, claimed=self.claimed)

    @property
    def cases(self) -> int:
        """How many were run."""
        return sum(self.counts.values())


@attrs.frozen(kw_only=True)
class Report:
    """What a whole run showed.

    Attributes:
        harness: Its name.
        mode: How its server was set up.
        facts: What ``start`` told; None if it did not.
        profile: What the broker said at ``open``; None if it never opened.
        versions: What ran.
        cases: An outcome for each case that was chosen, in their order; empty if the harness is unfit.
        left_out: How many cases of each profile there are that were not chosen.
        command: What runs it again, but for the seed.
        seed: What chance, and the order of the cases, was drawn from; None if it makes no difference.
        seconds: How long it took; None if nobody should care.
        started_at: When, Unix seconds; None likewise.
        unfit: Why no case was run, a sentence each: what starting the harness or its preflight found.
        left_behind: What stopping the harness raised; else empty.
    """

    harness: str
    mode: str
    facts: ServerFacts | None
    profile: Profile | None
    versions: Versions
    cases: tuple[CaseReport, ...]
    left_out: Mapping[Tier, int] = attrs.field(factory=dict)
    command: str
    seed: int | None = 0
    seconds: float | None = None
    started_at: float | None = None
    unfit: tuple[str, ...] = ()
    left_behind: str = ""

    @property
    def counts(self) -> Mapping[Outcome, int]:
        """How many cases had each outcome."""
        return Counter(report.outcome for report in self.cases)

    @property
    def tiers(self) -> tuple[TierReport, ...]:
        """What it showed of each profile, in their order."""
        capabilities = self.profile.capabilities if self.profile is not None else frozenset()
        return tuple(
            TierReport(
                tier,
                self.profile is not None and CLAIMED_BY[tier] <= capabilities,
                Counter(report.outcome for report in self.cases if report.case.tier is tier),
                self.left_out.get(tier, 0),
            )
            for tier in Tier
        )

    @property
    def whole(self) -> bool:
        """Whether every case there is was run."""
        return not self.unfit and not any(self.left_out.values())

    @property
    def verdict(self) -> Verdict:
        """What it comes to: never NOT_CLAIMED."""
        return judge_run(self.counts, unfit=bool(self.unfit), left_behind=bool(self.left_behind))

    @property
    def exit_code(self) -> int:
        """0 conformant, 1 failed, 2 partial, 3 nothing proved."""
        return EXIT_CODES[self.verdict]

    @property
    def reproduce(self) -> str:
        """What runs it again, to be typed."""
        return self.command if self.seed is None else f"{self.command} --seed {self.seed}"

    def sorted_cases(self) -> list[CaseReport]:
        """Return the cases by id: the order in which they are written."""
        return sorted(self.cases, key=lambda report: report.case.id)
