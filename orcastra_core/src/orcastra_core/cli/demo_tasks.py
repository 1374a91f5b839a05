"""The tasks of ``orcastra demo``: read Python source and count what is in it."""

from __future__ import annotations

import ast
import os

import attrs

from orcastra_core.app.orcastra import Orcastra

QUEUE = "demo"

app = Orcastra(os.environ.get("ORCASTRA_URL") or "memory://")


@attrs.frozen(kw_only=True)
class FileReport:
    """What is in one source file.

    Attributes:
        package: Where it belongs.
        path: The file.
        problem: Why it is no Python source that this interpreter reads, or None.
    """

    package: str
    path: str
    lines: int = 0
    classes: int = 0
    functions: int = 0
    async_functions: int = 0
    imports: int = 0
    problem: str | None = None


@app.task(queue=QUEUE, result_ttl=600)
def parse_file(package: str, path: str) -> FileReport:
    """Parse a source file and count its definitions, at any depth."""
    try:
        with open(path, "rb") as file:
            source = file.read()
        tree = ast.parse(source)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return FileReport(package=package, path=path, problem=f"{type(error).__name__}: {error}")
    found = {ast.ClassDef: 0, ast.FunctionDef: 0, ast.AsyncFunctionDef: 0, ast.Import: 0, ast.ImportFrom: 0}
    blocks: list[list[ast.stmt]] = [tree.body]
    while blocks:
        for statement in blocks.pop():
            if type(statement) in found:
                found[type(statement)] += len(getattr(statement, "names", "1"))
            blocks += _inner(statement)
    return FileReport(
        package=package,
        path=path,
        lines=source.count(b"\n") + (not source.endswith(b"\n") and bool(source)),
        classes=found[ast.ClassDef],
        functions=found[ast.FunctionDef],
        async_functions=found[ast.AsyncFunctionDef],
        imports=found[ast.Import] + found[ast.ImportFrom],
    )


def _inner(statement: ast.stmt) -> list[list[ast.stmt]]:
    """Return the blocks of statements within a statement. Definitions stand nowhere else: expressions are skipped."""
    blocks = [getattr(statement, name, []) for name in ("body", "orelse", "finalbody")]
    blocks += [part.body for name in ("handlers", "cases") for part in getattr(statement, name, [])]
    return blocks
