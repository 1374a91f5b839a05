"""Rules for every test of the house: the dists are installed, and a missing server is never overlooked in CI."""

from __future__ import annotations

import importlib
import os

import pytest

PACKAGES = ("orcastra_core", "orcastra_redis", "orcastra_kafka", "orcastra_postgres", "orcastra_conformance")

# Not installed, `import orcastra_core` still succeeds from the top of the repository: as an empty namespace, for the folder of
# the dist has the name of the package. Imported here, before pytest does the same with the names it gives to test modules
# (orcastra_core.tests.…), the packages stay what they are.
for package in PACKAGES:
    try:
        found = importlib.import_module(package).__file__ is not None
    except ModuleNotFoundError as missing:
        if missing.name != package:
            raise
        found = False
    if not found:
        raise pytest.UsageError(
            f"{package} is not installed here. Run `make dev`, then `make test` or .venv/bin/pytest"
        )

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
