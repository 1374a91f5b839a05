"""A domain counted, and forgotten: for harnesses and for whoever gives one up."""

from __future__ import annotations

from collections.abc import Mapping

from orcastra_postgres.connect import Connection
from orcastra_postgres.statements import query


async def census(conn: Connection, schema: str, domain: str) -> Mapping[str, int]:
    """Count what a schema holds of a domain, by kind. ``remembered``: ids of tasks that have ended and whose result is gone."""
    return {row["kind"]: row["n"] for row in await conn.fetch(query("census", schema), domain) if row["n"]}


async def wipe(conn: Connection, schema: str, domain: str) -> None:
    """Forget a domain and all that is in it. Its brokers should be closed."""
    await conn.execute(query("wipe", schema).replace("{domain}", domain.replace("'", "''")))
