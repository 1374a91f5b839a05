"""Apache Kafka: one KRaft node, broker and controller in a process, with the short timeouts that tests can wait for."""

from __future__ import annotations

import os
import signal
import socket
import struct
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from servers import java
from servers.service import Command, Companion

VERSION = "4.4.0"
CLUSTER = "b3JjYXN0cmEtdGVzdHM0Mg"
"""The id that a cluster is formatted with: 16 bytes in base 64."""

_TIMEOUT = 2.0  # seconds
_HEAP = "-Xms128m -Xmx512m"
_SMALL = "-XX:+UseSerialGC -XX:-UsePerfData -Xss512k"
# The first compiler only: it is up in half the time, and at its best twice as slow. For benchmarks ORCASTRA_KAFKA_JIT=full.
_QUICK = "-XX:TieredStopAtLevel=1"
_QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"

SETTINGS: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "INSIDE",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT",
    # One node: every topic of Kafka's own has one copy, and few partitions to make.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    "auto.create.topics.enable": "false",
    # Short sessions and locks may be asked for; nobody waits for members that may join later.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    "group.share.min.session.timeout.ms": "500",
    "group.share.session.timeout.ms": "3000",
    "group.share.min.heartbeat.interval.ms": "100",
    "group.share.heartbeat.interval.ms": "500",
    "group.share.assignment.interval.ms": "0",
    "group.share.initialize.retry.interval.ms": "1000",
    "group.share.min.record.lock.duration.ms": "1000",
    "group.share.max.record.lock.duration.ms": "3600000",
    "group.share.max.delivery.count.limit": "25",
    "group.share.max.partition.max.record.locks": "10000",
    "group.share.partition.max.record.locks": "10000",
    "log.cleaner.dedupe.buffer.size": "8388608",
    "log.index.size.max.bytes": "1048576",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
}


class Kafka:
    """A ``Service``, ``Fetched`` and ``Advertised``."""

    name = "kafka"
    variable = "ORCASTRA_TEST_KAFKA_URL"
    program = "kafka-run-class.sh"
    folders: Sequence[str] = ("opt/kafka/bin", "opt/homebrew/opt/kafka/libexec/bin")
    accounts: Sequence[str] | None = None
    stop_signal = signal.SIGTERM
    companions: Sequence[Companion] = ()
    program_variable = "ORCASTRA_KAFKA_SERVER"
    package = ""
    image = f"apache/kafka:{VERSION}"
    container_port = 9092
    remedy = (
        "Install Java 17 and Maven (Debian, Ubuntu: sudo apt-get install openjdk-17-jre-headless maven; "
        "macOS: brew install kafka), or start Docker, or set ORCASTRA_TEST_KAFKA_URL=kafka://host:port"
    )

    def fetched(self) -> Command:
        return Command([str(java.launcher(self.program, Path(__file__).with_name("kafka-server.xml"), VERSION))])

    def preparation(self, program: Path, directory: Path) -> Sequence[str]:
        configuration = self._configure(directory, _free_port())
        arguments = ["format", "--cluster-id", CLUSTER, "--config", str(configuration)]
        return [*_environment(directory), str(program), "kafka.tools.StorageTool", *arguments]

    def command(self, program: Path, port: int, directory: Path) -> Sequence[str]:
        configuration = self._configure(directory, port)
        return [*_environment(directory), str(program), "kafka.Kafka", str(configuration)]

    def container_arguments(self) -> Sequence[str]:
        return []

    @cached_property
    def host_port(self) -> int:
        return _free_port()

    def container_environment(self) -> Mapping[str, str]:
        own = {
            "listeners": "CONTROLLER://127.0.0.1:9093,INSIDE://127.0.0.1:29092,OUTSIDE://0.0.0.0:9092",
            "advertised.listeners": f"INSIDE://127.0.0.1:29092,OUTSIDE://127.0.0.1:{self.host_port}",
            "controller.quorum.voters": "1@127.0.0.1:9093",
        }
        settings = {f"KAFKA_{key.upper().replace('.', '_')}": value for key, value in {**SETTINGS, **own}.items()}
        return {**settings, "CLUSTER_ID": CLUSTER, "KAFKA_HEAP_OPTS": _HEAP}

    def url(self, port: int) -> str:
        return f"kafka://127.0.0.1:{port}"

    def answers(self, url: str) -> bool:
        try:
            host, _, port = url.partition("://")[2].partition("/")[0].split(",")[0].rpartition("@")[2].rpartition(":")
            return _answers(host.strip("[]") or "127.0.0.1", int(port))
        except (OSError, ValueError):
            return False

    def _configure(self, directory: Path, port: int) -> Path:
        control, inside = _free_port(), _free_port()
        own = {
            "listeners": f"CONTROLLER://127.0.0.1:{control},INSIDE://127.0.0.1:{inside},OUTSIDE://127.0.0.1:{port}",
            "advertised.listeners": f"INSIDE://127.0.0.1:{inside},OUTSIDE://127.0.0.1:{port}",
            "controller.quorum.voters": f"1@127.0.0.1:{control}",
            "log.dirs": str(directory / "data"),
        }
        path = directory / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in {**SETTINGS, **own}.items()))
        return path


def _environment(directory: Path) -> Sequence[str]:
    compilers = [] if os.environ.get("ORCASTRA_KAFKA_JIT") == "full" else [_QUICK]
    performance = " ".join([_SMALL, *compilers, _QUIET])
    options = {"KAFKA_HEAP_OPTS": _HEAP, "KAFKA_JVM_PERFORMANCE_OPTS": performance, "LOG_DIR": str(directory)}
    return ["env", *(f"{name}={value}" for name, value in options.items())]


def _answers(host: str, port: int) -> bool:
    """Ask which requests it serves, in the oldest way there is: header and no body."""
    request = struct.pack("!hhih", 18, 0, 1, 1) + b"o"
    with socket.create_connection((host, port), timeout=_TIMEOUT) as connection:
        connection.settimeout(_TIMEOUT)
        connection.sendall(struct.pack("!i", len(request)) + request)
        return len(connection.recv(4)) == 4


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
