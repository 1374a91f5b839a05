"""SQL from its files, and statements of many rows.

Every step of a statement gives up the GIL, and taking it back from a busy event
loop may cost milliseconds. So a batch goes in with few statements of many rows
each, and comes out as one row that holds them all; ``executemany`` and rows
one by one are for what is rare.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Iterator, Sequence
from importlib import resources
from itertools import chain
from typing import Any, TypeVar

from orcastra_core.backends.sqlite.rows import NUM, RECEIPT

T = TypeVar("T")

MAX_ROWS = 256
"""Rows of one statement at most: their parameters stay far below SQLite's least limit (32766)."""


@functools.cache
def sql(name: str) -> str:
    """Return the text of ``sql/name.sql``; ``{receipt}`` and ``{num}`` in it are those of ``rows``."""
    text = resources.files("orcastra_core.backends.sqlite").joinpath("sql", f"{name}.sql").read_text("utf-8")
    return text.replace("{receipt}", RECEIPT).replace("{num}", NUM)


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Split into parts whose sizes are powers of two, so that few texts of a statement exist and stay prepared."""
    at, size = 0, len(items)
    while at < size:
        take = min(1 << ((size - at).bit_length() - 1), MAX_ROWS)
        yield items[at : at + take]
        at += take


@functools.lru_cache(maxsize=512)
def _expanded(text: str, row: str, rows: int) -> str:
    return text.replace("{rows}", ",".join([row] * rows))


def execute_rows(conn: sqlite3.Connection, text: str, rows: Sequence[Sequence[Any]], *fixed: Any) -> int:
    """Run a statement with ``{rows}`` in it over all ``rows``; return how many rows of the table it changed.

    ``fixed`` parameters stand before the rows in the text.
    """
    if not rows:
        return 0
    row = "(" + ",".join("?" * len(rows[0])) + ")"
    changed = 0
    for part in chunks(rows):
        changed += conn.execute(_expanded(text, row, len(part)), (*fixed, *chain.from_iterable(part))).rowcount
    return changed


def execute_list(conn: sqlite3.Connection, text: str, items: Sequence[Any], *fixed: Any) -> int:
    """Run a statement with ``({rows})`` in it as the list of an IN; return how many rows of the table it changed."""
    changed = 0
    for part in chunks(items):
        changed += conn.execute(_expanded(text, "?", len(part)), (*fixed, *part)).rowcount
    return changed


def select_list(conn: sqlite3.Connection, text: str, items: Sequence[Any], *fixed: Any) -> list[Any]:
    """Return the rows of a SELECT with ``({rows})`` in it as the list of an IN."""
    found: list[Any] = []
    for part in chunks(items):
        found += conn.execute(_expanded(text, "?", len(part)), (*fixed, *part)).fetchall()
    return found
