"""A report in the repository that must still be true."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path

from orcastra_conformance.engine.harness import BrokerHarness
from orcastra_conformance.engine.outcome import CaseReport
from orcastra_conformance.engine.preflight import Preflight
from orcastra_conformance.engine.tiers import Tier
from orcastra_conformance.reports.compare import differences
from orcastra_conformance.reports.files import archived
from orcastra_conformance.reports.report import Report
from orcastra_conformance.reports.stored import ReportError, StoredReport, read_report
from orcastra_conformance.reports.versions import Versions


class Committed:
    """A report that was made once, compared with a run bit by bit.

    Args:
        path: The JSON of it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def of_case(self, report: CaseReport, harness: BrokerHarness) -> Sequence[str]:
        """Say what is different now of one case, and how to renew the report; empty: nothing."""
        if isinstance(self._stored, str):
            return ()  # said once, by ``of_broker``
        return self._told(differences(self._stored, [report]), harness)

    def of_broker(self, fitness: Preflight, harness: BrokerHarness, *, ids: Collection[str]) -> Sequence[str]:
        """Say what is different now of everything but the outcomes.

        Args:
            fitness: What the preflight showed.
            harness: What runs.
            ids: The cases there are.
        """
        if isinstance(self._stored, str):
            return self._told([self._stored], harness)
        now = Report(
            harness=harness.name,
            mode=harness.mode,
            facts=fitness.facts,
            profile=fitness.profile,
            versions=Versions.of(fitness.broker),
            cases=(),  # each is compared where it ran
            left_out={Tier.CORE: len(ids)},
            command="",
        )
        gone = sorted(self._stored.outcomes.keys() - set(ids))
        found = [
            *differences(self._stored, now),
            *(f"{case_id}: {self._shown} has it, but there is no such case any more" for case_id in gone),
        ]
        return self._told(found, harness)

    @cached_property
    def _stored(self) -> StoredReport | str:
        try:
            return read_report(self._path)
        except (OSError, ReportError) as error:
            return f"{self._shown}: {error.strerror if isinstance(error, OSError) else error}"

    @property
    def _shown(self) -> str:
        shown = os.path.relpath(self._path)
        return str(self._path) if shown.startswith("..") else shown

    def _told(self, found: Sequence[str], harness: BrokerHarness) -> Sequence[str]:
        return [*found, f"renew it: {self._renewal(harness)}"] if found else ()

    def _renewal(self, harness: BrokerHarness) -> str:
        mode = ("--mode", harness.mode) if harness.mode != harness.modes[0] else ()
        run = ("orcastra", "conformance", "run", harness.name, *mode)
        path = Path(self._shown)
        root = path.parent.parent
        if path == archived(root, contract=path.parent.name, harness=harness.name, mode=harness.mode):
            return shlex.join([*run, "--archive", str(root)])
        if path.name == "report.json":
            return shlex.join([*run, "--report", str(path.parent)])
        return f"{shlex.join([*run, '--report', 'DIR'])}, and put its report.json there"
