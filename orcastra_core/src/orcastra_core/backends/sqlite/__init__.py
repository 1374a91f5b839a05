"""``sqlite:///path``: the embedded, durable broker. No server; any number of processes on one host."""

from orcastra_core.backends.sqlite.broker import SqliteBroker

__all__ = ["SqliteBroker"]
