"""The SQL of this package, for one schema."""

from __future__ import annotations

import functools
from importlib import resources

from orcastra_core.model.dead_letter import DEAD_LETTER_TTL
from orcastra_postgres.settings import LIMITS

# Queue tables look empty to ANALYZE, and plans made for empty tables scan full ones. A function's own settings reach it through
# any pooler and on any connection, the caller's included.
_PINNED = (
    "SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off"
    " SET plan_cache_mode = force_generic_plan"
)
_PLACES = {
    "{pinned}": _PINNED,
    "{most}": "2147483647",
    "{window}": repr(LIMITS.publish_window),
    "{dead_letter_ttl}": repr(DEAD_LETTER_TTL),
    "{moved_ttl}": repr(LIMITS.max_delay + LIMITS.publish_window),
}


@functools.lru_cache(maxsize=1024)
def query(name: str, schema: str) -> str:
    """Return ``queries/<name>.sql`` for a schema."""
    return _read("queries", f"{name}.sql", schema)


@functools.lru_cache(maxsize=1024)
def call(name: str, schema: str, arguments: int) -> str:
    """Return the statement that calls one of our functions."""
    places = ", ".join(f"${n}" for n in range(1, arguments + 1))
    return f"SELECT * FROM {quoted(schema)}.{name}({places})"


def migration(version: int, schema: str) -> str:
    """Return the script that leads to a version of the tables."""
    return _read("migrations", f"{version:04}.sql", schema)


def functions(schema: str) -> str:
    """Return the script that makes, or replaces, all functions."""
    names = sorted(one.name for one in resources.files(__package__).joinpath("functions").iterdir())
    return "\n".join(_read("functions", name, schema) for name in names if name.endswith(".sql"))


def quoted(identifier: str) -> str:
    """Return an identifier for use in SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def _read(folder: str, name: str, schema: str) -> str:
    text = resources.files(__package__).joinpath(folder).joinpath(name).read_text("utf-8")
    for place, value in _PLACES.items():
        text = text.replace(place, value)
    return text.replace("{schema}", quoted(schema))
