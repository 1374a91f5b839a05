"""What this dist's tests share beside ``server_rig``."""

from collections.abc import Awaitable, Callable

from orcastra_postgres import PostgresBroker

Open = Callable[..., Awaitable[PostgresBroker]]
"""Opens a broker by URL, or on the test's own server."""
