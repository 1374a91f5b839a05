"""What ``orcastra demo`` found, added up."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
from rich.table import Table

from orcastra_core.cli.demo_tasks import FileReport
from orcastra_core.cli.terminal import table

_SHOWN_PACKAGES = 15


@attrs.define
class Totals:
    """Sums over files."""

    files: int = 0
    lines: int = 0
    classes: int = 0
    functions: int = 0
    async_functions: int = 0
    imports: int = 0

    def add(self, report: FileReport) -> None:
        """Add one file."""
        self.files += 1
        self.lines += report.lines
        self.classes += report.classes
        self.functions += report.functions
        self.async_functions += report.async_functions
        self.imports += report.imports

    def cells(self) -> list[str]:
        """Return the sums for a table's row."""
        return [f"{count:,}" for count in attrs.astuple(self)]


def package_table(reports: Iterable[FileReport]) -> Table:
    """Return the totals of the largest packages, of the others together, and of all."""
    packages: dict[str, Totals] = {}
    total = Totals()
    for report in reports:
        if report.problem is None:
            packages.setdefault(report.package, Totals()).add(report)
            total.add(report)
    ranked = sorted(packages, key=lambda name: (-packages[name].lines, name))
    shown, others = ranked[:_SHOWN_PACKAGES], ranked[_SHOWN_PACKAGES:]
    columns = ("files", "lines", "classes", "functions", "async", "imports")
    made = table("package", *columns, numeric=frozenset(columns))
    for name in shown:
        made.add_row(name, *packages[name].cells())
    if others:
        rest = Totals(
            *(sum(column) for column in zip(*(attrs.astuple(packages[name]) for name in others), strict=True))
        )
        made.add_row(f"{len(others)} others", *rest.cells())
    made.add_row(f"all {len(packages)}", *total.cells(), style="bold")
    return made


def problems(reports: Iterable[FileReport]) -> list[FileReport]:
    """Return the files that could not be parsed."""
    return sorted((report for report in reports if report.problem is not None), key=lambda report: report.path)
