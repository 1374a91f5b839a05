"""Connections as this backend wants them."""

from __future__ import annotations

from typing import Any, TypeAlias

import asyncpg

from orcastra_postgres.array_types import Typed
from orcastra_postgres.settings import Settings

Connection: TypeAlias = Any
"""An ``asyncpg.Connection``: the library is not typed."""

_STATEMENTS = 200
"""Prepared statements that a connection keeps."""

_without_check: set[str] = set()


async def connect(settings: Settings, *, name: str, direct: bool = False, flush: bool = True) -> Connection:
    """Return a new connection. Raises errors of the client library.

    Args:
        settings: Where to, and how.
        name: What pg_stat_activity shows.
        direct: Whether it is to hold state of its own: notifications, locks. ``settings.direct`` must not be None.
        flush: Whether commits wait for the disk, as far as the settings say so.
    """
    dsn = settings.direct if direct else settings.dsn
    if settings.pooler and not (direct and settings.listen_dsn is not None):
        return await asyncpg.connect(
            dsn,
            timeout=settings.connect_timeout,
            servicefile=settings.servicefile,
            statement_cache_size=0,
            connection_class=Typed,
        )
    state = {"application_name": name, "default_transaction_isolation": "read committed"}
    commit = settings.synchronous_commit if flush else "off"
    if commit is not None:
        state["synchronous_commit"] = commit
    # with it what a client that was killed has asked for does not go on for long; it comes with the connection and not after it:
    # to cancel a statement would make the client library ask the server for that, in a task of its own
    checked = {} if dsn in _without_check else {"client_connection_check_interval": "1s"}
    try:
        return await asyncpg.connect(
            dsn,
            timeout=settings.connect_timeout,
            servicefile=settings.servicefile,
            statement_cache_size=_STATEMENTS,
            server_settings=state | checked,
            connection_class=Typed,
        )
    except (asyncpg.UndefinedObjectError, asyncpg.InvalidParameterValueError):
        if not checked or dsn is None:
            raise
        _without_check.add(dsn)  # PostgreSQL 13, or a system that cannot check
        return await connect(settings, name=name, direct=direct, flush=flush)
