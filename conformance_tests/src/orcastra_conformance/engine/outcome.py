"""What a case showed."""

from __future__ import annotations

import enum

import attrs

from orcastra_conformance.engine.case import Case


class Outcome(enum.Enum):
    """What a case showed. Only PASSED is a pass."""

    PASSED = "passed"
    """What is owed was seen."""
    FAILED = "failed"
    """It was not; or it was, and ``deviations.toml`` still says that it is not."""
    UNSUPPORTED = "unsupported"
    """A capability it needs is not claimed, and its refusal was proved where it can be."""
    NOT_APPLICABLE = "not applicable"
    """What it is about cannot exist here: the refusal of what the broker claims, what its limits rule out, the
    connection to an embedded store. It follows from the profile or from ``ServerFacts``, and is nobody's choice."""
    UNPROVEN = "unproven"
    """The harness lacks a power it needs: nobody knows."""
    DEVIATION = "deviation"
    """It failed, as ``deviations.toml`` declares: a known gap, with a reason and an end."""
    PROVISIONAL = "provisional"
    """The case is too new to count. It ran; ``CaseReport.shown`` tells what it showed."""
    HARNESS_ERROR = "harness error"
    """The harness raised: nothing is known about the broker."""


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
        shown: What it showed before a declared deviation, or its being provisional, changed the outcome; else None.
    """

    case: Case
    outcome: Outcome
    seconds: float
    message: str = ""
    seed: int = 0
    history: tuple[str, ...] = ()
    timed_out: bool = False
    reproduce: str = ""
    shown: Outcome | None = None

    @property
    def headline(self) -> str:
        """The message in a line: its first, or of a traceback the last."""
        lines = [line for line in self.message.splitlines() if line.strip()] or [""]
        return lines[-1 if lines[0].startswith("Traceback") else 0].strip()

    def __str__(self) -> str:
        shown = f" ({self.shown.value})" if self.shown is not None and self.shown is not self.outcome else ""
        lines = [f"{self.case.id}: {self.outcome.value}{shown} in {self.seconds:.2f} s (seed {self.seed})"]
        if self.message:
            lines += [f"owed: {self.case.why}", f"seen: {self.message}"]
            if self.case.hint and Outcome.FAILED in (self.outcome, self.shown):
                lines.append(f"hint: {self.case.hint}")
            lines += ["history:", *(f"  {entry}" for entry in self.history[-15:])]
            if self.reproduce:
                lines.append(f"again: {self.reproduce}")
        return "\n".join(lines)
