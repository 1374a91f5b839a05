"""The place of the Postgres broker. This release reserves its URL schemes and says so to whoever uses one."""

from __future__ import annotations

from orcastra_core.model.errors import BackendNotReady


class PostgresBroker:
    """The broker behind ``postgresql://`` URLs, which is not in this release.

    Args:
        url: The broker URL, as every broker of Orcastra takes it.

    Raises:
        BackendNotReady: Always, before any connection is made. The message names the brokers that work.
    """

    def __init__(self, url: object) -> None:
        raise BackendNotReady(
            "orcastra-postgres 0.1.0 reserves the postgresql:// scheme; its broker is not in this release; "
            "use sqlite:///tasks.db or memory://"
        )
