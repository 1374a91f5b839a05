"""One version for all dists, and dists that ask for each other by it."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PROJECTS = [ROOT / "pyproject.toml", *sorted(ROOT.glob("*/pyproject.toml"))]
NAMES = {
    "orcastra",
    "orcastra-conformance",
    "orcastra-core",
    "orcastra-kafka",
    "orcastra-postgres",
    "orcastra-redis",
}


def project(path: Path) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(path.read_text())["project"]
    return table


def requirements(path: Path) -> list[str]:
    table = project(path)
    extras: dict[str, list[str]] = table.get("optional-dependencies", {})
    return [*table.get("dependencies", []), *(requirement for extra in extras.values() for requirement in extra)]


def test_these_are_the_six_dists() -> None:
    assert {project(path)["name"] for path in PROJECTS} == NAMES


def test_all_dists_have_one_version() -> None:
    assert len({project(path)["version"] for path in PROJECTS}) == 1


def test_a_package_that_tells_its_version_tells_this_one() -> None:
    current = project(PROJECTS[0])["version"]
    for package in [*ROOT.glob("src/*/__init__.py"), *ROOT.glob("*/src/*/__init__.py")]:
        told = re.findall(r'^__version__ = "(.*)"$', package.read_text(), flags=re.MULTILINE)
        assert set(told) <= {current}, package


def test_a_backend_that_is_not_ready_names_its_own_version() -> None:
    current = project(PROJECTS[0])["version"]
    for module in ROOT.glob("orcastra_*/src/*/broker.py"):
        named = re.findall(r"orcastra-\w+ (\d+\.\d+\.\d+)", module.read_text())
        assert set(named) <= {current}, module


@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: path.parent.name)
def test_dists_pin_each_other_compatibly_and_nothing_else_from_above(path: Path) -> None:
    current = project(path)["version"]
    for requirement in requirements(path):
        name = re.split(r"[\[<>=~!; ]", requirement, maxsplit=1)[0]
        if name == "orcastra":
            continue  # the extra `all` gathers the meta dist's other extras
        if name in NAMES:
            assert requirement == f"{name}~={current}"
        else:
            assert re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?>=[\w.]+(; .+)?", requirement), requirement


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_environment_has_this_version(name: str) -> None:
    assert version(name) == project(PROJECTS[0])["version"], "outdated environment: run `make dev`"


def test_the_constraints_are_exact_and_name_no_address() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.strip()]
    for line in lines:
        assert re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?==[\w.+!]+( ; .+)?", line), line
    assert not NAMES & {line.split("==")[0] for line in lines}
