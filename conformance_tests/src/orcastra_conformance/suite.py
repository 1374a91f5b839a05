"""A whole run: every chosen case on one harness."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from orcastra_conformance.catalogue import all_cases
from orcastra_conformance.engine.case import Case
from orcastra_conformance.engine.harness import BrokerHarness
from orcastra_conformance.engine.outcome import CaseReport
from orcastra_conformance.engine.runner import run_case


@contextmanager
def started(harness: BrokerHarness) -> Iterator[BrokerHarness]:
    """Start a harness, note what it tells of its server, and stop it at the end."""
    harness.facts = asyncio.run(harness.start())
    try:
        yield harness
    finally:
        asyncio.run(harness.stop())


def run_suite(harness: BrokerHarness, *, cases: Iterable[Case] | None = None, seed: int = 0) -> list[CaseReport]:
    """Start the harness, run cases (by default all), stop it, and return their reports."""
    with started(harness):
        return [run_case(case, harness, seed=seed) for case in (all_cases() if cases is None else cases)]
