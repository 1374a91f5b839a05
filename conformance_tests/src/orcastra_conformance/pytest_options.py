"""What ``pytest --pyargs orcastra_conformance`` is told on its command line. Loaded by every pytest, so it imports nothing."""

from __future__ import annotations

import pytest

_SUITE = "orcastra_conformance"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("orcastra", "Orcastra's conformance suite: pytest --pyargs orcastra_conformance")
    group.addoption("--orcastra-harness", metavar="NAME", help="the harness to run: an entry point, or module:Class")
    group.addoption("--orcastra-mode", metavar="MODE", help="how to set up the server: one of the harness's modes")
    group.addoption("--orcastra-url", metavar="URL", help="the server to prove, instead of one that the harness starts")
    group.addoption("--orcastra-seed", metavar="N", type=int, default=0, help="what chance is drawn from (default: 0)")
    group.addoption("--orcastra-deviations", metavar="FILE", help="known gaps: a deviations.toml")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to run the suite on nothing, before anything is collected."""
    if not any(_names_the_suite(argument) for argument in config.args):
        return
    from orcastra_conformance.pytest_arguments import arguments_of  # noqa: PLC0415 - now it is wanted

    arguments_of(config)


def _names_the_suite(argument: str) -> bool:
    module = argument.partition("::")[0]
    return module == _SUITE or module.startswith(f"{_SUITE}.")
