"""Throw-away dists, installed for the length of a test in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest


class Site:
    """A folder on another process's path, with dists in it as an installer leaves them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "site"
        self.folder.mkdir()
        self._cache = folder / "cache"

    def install(self, dist: str, entry_points: Mapping[str, Mapping[str, str]], **modules: str) -> None:
        """Put a dist of version 1.0 there: its metadata and its modules."""
        info = self.folder / f"{dist.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
        lines = []
        for group, points in entry_points.items():
            lines += [f"[{group}]", *(f"{name} = {target}" for name, target in points.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        for name, source in modules.items():
            (self.folder / f"{name}.py").write_text(textwrap.dedent(source))

    def run(self, program: str) -> str:
        """Run a program that sees the dists; return what it prints, or fail with what it said."""
        env = os.environ | {"PYTHONPATH": str(self.folder), "XDG_CACHE_HOME": str(self._cache)}
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            env=env,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)
