"""The suite on the classic lane, each settle a transaction: conformant, as its committed report says."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from orcastra_conformance.pytest_plugin import conformance
from orcastra_kafka.conformance import Harness

REPORT = Path(__file__).parents[2] / "docs/conformance/0.1/kafka-transactions.json"

pytestmark = pytest.mark.kafka

test_conformance = conformance(partial(Harness, "transactions"), report=REPORT if REPORT.exists() else None)
