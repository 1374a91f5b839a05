"""Rows beside the tasks: what a caller writes in a transaction of its own, and a task in the one that settles it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any


class Rows(ABC):
    """A table of the harness's own, in the store of one domain, empty at first. ``BrokerHarness.rows`` brings it.

    What is called a connection is whatever ``Broker.publish_within`` takes, of any client library here, and
    ``SettlingTransaction.connection``.

    Attributes:
        clients: The client libraries whose connections ``publish_within`` knows and that are installed; at least one.
    """

    clients: Sequence[str]

    @abstractmethod
    def transaction(self, client: str) -> AbstractAsyncContextManager[Any]:
        """Open a connection of its own by a client library, and begin a transaction on it.

        It is committed when the block ends, and rolled back if the block raises, also if the server has
        ended the connection by then. What the commit raises is the client library's.
        """

    @abstractmethod
    def idle(self, client: str) -> AbstractAsyncContextManager[Any]:
        """Open a connection of its own on which no transaction is open."""

    @abstractmethod
    async def add(self, connection: Any, row: str) -> None:
        """Write a row in the connection's transaction."""

    @abstractmethod
    async def seen(self) -> Sequence[str]:
        """Return the rows that are committed, as another connection sees them, in the order of their writing."""

    @abstractmethod
    async def break_rule(self, connection: Any) -> None:
        """Write what a deferred constraint forbids: the statement succeeds, and the commit fails."""

    @abstractmethod
    async def cut(self, connection: Any) -> None:
        """Have the server end the connection, and return when it has."""
