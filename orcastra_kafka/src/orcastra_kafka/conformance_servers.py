"""Private Kafka brokers for the harness and for tests: loopback only, free ports, a temporary directory.

They are stopped exactly as they were started, by process id, and die with the
process that started them, even if that is killed.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from orcastra_core.liveness.private_servers import ProcessGuard, is_free
from orcastra_kafka.conformance_settings import FAST, NODE, copies

VARIABLE = "ORCASTRA_KAFKA_SERVER"

_PROGRAM = "kafka-run-class.sh"
_CLUSTER = "b3JjYXN0cmEtdGVzdHM0Mg"
_PORTS = range(12_000, 32_000)
"""Below those that the system gives to outgoing connections: nobody takes a port of a broker that is down."""
_MEMORY = "/dev/shm"  # noqa: S108 - mkdtemp makes a directory of ours in it
_ROOM = 2 << 30
_READY = 60.0
"""Seconds until a broker that was started must answer."""
_QUICK = "-XX:+UseSerialGC -XX:-UsePerfData -Xss512k"
_FIRST_COMPILER = "-XX:TieredStopAtLevel=1"
_LOG = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"


class ServerError(Exception):
    """A server cannot be had; the message says what to do."""


def program() -> str | None:
    """Return what runs a class of Kafka: ORCASTRA_KAFKA_SERVER of the environment, else kafka-run-class.sh on PATH, if any."""
    return os.environ.get(VARIABLE) or shutil.which(_PROGRAM)


class Ground:
    """Where private brokers live: a directory, and who ends them should we die. Close it.

    Args:
        settings: For every broker, beside what all have: ``FAST`` or ``STOCK``.
        heap: Megabytes, the most that a broker's heap may have.
        quick: Whether a broker that is up soon matters more than one that is fast when warm.
    """

    def __init__(self, settings: Mapping[str, str] = FAST, *, heap: int = 512, quick: bool = True) -> None:
        found = program()
        if found is None:
            raise ServerError(
                f"no Kafka: have its {_PROGRAM} on PATH, or set {VARIABLE} to it, as `scripts/services up kafka` does"
            )
        self.program = found
        self.directory = Path(tempfile.mkdtemp(prefix="orcastra-kafka-", dir=_in_memory()))
        self.environment = {
            **os.environ,
            "KAFKA_HEAP_OPTS": f"-Xms64m -Xmx{heap}m",
            "KAFKA_JVM_PERFORMANCE_OPTS": " ".join([_QUICK, *([_FIRST_COMPILER] if quick else []), _LOG]),
            "LOG_DIR": str(self.directory),
        }
        self._settings = settings
        self._brokers: list[Server] = []
        self.guard = ProcessGuard(self.directory)

    async def server(self, **settings: str) -> Server:
        """Start a broker that is a cluster of its own, and wait until it answers. Raises ServerError."""
        return (await self.cluster(1, **settings))[0]

    async def cluster(self, nodes: int, **settings: str) -> Sequence[Server]:
        """Start a cluster, and wait until all its brokers know one another. Raises ServerError.

        Args:
            nodes: How many; each of them is broker and controller.
            settings: Of their server.properties, with ``_`` for each dot.
        """
        ports = self.free_ports(5 * nodes)  # all at once, so that none is drawn twice
        control = ports[:nodes]
        voters = ",".join(f"{number}@127.0.0.1:{port}" for number, port in enumerate(control, 1))
        more = {name.replace("_", "."): value for name, value in settings.items()}
        made: list[Server] = []
        for number in range(1, nodes + 1):
            inside, outside, relayed, advertised = ports[nodes + 4 * (number - 1) :][:4]
            directory = self.directory / str(outside)
            directory.mkdir()
            own = {
                "node.id": str(number),
                "controller.quorum.voters": voters,
                "listeners": f"CONTROLLER://127.0.0.1:{control[number - 1]},INSIDE://127.0.0.1:{inside},"
                f"OUTSIDE://127.0.0.1:{outside},RELAYED://127.0.0.1:{relayed}",
                "advertised.listeners": f"INSIDE://127.0.0.1:{inside},OUTSIDE://127.0.0.1:{outside},"
                f"RELAYED://127.0.0.1:{advertised}",
                "log.dirs": str(directory / "data"),
            }
            lines = {**NODE, **copies(nodes), **self._settings, **more, **own}
            (directory / "server.properties").write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
            made.append(Server(self, number, outside, relayed, advertised, directory))
        self._brokers += made
        try:
            async with asyncio.TaskGroup() as group:
                for server in made:
                    group.create_task(server.start(peers=nodes))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return made

    def free_ports(self, number: int) -> Sequence[int]:
        """Return ports at which nobody listens."""
        taken = {port for server in self._brokers for port in (server.port, server.relayed, server.advertised)}
        found: list[int] = []
        for port in random.sample(_PORTS, 1000):
            if port not in taken and is_free(port):
                found.append(port)
            if len(found) == number:
                return found
        raise ServerError("no free ports found")

    def close(self) -> None:
        """Stop all brokers and remove the directory. Idempotent."""
        for server in self._brokers:
            server.kill()
        self.guard.close()


def _in_memory() -> str | None:
    """Return a file system in memory with room, if there is one: each topic that is made is flushed to disk, many times."""
    try:
        return _MEMORY if shutil.disk_usage(_MEMORY).free >= _ROOM and os.access(_MEMORY, os.W_OK) else None
    except OSError:
        return None


class Server:
    """One broker.

    Attributes:
        node: Its number in the cluster.
        port: Where it listens, on the loopback.
        relayed: Where it listens for those who come by a relay: to them it says that it is at ``advertised``.
        advertised: A port that is kept free for a relay.
        directory: Its files; ``log`` is among them.
    """

    def __init__(self, ground: Ground, node: int, port: int, relayed: int, advertised: int, directory: Path) -> None:
        self.node = node
        self.port = port
        self.relayed = relayed
        self.advertised = advertised
        self.directory = directory
        self._ground = ground
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", self.port

    @property
    def url(self) -> str:
        """Its URL."""
        return f"kafka://127.0.0.1:{self.port}"

    async def start(self, *, peers: int = 1) -> None:
        """Start it, with the files it had, and return when it serves and knows of ``peers`` brokers. Raises ServerError."""
        configuration = str(self.directory / "server.properties")
        if not (self.directory / "data").exists():
            arguments = ["format", "--cluster-id", _CLUSTER, "--config", configuration]
            formatting = self._spawn("kafka.tools.StorageTool", *arguments)
            if await asyncio.to_thread(formatting.wait) != 0:
                raise ServerError(f"{self._ground.program} cannot format. Its last words:\n{self.last_words()}")
            self._ground.guard.forget(formatting.pid)
        self._process = self._spawn("kafka.Kafka", configuration)
        try:
            async with asyncio.timeout(_READY):
                while not await self._serves(peers):
                    if self._process.poll() is not None:
                        raise ServerError(f"a broker did not come up. Its last words:\n{self.last_words()}")
                    await asyncio.sleep(0.05)  # noqa: TID251 - it cannot tell us that it is ready
        except TimeoutError:
            raise ServerError(f"a broker was not ready in {_READY:g} s. Its last words:\n{self.last_words()}") from None

    def last_words(self) -> str:
        """Return the end of its log."""
        with suppress(OSError):
            return (self.directory / "log").read_text(errors="replace")[-2000:].strip()
        return ""

    def kill(self) -> None:
        """End it at once (SIGKILL), and wait for that. Does nothing if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._ground.guard.forget(self._process.pid)
            self._process = None

    async def restart(self) -> None:
        """Kill it, start it again at the same ports with the files it had, and return when it serves."""
        self.kill()
        await self.start()

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Have it stand still (SIGSTOP), its connections open, for as long as the context lasts."""
        assert self._process is not None
        process = self._process
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def _spawn(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.directory / "log").open("ab") as log:
            process = subprocess.Popen(
                [self._ground.program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env=self._ground.environment,
                start_new_session=True,  # Ctrl-C is for us: who started it stops it
            )
        self._ground.guard.watch(process.pid)
        return process

    async def _serves(self, peers: int) -> bool:
        """Whether it answers, and it and its peers are in the cluster's list: one that has just come back is not, at first."""
        if is_free(self.port):
            return False
        client = AIOKafkaClient(bootstrap_servers=f"127.0.0.1:{self.port}", request_timeout_ms=2000)
        try:
            await client.bootstrap()
            nodes = [broker.nodeId for broker in client.cluster.brokers()]
            return self.node in nodes and len(nodes) >= peers
        except (KafkaError, OSError):
            return False
        finally:
            await client.close()
