"""What ``pytest --pyargs orcastra_conformance`` is told on its command line. Loaded by every pytest: imports nothing."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--orcastra-harness``."""
    group = parser.getgroup("orcastra", "Orcastra's conformance suite")
    group.addoption("--orcastra-harness", metavar="NAME", help="the harness to run: an entry point, or module:Class")
