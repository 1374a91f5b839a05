"""What the suite's own tests share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

# `power` is what test modules import from, and child processes too: they are no package themselves
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from clean_environment import CleanEnvironment  # noqa: E402 - it stands beside this file


@pytest.fixture(scope="session")
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> CleanEnvironment:
    """An outside author's virtual environment. Made once: it takes its time."""
    return CleanEnvironment(tmp_path_factory.mktemp("clean") / "venv")
