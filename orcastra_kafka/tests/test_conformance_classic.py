"""The suite on the classic lane: conformant, as its committed report says."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from orcastra_conformance.pytest_plugin import conformance
from orcastra_kafka.conformance import Harness

REPORT = Path(__file__).parents[2] / "docs/conformance/0.1/kafka-classic.json"

pytestmark = pytest.mark.kafka

test_conformance = conformance(partial(Harness, "classic"), report=REPORT if REPORT.exists() else None)
