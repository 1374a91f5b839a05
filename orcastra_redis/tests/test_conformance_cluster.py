"""The suite on a cluster of three: conformant, as its committed report says."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from orcastra_conformance.pytest_plugin import conformance
from orcastra_redis.conformance import Harness

REPORT = Path(__file__).parents[2] / "docs/conformance/0.1/redis-cluster.json"

pytestmark = pytest.mark.redis

test_conformance = conformance(partial(Harness, "cluster"), report=REPORT if REPORT.exists() else None)
