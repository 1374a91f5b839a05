"""The layout of a schema: made, checked and brought up to date."""

from __future__ import annotations

from orcastra_core.model.errors import BrokerError, ContractMismatch
from orcastra_postgres.connect import Connection
from orcastra_postgres.statements import functions, migration, quoted

VERSION = 1
"""Of the layout, functions included. What leads from n - 1 to n is ``migrations/n.sql``; the functions are all made anew."""

CONTRACT = "0.1"


async def version_of(conn: Connection, schema: str) -> int:
    """Return the version of a schema's layout; 0 if it has none. Raises errors of the client library."""
    # not to_regclass: that answers from a cache, which does not know what was committed while we waited for the lock
    if not await conn.fetchval(
        "SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = $1 AND c.relname = 'layout')",
        schema,
    ):
        return 0
    return int(await conn.fetchval(f"SELECT version FROM {quoted(schema)}.layout") or 0)


async def check(conn: Connection, schema: str, where: str) -> None:
    """Raise ContractMismatch if the layout is newer than this release, BrokerError if it is older or absent."""
    found = await version_of(conn, schema)
    if found > VERSION:
        raise ContractMismatch(
            f"{where}: the schema {schema!r} has layout {found}, this release knows {VERSION}; upgrade orcastra-postgres"
        )
    if found < VERSION:
        what = f"has layout {found}" if found else "holds no layout of Orcastra"
        raise BrokerError(
            f"{where}: the schema {schema!r} {what}; run «orcastra postgres migrate» to make it {VERSION}"
        )


async def migrate(conn: Connection, schema: str, where: str = "") -> int:
    """Make the layout, or bring it up to date, in one transaction; return the version it had. Safe from many processes at once.

    Raises:
        ContractMismatch: It is newer than this release.
    """
    found = await version_of(conn, schema)
    if found != VERSION:
        async with conn.transaction(isolation="read_committed"):
            await conn.execute(_only_one(schema))
            found = await version_of(conn, schema)
            if found < VERSION:
                await conn.execute(_steps(schema, found))
    if found > VERSION:
        await check(conn, schema, where)
    return found


def script(schema: str, since: int = 0) -> str:
    """Return what ``migrate`` would run, for somebody else to run."""
    return f"BEGIN;\n{_only_one(schema)}\n{_steps(schema, since)}\nCOMMIT;\n"


def _only_one(schema: str) -> str:
    return f"SELECT pg_advisory_xact_lock(hashtextextended('orcastra layout {schema}', 0));"


def _steps(schema: str, since: int) -> str:
    name = quoted(schema)
    # not IF NOT EXISTS alone: it asks for the right to create schemas even where there is one
    make = (
        f"DO $do$ BEGIN IF to_regnamespace('{name}') IS NULL THEN CREATE SCHEMA {name}; END IF; END $do$;"
        if since == 0
        else ""
    )
    steps = [migration(number, schema) for number in range(since + 1, VERSION + 1)]
    stamp = f"DELETE FROM {name}.layout; INSERT INTO {name}.layout VALUES ({VERSION}, '{CONTRACT}');"
    return "\n".join([make, *steps, functions(schema), stamp])
