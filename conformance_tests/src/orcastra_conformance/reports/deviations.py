"""Known gaps, declared: ``deviations.toml``.

::

    [[deviation]]
    case = "ord.fifo"                     # or several: ["ord.fifo", "ord.batch"]
    reason = "the server reorders what it redelivers"
    link = "https://acme.example/issues/12"   # optional
    expires = 2026-12-31                  # the last day on which it holds
    harness = "acme"                      # optional: only of this harness,
    mode = "cluster"                      # optional: only in this mode

A file is strict: what it does not know, what has expired and what passes after
all are errors, so that a gap cannot outlive its reason.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import attrs

from orcastra_conformance.catalogue import all_cases
from orcastra_conformance.engine.outcome import CaseReport, Outcome
from orcastra_core.liveness.system_clock import SystemClock

_KEYS = ("case", "reason", "link", "expires", "harness", "mode")


class DeviationsError(ValueError):
    """A ``deviations.toml`` that cannot be used; says where, and what to do."""


@attrs.frozen
class Deviation:
    """One declared gap.

    Attributes:
        cases: The ids of the cases that fail.
        reason: Why.
        expires: The last day on which it is accepted.
        link: Where to read more; may be empty.
        harness: The only harness it is about; None: any.
        mode: The only mode it is about; None: any.
        where: The file and entry, for messages.
    """

    cases: tuple[str, ...]
    reason: str
    expires: date
    link: str = ""
    harness: str | None = None
    mode: str | None = None
    where: str = "deviations.toml"

    def concerns(self, harness: str, mode: str) -> bool:
        """Whether it is about this harness in this mode."""
        return self.harness in (None, harness) and self.mode in (None, mode)

    def meets(self, other: Deviation) -> bool:
        """Whether some harness in some mode is concerned by both."""
        return (None in (self.harness, other.harness) or self.harness == other.harness) and (
            None in (self.mode, other.mode) or self.mode == other.mode
        )

    def judge(self, report: CaseReport) -> CaseReport:
        """Return the report of a case it names, changed: a failure is the gap; a pass is a failure, for the entry is wrong."""
        if report.outcome is Outcome.FAILED:
            link = f", {self.link}" if self.link else ""
            said = f"known gap: {self.reason} (accepted until {self.expires}{link})\n{report.message}"
            return attrs.evolve(report, outcome=Outcome.DEVIATION, shown=Outcome.FAILED, message=said)
        if report.outcome is Outcome.PASSED:
            said = f"it passes, but {self.where} says that it does not ({self.reason}): remove it there"
            return attrs.evolve(report, outcome=Outcome.FAILED, shown=Outcome.PASSED, message=said)
        return report


@attrs.frozen
class Deviations:
    """All the declared gaps of a file.

    Attributes:
        entries: In their order.
        source: The file.
    """

    entries: tuple[Deviation, ...] = ()
    source: str = "deviations.toml"

    def of(self, case_id: str, *, harness: str, mode: str) -> Deviation | None:
        """Return the one that is about this case here, if any."""
        for entry in self.entries:
            if case_id in entry.cases and entry.concerns(harness, mode):
                return entry
        return None


def load_deviations(path: Path, *, today: date | None = None, known: Iterable[str] | None = None) -> Deviations:
    """Read a file.

    Args:
        path: Where it is.
        today: The day that entries may have expired on; by default the machine's.
        known: The ids of all cases there are; by default the suite's.

    Raises:
        DeviationsError: It cannot be read, is no TOML, has a key or names a case that does not exist, an entry lacks its
            reason or its end, has expired, or says again what another one says.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DeviationsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DeviationsError(f"{path}: is no TOML: {error}") from error
    for key in document.keys() - {"deviation"}:
        raise DeviationsError(
            f"{path}: unknown key {key!r}; entries are written [[deviation]]{_near(key, ['deviation'])}"
        )
    listed = document.get("deviation", [])
    if not isinstance(listed, list):
        raise DeviationsError(f"{path}: write [[deviation]], in double brackets, for each entry")
    ids = {case.id for case in all_cases()} if known is None else set(known)
    day = today or datetime.fromtimestamp(SystemClock().now()).astimezone().date()
    entries: list[Deviation] = []
    for number, raw in enumerate(listed, start=1):
        entry = _entry(raw, f"{path}, entry {number}", ids)
        if entry.expires < day:
            raise DeviationsError(
                f"{entry.where}: expired on {entry.expires}: close the gap and remove it, or say why it may stay and until when"
            )
        for other in entries:
            for case_id in sorted(set(entry.cases) & set(other.cases)):
                if entry.meets(other):
                    raise DeviationsError(f"{entry.where}: {case_id} is declared already by {other.where}: keep one")
        entries.append(entry)
    return Deviations(tuple(entries), str(path))


def _entry(raw: object, where: str, ids: set[str]) -> Deviation:
    if not isinstance(raw, Mapping):
        raise DeviationsError(f"{where}: is no table; write [[deviation]] above its keys")
    for key in raw:
        if key not in _KEYS:
            raise DeviationsError(f"{where}: unknown key {key!r}; there are {', '.join(_KEYS)}{_near(key, _KEYS)}")
    cases = _cases(raw.get("case"), where)
    where = f"{where} ({', '.join(cases)})"
    for case_id in cases:
        if case_id not in ids:
            raise DeviationsError(f"{where}: there is no case {case_id!r}{_near(case_id, ids) or ': remove it'}")
    if not isinstance(raw.get("expires"), date) or isinstance(raw["expires"], datetime):
        raise DeviationsError(f"{where}: needs a date until which it is accepted, without quotes: expires = 2026-12-31")
    reason = _text(raw, "reason", where)
    if not reason:
        raise DeviationsError(f'{where}: needs its reason, in a sentence: reason = "…"')
    return Deviation(
        cases,
        reason,
        raw["expires"],
        link=_text(raw, "link", where) or "",
        harness=_text(raw, "harness", where),
        mode=_text(raw, "mode", where),
        where=where,
    )


def _cases(value: object, where: str) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not listed or not all(isinstance(item, str) for item in listed):
        raise DeviationsError(f'{where}: needs the id of its case, or a list of ids: case = "ord.fifo"')
    return tuple(listed)


def _text(raw: Mapping[str, Any], key: str, where: str) -> str | None:
    value = raw.get(key)
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise DeviationsError(f'{where}: {key} has to be a text: {key} = "…"')
    return value.strip() if value is not None else None


def _near(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(names), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
