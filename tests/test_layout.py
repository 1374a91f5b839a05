"""The shape of the repository: small modules, typed dists, nothing tracked that belongs to one machine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [ROOT / "src", *sorted(ROOT.glob("*/src"))]
LONGEST_MODULE = 300  # lines; the aim is half of it

# In pieces, so that this file does not find itself.
REGISTRY = re.compile(
    "|".join(["py" + r"pi\.org", "python" + r"hosted\.org", r"registry\." + "npm", "index" + "-url", "/" + "simple/"])
)
LOCK_FILES = {"uv.lock", "poetry.lock", "Pipfile.lock", "package-lock.json", "yarn.lock", "pnpm-lock.yaml"}
VAGUE = {"utils", "util", "common", "helpers", "base", "misc"}


def modules() -> list[Path]:
    return [path for source in SOURCES for path in sorted(source.rglob("*.py"))]


def tracked() -> list[Path]:
    """The files that a commit would hold: tracked ones, and new ones that are not ignored."""
    try:
        listing = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT,
            capture_output=True,
            check=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_no_module_is_longer_than_it_should_be() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in modules()}
    assert lengths, "no sources found"
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST_MODULE} == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [path for path in modules() if path.stem in VAGUE or path.parent.name in VAGUE] == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.parent.name)
def test_every_dist_is_one_typed_package(source: Path) -> None:
    (package,) = [path for path in source.iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert (package / "py.typed").is_file()
    assert (package / "__init__.py").is_file()
    assert (source.parent / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    # A dist folder that is itself a package would hide the real one from `import` at the top of the repository.
    assert not (source.parent / "__init__.py").exists()


def test_no_file_names_a_package_registry() -> None:
    found = [
        path.relative_to(ROOT)
        for path in tracked()
        if not path.is_symlink() and REGISTRY.search(path.read_bytes().decode(errors="replace"))
    ]
    assert found == []


def test_no_lock_file_is_tracked() -> None:
    assert [path.relative_to(ROOT) for path in tracked() if path.name in LOCK_FILES] == []
