"""Which files ``orcastra demo`` reads."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import attrs

_SITES = frozenset({"site-packages", "dist-packages"})


@attrs.frozen
class SourceFile:
    """A Python source file and what it belongs to."""

    package: str
    path: str


def source_files(limit: int | None = None) -> list[SourceFile]:
    """Return all source files of the standard library and of the environment, each once.

    Args:
        limit: At most so many, the first ones.
    """
    paths = sysconfig.get_paths()
    seen: set[str] = set()

    def found() -> Iterator[SourceFile]:
        for origin, keys, skipped in (
            ("standard library", ("stdlib", "platstdlib"), _SITES),
            ("environment", ("purelib", "platlib"), frozenset[str]()),
        ):
            for root in dict.fromkeys(os.path.realpath(paths[key]) for key in keys):
                for file in _walk(root, skipped):
                    if file not in seen:
                        seen.add(file)
                        yield SourceFile(_package(origin, root, file), file)

    return list(islice(found(), limit))


def _walk(root: str, skipped: frozenset[str]) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in skipped and name != "__pycache__")
        for name in sorted(files):
            if name.endswith(".py"):
                yield os.path.join(folder, name)


def _package(origin: str, root: str, file: str) -> str:
    parts = Path(file).relative_to(root).parts
    return parts[0] if len(parts) > 1 else f"(modules of the {origin})"
