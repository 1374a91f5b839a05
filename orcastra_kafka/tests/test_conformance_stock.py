"""The suite on brokers with the timeouts that they have as they come."""

from __future__ import annotations

from functools import partial

import pytest

from orcastra_conformance.pytest_plugin import conformance
from orcastra_kafka.conformance import Harness

pytestmark = pytest.mark.kafka

test_share = conformance(partial(Harness, "share-stock"))
test_classic = conformance(partial(Harness, "classic-stock"))
test_transactions = conformance(partial(Harness, "transactions-stock"))
