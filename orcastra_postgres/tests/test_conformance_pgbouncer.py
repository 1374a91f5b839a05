"""The suite through a pgbouncer in transaction mode: conformant, as its committed report says."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from orcastra_conformance.pytest_plugin import conformance
from orcastra_postgres.conformance import Harness

REPORT = Path(__file__).parents[2] / "docs/conformance/0.1/postgres-pgbouncer.json"

pytestmark = pytest.mark.postgres

test_conformance = conformance(partial(Harness, "pgbouncer"), report=REPORT if REPORT.exists() else None)
