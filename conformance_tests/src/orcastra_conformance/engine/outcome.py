"""What a case showed."""

from __future__ import annotations

import enum

import attrs

from orcastra_conformance.engine.case import Case


class Outcome(enum.Enum):
    """What a case showed. Only PASSED is a pass."""

    PASSED = "passed"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"
    """A capability it needs is not claimed, and its refusal was proved where it can be."""
    NOT_APPLICABLE = "not applicable"
    """It proves the refusal of what the broker claims, or a limit or the kind of store leaves nothing to prove."""
    UNPROVEN = "unproven"
    """The harness lacks a power it needs."""
    HARNESS_ERROR = "harness error"


@attrs.frozen
class CaseReport:
    """The outcome of one case.

    Attributes:
        case: Which.
        outcome: What it showed.
        seconds: How long it took.
        message: Why it is no pass; empty for one.
        seed: What chance was drawn from.
        history: What was done before.
        timed_out: Whether it failed by its budget, not by an expectation.
        reproduce: The command that runs it again; empty where there is none.
    """

    case: Case
    outcome: Outcome
    seconds: float
    message: str = ""
    seed: int = 0
    history: tuple[str, ...] = ()
    timed_out: bool = False
    reproduce: str = ""

    def __str__(self) -> str:
        lines = [f"{self.case.id}: {self.outcome.value} in {self.seconds:.2f} s (seed {self.seed})"]
        if self.message:
            lines += [f"owed: {self.case.why}", f"seen: {self.message}"]
            if self.case.hint and self.outcome is Outcome.FAILED:
                lines.append(f"hint: {self.case.hint}")
            lines += ["history:", *(f"  {entry}" for entry in self.history[-15:])]
            if self.reproduce:
                lines.append(f"again: {self.reproduce}")
        return "\n".join(lines)
