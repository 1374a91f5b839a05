"""A virtual environment as an outside author's: the dists installed by pip, and nothing else of this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
OF_THIS_PROCESS = ("PYTHON", "VIRTUAL_ENV", "ORCASTRA_", "PYTEST_", "COV_")


class CleanEnvironment:
    """A new virtual environment, in which the core and the suite are installed from their wheels.

    Attributes:
        folder: Where it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
        self.install("./orcastra_core", "./conformance_tests[pytest]")

    def install(self, *requirements: str) -> None:
        """Have pip install something, in the versions that this repository is tested with; paths are from its top."""
        command = ["python", "-m", "pip", "install", "--quiet", "-c", "constraints.txt", *requirements]
        done = self.run(*command, cwd=ROOT, timeout=240)
        assert done.returncode == 0, done.stderr

    def run(
        self, *command: str, cwd: Path, timeout: float = 60, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment; nothing of this process's environment leads to our own packages."""
        return subprocess.run(
            command,
            cwd=cwd,
            env=self.variables | (env or {}),
            executable=str(self.folder / "bin" / command[0]) if (self.folder / "bin" / command[0]).exists() else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    @property
    def variables(self) -> dict[str, str]:
        """The environment's variables."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OF_THIS_PROCESS)}
        return kept | {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{kept.get('PATH', os.defpath)}",
            "PIP_CONSTRAINT": str(ROOT / "constraints.txt"),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PYTHONNOUSERSITE": "1",
        }
