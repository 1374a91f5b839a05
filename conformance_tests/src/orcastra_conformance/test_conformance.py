"""``pytest --pyargs orcastra_conformance --orcastra-harness NAME``: the suite, with nothing to write."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest

from orcastra_conformance.catalogue import all_cases
from orcastra_conformance.engine.case import Case
from orcastra_conformance.pytest_arguments import arguments_of
from orcastra_conformance.pytest_plugin import Bench


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each case."""
    try:
        arguments_of(metafunc.config)
    except pytest.UsageError as error:  # the file was named by its path
        raise pytest.Collector.CollectError(str(error)) from error
    metafunc.parametrize("case", [pytest.param(case, id=case.id) for case in all_cases()])


@pytest.fixture(scope="module")
def bench(pytestconfig: pytest.Config) -> Iterator[Bench]:
    """The harness that the command line names, started with the first case."""
    arguments = arguments_of(pytestconfig)
    bench = Bench(arguments.make, deviations=arguments.deviations)
    yield bench
    bench.stop()


def test_case(case: Case, bench: Bench, pytestconfig: pytest.Config) -> None:
    """Run a case. Synchronous, and with an event loop of its own, whatever other plugins do."""
    arguments = arguments_of(pytestconfig)
    again = ["pytest", "--pyargs", f"{__name__}::test_case[{case.id}]", *arguments.again]
    bench.prove(case, seed=arguments.seed, again=shlex.join(again))
