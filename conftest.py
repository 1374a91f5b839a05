"""Rules for every test of the house: the dists are installed, and a missing server is never overlooked in CI."""

from __future__ import annotations

import os

import pytest

import orcastra_core

# Not installed, `import orcastra_core` still succeeds from the top of the repository: as an empty namespace.
if orcastra_core.__file__ is None:
    raise pytest.UsageError("orcastra_core is not installed here. Run `make dev`, then `make test` or .venv/bin/pytest")

SERVERS = {
    "redis": "ORCASTRA_TEST_REDIS_URL",
    "postgres": "ORCASTRA_TEST_POSTGRES_URL",
    "kafka": "ORCASTRA_TEST_KAFKA_URL",
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked with a server's name runs where that server is: elsewhere skipped by hand, failed in CI."""
    for server, variable in SERVERS.items():
        if item.get_closest_marker(server) is None or os.environ.get(variable):
            continue
        reason = f'no {server} server: {variable} is not set. Try: eval "$(scripts/services up {server})"'
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
