"""The suite on the share lane: conformant, as its committed report says."""

from __future__ import annotations

from pathlib import Path

import pytest

from orcastra_conformance.pytest_plugin import conformance
from orcastra_kafka.conformance import Harness

REPORT = Path(__file__).parents[2] / "docs/conformance/0.1/kafka-share.json"

pytestmark = pytest.mark.kafka

test_conformance = conformance(Harness, report=REPORT if REPORT.exists() else None)
