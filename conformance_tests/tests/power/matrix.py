"""The kill matrix: which case notices which fault. As a page, it is committed.

::

    $ cd conformance_tests/tests && python -m power.matrix --write
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from orcastra_conformance import Case, all_cases
from power.saboteur import Saboteur
from power.saboteurs import all_saboteurs

PAGE = Path(__file__).parents[3] / "docs" / "conformance" / "kill-matrix.md"

HEAD = """\
# The kill matrix

A suite proves a broker only as far as it can tell a broken one from a sound one. So it is tried on saboteurs: the reference
broker with one fault each, a mistake that the author of a backend might make. Every case that counts has to fail on at least one
of them, by an expectation and not by running out of time; nobody would miss a case that never fails.

`conformance_tests/tests/test_power.py` runs all of it, and compares this page with the saboteurs that are there. A new one is
written in `conformance_tests/tests/power/saboteurs/`; then

```console
$ cd conformance_tests/tests && python -m power.matrix --write
```
"""


def page(saboteurs: Sequence[Saboteur], cases: Sequence[Case]) -> str:
    """Return the matrix as Markdown; the same for the same saboteurs and cases."""
    counted = [case for case in cases if not case.provisional]
    lines = [
        HEAD,
        f"There are {len(saboteurs)} saboteurs for {len(counted)} cases.",
        "",
        "## Saboteurs",
    ]
    for area, members in groupby(saboteurs, key=_area):
        lines += ["", f"### {area}", "", "| saboteur | what it does wrong | killed by |", "|---|---|---|"]
        lines += [f"| {one.id} | {_cell(one.fault)} | {', '.join(map(_code, one.killed_by))} |" for one in members]
    kills = Counter(case_id for one in saboteurs for case_id in one.killed_by)
    lines += ["", "## Cases", "", "How many saboteurs name a case; it may well kill others.", ""]
    lines += ["| case | saboteurs |", "|---|---:|"]
    lines += [f"| {_code(case.id)} | {kills[case.id]} |" for case in sorted(counted, key=lambda case: case.id)]
    return "\n".join(lines) + "\n"


def unlisted(saboteurs: Iterable[Saboteur], cases: Iterable[Case]) -> list[str]:
    """Return the cases that count and that no saboteur names."""
    listed = {case_id for one in saboteurs for case_id in one.killed_by}
    return [case.id for case in cases if not case.provisional and case.id not in listed]


def main() -> None:
    """Print the page, or write it where it is committed."""
    parser = argparse.ArgumentParser(prog="python -m power.matrix", description="The kill matrix.")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name} instead of printing it")
    text = page(all_saboteurs(), all_cases())
    if parser.parse_args().write:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


def _area(one: Saboteur) -> str:
    """Return what the first line of its module says."""
    told = sys.modules[one.spoil.__module__].__doc__ or one.spoil.__module__
    return told.splitlines()[0].rstrip(".")


def _code(case_id: str) -> str:
    return f"`{case_id}`"


def _cell(text: str) -> str:
    return text.replace("|", "&#124;")


if __name__ == "__main__":
    main()
