"""The array types of PostgreSQL itself, told to asyncpg, which would otherwise ask every new connection about them.

That question costs each connection up to a second where the server compiles it (``jit``). Behind a pooler asyncpg cannot keep it
from doing so, and leaves ``jit`` switched off on connections that others use next.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import asyncpg

# oid of the array → name and oid of its elements: the same in every PostgreSQL there is
_ARRAYS = {
    1000: ("bool", 16),
    1001: ("bytea", 17),
    1005: ("int2", 21),
    1007: ("int4", 23),
    1009: ("text", 25),
    1016: ("int8", 20),
    1022: ("float8", 701),
    2951: ("uuid", 2950),
}

_UNASKED = SimpleNamespace(name="unasked")
"""Stands for the statement that was not run: a name says that the caller's own is still prepared."""


def _described(oid: int) -> dict[str, Any]:
    name, element = _ARRAYS[oid]
    return {
        "oid": oid, "ns": "pg_catalog", "name": f"_{name}", "kind": b"b", "basetype": None, "elemtype": element, "elemdelim": ",",
        "range_subtype": None, "attrtypoids": None, "attrnames": None, "elemtype_name": name,
    }  # fmt: skip


class Typed(asyncpg.Connection):  # type: ignore[misc,unused-ignore]
    """A connection that knows these types, and says that it was lost when it was."""

    async def _execute(self, *args: Any, **options: Any) -> Any:
        try:
            return await super()._execute(*args, **options)
        except AttributeError as error:
            # asyncpg forgets its protocol when it is terminated, and stumbles over that between a statement's parse and its bind
            if not self.is_closed():
                raise
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation") from error

    async def _introspect_types(self, typeoids: Sequence[int], timeout: float | None) -> Any:
        if _ARRAYS.keys() >= set(typeoids):
            return [_described(oid) for oid in typeoids], _UNASKED
        return await super()._introspect_types(typeoids, timeout)
