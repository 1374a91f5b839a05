"""What a server has to tell so that it can be started, asked and stopped."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable


class ServerError(Exception):
    """A server could not be had; the message is one line for people, with the remedy."""


@dataclass(frozen=True)
class Command:
    """A program to run: its arguments, and variables beside those of the environment."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Companion:
    """A program that tests run beside a server, where it can be had."""

    variable: str
    """The environment variable that tells tests where it is."""
    program: str
    package: str


class Service(Protocol):
    """One kind of server."""

    name: str
    """As people type it: ``redis``."""
    variable: str
    """The environment variable that carries its URL."""
    program: str
    """Its binary, as found on the path."""
    folders: Sequence[str]
    """Where its binary may be beside the path: patterns from the root of the file system, or of an unpacked package."""
    accounts: Sequence[str] | None
    """It refuses to run as root: the accounts that run it then, best first. None: it runs as anybody."""
    stop_signal: signal.Signals
    """What ends it at once and in good order."""
    companions: Sequence[Companion]
    """What else tests need of it."""
    program_variable: str
    """The environment variable that tells tests where the binary is, for servers of their own; empty: they have none."""
    package: str
    """The Debian package that has it."""
    remedy: str
    """What people can do when no way worked; completes «redis: no server to be had. …»."""
    image: str
    """The container image."""
    container_port: int
    """The port that the server has inside its container."""

    def preparation(self, program: Path, directory: Path) -> Sequence[str]:
        """The arguments of what has to run once, before it, as who runs it; empty: nothing."""

    def command(self, program: Path, port: int, directory: Path) -> Sequence[str]:
        """The arguments that run ``program`` in the foreground, on loopback at ``port``, its files in ``directory``."""

    def container_arguments(self) -> Sequence[str]:
        """What follows the image in ``docker run``."""

    def container_environment(self) -> Mapping[str, str]:
        """The variables that its image wants."""

    def url(self, port: int) -> str:
        """The URL of the server at ``port`` of the loopback address."""

    def answers(self, url: str) -> bool:
        """Whether a server answers there right now, within two seconds. Raises nothing."""


@runtime_checkable
class Fetched(Protocol):
    """A service whose program comes in a way of its own, instead of out of a Debian package."""

    def fetched(self) -> Command:
        """The program, out of the cache. Raises ServerError."""


@runtime_checkable
class Advertised(Protocol):
    """A service that tells its clients where it is: its container is published at a port that it knows before."""

    host_port: int


def say(text: str) -> None:
    """Talk to the person at the terminal: stdout is for lines to evaluate."""
    print(text, file=sys.stderr, flush=True)
