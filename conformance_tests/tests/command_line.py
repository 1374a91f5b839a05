"""``orcastra conformance …`` for tests: in this process, or as a program of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs
import click
from click.testing import CliRunner

from orcastra_core.cli.main import cli

HERE = Path(__file__).parent


@attrs.frozen
class Ended:
    """How a command ended: its exit code and all it said."""

    code: int
    out: str


def conformance(*args: str) -> Ended:
    """Run the command in this process."""
    result = CliRunner().invoke(cli, ["conformance", *args], standalone_mode=False)
    if result.exception is None:
        return Ended(result.return_value or 0, result.output)
    if isinstance(result.exception, click.ClickException):
        return Ended(result.exception.exit_code, result.output + result.exception.format_message())
    raise result.exception


def program(*args: str, cwd: Path | None = None, env: Mapping[str, str] = {}) -> subprocess.Popen[str]:
    """Start a Python program (``-m orcastra_core.cli …``), both streams together; it finds the harnesses of these tests."""
    return subprocess.Popen(
        [sys.executable, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(HERE), "NO_COLOR": "1", **env},
    )


def ended(process: subprocess.Popen[str]) -> Ended:
    """Wait for a program's end."""
    out, _ = process.communicate(timeout=50)
    return Ended(process.returncode, out)


ORCASTRA = ("-m", "orcastra_core.cli", "conformance")
