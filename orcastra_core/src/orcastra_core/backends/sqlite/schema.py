"""The layout of the file: made, checked and migrated by the first who opens it."""

from __future__ import annotations

import sqlite3

from orcastra_core.backends.sqlite import statements
from orcastra_core.model.errors import BrokerError, ContractMismatch
from orcastra_core.model.names import DomainName

VERSION = 1
"""Of the layout; in the file as ``user_version``. The migration from n is ``sql/migrate_n.sql``."""

APPLICATION_ID = 0x4F524341  # «ORCA»
_OLDEST = (3, 35, 0)  # RETURNING


def check_library() -> None:
    """Raise BrokerError if Python's SQLite is too old."""
    if sqlite3.sqlite_version_info < _OLDEST:
        raise BrokerError(
            f"Python's SQLite is {sqlite3.sqlite_version}; 3.35 or newer is needed: take a newer Python, or another broker"
        )


def is_current(conn: sqlite3.Connection, path: str, domain: DomainName) -> bool:
    """Whether the layout is there and ours to use as it is; False if it is to be made or migrated.

    Raises:
        ContractMismatch: A newer release made it.
        BrokerError: It belongs to another program, or to another domain.
    """
    (version,) = conn.execute("PRAGMA user_version").fetchone()
    (application,) = conn.execute("PRAGMA application_id").fetchone()
    (tables,) = conn.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == APPLICATION_ID:
        if version > VERSION:
            raise ContractMismatch(
                f"{path} was written by a newer release (layout {version}, this one knows {VERSION}); upgrade orcastra-core"
            )
        _check_domain(conn, path, domain)
        return bool(version == VERSION)
    if tables or application or version:
        raise BrokerError(f"{path} is the database of another program; name another file")
    return False


def establish(conn: sqlite3.Connection, path: str, domain: DomainName) -> None:
    """Make or migrate the layout, in the transaction the caller began. Harmless where it is current already."""
    if is_current(conn, path, domain):
        return
    (version,) = conn.execute("PRAGMA user_version").fetchone()
    if version == 0:
        _run(conn, statements.sql("schema"))
        conn.execute("INSERT INTO meta VALUES ('domain', ?)", (domain,))
        conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    else:
        for step in range(version, VERSION):
            _run(conn, statements.sql(f"migrate_{step}"))
    conn.execute(f"PRAGMA user_version = {VERSION}")


def _check_domain(conn: sqlite3.Connection, path: str, domain: DomainName) -> None:
    row = conn.execute("SELECT value FROM meta WHERE name = 'domain'").fetchone()
    if row is not None and row[0] != domain:
        raise BrokerError(f"{path} holds the domain {row[0]!r}, not {domain!r}; name another file or another domain")


def _run(conn: sqlite3.Connection, script: str) -> None:
    # not executescript(): it would commit the transaction that makes this one step
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            conn.execute(statement)
            statement = ""
