"""Programs that the machine has, on the path or where its distribution hides them."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from servers.service import Command


def program(name: str, folders: Sequence[str]) -> Command | None:
    """The program on the path, else the newest in one of these folders."""
    found = shutil.which(name) or inside(Path("/"), name, folders)
    return None if found is None else Command([str(found)])


def inside(root: Path, name: str, folders: Sequence[str]) -> Path | None:
    """The program in the first of these folders below ``root`` that has it; of several versions the newest."""
    for folder in folders:
        candidates = [path / name for path in root.glob(folder) if os.access(path / name, os.X_OK)]
        if candidates:
            return max(candidates, key=lambda path: [int(number) for number in re.findall(r"\d+", str(path.parent))])
    return None
