"""Where the brokers are, and connections to them."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs

from orcastra_kafka.share.errors import KafkaCode, ShareError, check
from orcastra_kafka.share.messages import Node
from orcastra_kafka.share.metadata import ClusterFacts, FindCoordinator, Metadata, TopicFacts
from orcastra_kafka.share.private import Connection, KafkaError, create_conn
from orcastra_kafka.share.wire import Request

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Connecting:
    """How to connect: SASL and TLS as aiokafka has them.

    Attributes:
        bootstrap: Host and port of some brokers of the cluster.
        timeout: Seconds an answer may take, beyond what the broker was asked to wait.
        ssl: For the protocols SSL and SASL_SSL.
    """

    bootstrap: Sequence[tuple[str, int]]
    client_id: str = "share-consumer"
    timeout: float = 5.0
    security_protocol: str = "PLAINTEXT"
    ssl: ssl.SSLContext | None = None
    sasl_mechanism: str | None = None
    username: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    token_provider: Any = None

    async def connect(self, host: str, port: int, *, closed: Callable[[], None] | None = None) -> Connection:
        """Open a connection; ``closed`` is called when it is closed, by whomever. Raises KafkaError, OSError or TimeoutError."""
        transport: asyncio.Transport | None = None

        def told(connection: Connection, reason: object) -> None:
            if transport is not None:
                transport.abort()
            if closed is not None:
                closed()

        connection = await create_conn(
            host,
            port,
            client_id=self.client_id,
            request_timeout_ms=round(self.timeout * 1000),
            ssl_context=self.ssl,
            security_protocol=self.security_protocol,
            sasl_mechanism=self.sasl_mechanism,
            sasl_plain_username=self.username,
            sasl_plain_password=self.password,
            sasl_oauth_token_provider=self.token_provider,
            on_close=told,
        )
        if self.ssl is not None:  # it would wait for the broker's farewell, longer than many an event loop lasts
            transport = connection._writer.transport
        return connection


class Cluster:
    """The brokers of one cluster, for one event loop.

    Keeps a connection a broker for short questions; who needs one of its own asks ``connect``. Nothing runs in the background.
    """

    def __init__(self, connecting: Connecting) -> None:
        self.connecting = connecting
        self._nodes: dict[int, Node] = {}
        self._connections: dict[tuple[str, int], Connection] = {}
        self._dialing = asyncio.Lock()
        self._coordinators: dict[str, Node] = {}
        self.versions: Mapping[int, tuple[int, int]] = {}

    async def open(self) -> ClusterFacts:
        """Reach any broker and learn of the others."""
        return await self.metadata(())

    async def close(self) -> None:
        """Close what was opened here."""
        connections, self._connections = list(self._connections.values()), {}
        closing = [future for one in connections if (future := one.close()) is not None]
        if closing:
            await asyncio.wait(closing, timeout=1.0)

    def drop(self) -> None:
        """Close without waiting."""
        connections, self._connections = list(self._connections.values()), {}
        for one in connections:
            one.close()

    async def connect(self, node: int, *, closed: Callable[[], None] | None = None) -> Connection:
        """Open a connection of the caller's own to a broker; ``closed`` is called when it is closed."""
        where = self._nodes.get(node)
        if where is None:
            raise ShareError(KafkaCode.REPLICA_NOT_AVAILABLE, f"broker {node} is not known")
        return await self.connecting.connect(where.host, where.port, closed=closed)

    async def ask(self, node: int, request: Request[T]) -> T:
        """Ask one broker. Raises KafkaError, OSError or TimeoutError."""
        where = self._nodes.get(node)
        if where is None:
            raise ShareError(KafkaCode.REPLICA_NOT_AVAILABLE, f"broker {node} is not known")
        return await self._ask((where.host, where.port), request)

    async def ask_any(self, request: Request[T]) -> T:
        """Ask one broker after the other until one answers."""
        addresses = [(node.host, node.port) for node in self._nodes.values()]
        random.shuffle(addresses)
        addresses.sort(key=lambda address: address not in self._connections)
        addresses += [address for address in self.connecting.bootstrap if address not in addresses]
        failure: BaseException | None = None
        for address in addresses:
            try:
                return await self._ask(address, request)
            except (ShareError, asyncio.CancelledError):
                raise
            except (KafkaError, OSError, TimeoutError) as error:
                if getattr(error, "errno", None) in _FINAL:
                    raise
                failure = error
        assert failure is not None
        raise failure

    async def metadata(self, topics: Sequence[str] | None) -> ClusterFacts:
        """Read the metadata of topics: () for none, None for all."""
        facts = await self.ask_any(Metadata(topics))
        self._nodes = dict(facts.nodes)
        return facts

    async def topic(self, name: str) -> TopicFacts:
        """Read the metadata of one topic."""
        facts = (await self.metadata([name])).topics[name]
        check(facts.error, doing=f"topic {name}")
        return facts

    async def ask_coordinator(self, group: str, request: Request[T]) -> T:
        """Ask who coordinates a group; forgets him if he does not answer."""
        node = self._coordinators.get(group)
        if node is None:
            found = await self.ask_any(FindCoordinator(group))
            check(found.error, found.message, doing=f"the coordinator of {group}")
            node = self._coordinators[group] = found.node
        try:
            return await self._ask((node.host, node.port), request)
        except (KafkaError, OSError, TimeoutError):
            self.forget_coordinator(group)
            raise

    def forget_coordinator(self, group: str) -> None:
        """He has moved: look him up again the next time."""
        self._coordinators.pop(group, None)

    def learn(self, nodes: Sequence[Node]) -> None:
        """Take over where brokers listen, from an answer that told of new leaders."""
        self._nodes.update({node.id: node for node in nodes})

    async def _ask(self, address: tuple[str, int], request: Request[T]) -> T:
        connection = await self._connection(address)
        try:
            return request.read(await connection.send(request))
        except TimeoutError:
            connection.close()
            raise

    async def _connection(self, address: tuple[str, int]) -> Connection:
        async with self._dialing:
            connection = self._connections.get(address)
            if connection is None or not connection.connected():
                connection = self._connections[address] = await self.connecting.connect(*address)
                self.versions = dict(connection._versions)
            return connection


_FINAL = frozenset({33, 34, 35, 58})
"""Unsupported or refused SASL, unsupported version: the next broker will not be kinder."""
