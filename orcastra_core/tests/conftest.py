"""What the core's tests share: where apps find a store, and how long a test may take."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
QUICK = ("model", "runtime", "app", "plugins", "liveness")

# `core_doubles` is what test modules import from: they are no package themselves
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test of these folders that hangs is told so after 10 seconds."""
    for item in items:
        if any(item.path.is_relative_to(HERE / folder) for folder in QUICK) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(10))


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store of the test's own, on each embedded broker."""
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/orcastra.db"
